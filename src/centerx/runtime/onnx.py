"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from centerx.errors import InputError
from centerx.runtime.info import ModelInfo
from centerx.runtime.maps import detections_from_maps
from centerx.types import Detections

OUTPUTS = ("boxes", "scores", "labels")
MAPS = ("heatmap", "offset", "size")
LOAD_ERRORS = (errors.InvalidProtobuf, errors.InvalidGraph, errors.Fail, errors.NoSuchFile, errors.InvalidArgument,
               errors.NotImplemented, errors.RuntimeException)  # fmt: skip


class OnnxSession:
    """An ONNX file on the CPU, with outputs `boxes`, `scores` and `labels`, or with maps, whose peaks are then read.

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
        self.info = ModelInfo.from_metadata(self.session.get_modelmeta().custom_metadata_map, path)
        inputs = [f"{each.name} {each.type} {each.shape[1:]}" for each in self.session.get_inputs()]
        needed = f"images tensor(uint8) {[3, *self.info.input_hw]}"
        if inputs != [needed]:
            raise InputError(
                f"{path}: takes {', '.join(inputs)} a picture, but {needed} is needed: make it with `centerx export`"
            )
        outputs = {output.name for output in self.session.get_outputs()}
        fitting = [names for names in (OUTPUTS, MAPS) if set(names) <= outputs]
        if not fitting:
            raise InputError(
                f"{path}: gives {', '.join(sorted(outputs))}, but {', '.join(OUTPUTS)} are needed: "
                "make it with `centerx export`"
            )
        self.outputs = fitting[0]

    def __call__(self, images: np.ndarray) -> Detections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        first, second, third = self.session.run(self.outputs, {"images": images})
        if self.outputs == MAPS:
            first, second, third, _ = detections_from_maps(first, second, third, self.info.stride)
        return Detections(first, second, third, self.info.class_names)


def open_session(path: Path) -> OnnxSession:
    """Load an ONNX file."""
    return OnnxSession(path)
