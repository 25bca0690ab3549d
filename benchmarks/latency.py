"""How long a call takes in every runtime, precision and size, and what surrounds the call; all in one run.

    python benchmarks/latency.py

Writes benchmarks/results/latency.csv. Weights are fresh, int8 is calibrated on synthetic pictures: what is
computed takes as long as with trained ones.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from centerx.bench import Timing, bench_models, median_seconds
from centerx.build_model import build_detector, model_info, save_named
from centerx.config import Config, load_config
from centerx.detector import Detector
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.progress import track
from centerx.runtime import Predictor, load, open_session
from centerx.runtime.info import ModelInfo

RESULTS = Path(__file__).parent / "results"
PRESETS, SIDES, BATCHES = ("r18", "nano"), (256, 320, 512), (1, 8)
FILES = {  # what is timed beside torch; an ONNX file by ONNX Runtime, as OpenVINO has its own
    "onnx": (".onnx", ("fp32", "int8"), "onnxruntime"),
    "openvino": (".xml", ("fp32", "fp16", "int8"), "openvino"),
    "ncnn": (".ncnn.param", ("fp32",), "ncnn"),
}
RUNS = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--runs", type=int, default=RUNS)
    args = parser.parse_args()

    timed: list[tuple[str, str, Timing]] = []
    beside: list[tuple[str, float]] = []
    work = [(preset, side) for preset in args.presets for side in args.sides]
    for preset, side in track(work, "timing"):
        with tempfile.TemporaryDirectory() as folder:
            files = export_all(preset, side, Path(folder))
            for backend in dict.fromkeys(each for _, each, _ in files):
                own = {str(file): precision for precision, each, file in files if each == backend}
                for timing in bench_models([Path(file) for file in own], BATCHES, args.runs, backend):
                    timed.append((preset, own[timing.model], timing))
            if (preset, side) == ("r18", max(args.sides)):
                beside = around(preset, side, Path(folder), args.runs)
    with (RESULTS / "latency.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["preset", "precision", *Timing._fields[1:]])
        writer.writerows([preset, precision, *timing[1:]] for preset, precision, timing in timed)
    log_problems(timed)
    for figure, value in beside:
        print(f"{figure}: {value:.2f}")


def fresh(preset: str, side: int, classes: int = 3) -> tuple[Detector, ModelInfo]:
    """A detector with new weights."""
    config = settings(preset, side, classes)
    torch.manual_seed(0)
    return build_detector(config).eval(), model_info(config)


def settings(preset: str, side: int, classes: int) -> Config:
    """A preset for so many classes."""
    names = ",".join(f"c{number}" for number in range(classes))
    return load_config(preset, [f"classes=[{names}]", f"data.input_size={side}", "model.pretrained=false"])


def export_all(preset: str, side: int, folder: Path) -> list[tuple[str, str, Path]]:
    """Precision, backend and file of everything that is timed."""
    detector, info = fresh(preset, side)
    save_named(folder, settings(preset, side, 3), detector, "model")
    files = [("fp32", "torch", folder / "model.safetensors")]
    learnt = synthetic_images(8, info.input_hw)
    for name, (suffix, precisions, backend) in FILES.items():
        for precision in precisions:
            path = folder / f"{precision}{suffix}"
            outputs = "maps" if name == "ncnn" else "detections"
            export_model(detector, info, path, name, ExportOptions(outputs, precision, learnt))
            files.append((precision, backend, path))
    return files


def around(preset: str, side: int, folder: Path, runs: int) -> list[tuple[str, float]]:
    """Maps and NumPy against boxes in the graph; a picture of 640 x 480 to boxes against the bare call; ratios."""
    detector, info = fresh(preset, side, classes=80)
    for outputs in ("detections", "maps"):
        export_model(detector, info, folder / f"80-{outputs}.onnx", "onnx", ExportOptions(outputs))
    pixels = synthetic_images(1, info.input_hw)
    predictor: Predictor = load(folder / "fp32.onnx")
    picture = cv2.resize(np.ascontiguousarray(pixels[0].transpose(1, 2, 0)), (640, 480))
    decoders = {
        outputs: partial(open_session(folder / f"80-{outputs}.onnx"), pixels) for outputs in ("detections", "maps")
    }
    # In turn with the calls of one session alone: the threads of another spin for a while after its call.
    halves = {"bare": partial(predictor.session, pixels), "whole": partial(predictor, picture)}
    seconds = median_seconds(decoders, 3 * runs) | median_seconds(halves, 3 * runs)
    return [
        ("maps out and NumPy, over boxes out, 80 classes", seconds["maps"] / seconds["detections"]),
        ("640 x 480 picture to its boxes, over the bare call", seconds["whole"] / seconds["bare"]),
    ]


def log_problems(timed: list[tuple[str, str, Timing]]) -> None:
    """Print milliseconds a call as a Markdown table."""
    columns = list(dict.fromkeys((timing.backend, precision) for _, precision, timing in timed))
    print("| preset, size, batch | " + " | ".join(f"{backend} {precision}" for backend, precision in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    cases = dict.fromkeys((preset, timing.height, timing.batch) for preset, _, timing in timed)
    for preset, height, batch in cases:
        ms = {
            (timing.backend, precision): timing.ms
            for each, precision, timing in timed
            if (each, timing.height, timing.batch) == (preset, height, batch)
        }
        print(f"| {preset}, {height}, {batch} | " + " | ".join(f"{ms[column]:.1f}" for column in columns) + " |")


if __name__ == "__main__":
    main()
