"""Decoded pictures that are kept, in memory or on disk, so that each is decoded once. They stay the same to the bit."""

from __future__ import annotations

import hashlib
import io
import logging
import mmap
import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path
from tokenize import TokenError

import numpy as np

from centerx.errors import InputError
from centerx.files import require_folder, write_atomic
from centerx.images import read_image
from centerx.levels import ValueRange

Read = Callable[[Path, ValueRange, int], np.ndarray]  # as `images.read_image`
FORMAT = 1  # of the files of a `DiskCache`; another one when the same file would be decoded to other pixels
REDUCTIONS = 1, 2, 4, 8

logger = logging.getLogger(__name__)


class Room:
    """Bytes that are left, shared by the processes that pictures are prepared in.

    Args:
        most_bytes: the bound.
        used: bytes that are taken already.
    """

    def __init__(self, most_bytes: int, used: int = 0) -> None:
        self.most_bytes = most_bytes
        self.used = multiprocessing.Value("q", used)
        self.told = multiprocessing.Value("b", 0)

    def take(self, count: int) -> int | None:
        """Return where so many bytes begin; None where they do not fit, which is told once."""
        with self.used.get_lock():
            start = self.used.value
            if start + count <= self.most_bytes:
                self.used.value += count
                return start
        self.tell(
            f"{start / 1e9:.2f} GB are kept and the next picture does not fit, it and others are read anew each time; "
            "raise data.cache_gigabytes for more"
        )
        return None

    def close(self, reason: str) -> None:
        """Take nothing more, and tell why."""
        self.tell(f"{reason}, so no more pictures are kept")
        self.used.value = self.most_bytes

    def tell(self, what: str) -> None:
        """Log a warning, unless something was told before."""
        with self.told.get_lock():
            told, self.told.value = self.told.value, 1
        if not told:
            logger.warning(f"data.cache: {what}")


class RamCache:
    """Pictures in memory that forked processes share. A file is taken to stay as it was when it was read first.

    Args:
        paths: of all pictures.
        most_bytes: the bound; memory is taken as pictures are kept.

    Raises:
        InputError: there is not as much memory.
    """

    def __init__(self, paths: Iterable[Path], most_bytes: int) -> None:
        self.rows = {path: row for row, path in enumerate(dict.fromkeys(paths))}
        shape = len(self.rows), len(REDUCTIONS), 3
        try:
            self.memory = mmap.mmap(-1, most_bytes)
            places = mmap.mmap(-1, int(np.prod(shape)) * 8)
        except OSError as error:
            raise InputError(f"data.cache_gigabytes: {most_bytes / 1e9:g} GB of memory: {error.strerror}") from None
        self.places = np.frombuffer(places, np.int64).reshape(shape)  # start, height and width; no height: not kept
        self.lock = multiprocessing.Lock()  # a place is written after the pixels that it tells of
        self.room = Room(most_bytes)

    def __call__(self, path: Path, value_range: ValueRange, reduction: int = 1) -> np.ndarray:
        """Return a picture as `images.read_image` does, but not to be written to.

        Raises:
            InputError: its file cannot be read.
        """
        place = self.places[self.rows[path], REDUCTIONS.index(reduction)]
        with self.lock:
            start, height, width = place.tolist()
        if height:
            return self._at(start, height, width)
        image = read_image(path, value_range, reduction)
        height, width, _ = image.shape
        taken = self.room.take(image.nbytes)
        if taken is None:
            return image
        np.copyto(self._at(taken, height, width, writable=True), image)
        with self.lock:
            place[:] = taken, height, width
        return image

    def _at(self, start: int, height: int, width: int, writable: bool = False) -> np.ndarray:
        view = np.ndarray((height, width, 3), np.uint8, self.memory, start)
        view.flags.writeable = writable
        return view


class DiskCache:
    """Pictures in files of a folder, which runs may share, named by path, size and time of the picture's file.

    A file that cannot be read is written anew. What an interrupted run wrote is kept. Where the disk is full, further
    pictures are read without it.

    Args:
        folder: the folder; made where missing.
        most_bytes: that it may hold.

    Raises:
        InputError: it cannot be written.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        require_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.room = Room(most_bytes, sum(file.stat().st_size for file in folder.glob("*.npy")))

    def __call__(self, path: Path, value_range: ValueRange, reduction: int = 1) -> np.ndarray:
        """Return a picture as `images.read_image` does.

        Raises:
            InputError: its file cannot be read.
        """
        try:
            about = path.stat()
        except OSError:
            return read_image(path, value_range, reduction)
        text = f"{FORMAT} {path.absolute()} {about.st_size} {about.st_mtime_ns} {value_range} {reduction}"
        file = self.folder / f"{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]}.npy"
        if file.exists() and not file.is_file():  # a pipe would be waited for
            return read_image(path, value_range, reduction)
        kept = _read_kept(file)
        if kept is not None:
            return kept
        image = read_image(path, value_range, reduction)
        content = io.BytesIO()
        np.save(content, image, allow_pickle=False)
        if self.room.take(content.tell()) is not None:
            try:
                write_atomic(file, content.getbuffer())
            except OSError as error:
                self.room.close(f"{self.folder} cannot be written ({error.strerror})")
        return image


def _read_kept(file: Path) -> np.ndarray | None:
    """Return the picture that a file of the cache holds, None where there is none or it is damaged."""
    try:
        with file.open("rb") as opened:
            kept: np.ndarray = np.lib.format.read_array(opened, allow_pickle=False)
    except (OSError, ValueError, TokenError, MemoryError):  # TokenError: of a header
        return None
    return kept if kept.dtype == np.uint8 and kept.ndim == 3 else None
