"""OpenVINO."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import openvino as ov

from centerx.errors import InputError
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import choose_outputs, read_outputs
from centerx.tasks import TASKS
from centerx.types import RawDetections

RT_INFO = {".xml": "centerx", ".onnx": "framework"}  # where in the runtime information the facts are


class OpenVinoSession:
    """An OpenVINO or ONNX file on the CPU, with detections as outputs, or with maps.

    A file of fp32 is computed in fp32, whatever the device prefers; others as it prefers.

    Args:
        path: the file.

    Raises:
        InputError: it is corrupt or not a detector exported by this project.
    """

    def __init__(self, path: Path) -> None:
        core = ov.Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            missing = ", ".join(unsupported_ops(error))
            raise InputError(
                f"{path}: OpenVINO has no layer for {missing}, run it with the backend onnxruntime"
                if missing
                else f"{path}: not a model that OpenVINO reads ({_last_line(error)}), export it again"
            ) from None
        facts = _facts(model, RT_INFO[path.suffix.lower()])
        self.info = ModelInfo.from_metadata(facts, path)
        names = {name for output in model.outputs for name in output.get_names()}
        outputs = choose_outputs(names, TASKS[self.info.task])
        if outputs is None:
            raise InputError(f"{path}: gives {', '.join(sorted(names))}: make it with `centerx export`")
        self.outputs = outputs
        self.takes_picture_hw = "heatmap" in outputs
        (first, *others) = model.inputs
        if others or "images" not in first.get_names() or first.get_element_type() != ov.Type.u8:
            given = ", ".join(f"{each.get_any_name()} {each.get_element_type()}" for each in (first, *others))
            raise InputError(f"{path}: takes {given}, but images of uint8 are needed: make it with `centerx export`")
        self.any_size = not first.get_partial_shape()[2].is_static
        settings = {"PERFORMANCE_HINT": "LATENCY"}
        if facts.get("precision", "fp32") != "fp16":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self.model = core.compile_model(model, "CPU", settings)

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        found = self.model(images)
        return read_outputs({name: found[name] for name in self.outputs}, self.info, picture_hw)


def open_session(path: Path) -> OpenVinoSession:
    """Load an OpenVINO or ONNX file."""
    return OpenVinoSession(path)


def unsupported_ops(error: RuntimeError) -> list[str]:
    """The operators of an ONNX graph that OpenVINO says it has no rule for."""
    told = re.search(r"No conversion rule found for operations: (.*)", str(error))
    return re.findall(r"(\w+)-\d+", told[1]) if told else []


def _facts(model: ov.Model, place: str) -> dict[str, str]:
    return dict(model.get_rt_info([place]).value) if model.has_rt_info([place]) else {}


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
