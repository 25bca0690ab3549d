"""What `predict` is pointed at -> pictures, one after another."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.files import new_files
from centerx.images import SUFFIXES, list_images, read_image

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".h264"})
USUAL_SPEED = 25.0  # frames a second, where a file does not tell
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as below: what is wrong with a video, we tell ourselves


class Source(NamedTuple):
    """A picture or a video to look at.

    Attributes:
        path: the file. name: below the folder that was given, or the file's own name.
    """

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether the file holds frames."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame as (H, W, 3) uint8 RGB; a picture is one.

        Raises:
            InputError: it cannot be read.
        """
        if self.is_video:
            yield from _video_frames(self.path)
        else:
            yield read_image(self.path)


def find_sources(arguments: Iterable[str]) -> list[Source]:
    """Resolve files, folders and glob patterns, in the order given.

    Raises:
        InputError: one of them leads to no picture and no video.
    """
    found: list[Source] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            some = [Source(each, each.relative_to(path)) for each in list_images(path) + _videos(path)]
            if not some:
                raise InputError(f"{path}: no images in this folder, give a folder, file or pattern with some")
        elif path.is_file():
            some = [Source(path, Path(path.name))]
        else:
            known = SUFFIXES | VIDEO_SUFFIXES
            matches = [Path(each) for each in sorted(glob.glob(argument, recursive=True))]
            some = [Source(each, Path(each.name)) for each in matches if each.suffix.lower() in known]
            if not some:
                raise InputError(f"{argument}: no such image, folder, pattern or video")
        found += some
    return found


def output_files(sources: Sequence[Source], folder: Path) -> list[Path]:
    """A file below `folder` for the drawing of each source; equal names get a number.

    Raises:
        InputError: one of them is a source itself.
    """
    originals = {source.path.resolve() for source in sources}
    files: dict[Path, None] = {}  # a set in order
    for source in sources:
        suffix = source.name.suffix if source.name.suffix.lower() in SUFFIXES else ".png"
        name = source.name.with_suffix(".mp4" if source.is_video else suffix)
        file, number = folder / name, 1
        while file in files:
            number += 1
            file = folder / name.with_stem(f"{name.stem}-{number}")
        if file.resolve() in originals:
            raise InputError(f"--out: {file} is one of the sources and would be overwritten, choose another folder")
        files[file] = None
    return list(files)


@contextmanager
def video_file(path: Path, like: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """What appends (H, W, 3) uint8 RGB to an mp4, which is there at the end, whole; not without a frame.

    Args:
        path: the file. like: a video, to run at its speed.

    Raises:
        InputError: no such video can be written here.
        OSError: it cannot be written; names `path`.
    """
    writer: cv2.VideoWriter | None = None
    count = 0
    with new_files(path) as made:

        def add(frame: np.ndarray) -> None:
            nonlocal writer, count
            if writer is None:
                with _opened(like) as video:
                    speed = video.get(cv2.CAP_PROP_FPS)
                size = frame.shape[1], frame.shape[0]
                code = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(_name(made), code, speed if speed > 0 else USUAL_SPEED, size)
                if not writer.isOpened():
                    raise InputError(f"{path}: cannot write the video, choose another --out")
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            count += 1

        try:
            yield add
        finally:
            if writer is not None:
                writer.release()
        if writer is not None:
            _require_frames(made, count)


def _require_frames(made: Path, count: int) -> None:
    """Of a full disk OpenCV tells nothing."""
    try:
        with _opened(made) as video:
            there = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    except InputError:
        there = 0
    if there < count:
        raise OSError(errno.ENOSPC, f"{there} of {count} frames could be written")


def _name(path: Path) -> Any:
    """A path as OpenCV takes it: as bytes, for it crashes at text that is not UTF-8."""
    return os.fsencode(path)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(_name(path))
    try:
        if not capture.isOpened():
            raise InputError(f"{path}: not a video that can be decoded here, replace or remove it")
        yield capture
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(level)


def _video_frames(path: Path) -> Iterator[np.ndarray]:
    with _opened(path) as capture:
        there, frame = capture.read()
        if not there:
            raise InputError(f"{path}: a video without frames, replace or remove it")
        while there:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            there, frame = capture.read()


def _videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
