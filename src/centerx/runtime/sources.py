"""What `predict` is pointed at -> pictures, one after another."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.images import SUFFIXES, list_images

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"})


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


def unique_names(sources: Iterable[Source]) -> list[Path]:
    """A relative output name for each source; equal names get a number, so that nothing is overwritten."""
    taken: set[Path] = set()
    names = []
    for source in sources:
        name, number = source.name, 1
        while name in taken:
            number += 1
            name = source.name.with_stem(f"{source.name.stem}-{number}")
        taken.add(name)
        names.append(name)
    return names


class Video:
    """Frames of a video file as (H, W, 3) uint8 RGB.

    Raises:
        InputError: it cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise InputError(f"{path}: not a video that can be decoded here")
        self.frames_per_second = self._capture.get(cv2.CAP_PROP_FPS) or 25.0

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()


class VideoFile:
    """An mp4 that takes frames; opened by the first one."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path, self.frames_per_second = path, frames_per_second
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = (frame.shape[1], frame.shape[0])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), code, self.frames_per_second, size)
            if not self._writer.isOpened():
                raise InputError(f"{self.path}: cannot write the video, choose another --out")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


def _videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
