"""Export to LiteRT (TensorFlow Lite) by onnx2tf, with maps as outputs.

onnx2tf pins versions of its packages that are not ours, so it is a program of its own environment, not a package here.
"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.common import node_location, require_supported
from centerx.exporting.graphs import MapsGraph, output_names
from centerx.exporting.onnx import build_onnx
from centerx.exporting.parity import synthetic_images
from centerx.exporting.registry import ExportOptions
from centerx.files import json_text, write_atomic
from centerx.runtime.info import ModelInfo
from centerx.runtime.litert import FACTS, LAYOUTS, LiteRtRunner

PROGRAM, VARIABLE = "onnx2tf", "CENTERX_ONNX2TF"
LACKING = {"DeformConv"}  # LiteRT has none; what onnx2tf puts in its place changes scores by 5e-4
FILES = {"fp32": "float32", "fp16": "float16"}  # precision -> how onnx2tf calls it


def export_litert(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write a .tflite file for one picture a call; its metadata is in a zip archive at its end, as TFLite keeps files.

    Raises:
        InputError: onnx2tf is absent, or cannot convert the network.
    """
    program = find_program()
    names = output_names(detector.model.task, options.outputs)
    graph = build_onnx(detector, info, options._replace(precision="fp32"))
    constants, nodes = {tensor.name for tensor in graph.graph.initializer}, graph.graph.node
    lacking = [node for node in nodes if node.op_type in LACKING]
    require_supported("litert", [(node.op_type, node_location(node, constants)) for node in lacking])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(graph.SerializeToString())
        model = Path(folder) / "out" / f"model_{FILES[options.precision]}.tflite"
        convert(program, source, model)
        images = synthetic_images(1, info.input_hw)
        with torch.no_grad():
            maps = MapsGraph(copy.deepcopy(detector)).eval()(torch.from_numpy(images))
        due = dict(zip(names, (each.numpy() for each in maps), strict=True))
        given = LiteRtRunner(model)({"images": np.ascontiguousarray(images.transpose(0, 2, 3, 1))})
        layouts = {name: choose_layout(given[name], due[name]) for name in names}
        facts = info.to_metadata() | {"outputs": options.outputs, "precision": options.precision}
        write_atomic(path, with_facts(model.read_bytes(), facts | {"layouts": json.dumps(layouts)}))


def find_program() -> str:
    """Return the path of onnx2tf: that in CENTERX_ONNX2TF, or the one that the shell finds.

    Raises:
        InputError: there is none.
    """
    named = os.environ.get(VARIABLE)
    program = shutil.which(named or PROGRAM)
    if program is None:
        what = f"{VARIABLE}={named} is no program" if named else f"the program {PROGRAM} is absent"
        raise InputError(
            f"litert: {what}, install it in an environment of its own (python3.12 -m venv onnx2tf, "
            f"onnx2tf/bin/pip install onnx2tf) and let {VARIABLE} name onnx2tf/bin/onnx2tf"
        )
    return program


def convert(program: str, source: Path, model: Path) -> None:
    """Run onnx2tf.

    Args:
        program: its path.
        source: the ONNX file.
        model: the file to be written, among others of its folder.

    Raises:
        InputError: the program ends without it.
    """
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    own["PATH"] = os.pathsep.join([str(Path(program).parent), own.get("PATH", "")])  # it calls programs beside it
    command = [program, "-i", str(source), "-o", str(model.parent), "-b", "1", "-n"]
    done = subprocess.run(command, cwd=source.parent, env=own, capture_output=True, text=True, check=False)
    if done.returncode or not model.is_file():
        last = " ".join((done.stdout + done.stderr).split())[-300:]
        raise InputError(f"litert: onnx2tf cannot convert this network, export to onnx instead ({last})")


def choose_layout(given: np.ndarray, due: np.ndarray) -> str:
    """Return the layout in which a map is given: onnx2tf turns some maps and not others.

    Args:
        given: a map of the file, (1, C, h, w) or (1, h, w, C).
        due: the same map of torch, (1, C, h, w).

    Raises:
        InputError: the map has another shape.
    """
    errors = {
        name: np.abs(given.transpose(order) - due).max()
        for name, order in LAYOUTS.items()
        if given.ndim == 4 and given.transpose(order).shape == due.shape
    }
    if not errors:
        raise InputError(f"litert: onnx2tf makes a map {given.shape} of one {due.shape}, export to onnx instead")
    return min(errors, key=lambda name: float(errors[name]))


def with_facts(model: bytes, facts: Mapping[str, str]) -> bytes:
    """Append the metadata to a model as a zip archive."""
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FACTS), json_text(dict(facts), indent=2))
    return content.getvalue()
