"""Networks beside each other: the same data, epochs and seeds, and the milliseconds of each.

    python experiments/architectures.py --data bccd facemask --rows nano light n
    python experiments/architectures.py --rows lite0 pretrained --weights lite0.safetensors --out runs/pretrained

nano: as shipped. light: its branches with a depthwise hidden layer. n: that on MobileNetV4-Conv-Small.
lite0: light on EfficientNet-Lite0; pretrained: from the weights of a file, such as `centerx import` makes of
ImageNet's. Rows with the name of a backbone: light on that. Everything else is that of the preset of the data, so that
all say width and height as numbers. The last model is judged.
Milliseconds are processor time of a call with one picture of noise by one thread, from pixels to boxes, medians of
calls in turn in one run, in ONNX Runtime and OpenVINO, so that they hold on a machine that does other things. They are
those of all networks, with weights as they start.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

import centerx
from centerx.build_model import build_detector, save_named
from centerx.cli.main import run_and_exit
from centerx.config import Config, load_config
from centerx.runtime import open_session
from centerx.runtime.compute import Compute

from repeat import Figures, summarise, train_once, write_table

DATA = {"bccd": "bccd_nano", "facemask": "facemask_nano"}
DEPTHWISE = "model.head=depthwise"
ROWS = {
    "nano": [],
    "light": [DEPTHWISE],
    "n": [DEPTHWISE, "model.backbone=mobilenetv4_conv_small"],
    "lite0": [DEPTHWISE, "model.backbone=efficientnet_lite0"],
    "pretrained": [DEPTHWISE, "model.backbone=efficientnet_lite0"],
    "regnetx_004": [DEPTHWISE, "model.backbone=regnetx_004"],
    "hgnetv2_b1": [DEPTHWISE, "model.backbone=hgnetv2_b1"],
    "hgnetv2_b3": [DEPTHWISE, "model.backbone=hgnetv2_b3"],
    "hgnetv2_b4": [DEPTHWISE, "model.backbone=hgnetv2_b4"],
    "regnetx_008": [DEPTHWISE, "model.backbone=regnetx_008"],
    "resnet18": [DEPTHWISE, "model.backbone=resnet18", "train.optimizer.lr=0.002"],
}
PLAIN = ["nano", "light", "n"]
BACKENDS = {"onnxruntime": "ONNX Runtime ms", "openvino": "OpenVINO ms"}
CALLS = 40
SIDE = 8.0  # cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=PLAIN)
    parser.add_argument("--weights", type=Path, help="of EfficientNet-Lite0, for the row pretrained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/architectures"))
    args = parser.parse_args()
    if "pretrained" in args.rows:
        if args.weights is None:
            parser.error("the row pretrained needs --weights")
        ROWS["pretrained"].append(f"model.pretrained={args.weights}")

    for data in args.data:
        results: dict[str, list[Figures]] = {}
        for seed in args.seeds:
            for row in args.rows:
                folder = args.out / data / f"{row}_seed{seed}"
                words = [*ROWS[row], f"train.seed={seed}", "train.report=false"]
                results.setdefault(row, []).append(train_once(load_config(DATA[data]), words, folder))
        files = {
            row: untrained(load_config(DATA[data], ROWS[row]), args.out / data / row)
            for row in dict.fromkeys([*PLAIN, *args.rows])
        }
        for row, ms in milliseconds(files).items():
            for run in results.setdefault(row, [{}]):
                run.update(ms)
        write_table(
            args.out / data / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds
        )


def untrained(config: Config, folder: Path) -> Path:
    """An ONNX file of a network as it starts, but for the size of boxes, of which it finds none otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    detector = build_detector(config)
    torch.nn.init.constant_(detector.model.get_parameter("head.size.2.bias"), SIDE)
    save_named(folder, config, detector, folder.name)
    centerx.export(folder / f"{folder.name}.safetensors", "onnx", out=folder)
    return folder / f"{folder.name}.onnx"


def milliseconds(files: Mapping[str, Path]) -> dict[str, Figures]:
    """Processor time of a call of each file, by backend."""
    found: dict[str, Figures] = {row: {} for row in files}
    for backend, column in BACKENDS.items():
        calls = {row: call(file, backend) for row, file in files.items()}
        spent: dict[str, list[float]] = {row: [] for row in files}
        for number in range(CALLS + 1):
            for row, each in calls.items():
                started = time.process_time()
                each()
                if number:  # the first makes its memory
                    spent[row].append(time.process_time() - started)
        for row, seconds in spent.items():
            found[row][column] = statistics.median(seconds) * 1e3
    return found


def call(file: Path, backend: str) -> Callable[[], object]:
    """A call of a file with one picture of noise, by one thread."""
    session = open_session(file, backend=backend, compute=Compute(threads=1))
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, *session.info.input_hw), dtype=np.uint8)
    return lambda: session(picture)


if __name__ == "__main__":
    run_and_exit(main)
