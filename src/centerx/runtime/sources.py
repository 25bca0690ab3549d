"""Find the pictures, videos, cameras and streams that `predict` is given, and read the files among them."""

from __future__ import annotations

import errno
import glob
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate, chain
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple, overload

import cv2
import numpy as np

from centerx.contents import RAW_SUFFIXES, VIDEO, explain, identify, read_head
from centerx.errors import InputError
from centerx.files import new_files
from centerx.images import SUFFIXES, image_hw, inspect_image, left_out, list_names, other_files
from centerx.lazy import LazySequence
from centerx.levels import AUTO, ValueRange
from centerx.problems import Kind, Problem, log_problems
from centerx.runtime.live import Live, live_address, silent_opencv
from centerx.runtime.mp4 import shown_share
from centerx.runtime.picture import Picture, to_image

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".ogm",
    ".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob", ".mxf",
    ".mjpeg", ".mjpg", ".dv", ".y4m", ".264", ".265", ".h264", ".h265", ".hevc",
})  # fmt: skip
KNOWN = SUFFIXES | VIDEO_SUFFIXES
# Tolerated number of missing frames of a video: SLACK frames and a share of the announced number. An MP4 file has a
# count of its frames (COUNTED). For other files, and for an MP4 that shows only a part of its frames, the number is
# ESTIMATED from the duration, which includes that of the sound, and the frame rate.
SLACK, COUNTED, ESTIMATED = 2, 0.01, 0.05
DRAWN = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})
USUAL_SPEED = 25.0  # frames per second, if the file has no frame rate
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silent: problems of videos are reported by this module


class Source(NamedTuple):
    """A picture or video file, or a picture in memory.

    Attributes:
        path: the file; of a picture in memory what messages call it, such as `sources[0]`.
        name: path relative to the folder that was given, or the file's own name.
        picture: in memory, of any kind that `runtime.picture.to_image` takes; None for a file.
        bgr: whether that is an array with its channels in the order BGR.
    """

    path: Path
    name: Path
    picture: Picture | None = None
    bgr: bool = False

    @property
    def label(self) -> str:
        """The path as text, for messages and results."""
        return str(self.path)

    @property
    def is_video(self) -> bool:
        """Whether the file is a video, by its suffix or, if that is unknown, by its content."""
        if self.picture is not None:
            return False
        suffix = self.path.suffix.lower()
        return suffix in VIDEO_SUFFIXES if suffix in KNOWN | RAW_SUFFIXES else _holds_frames(self.path)

    def frames(
        self, value_range: ValueRange = AUTO, note: Callable[[Problem], object] = lambda _: None
    ) -> Iterator[np.ndarray]:
        """Yield every frame as (H, W, 3) uint8 RGB; a picture, animated or not, has one frame.

        Args:
            value_range: how pictures of more than 8 bits are converted to 8 bits, see `levels.find_limits`.
            note: called with each problem: a picture that uses few grey levels, a video with fewer frames than its
                header announces.

        Raises:
            InputError: the file cannot be read.
        """
        if self.picture is not None:
            try:
                yield to_image(self.picture, self.bgr, value_range)
            except InputError as error:
                raise InputError(f"{self.path}: {error}") from None
            return
        if self.is_video:
            yield from _video_frames(self.path, note)
            return
        picture, problem = inspect_image(self.path, value_range)
        if problem:
            note(problem)
        yield picture


class Files(Sequence[Source]):
    """Files of which only the names are kept, as there may be very many.

    Args:
        names: relative to the folder; the whole paths where there is none.
        folder: that was given.
    """

    def __init__(self, names: Sequence[str], folder: Path | None = None) -> None:
        self.names, self.folder = names, folder

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Source: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Source]: ...

    def __getitem__(self, index: int | slice) -> Source | Sequence[Source]:
        if isinstance(index, slice):
            return Files(self.names[index], self.folder)
        name = Path(self.names[index])
        return Source(name, Path(name.name)) if self.folder is None else Source(self.folder / name, name)


