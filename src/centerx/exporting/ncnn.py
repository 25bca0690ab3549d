"""Export to ncnn by pnnx, with maps as outputs."""

from __future__ import annotations

import copy
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pnnx
import torch

from centerx.detector import Detector
from centerx.exporting.common import quiet, require_supported
from centerx.exporting.graphs import PooledMapsGraph, output_names
from centerx.exporting.registry import ExportOptions
from centerx.files import json_text, new_files
from centerx.runtime.info import ModelInfo


def export_ncnn(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write NAME.ncnn.param at `path`, with NAME.ncnn.bin (weights) and NAME.ncnn.json (metadata) beside it.

    Raises:
        InputError: ncnn does not support an operator of the network.
    """
    graph = PooledMapsGraph(copy.deepcopy(detector)).eval()
    images = torch.zeros((1, 3, *info.input_hw))
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "model.pt"
        with torch.no_grad(), quiet():
            torch.jit.trace(graph, images).save(str(traced))
        shape, half = ",".join(map(str, images.shape)), int(options.precision == "fp16")
        command = [pnnx.EXEC_PATH, traced.name, f"inputshape=[{shape}]", f"fp16={half}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        param, weights = (traced.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin"))
        if done.returncode or not param.is_file():
            raise RuntimeError(f"pnnx ended with status {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        layers = name_blobs(param.read_text(encoding="utf-8"), output_names(detector.model.task, options.outputs))
        facts = info.to_metadata() | {"outputs": options.outputs, "precision": options.precision}
        with new_files(path) as made:
            made.write_text(layers, encoding="utf-8")
            made.with_suffix(".bin").write_bytes(weights.read_bytes())
            made.with_suffix(".json").write_text(json_text(facts, indent=2), encoding="utf-8")


def name_blobs(param: str, outputs: Sequence[str]) -> str:
    """Give the input and the outputs of an ncnn graph the names that they have in the other formats.

    Raises:
        InputError: the graph has operators that ncnn does not support.
    """
    names = {"in0": "images"} | {f"out{place}": name for place, name in enumerate(outputs)}
    magic, counts, *layers = param.splitlines()
    require_supported("ncnn", foreign_layers(layers))
    renamed = []
    for layer in layers:
        kind, name, inputs, outputs, *rest = layer.split()
        blobs = int(inputs) + int(outputs)
        rest[:blobs] = [names.get(blob, blob) for blob in rest[:blobs]]
        renamed.append(" ".join([f"{kind:<24} {name:<24}", inputs, outputs, *rest]))
    return "\n".join([magic, counts, *renamed, ""])


def foreign_layers(layers: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the operators that pnnx could not convert, each with its module or, without weights, its name."""
    modules: dict[str, str] = {}
    for layer in layers:
        kind, name, inputs, _, *rest = layer.split()
        if kind == "MemoryData":
            modules[rest[0]] = name
        elif not kind.isidentifier():
            yield kind, next((modules[blob] for blob in rest[: int(inputs)] if blob in modules), name)
