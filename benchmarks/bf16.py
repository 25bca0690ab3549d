"""bfloat16 beside float32 on this processor: a training step, and a call of OpenVINO.

    python benchmarks/bf16.py

Batch 8 and 256 px for a step, one picture of 256 px for a call, in turn, with one thread. Writes
benchmarks/results/bf16.csv.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from latency import fresh
from roofline import openvino_call

from centerx.bench import median_seconds
from centerx.cli.main import run_and_exit
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.progress import track

from rows import Row, in_ms, rows, show, write
from training import CASES, build_step

RESULTS = Path(__file__).parent / "results" / "bf16.csv"
PRESETS = "n", "nano", "r18"
SIDE, STEPS, CALLS = 256, 9, 51
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}  # in OpenVINO's words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    measured: list[Row] = []
    for preset in track(args.presets, "timing"):
        measured += training_step(preset) + openvino(preset)
    show(measured)
    write(RESULTS, measured)


def training_step(preset: str) -> list[Row]:
    """Time a step in both precisions, channels last."""
    steps = {name: build_step(CASES[f"channels-last {name}"], preset) for name in PRECISIONS}
    return rows(f"training step, {preset}", in_ms(median_seconds(steps, STEPS)), "ms", STEPS, baseline="fp32")


def openvino(preset: str) -> list[Row]:
    """Time a call of the same file in both precisions."""
    detector, info = fresh(preset, SIDE)
    pictures = synthetic_images(1, info.input_hw)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fp32.onnx"
        export_model(detector, info, file, "onnx", ExportOptions())
        calls = {name: openvino_call(file, pictures, 1, words) for name, words in PRECISIONS.items()}
        return rows(f"OpenVINO, {preset}", in_ms(median_seconds(calls, CALLS)), "ms", CALLS, baseline="fp32")


if __name__ == "__main__":
    run_and_exit(main)
