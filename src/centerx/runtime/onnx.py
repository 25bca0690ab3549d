"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from centerx.errors import InputError
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import choose_outputs, detection_outputs, read_outputs
from centerx.tasks import TASKS
from centerx.types import RawDetections

LOAD_ERRORS = (errors.InvalidProtobuf, errors.InvalidGraph, errors.Fail, errors.NoSuchFile, errors.InvalidArgument,
               errors.NotImplemented, errors.RuntimeException)  # fmt: skip


class OnnxSession:
    """An ONNX file on the CPU, with detections as outputs, or with maps, whose peaks are then read.

    Args:
        path: the file.

    Raises:
        InputError: it is corrupt or not a detector exported by this project.
    """

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except LOAD_ERRORS as error:
            raise InputError(
                f"{path}: corrupt or not an ONNX model ({str(error).splitlines()[0]}), export it again"
            ) from None
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.info = ModelInfo.from_metadata(metadata, path)
        (first, *others) = self.session.get_inputs()
        height, width = first.shape[2:] if len(first.shape) == 4 else self.info.input_hw
        self.any_size = isinstance(height, str) and isinstance(width, str)
        due = [3, height, width] if self.any_size else [3, *self.info.input_hw]
        if others or first.name != "images" or first.type != "tensor(uint8)" or first.shape[1:] != due:
            given = ", ".join(f"{each.name} {each.type} {each.shape[1:]}" for each in (first, *others))
            raise InputError(
                f"{path}: takes {given} a picture, but images tensor(uint8) {due} is needed: "
                "make it with `centerx export`"
            )
        task, names = TASKS[self.info.task], [output.name for output in self.session.get_outputs()]
        outputs = choose_outputs(names, task)
        if outputs is None:
            raise InputError(
                f"{path}: gives {', '.join(sorted(names))}, but {', '.join(detection_outputs(task))} are needed: "
                "make it with `centerx export`"
            )
        self.outputs = outputs
        self.takes_picture_hw = "heatmap" in outputs
        most = self.session.get_outputs()[0].shape[1]
        if not self.takes_picture_hw and "top_k" not in metadata and isinstance(most, int):  # an earlier file
            self.info = self.info._replace(top_k=most)

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        found = self.session.run(self.outputs, {"images": images})
        return read_outputs(dict(zip(self.outputs, found, strict=True)), self.info, picture_hw)


def open_session(path: Path) -> OnnxSession:
    """Load an ONNX file."""
    return OnnxSession(path)