class Sources(LazySequence["Source | Live"]):
    """Sources one after another.

    Args:
        parts: some each.
    """

    def __init__(self, parts: Iterable[Sequence[Source | Live]]) -> None:
        self.parts = list(parts)
        self.ends = list(accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __iter__(self) -> Iterator[Source | Live]:
        return chain.from_iterable(self.parts)

    def make(self, place: int) -> Source | Live:
        """Return a source."""
        part = bisect_right(self.ends, place)
        return self.parts[part][place - self.ends[part]]


class Outputs(Sequence[Path]):
    """Files in a folder, of which only the names are kept.

    Args:
        folder: where they are.
        names: relative to it.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...

    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        if isinstance(index, slice):
            return Outputs(self.folder, self.names[index])
        return self.folder / self.names[index]


def find_sources(arguments: Iterable[str], reconnect: int = 0) -> Sources:
    """Resolve files, folders, glob patterns, cameras and streams, in their order. Other files in folders are logged.

    Args:
        arguments: paths, patterns, the number of a camera or the URL of a stream. What exists as a file is one.
        reconnect: as for `Live`.

    Raises:
        InputError: an argument leads to no picture and no video.
    """
    found: list[Sequence[Source | Live]] = []
    for argument in arguments:
        path, address = Path(argument), live_address(argument)
        some: Sequence[Source | Live]
        if address is not None and not path.exists():
            some, others = [Live(address, reconnect)], None
        elif path.is_dir():
            names = list_names(path, SUFFIXES) + list_names(path, VIDEO_SUFFIXES)
            some, others = Files(names, path), left_out(path, KNOWN)
            if not some:
                raise InputError(
                    f"{path}: no images in this folder{_beside(others)}, give a folder, file or pattern with some"
                )
        elif path.is_file():
            some, others = [Source(path, Path(path.name))], None
        else:
            matches = sorted(glob.glob(argument, recursive=True))
            some = Files([each for each in matches if Path(each).suffix.lower() in KNOWN and not os.path.isdir(each)])
            others = other_files(map(Path, matches), KNOWN)
            if not some:
                raise InputError(f"{argument}: no such image, folder, pattern or video{_beside(others)}")
        if others:
            log_problems([others], argument)
        found.append(some)
    return Sources(found)


def output_files(sources: Sequence[Source | Live], folder: Path, option: str = "--out") -> Sequence[Path]:
    """Return a path below `folder` for the drawing of each source; equal names get a number.

    Args:
        sources: to be drawn.
        folder: where the files will be.
        option: that named the folder, for the error.

    Raises:
        InputError: an output file is one of the sources.
    """
    originals: set[str] | None = None
    names: dict[str, None] = {}  # a set in order
    for source in sources:
        suffix = source.name.suffix if source.name.suffix.lower() in DRAWN else ".png"
        name = plain = source.name.with_suffix(".mp4" if source.is_video else suffix)
        number = 1
        while str(name) in names:
            number += 1
            name = plain.with_stem(f"{plain.stem}-{number}")
        file = folder / name
        if os.path.lexists(file):  # what is not there is no source
            if originals is None:
                originals = {os.path.realpath(each.path) for each in sources if isinstance(each, Source)}
            if os.path.realpath(file) in originals:
                raise InputError(
                    f"{option}: {file} is one of the sources and would be overwritten, choose another folder"
                )
        names[str(name)] = None
    return Outputs(folder, list(names))


@contextmanager
def video_file(path: Path, like: Path | None = None) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an mp4 file frame by frame. It appears when the block ends, complete, and only if it has a frame.

    Args:
        path: the file.
        like: a video whose frame rate the file gets; USUAL_SPEED without it.

    Yields:
        A function that appends a frame, (H, W, 3) uint8 RGB.

    Raises:
        InputError: OpenCV cannot write such a video here.
        OSError: the file cannot be written; names `path`.
    """
    writer: cv2.VideoWriter | None = None
    count, size = 0, (0, 0)
    with new_files(path) as made:

        def add(frame: np.ndarray) -> None:
            nonlocal writer, count, size
            if writer is None:
                speed = _speed(like) if like is not None else USUAL_SPEED
                size = frame.shape[1], frame.shape[0]
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(_name(made), code, speed, size)
                if not writer.isOpened():
                    raise InputError(f"{path}: cannot write the video, choose another --out")
            if frame.shape[:2] != size[::-1]:  # a camera may come back with another one
                frame = cv2.resize(frame, size)
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield add
        finally:
            if writer is not None:
                writer.release()
        if writer is not None:
            _require_frames(made, count)


def _speed(path: Path) -> float:
    """Return the frames per second of a video."""
    with _opened(path) as video:
        speed = video.get(cv2.CAP_PROP_FPS)
    return speed if speed > 0 else USUAL_SPEED


def _require_frames(made: Path, count: int) -> None:
    """Raise if frames are missing: OpenCV reports no error when the disk is full."""
    try:
        with _opened(made) as video:
            there = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    except InputError:
        there = 0
    if there < count:
        raise OSError(errno.ENOSPC, f"{there} of {count} frames could be written")


def _name(path: Path) -> Any:
    """Return a path as bytes: OpenCV crashes on text that is not UTF-8."""
    return os.fsencode(path)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    """Open a video.

    Raises:
        InputError: it is none. A pipe would be waited for, and by a text FFmpeg would open the files that it names.
    """
    content = identify(read_head(path))
    if content not in (None, VIDEO) or not path.is_file():
        why = "(no ordinary file), name the file itself" if content is None else explain(content)
        raise InputError(f"{path}: not a video that can be decoded here {why}")
    with silent_opencv():
        capture = cv2.VideoCapture(_name(path))
        try:
            if not capture.isOpened():
                raise InputError(f"{path}: not a video that can be decoded here, perhaps cut off; replace or remove it")
            yield capture
        finally:
            capture.release()


def _video_frames(path: Path, note: Callable[[Problem], object]) -> Iterator[np.ndarray]:
    with _opened(path) as capture:
        announced, speed = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        there, frame = capture.read()
        if not there:
            raise InputError(f"{path}: a video without frames, replace or remove it")
        read, reached = 0, 0.0
        while there:
            read, reached = read + 1, max(reached, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            there, frame = capture.read()
    due = frames_due(path, announced, read, speed, reached)
    if due:
        note(Problem(Kind.VIDEO_ENDS_EARLY, str(path), f"{due} frames announced, {read} read"))


def frames_due(path: Path, announced: float, read: int, speed: float, reached: float) -> int:
    """Return how many frames a video should have if it has clearly fewer, else 0.

    Args:
        path: the video.
        announced: number of frames in its header.
        read: number of frames that were read.
        speed: frames per second.
        reached: time of the last frame in seconds.
    """
    if not (isfinite(announced) and announced > 0):
        return 0
    share = shown_share(path)
    if share is not None:
        due = announced * share
        return round(due) if due - read > SLACK + due * (COUNTED if share > 1 - COUNTED else ESTIMATED) else 0
    # A video of variable frame rate has fewer frames than estimated, but its last frame is at its end.
    most = announced - SLACK - announced * ESTIMATED
    early = speed > 0 and reached > 0 and read < most and reached * speed + 1 < most
    return round(announced) if early else 0


@lru_cache(maxsize=1024)
def _holds_frames(path: Path) -> bool:
    """Whether a file is a video. Other kinds are excluded first: FFmpeg also opens texts and tiles of HEIC files."""
    if not path.is_file() or identify(read_head(path)) not in (None, VIDEO):
        return False
    try:
        image_hw(path)
        return False
    except InputError:
        pass
    try:
        with _opened(path) as capture:
            return capture.getBackendName() != "CV_IMAGES" and capture.read()[0]
    except InputError:
        return False


def _beside(others: Problem | None) -> str:
    return f" but {others.times} {others.what}" if others else ""
