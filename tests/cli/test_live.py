"""`centerx predict` on a camera: what Ctrl-C and `--limit` leave behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from centerx.runtime import live
from tests.cli.conftest import CommandLine
from tests.runtime.test_live import FakeCapture


def camera(press_after: int | None) -> FakeCapture:
    """A camera of 50 frames a second; after some of them Ctrl-C is pressed."""

    def frames() -> Iterator[int]:
        number = 0
        while True:
            time.sleep(0.02)
            yield number % 256
            number += 1
            if number == press_after:
                os.kill(os.getpid(), signal.SIGINT)

    capture = FakeCapture([1])
    capture.levels = frames()
    return capture


@pytest.mark.parametrize("options", [["--limit", 5], []], ids=["limit", "ctrl-c"])
def test_everything_is_written_at_the_end(
    centerx: CommandLine, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[object]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(live, "open_capture", lambda address: camera(None if options else 25))
    more = ["--json", tmp_path / "found.json", "--out", tmp_path / "drawn", *options]
    status, out, err = centerx("predict", onnx_file, 0, *more)
    assert (status, err) == (0, "")
    assert signal.getsignal(signal.SIGINT) is handler
    entries = json.loads((tmp_path / "found.json").read_text())
    assert f"{len(entries)} pictures, drawn in" in out
    assert len(entries) == 5 if options else len(entries) >= 1
    video = cv2.VideoCapture(str(tmp_path / "drawn" / "camera-0.mp4"))
    frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    assert frames == pytest.approx(entries[-1]["seconds"] * 25 + 1, abs=len(entries))
    assert frames >= len(entries)


def test_a_camera_that_is_not_there(centerx: CommandLine, onnx_file: Path) -> None:
    status, _, err = centerx("predict", onnx_file, 97)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("error: 97: no camera or stream that gives frames")
