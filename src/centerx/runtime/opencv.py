"""OpenCV's dnn, for Caffe networks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import map_outputs, read_outputs
from centerx.types import RawDetections

COMMENT = "# "


class OpenCvSession:
    """A Caffe network on the CPU.

    Args:
        path: the `.prototxt` file; the `.caffemodel` of the same name lies beside it.

    Raises:
        InputError: a file is missing, corrupt or not one of this project, or this OpenCV reads no Caffe networks.
    """

    any_size = False
    takes_picture_hw = True

    def __init__(self, path: Path) -> None:
        if not hasattr(cv2.dnn, "readNetFromCaffe"):
            raise InputError(
                f"{path}: OpenCV {cv2.__version__} reads no Caffe networks, "
                "run `pip install 'opencv-python-headless<5'`"
            )
        weights = path.with_suffix(".caffemodel")
        if not weights.is_file():
            raise InputError(f"{weights}: missing, it belongs to {path.name}; export it again")
        text, blobs = (np.frombuffer(file.read_bytes(), np.uint8) for file in (path, weights))
        self.info = ModelInfo.from_metadata(read_comments(text.tobytes()), path)
        task = self.info.made_task
        self.outputs = map_outputs(task)
        height, width = self.info.input_hw
        cells = height // self.info.stride, width // self.info.stride
        channels = {field.name: field.channels for field in task.branches} | {"heatmap": len(self.info.class_names)}
        due = [(1, channels[name], *cells) for name in self.outputs]
        try:
            with quiet_errors():
                self.net = cv2.dnn.readNetFromCaffe(text, blobs)
                given = [each.shape for each in self._run(np.zeros((1, 3, height, width), np.uint8))]
        except cv2.error as error:
            raise InputError(
                f"{path}: it or its caffemodel is corrupt or not a Caffe network ({' '.join(error.err.split())}), "
                "export it again"
            ) from None
        if given != due:
            raise InputError(f"{path}: gives maps of {given} where {due} are needed: make it with `centerx export`")

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        return read_outputs(dict(zip(self.outputs, self._run(images), strict=True)), self.info, picture_hw)

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        self.net.setInput(images.astype(np.float32))
        return list(self.net.forward(self.outputs))


def open_session(path: Path, compute: Compute = PLAIN) -> OpenCvSession:
    """Load a Caffe network. The number of threads is that of OpenCV in the whole process."""
    compute.choose_one("OpenCV")
    if compute.threads is not None:
        cv2.setNumThreads(compute.threads)
    return OpenCvSession(path)


def read_comments(prototxt: bytes) -> dict[str, str]:
    """The `# key: value` lines of a prototxt."""
    lines = prototxt.decode("utf-8", errors="replace").split("\n")
    pairs = (line.removeprefix(COMMENT).partition(": ") for line in lines if line.startswith(COMMENT))
    return {key: value for key, _, value in pairs}


@contextlib.contextmanager
def quiet_errors() -> Iterator[None]:
    """Silence what libraries print to the standard error beside what they raise; protobuf knows no other way."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
