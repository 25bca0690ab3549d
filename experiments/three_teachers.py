"""Three teachers of three, three and four digits, merged into one student of ten on scenes without a label.

    python experiments/three_teachers.py --out runs/three_teachers

Each teacher learns from scenes of its own, where only its digits are labelled. Rows: what each class reaches in the
teacher that knows it; in the student; and in the same student with the labels of its scenes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config.schema import DataEntry
from centerx.data.digits import CLASS_NAMES, write_digit_scenes
from centerx.evaluation.api import evaluate_model

from repeat import Figures, summarise, train_once, write_table

KNOWN = {"low": CLASS_NAMES[:3], "middle": CLASS_NAMES[3:6], "high": CLASS_NAMES[6:]}
SCENE_HW = (128, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1500, help="of each teacher and of the student")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/three_teachers"))
    args = parser.parse_args()

    val = write_digit_scenes(args.out / "val", 500, 0, "val", SCENE_HW)
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        sets = {"student": CLASS_NAMES} | KNOWN
        scenes = {
            name: write_digit_scenes(
                folder / f"{args.scenes}_scenes" / name,
                args.scenes,
                len(sets) * seed + index,
                "train",
                SCENE_HW,
                classes,
            )
            for index, (name, classes) in enumerate(sets.items())
        }
        common = {"data.val": [str(val)], "data.input_size": SCENE_HW[0]}
        common |= {"train.epochs": args.epochs, "train.seed": seed}
        alone: Figures = {}
        teachers = []
        for name, classes in KNOWN.items():
            train_digits(common | {"classes": classes, "data.train": [str(scenes[name])]}, folder / name)
            teachers.append(folder / name / "last.safetensors")
            found = evaluate_model(teachers[-1], build_datasets([DataEntry(path=str(val))]), batch_size=16)
            alone |= {f"AP/{each}": ap or 0.0 for each, ap in found.per_class.items()}
        results.setdefault("teachers", []).append({"AP": sum(alone.values()) / len(alone)} | alone)
        taught = {
            "data.train": [{"path": str(scenes["student"].with_suffix("")), "format": "folder"}],
            "distill.teachers": [str(path) for path in teachers],
        }
        results.setdefault("student", []).append(train_digits(common | taught, folder / "taught"))
        labelled = {"data.train": [str(scenes["student"])]}
        results.setdefault("student with labels", []).append(train_digits(common | labelled, folder / "labelled"))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


def train_digits(changes: dict[str, Any], folder: Path) -> Figures:
    """Train the preset `digits` with some keys changed."""
    return train_once("digits", [f"{key}={json.dumps(value)}" for key, value in changes.items()], folder)


if __name__ == "__main__":
    run_and_exit(main)
