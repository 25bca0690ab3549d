"""Export to formats that torch runs: torch.export programs, AOTInductor packages and TorchScript.

AOTInductor packages and TorchScript files contain code. Load them only from sources that you trust.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.common import quiet
from centerx.exporting.graphs import DetectionsGraph, sample
from centerx.exporting.registry import ExportOptions
from centerx.files import write_atomic
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import detection_outputs, read_outputs
from centerx.types import RawDetections

FACTS = "centerx.json"


def export_program(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write a torch.export program."""
    content = io.BytesIO()  # torch's own writer ends the process when the disk is full
    torch.export.save(capture(detector, info, options), content, extra_files={FACTS: json.dumps(info.to_metadata())})
    write_atomic(path, content.getbuffer())


def export_aotinductor(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write an AOTInductor package, compiled for the processor of this machine; this takes about a minute.

    Raises:
        InputError: there is no C++ compiler.
    """
    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        raise InputError(
            "aotinductor: no C++ compiler is found, install g++ or let the variable CXX name one"
        ) from None
    program = capture(detector, info, options)
    content = io.BytesIO()
    with quiet():
        torch._inductor.aoti_compile_and_package(
            program, package_path=content, inductor_configs={"aot_inductor.metadata": info.to_metadata()}
        )
    write_atomic(path, content.getbuffer())


def export_torchscript(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write a TorchScript file, for Python and C++."""
    images, _ = sample(info, any_size=False)
    content = io.BytesIO()
    with torch.no_grad(), quiet():
        traced = torch.jit.trace(DetectionsGraph(copy.deepcopy(detector)).eval(), images)
        torch.jit.save(traced, content, _extra_files={FACTS: json.dumps(info.to_metadata())})
    write_atomic(path, content.getbuffer())


def capture(detector: Detector, info: ModelInfo, options: ExportOptions) -> torch.export.ExportedProgram:
    """Return the detector as a torch.export program."""
    images, open_axes = sample(info, options.any_size)
    graph = DetectionsGraph(copy.deepcopy(detector)).eval()
    return torch.export.export(graph, (images,), dynamic_shapes={"images": open_axes})


class ProgramSession:
    """Session that runs an exported program with torch on the CPU.

    Args:
        run: function from (B, 3, H, W) uint8 to boxes, scores and labels.
        info: metadata of the file.
        any_size: whether it takes inputs of any size.
    """

    def __init__(self, run: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], info: ModelInfo, any_size: bool) -> None:
        self.run, self.info, self.any_size = run, info, any_size

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        found = (each.numpy() for each in self.run(torch.from_numpy(images)))
        return read_outputs(dict(zip(detection_outputs(self.info.made_task), found, strict=True)), self.info)


def open_program(path: Path, compute: Compute = PLAIN) -> ProgramSession:
    """Load a torch.export program."""
    prepare(compute)
    found = {FACTS: ""}
    try:
        with quiet():
            program = torch.export.load(path, extra_files=found)
    except Exception as error:  # torch raises errors of any type for a damaged file
        raise _unreadable(path, error) from None
    info = _info(found[FACTS], path)
    (images,) = (node for node in program.graph.nodes if node.name == "images")
    return ProgramSession(program.module(), info, any_size=not isinstance(images.meta["val"].shape[2], int))


def open_aotinductor(path: Path, compute: Compute = PLAIN) -> ProgramSession:
    """Load an AOTInductor package."""
    prepare(compute)
    try:
        with quiet():
            package = torch._inductor.aoti_load_package(str(path))
        facts = package.loader.get_metadata()
    except Exception as error:
        raise _unreadable(path, error) from None
    return ProgramSession(package, ModelInfo.from_metadata(facts, path), any_size=False)


def open_torchscript(path: Path, compute: Compute = PLAIN) -> ProgramSession:
    """Load a TorchScript file."""
    prepare(compute)
    found = {FACTS: ""}
    try:
        with quiet():
            script = torch.jit.load(str(path), map_location="cpu", _extra_files=found)
    except (RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from None
    return ProgramSession(script, _info(found[FACTS], path), any_size=False)


def prepare(compute: Compute) -> None:
    """Set the number of threads of torch, in the whole process.

    Raises:
        InputError: another device than the processor is asked for: such files were traced on it.
    """
    compute.choose_one("an exported program of torch")
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)


def _info(text: str | bytes, path: Path) -> ModelInfo:
    try:
        return ModelInfo.from_metadata(json.loads(text or "{}"), path)
    except json.JSONDecodeError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: corrupt or not a program exported by centerX ({reason}), export it again")
