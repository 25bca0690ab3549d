"""Cameras and streams: the newest frame each time, and a connection that is made again when it is lost."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.runtime.stream import newest

logger = logging.getLogger(__name__)

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "srt", "http", "https")
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds before an attempt; each wait is twice the one before
TIMEOUT = 10_000  # milliseconds without an answer after which a stream is lost
MISSING = 0.05  # tolerated share of missing frames of a stream that announces their number


class Frame(NamedTuple):
    """A picture of a camera or stream.

    Attributes:
        number: from 0, among all that came; those that came faster than they were used are missing.
        seconds: since the first frame.
        image: (H, W, 3) uint8 RGB.
    """

    number: int
    seconds: float
    image: np.ndarray


class Live:
    """A camera or a stream.

    Args:
        address: number of a camera of this machine, or the URL of a stream.
        reconnect: most attempts in a row to connect again once frames stop coming; 0 for none.
        connect: function that opens the address as a `cv2.VideoCapture`.

    Attributes:
        label: the address for messages and results, without user name and password.
        name: of a file with drawn frames.
    """

    is_video = True

    def __init__(
        self, address: int | str, reconnect: int = 0, connect: Callable[[int | str], Any] | None = None
    ) -> None:
        self.address, self.reconnect, self.connect = address, reconnect, connect or open_capture
        self.label = without_password(str(address))
        self.name = Path(re.sub(r"\W+", "-", f"camera {address}" if isinstance(address, int) else self.label) + ".mp4")
        self._stopped = threading.Event()

    @property
    def path(self) -> Path:
        """The name, as there is no file."""
        return self.name

    def stop(self) -> None:
        """End the frames after the one under way; from any thread."""
        self._stopped.set()

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame each time it is asked for; those between are left out.

        A stream that announces how many frames it has, such as a video on a web server, is read whole.

        Raises:
            InputError: it cannot be opened, or gives no frame.
        """
        first = self._connected()
        if first is None:
            raise InputError(
                f"{self.label}: no camera or stream that gives frames, check the address and whether another program "
                "uses it"
            )
        length = first[0].get(cv2.CAP_PROP_FRAME_COUNT)
        whole = isfinite(length) and length > 0
        try:
            frames = self._read(*first, length if whole else None)
            with closing(frames if whole else newest(frames, self._stopped)) as chosen:
                for number, seconds, frame in chosen:
                    yield Frame(number, seconds, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                    if self._stopped.is_set():
                        return
        finally:
            self._stopped.clear()

    def _read(
        self, capture: Any, frame: Any, length: float | None
    ) -> Generator[tuple[int, float, np.ndarray], None, None]:
        """Yield number, seconds and BGR pixels of every frame, over all connections."""
        number, started = 0, time.monotonic()
        connection: tuple[Any, Any] | None = capture, frame
        while connection is not None:
            capture, frame = connection
            try:
                there = True
                while there and not self._stopped.is_set():
                    yield number, time.monotonic() - started, frame
                    number += 1
                    there, frame = capture.read()
            finally:
                capture.release()
            if self._stopped.is_set():
                return
            connection = self._reconnected() if length is None else None
        if length is not None and number < (1 - MISSING) * length:
            logger.warning(f"{self.label}: {length:.0f} frames announced, {number} read")

    def _connected(self) -> tuple[Any, Any] | None:
        """Return an opened capture and its first frame; None if there is none."""
        with silent_opencv():
            capture = self.connect(self.address)
            frame = capture.read()[1] if capture.isOpened() else None
        if frame is not None:
            return capture, frame
        capture.release()
        return None

    def _reconnected(self) -> tuple[Any, Any] | None:
        """Connect again; None if it fails or is not wanted any more."""
        lost, wait = time.monotonic(), FIRST_WAIT
        for attempt in range(1, self.reconnect + 1):
            logger.warning(
                f"{self.label}: no more frames, connecting again in {wait:g} s (attempt {attempt} of {self.reconnect})"
            )
            if self._stopped.wait(wait):
                return None
            connection = self._connected()
            if connection is not None:
                logger.warning(f"{self.label}: connected again after {time.monotonic() - lost:.0f} s")
                return connection
            wait = min(2 * wait, LONGEST_WAIT)
        logger.warning(f"{self.label}: ended, as no frames came and {self.reconnect} attempts to connect again failed")
        return None


def live_address(text: str) -> int | str | None:
    """Return what a word on the command line names: a camera's number, a stream's URL, or None for neither."""
    if text.isascii() and text.isdecimal():
        return int(text)
    return text if text.partition("://")[0].lower() in SCHEMES and "://" in text else None


def without_password(address: str) -> str:
    """Return a URL without user name and password."""
    parts = urlsplit(address) if "://" in address else None
    return address if parts is None else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def open_capture(address: int | str) -> cv2.VideoCapture:
    """Open a camera, or a stream with a limit to the time that it may be silent."""
    if isinstance(address, str):
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
    capture = cv2.VideoCapture(address)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV from printing, inside the `with`: what is wrong is reported by whoever calls it."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
