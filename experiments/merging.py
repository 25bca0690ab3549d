"""Two teachers, each from one half of bccd with only its classes labelled, merged into one small student.

    python experiments/merging.py --out runs/merging

RBC is labelled on one half of the training pictures, WBC and Platelets on the other; the test pictures have all labels.
Each row trains the same student for the same epochs:

naive: what a half does not label counts as background. ignore: it counts as nothing. pseudo: each teacher labels the
other half, from scores chosen on the teacher's own half. merged: teachers alone teach, no labels. masked: teachers and
the labels of each half. full: all labels, as if there were no halves. Beside them, what each teacher reaches alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from centerx.build import build_datasets
from centerx.cli.main import app
from centerx.config import load_config
from centerx.data.dataset import Record, relabel
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree
from centerx.evaluate.api import evaluate_model

from repeat import Figures, summarise, train_once, write_table

CLASSES = ["RBC", "WBC", "Platelets"]
KNOWN = {"rbc": ["RBC"], "others": ["WBC", "Platelets"]}


def write_halves(data: Path, out: Path) -> dict[str, Path]:
    """Write a COCO file for each half, with the boxes of its classes and the names of all."""
    dataset = read_dataset(data, split="trainval", classes=CLASSES)
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for offset, (half_name, classes) in enumerate(KNOWN.items()):
        half = dataset._replace(records=dataset.records[offset::2])
        files[half_name] = out / f"{half_name}.json"
        labels = np.array([label if name in classes else -1 for label, name in enumerate(CLASSES)])
        stripped = half._replace(records=[relabel(record, labels) for record in half.records])
        files[half_name].write_text(json.dumps(coco_tree(stripped, out)), encoding="utf-8")
    return files


def join(own: Record, found: Record) -> Record:
    """The picture with the boxes of both, which are in the same classes."""
    parts = ("boxes", "labels", "ignore", "area")
    return own._replace(**{part: np.concatenate([getattr(own, part), getattr(found, part)]) for part in parts})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bccd"))
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--teacher-epochs", type=int, default=80)
    parser.add_argument("--epochs", type=int, nargs="+", default=[40, 80])
    parser.add_argument("--rows", nargs="+", default=["naive", "ignore", "pseudo", "merged", "masked", "full"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/merging"))
    args = parser.parse_args()

    halves = write_halves(args.data, args.out)
    naive = [{"path": str(file)} for file in halves.values()]
    ignore = [entry | {"classes": KNOWN[name]} for entry, name in zip(naive, halves, strict=True)]
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        teachers = {}
        for name, entry in zip(halves, ignore, strict=True):
            overrides = [
                f"classes={json.dumps(KNOWN[name])}",
                f"data.train={json.dumps([entry])}",
                f"train.epochs={args.teacher_epochs}",
                f"train.seed={seed}",
            ]
            train_once(args.teacher, overrides, folder / f"teacher_{name}")
            teachers[name] = folder / f"teacher_{name}" / "last.safetensors"
        results.setdefault("teachers alone", []).append(judge(args.student, list(teachers.values())))

        distill = {"teachers": [{"weights": str(path), "name": name} for name, path in teachers.items()]}
        rows: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
            "naive": (naive, {}),
            "ignore": (ignore, {}),
            "merged": (ignore, distill | {"labels": False}),
            "masked": (ignore, distill),
            "full": ([{"path": str(args.data), "split": "trainval"}], {}),
        }
        if "pseudo" in args.rows:
            rows["pseudo"] = (pseudo_labels(halves, teachers, folder), {})
        for epochs in args.epochs:
            for row in args.rows:
                train, teaching = rows[row]
                overrides = [
                    f"data.train={json.dumps(train)}",
                    f"distill={json.dumps(teaching)}",
                    f"train.epochs={epochs}",
                    f"train.seed={seed}",
                ]
                figures = train_once(args.student, overrides, folder / f"{row}_{epochs}")
                results.setdefault(f"{row}, {epochs} epochs", []).append(figures)
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


def judge(student: str, teachers: list[Path]) -> Figures:
    """AP of every class from the teacher that knows it, and their mean, on the student's validation data."""
    data = build_datasets(load_config(student).data.val)
    per_class: dict[str, float | None] = {}
    for path in teachers:
        per_class |= evaluate_model(path, data, batch_size=8).per_class
    figures = {f"AP/{name}": per_class[name] or 0.0 for name in CLASSES}
    return {"AP": sum(figures.values()) / len(figures)} | figures


def pseudo_labels(halves: dict[str, Path], teachers: dict[str, Path], folder: Path) -> list[dict[str, Any]]:
    """Entries of data in which each half has its own labels and those of the other half's teacher."""
    entries = []
    for name, other in zip(halves, reversed(halves), strict=True):
        found, judged, joined = (folder / f"{what}_{name}.json" for what in ("found_on", "judged_beside", "joined"))
        known = read_dataset(halves[other], classes=KNOWN[other])
        judged.write_text(json.dumps(coco_tree(known, folder)), encoding="utf-8")
        app(
            ["pseudo", str(teachers[other]), str(halves[name]), "--val", str(judged), "--out", str(found)],
            standalone_mode=False,
        )
        own = read_dataset(halves[name], classes=CLASSES)
        order = np.array([CLASSES.index(each) for each in KNOWN[other]])
        guesses = {
            record.image.name: relabel(record, order) for record in read_dataset(found, classes=KNOWN[other]).records
        }
        records = [join(record, guesses[record.image.name]) for record in own.records]
        joined.write_text(json.dumps(coco_tree(own._replace(records=records), folder)), encoding="utf-8")
        entries.append({"path": str(joined)})
    return entries


if __name__ == "__main__":
    main()
