"""The two teachers of `merging.py bccd` in other shapes: as files of an unknown project, and as detections in a json.

    python experiments/merging.py bccd --rows merged --epochs 30 --teacher-epochs 60 --out runs/teachers_60
    python experiments/any_teacher.py

Each row trains the student of `merging.py`'s row merged, on the same pictures, without labels:

network: the teachers' own model files. exported: their ONNX files, asked anew for each augmented picture. foreign:
files as another project would export them, that take normalised BGR and give rows of corners and a score, read by an
adapter, asked once a picture. json: what they find, written by `centerx predict --json`. calibrated: as foreign, with
scores that were calibrated on the pictures that judge, which flatters this row a little. labels: no teachers, all
labels, for the minutes.

Beside AP, `spread` is how far the best thresholds of the student's classes lie apart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

import centerx
from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.evaluation.api import thresholds_of
from centerx.files import write_json

from merging import TASKS, train_with, write_halves
from repeat import Figures, summarise, write_table

ROWS = ["labels", "network", "exported", "foreign", "json", "calibrated"]
MEAN, STD = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]  # BGR, as mmdetection has them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, default=Path("runs/teachers_60/bccd"), help="of merging.py")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the student, in every row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/any_teacher"))
    args = parser.parse_args()

    task = TASKS["bccd"]
    config = load_config(task.student)
    (everything,) = config.data.train
    halves = write_halves(everything, list(config.classes or ()), task.known, args.out)
    pictures = [{"path": str(file), "classes": task.known[name]} for name, file in halves.items()]
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        models = {name: args.teachers / f"seed{seed}" / f"teacher_{name}" / "last.safetensors" for name in task.known}
        for row in args.rows:
            changes: dict[str, Any] = {}
            if row != "labels":
                teachers = [
                    {"weights": str(shape(row, model, name, halves, folder)), "name": name}
                    for name, model in models.items()
                ]
                changes = {"data.train": pictures, "distill.teachers": teachers, "distill.labels": False}
                changes |= {"distill.cache": False} if row == "exported" else {}
                changes |= {"distill.calibrate": True} if row == "calibrated" else {}
            run = folder / f"{row}_{args.epochs}"
            overrides = [f"train.epochs={args.epochs}", f"train.seed={seed}", *args.set]
            figures = train_with(task.student, changes, overrides, run)
            results.setdefault(row, []).append(figures | {"spread": spread(run / "last.safetensors", task.student)})
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


def spread(model: Path, preset: str) -> float:
    """How far the best thresholds of the classes lie apart, on the pictures that judge."""
    found = thresholds_of(model, build_datasets(load_config(preset).data.val), batch_size=8)
    known = [threshold for threshold in found.values() if threshold is not None]
    return max(known) - min(known)


def shape(row: str, model: Path, name: str, halves: dict[str, Path], folder: Path) -> Path:
    """Return the file of a teacher in the shape of a row, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if row == "network":
        return model
    if row == "json":
        return predictions(model, halves, folder / f"{name}.json")
    exported = folder / name / f"{model.stem}.onnx"
    if not exported.is_file():
        centerx.export(model, "onnx", out=exported.parent)
    return exported if row == "exported" else disguise(exported, folder / f"{name}.onnx")


def predictions(model: Path, halves: dict[str, Path], out: Path) -> Path:
    """Write what a model finds on all training pictures, as `centerx predict --json` does."""
    if not out.is_file():
        halves_read = build_datasets(load_config({"data": {"train": list(map(str, halves.values()))}}).data.train)
        pictures = [record.image for half in halves_read for record in half.records]
        write_json(out, [found.to_json() for found in centerx.predict(model, pictures, score=0.01, batch=8)])
    return out


def disguise(exported: Path, out: Path) -> Path:
    """Write a file without metadata that takes (1, 3, H, W) normalised BGR and gives `dets` and `labels`."""
    if out.is_file():
        return out
    model = onnx.load(exported)
    facts = {each.key: each.value for each in model.metadata_props}
    names, (height, width) = json.loads(facts["class_names"]), json.loads(facts["input_size"])
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["bytes" if each == "images" else each for each in node.input]
    front = [
        helper.make_node("Mul", ["input", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["bgr"]),
        helper.make_node("Gather", ["bgr", "order"], ["rgb"], axis=1),
        helper.make_node("Round", ["rgb"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["bytes"], to=TensorProto.UINT8),
    ]
    back = [
        helper.make_node("Unsqueeze", ["scores", "last"], ["column"]),
        helper.make_node("Concat", ["boxes", "column"], ["dets"], axis=2),
        helper.make_node("Identity", ["labels"], ["classes"]),
    ]
    nodes = [*front, *graph.node, *back]
    del graph.node[:], graph.input[:], graph.output[:], model.metadata_props[:]
    graph.node.extend(nodes)
    constants = {
        "std": np.array(STD, np.float32).reshape(1, 3, 1, 1),
        "mean": np.array(MEAN, np.float32).reshape(1, 3, 1, 1),
        "order": np.array([2, 1, 0]),
        "last": np.array([2]),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width]))
    graph.output.append(helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, "N", 5]))
    graph.output.append(helper.make_tensor_value_info("classes", TensorProto.INT64, [1, "N"]))
    onnx.checker.check_model(model)
    adapter = {
        "input": {"resize": "fit", "pad_value": 114, "colour": "bgr", "mean": MEAN, "std": STD},
        "boxes": {"outputs": "dets"},
        "scores": {"outputs": "dets", "start": 4},
        "labels": {"output": "classes"},
        "classes": names,
    }
    out.with_name(f"{out.stem}.adapter.yaml").write_text(yaml.safe_dump(adapter), encoding="utf-8")
    onnx.save(model, out)
    return out


if __name__ == "__main__":
    run_and_exit(main)
