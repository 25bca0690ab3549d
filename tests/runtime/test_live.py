"""Cameras and streams, with a capture that is made up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import centerx as package
from centerx.api.predict import resolve_sources
from centerx.errors import InputError
from centerx.runtime import live
from centerx.runtime.live import Frame, Live, live_address, without_password
from centerx.runtime.sources import Source, find_sources, output_files
from centerx.runtime.stream import newest
from tests.runtime.test_sources import write_video


class FakeCapture:
    """A capture that gives frames of grey levels, then nothing.

    Args:
        levels: of the frames; an Event among them is waited for.
        length: number of frames that it announces.
    """

    def __init__(self, levels: Sequence[int | threading.Event], length: float = -1.0) -> None:
        self.levels, self.length = iter(levels), length
        self.opened, self.released = bool(levels), False

    def isOpened(self) -> bool:
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        for level in self.levels:
            if isinstance(level, threading.Event):
                assert level.wait(20)
                continue
            return True, np.full((90, 120, 3), (level, 0, 0), np.uint8)
        return False, None

    def get(self, _: int) -> float:
        return self.length

    def release(self) -> None:
        self.released = True


class Connections:
    """Opens one made-up capture after another; where there is none left, one that cannot be opened."""

    def __init__(self, *captures: FakeCapture) -> None:
        self.captures, self.asked = list(captures), 0

    def __call__(self, address: int | str) -> FakeCapture:
        self.asked += 1
        return self.captures[self.asked - 1] if self.asked <= len(self.captures) else FakeCapture([])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(live, "LONGEST_WAIT", 0.05)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records]


def levels(frames: list[Frame]) -> list[int]:
    return [int(frame.image[0, 0, 2]) for frame in frames]


def test_frames_failures_then_frames(caplog: pytest.LogCaptureFixture) -> None:
    last = threading.Event()
    connect = Connections(FakeCapture([10, 20]), FakeCapture([]), FakeCapture([30, last]))
    address = "rtsp://me:secret@camera.example/live"
    found: list[Frame] = []
    for frame in Live(address, reconnect=2, connect=connect).frames():
        found.append(frame)
        if int(frame.image[0, 0, 2]) == 30:
            last.set()
    assert levels(found)[-1] == 30
    assert [frame.number for frame in found][-1] == 2
    assert all(first.seconds <= second.seconds for first, second in pairwise(found))
    assert all(capture.released for capture in connect.captures)
    assert connect.asked == 5  # the first, a failure, the second one, then two failures in a row
    where = "rtsp://camera.example/live: "
    assert [message.removeprefix(where) for message in told(caplog)] == [
        "no more frames, connecting again in 0.01 s (attempt 1 of 2)",
        "no more frames, connecting again in 0.02 s (attempt 2 of 2)",
        "connected again after 0 s",
        "no more frames, connecting again in 0.01 s (attempt 1 of 2)",
        "no more frames, connecting again in 0.02 s (attempt 2 of 2)",
        "ended, as no frames came and 2 attempts to connect again failed",
    ]


def test_waits_double_up_to_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    assert len(list(Live(0, reconnect=5, connect=Connections(FakeCapture([10]))).frames())) == 1
    waits = [message.split(" in ")[1].split(" s")[0] for message in told(caplog) if " in " in message]
    assert waits == ["0.01", "0.02", "0.04", "0.05", "0.05"]


def test_a_slow_consumer_gets_the_newest_frame() -> None:
    """All 200 frames came while the first was looked at: the next one is the last."""
    go = threading.Event()
    frames = Live(0, connect=Connections(FakeCapture([1, go, *range(2, 201)]))).frames()
    first = next(frames)
    go.set()
    time.sleep(0.3)
    rest = list(frames)
    assert (first.number, levels([first])) == (0, [1])
    assert [(frame.number, frame.image[0, 0, 2]) for frame in rest] == [(199, 200)]


def test_a_stop_ends_a_stream_that_is_silent() -> None:
    silent = threading.Event()
    source = Live(0, connect=Connections(FakeCapture([1, silent, 2])))
    threading.Timer(0.2, source.stop).start()
    started = time.monotonic()
    try:
        assert levels(list(source.frames())) == [1]
        assert time.monotonic() - started < 5
    finally:
        silent.set()


def test_a_stop_ends_the_wait_before_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_WAIT", 60.0)
    monkeypatch.setattr(live, "LONGEST_WAIT", 60.0)
    source = Live(0, reconnect=3, connect=Connections(FakeCapture([1])))
    threading.Timer(0.2, source.stop).start()
    started = time.monotonic()
    assert levels(list(source.frames())) == [1]
    assert time.monotonic() - started < 10


def test_what_announces_its_length_is_read_whole(caplog: pytest.LogCaptureFixture) -> None:
    connect = Connections(FakeCapture(range(1, 31), length=30))
    frames = []
    for frame in Live("http://host/film.mp4", reconnect=3, connect=connect).frames():
        time.sleep(0.001)
        frames.append(frame)
    assert levels(frames) == list(range(1, 31))
    assert (connect.asked, told(caplog)) == (1, [])
    assert len(list(Live("http://host/film.mp4", connect=Connections(FakeCapture([1, 2], length=30))).frames())) == 2
    assert told(caplog) == ["http://host/film.mp4: 30 frames announced, 2 read"]


def test_a_real_video_is_read_whole(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", frames=8)
    own = [frame.image for frame in Live(str(video), connect=lambda address: cv2.VideoCapture(str(address))).frames()]
    np.testing.assert_array_equal(own, list(Source(video, Path("v")).frames()))


def test_nothing_to_open_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^rtsp://host/x: no camera or stream that gives frames"):
        next(iter(Live("rtsp://a:b@host/x", reconnect=3, connect=Connections()).frames()))


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("0", 0), ("12", 12), ("rtsp://host/x", "rtsp://host/x"), ("HTTP://host", "HTTP://host"), ("-1", None),
        ("a.jpg", None), ("http", None), ("file://a", None), ("²", None), ("C:\\a", None),
    ],
)  # fmt: skip
def test_words_that_name_a_camera_or_stream(word: str, address: int | str | None) -> None:
    assert live_address(word) == address


def test_a_file_of_that_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(find_sources(["0"])[0], Live)
    (tmp_path / "0").write_bytes(b"")
    assert isinstance(find_sources(["0"])[0], Source)


def test_names_and_secrets(tmp_path: Path) -> None:
    assert without_password("rtsp://user:pa@ss@host:554/a?b=1") == "rtsp://host:554/a?b=1"
    sources = [Live("rtsp://user:secret@10.0.0.1:554/a.b"), Live(0)]
    assert [file.name for file in output_files(sources, tmp_path)] == ["rtsp-10-0-0-1-554-a-b.mp4", "camera-0.mp4"]


def test_a_camera_is_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^0: goes on until it is stopped"):
        resolve_sources([0, write_video(tmp_path / "v.mp4")])


def test_an_error_of_the_thread_is_raised_after_the_last_item() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(newest(items(), threading.Event()))
    assert found in ([1], [])  # the slot may have been read before the error came
    assert threading.active_count() < 10


def test_from_python_until_the_limit(onnx_file: Path) -> None:
    def endless() -> Iterator[int]:
        while True:
            time.sleep(0.002)
            yield 7

    capture = FakeCapture([1])
    capture.levels = endless()
    source = Live(3, connect=Connections(capture))
    results = list(package.predict(onnx_file, source, score=0.0, limit=4))
    assert len(results) == 4
    assert capture.released or any(thread.daemon for thread in threading.enumerate())
    entries: list[dict[str, Any]] = [result.to_json() for result in results]
    assert [entry["image"] for entry in entries] == ["3"] * 4
    assert [entry["frame"] for entry in entries] == sorted({entry["frame"] for entry in entries})
    assert all(entry["seconds"] >= 0 for entry in entries)
    expected = package.load(onnx_file)(np.full((90, 120, 3), (0, 0, 7), np.uint8))
    np.testing.assert_array_equal(results[-1].detections.boxes, expected.boxes)


def test_limit_counts_pictures_of_files_too(onnx_file: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", frames=6)
    assert [each.frame for each in package.predict(onnx_file, [video, video], limit=8)] == [0, 1, 2, 3, 4, 5, 0, 1]
