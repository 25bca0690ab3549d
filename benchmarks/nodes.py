"""How many nodes an exported ONNX graph has, against what torch writes of the same detector.

    python benchmarks/nodes.py

Writes benchmarks/results/nodes.csv and prints it as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import onnx
import torch

from centerx.build_model import build_detector, model_info
from centerx.config import load_config
from centerx.detector import Detector
from centerx.exporting import ExportOptions
from centerx.exporting.common import quiet
from centerx.exporting.graphs import DetectionsGraph, sample
from centerx.exporting.onnx import OPSET, build_onnx
from centerx.exporting.precision import name_nodes, network
from centerx.progress import track
from centerx.runtime.info import ModelInfo

RESULTS = Path(__file__).parent / "results" / "nodes.csv"
PRESETS = ("r18", "nano", "digits", "coco/r50", "person/regnetx", "person/regnety")
COLUMNS = ("preset", "as traced", "optimised by torch", "exported", "of them the network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    args = parser.parse_args()

    rows = [count(preset) for preset in track(args.presets, "counting")]
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    for row in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        print("| " + " | ".join(map(str, row)) + " |")


def count(preset: str) -> list[object]:
    """Nodes of a preset's graph with three classes, in the order of COLUMNS."""
    config = load_config(preset, ["classes=[a, b, c]", "model.pretrained=false"])
    detector, info = build_detector(config).eval(), model_info(config)
    theirs = [len(by_torch(detector, info, optimise).graph.node) for optimise in (False, True)]
    graph = build_onnx(detector, info, ExportOptions()).graph
    name_nodes(graph)
    return [preset, *theirs, len(graph.node), len(network(graph))]


def by_torch(detector: Detector, info: ModelInfo, optimise: bool) -> onnx.ModelProto:
    """What `torch.onnx.export` makes of it, as it comes or optimised."""
    images, axes = sample(info, any_size=False)
    with quiet():
        program = torch.onnx.export(
            DetectionsGraph(detector), (images,), dynamic_shapes={"images": axes}, opset_version=OPSET, dynamo=True,
            optimize=optimise,
        )  # fmt: skip
    assert program is not None
    return program.model_proto


if __name__ == "__main__":
    main()
