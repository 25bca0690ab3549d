"""OpenVINO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from centerx.errors import InputError
from centerx.processor import is_slow_in_bf16
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.foreign.runner import Declared, Tensor
from centerx.runtime.foreign.session import AdapterSource, ForeignSession, open_foreign, require_own
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import choose_outputs, read_outputs
from centerx.runtime.signal_stack import kept_signal_stack
from centerx.types import RawDetections

TYPES = {"f16": "float16", "f32": "float32", "f64": "float64", "boolean": "bool"}
TYPES |= {f"{kind[0]}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
RT_INFO = {".xml": "centerx", ".onnx": "framework"}  # where in the runtime information the facts are


class OpenVinoSession:
    """An OpenVINO or ONNX file, with detections as outputs, or with maps.

    A file of fp16 is computed as the device prefers, but for processors that are slow in bfloat16; others in fp32.

    Args:
        path: the file.
        model: its graph.
        facts: its metadata.
        compute: threads, and one device.

    Raises:
        InputError: it is not a detector exported by this project, or the device is not there.
    """

    def __init__(self, path: Path, model: ov.Model, facts: dict[str, str], compute: Compute = PLAIN) -> None:
        self.info = ModelInfo.from_metadata(facts, path)
        names = {name for output in model.outputs for name in output.get_names()}
        outputs = choose_outputs(names, self.info.made_task)
        if outputs is None:
            raise InputError(f"{path}: gives {', '.join(sorted(names))}: make it with `centerx export`")
        self.outputs = outputs
        self.takes_picture_hw = "heatmap" in outputs
        if not model.inputs:
            raise InputError(f"{path}: takes no pictures: make it with `centerx export`")
        first, *others = model.inputs
        if others or "images" not in first.get_names() or first.get_element_type() != ov.Type.u8:
            given = ", ".join(map(str, map(_tensor, model.inputs)))
            raise InputError(f"{path}: takes {given}, but images of uint8 are needed: make it with `centerx export`")
        shape = first.get_partial_shape()
        if shape.rank.is_dynamic or len(shape) != 4:
            raise InputError(f"{path}: takes {_tensor(first)}, not (B, 3, H, W): make it with `centerx export`")
        self.any_size = not shape[2].is_static
        rows = _tensor(next(each for each in model.outputs if outputs[0] in each.get_names())).shape[1:2]
        if not self.takes_picture_hw and "top_k" not in facts and rows and rows[0]:  # an earlier file
            self.info = self.info._replace(top_k=rows[0])
        try:
            self.model = _compiled(model, facts.get("precision", "fp32") != "fp16", compute)
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot compile it ({_last_line(error)}), export it again") from None

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        try:
            found = self.model(images)
        except RuntimeError as error:
            raise InputError(
                f"OpenVINO cannot run the model on {'x'.join(map(str, images.shape))} ({_last_line(error)}), "
                "export it again"
            ) from None
        return read_outputs({name: found[name] for name in self.outputs}, self.info, picture_hw)


class OpenVinoRunner:
    """An OpenVINO or ONNX file of another project, computed in fp32.

    Args:
        model: its graph.
        facts: its metadata.
        compute: threads, and one device.

    Raises:
        InputError: the device is not there.
    """

    def __init__(self, model: ov.Model, facts: dict[str, str], compute: Compute = PLAIN) -> None:
        inputs, outputs = (tuple(_tensor(each) for each in some) for some in (model.inputs, model.outputs))
        self.declared = Declared(inputs, outputs, facts)
        self.model = _compiled(model, True, compute)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the file: arrays of all inputs by name -> arrays of all outputs by name.

        Raises:
            InputError: OpenVINO refuses the inputs.
        """
        try:
            found = self.model(dict(inputs))
        except RuntimeError as error:
            raise InputError(f"OpenVINO refuses the inputs ({_last_line(error)}), correct input.size") from None
        return {tensor.name: found[place] for place, tensor in enumerate(self.declared.outputs)}


def open_session(
    path: Path, adapter: AdapterSource = None, compute: Compute = PLAIN
) -> OpenVinoSession | ForeignSession:
    """Load an OpenVINO or ONNX file of this project, or one of another by its adapter."""
    model = _read(path)
    facts = _facts(model, RT_INFO[path.suffix.lower()])
    if ModelInfo.is_in(facts):
        require_own(path, adapter)
        return OpenVinoSession(path, model, facts, compute)

    def open_runner(free: bool) -> OpenVinoRunner:
        try:
            if free:
                model.reshape({each: [-1, *each.get_partial_shape()[1:2], -1, -1] for each in model.inputs})
            return OpenVinoRunner(model, facts, compute)
        except RuntimeError as error:
            what = "free the sides of" if free else "compile"
            raise InputError(
                f"{path}: OpenVINO cannot {what} it ({_last_line(error)}), run it with another backend"
            ) from None

    return open_foreign(path, open_runner, adapter)


def unsupported_ops(error: RuntimeError) -> list[str]:
    """The operators of an ONNX graph that OpenVINO says it has no rule for."""
    told = re.search(r"No conversion rule found for operations: (.*)", str(error))
    return re.findall(r"(\w+)-\d+", told[1]) if told else []


def _facts(model: ov.Model, place: str) -> dict[str, str]:
    """The metadata; empty where they are no mapping."""
    found = model.get_rt_info([place]).value if model.has_rt_info([place]) else {}
    return dict(found) if isinstance(found, Mapping) else {}


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__


def _read(path: Path) -> ov.Model:
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        missing = ", ".join(unsupported_ops(error))
        raise InputError(
            f"{path}: OpenVINO has no layer for {missing}, run it with the backend onnxruntime"
            if missing
            else f"{path}: not a model that OpenVINO reads ({_last_line(error)}), export it again"
        ) from None


def _compiled(model: ov.Model, exact: bool, compute: Compute) -> ov.CompiledModel:
    settings: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
    if compute.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = compute.threads
    with kept_signal_stack():
        core = ov.Core()
        device = compute.choose_one("OpenVINO", core.available_devices)
        if exact or (device == "CPU" and is_slow_in_bf16()):
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        return core.compile_model(model, device, settings)


def _tensor(port: ov.Output) -> Tensor:
    shape = port.get_partial_shape()
    sides = tuple(side.get_length() if side.is_static else None for side in shape) if shape.rank.is_static else ()
    kind = port.get_element_type().get_type_name()
    return Tensor(min(port.get_names(), default="without a name"), sides, TYPES.get(kind, f"{kind} of OpenVINO"))
