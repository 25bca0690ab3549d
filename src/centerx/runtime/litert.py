"""LiteRT, for TensorFlow Lite files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from centerx.errors import InputError
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.foreign.runner import Declared, Tensor
from centerx.runtime.foreign.session import AdapterSource, ForeignSession, open_foreign, require_own
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import map_outputs, read_outputs
from centerx.types import RawDetections

FACTS = "centerx.json"  # in a zip archive at the end of the file, which is where TensorFlow Lite keeps files
LARGEST_FACTS = 1 << 24  # bytes
LAYOUTS = {"nchw": (0, 1, 2, 3), "nhwc": (0, 3, 1, 2)}  # axes of a map that become (B, C, h, w)


class LiteRtRunner:
    """A TensorFlow Lite file on the CPU.

    Args:
        path: the file.
        free: whether the sides that it declares are to be freed.
        compute: threads.

    Raises:
        InputError: the file is corrupt or has an operator that LiteRT lacks, or another device than the processor is
            asked for.
    """

    def __init__(self, path: Path, free: bool = False, compute: Compute = PLAIN) -> None:
        compute.choose_one("LiteRT")
        try:
            self.interpreter = Interpreter(str(path), num_threads=compute.threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{path}: corrupt or not a TensorFlow Lite model ({' '.join(str(error).split())}), export it again"
            ) from None
        inputs, outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.declared = Declared(
            tuple(_tensor(each, free) for each in inputs), tuple(_tensor(each, free) for each in outputs)
        )
        self.inputs, self.outputs = ({each["name"]: each for each in some} for some in (inputs, outputs))
        self.lock = Lock()  # an interpreter holds the arrays of one call

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the file: arrays of all inputs by name -> arrays of all outputs by name, quantised ones as float32.

        Raises:
            InputError: LiteRT refuses the inputs.
        """
        with self.lock:
            try:
                self._resize({name: array.shape for name, array in inputs.items()})
                for name, array in inputs.items():
                    self.interpreter.set_tensor(self.inputs[name]["index"], array)
                self.interpreter.invoke()
            except (ValueError, RuntimeError) as error:
                raise InputError(
                    f"LiteRT refuses the inputs ({' '.join(str(error).split())}), correct input.size"
                ) from None
            return {
                name: _dequantised(self.interpreter.get_tensor(each["index"]), each)
                for name, each in self.outputs.items()
            }

    def _resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        current = {each["name"]: tuple(each["shape"]) for each in self.interpreter.get_input_details()}
        if current != shapes:
            for name, shape in shapes.items():
                self.interpreter.resize_tensor_input(self.inputs[name]["index"], shape)
            self.interpreter.allocate_tensors()


class LiteRtSession:
    """A TensorFlow Lite file of this project on the CPU, one picture after another.

    Args:
        path: the file.
        facts: its metadata.
        compute: threads.

    Raises:
        InputError: the file is corrupt or not one of this project.
    """

    any_size = False
    takes_picture_hw = True

    def __init__(self, path: Path, facts: Mapping[str, str], compute: Compute = PLAIN) -> None:
        self.info = ModelInfo.from_metadata(facts, path)
        names = map_outputs(self.info.made_task)
        try:
            layouts = json.loads(facts["layouts"])
            self.orders = {name: LAYOUTS[layouts[name]] for name in names}
        except (KeyError, ValueError, TypeError):
            raise InputError(f"{path}: does not say how its maps lie, export it again") from None
        self.runner = LiteRtRunner(path, compute=compute)
        given = [tensor.name for tensor in self.runner.declared.outputs]
        if [tensor.name for tensor in self.runner.declared.inputs] != ["images"] or not set(names) <= set(given):
            raise InputError(f"{path}: gives {', '.join(sorted(given))}: make it with `centerx export`")

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        found = [self.runner({"images": image[None]}) for image in np.ascontiguousarray(images.transpose(0, 2, 3, 1))]
        maps = {
            name: np.concatenate([each[name] for each in found]).transpose(order) for name, order in self.orders.items()
        }
        return read_outputs(maps, self.info, picture_hw)


def open_session(path: Path, adapter: AdapterSource = None, compute: Compute = PLAIN) -> LiteRtSession | ForeignSession:
    """Load a TensorFlow Lite file of this project, or one of another by its adapter."""
    facts = read_facts(path)
    if ModelInfo.is_in(facts):
        require_own(path, adapter)
        return LiteRtSession(path, facts, compute)
    return open_foreign(path, lambda free: LiteRtRunner(path, free, compute), adapter)


def read_facts(path: Path) -> dict[str, str]:
    """Return the metadata in the zip archive at the end of a file of this project; empty for other files."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(FACTS).file_size > LARGEST_FACTS:
                return {}
            facts = json.loads(archive.read(FACTS))
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _tensor(details: dict[str, Any], free: bool) -> Tensor:
    shape = [int(side) if side >= 0 else None for side in details["shape_signature"]]
    if free and len(shape) == 4:
        shape = [None, None, None, shape[3]]
    return Tensor(details["name"], tuple(shape), np.dtype(details["dtype"]).name)


def _dequantised(array: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """The numbers that the bytes of a quantised output stand for."""
    scale, zero = details["quantization"]
    return (array.astype(np.float32) - zero) * np.float32(scale) if scale else array
