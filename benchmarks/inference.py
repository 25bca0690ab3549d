"""Inference by backend, and what the boxes inside the graph cost on top of the bare network, in milliseconds."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from centerx.bench import bench_models, median_seconds
from centerx.build_model import build_detector, model_info, save_named
from centerx.config import Config, load_config
from centerx.exporting import export_model
from centerx.runtime import open_session
from centerx.types import Maps, RawDetections

from rows import Row, command_line, in_ms, rows, show

PRESET = "r18"
SIDE = 512  # pixels
BATCHES = (1, 8)
RUNS, DECODE_RUNS = 7, 21


class NoDecode(nn.Module):
    """Stands in for the decoder: the graph ends with the network's maps."""

    top_k = 100

    def forward(self, outputs: Maps, *_: object) -> RawDetections:
        """Hand the maps over under the names of detections."""
        return RawDetections({"boxes": outputs.fields["size"]}, outputs.fields["offset"], outputs.heatmap)


def measure() -> list[Row]:
    """Time torch against ONNX Runtime, and ONNX graphs with and without decoding."""
    with tempfile.TemporaryDirectory() as folder:
        return measure_backends(Path(folder)) + measure_decode(Path(folder))


def measure_backends(folder: Path) -> list[Row]:
    """Time one model in every backend."""
    config = preset(classes=3)
    save_named(folder, config, build_detector(config), "model")
    models = [folder / "model.safetensors", export(config, folder / "model.onnx")]
    timings = bench_models(models, BATCHES, RUNS)
    measured: list[Row] = []
    for batch in BATCHES:
        values = {f"{each.backend}, batch {batch}": each.ms for each in timings if each.batch == batch}
        measured += rows(f"inference, ResNet-18, {SIDE} px", values, "ms", RUNS, baseline=f"torch, batch {batch}")
    return measured


def measure_decode(folder: Path) -> list[Row]:
    """Time the ONNX graph that gives boxes against the one that ends with the maps."""
    image = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), dtype=np.uint8)
    measured: list[Row] = []
    for classes in (3, 80):
        maps, boxes, share = (f"{classes} classes, {what}" for what in ("maps", "boxes", "share of decoding"))
        calls = {
            case: partial(open_session(export(preset(classes), folder / f"{case}.onnx", decode)), image)
            for case, decode in ((maps, False), (boxes, True))
        }
        values = in_ms(median_seconds(calls, DECODE_RUNS))
        measured += rows(f"decode in ONNX, {SIDE} px", values, "ms", DECODE_RUNS, baseline=maps)
        shares = {share: 100 * (1 - values[maps] / values[boxes])}
        measured += rows(f"decode in ONNX, {SIDE} px", shares, "%", DECODE_RUNS)
    return measured


def preset(classes: int) -> Config:
    """The preset for so many classes."""
    return load_config(PRESET, [f"classes={[str(label) for label in range(classes)]}", f"data.input_size={SIDE}"])


def export(config: Config, path: Path, decode: bool = True) -> Path:
    """Write a freshly initialised model as ONNX, with or without its decoder."""
    detector = build_detector(config).eval()
    if not decode:
        detector.decode = NoDecode()
    export_model(detector, model_info(config), path, "onnx")
    return path


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
