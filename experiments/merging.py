"""Two teachers, each from one half of a data set with only its classes labelled, merged into one small student.

    python experiments/merging.py bccd
    python experiments/merging.py facemask

One half of the training pictures keeps the labels of some classes, the other half those of the rest; the pictures that
judge have all labels. Each row trains the same student for the same epochs:

naive: what a half does not label counts as background. ignore: it counts as nothing. separate: two students, one for
each half and its classes. pseudo: each teacher labels the other half, from scores chosen on the very pictures that
judge, which flatters this row. merged: teachers alone teach, no labels. masked: teachers and the labels of each half.
full: all labels, as if there were no halves. Beside them, what each teacher reaches alone.

Seeds may run side by side, each a process with `--seeds`; a last call with all of them keeps what is finished and
writes the table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import centerx
from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.config.schema import DataEntry
from centerx.data.dataset import relabel
from centerx.data.read import read_dataset
from centerx.data.records import Record
from centerx.data.write import coco_tree
from centerx.evaluation.api import evaluate_model
from centerx.files import new_files
from centerx.objects import join_objects

from repeat import Figures, summarise, train_once, write_table


class Task(NamedTuple):
    """Who learns what.

    Attributes:
        student: a preset, with the data of all.
        teacher: a preset. teacher_overrides: of it; on half of the pictures, twice the epochs are as many steps.
        known: teacher -> its classes.
        epochs: of the student, a short and a long schedule.
    """

    student: str
    teacher: str
    teacher_overrides: list[str]
    known: dict[str, list[str]]
    epochs: list[int]


TASKS = {
    "bccd": Task(
        "bccd_nano", "bccd_r18", ["train.epochs=120"], {"rbc": ["RBC"], "others": ["WBC", "Platelets"]}, [15, 30]
    ),
    "facemask": Task(
        "facemask_nano",
        "facemask_nano",
        ["model.backbone=resnet18", "train.optimizer.lr=0.002", "train.epochs=60"],
        {"masked": ["with_mask"], "others": ["without_mask", "mask_weared_incorrect"]},
        [15, 30],
    ),
}
ROWS = ["naive", "ignore", "separate", "pseudo", "merged", "masked", "full"]


def write_halves(entry: DataEntry, classes: list[str], known: dict[str, list[str]], out: Path) -> dict[str, Path]:
    """Write a COCO file for each half, with the boxes of its classes and the names of all."""
    dataset = read_dataset(Path(entry.path), split=entry.split, classes=classes)
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for offset, (half_name, kept) in enumerate(known.items()):
        half = dataset._replace(records=dataset.records[offset::2])
        files[half_name] = out / f"{half_name}.json"
        labels = np.array([label if name in kept else -1 for label, name in enumerate(classes)])
        stripped = half._replace(records=[relabel(record, labels) for record in half.records])
        with new_files(files[half_name]) as whole:  # beside this process others may read them
            whole.write_text(json.dumps(coco_tree(stripped, out)), encoding="utf-8")
    return files


def join(own: Record, found: Record) -> Record:
    """The picture with the boxes of both, which are in the same classes."""
    return own._replace(objects=join_objects([own.objects, found.objects]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--epochs", type=int, nargs="+")
    parser.add_argument("--teacher-epochs", type=int)
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the student, in every row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/merging"))
    args = parser.parse_args()

    task, out = TASKS[args.task], args.out / args.task
    config = load_config(task.student, args.set)
    classes = list(config.classes or ())
    (everything,) = config.data.train
    halves = write_halves(everything, classes, task.known, out)
    naive = [{"path": str(file)} for file in halves.values()]
    ignore = [entry | {"classes": task.known[name]} for entry, name in zip(naive, halves, strict=True)]
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = out / f"seed{seed}"
        teachers = {}
        for name, entry in zip(halves, ignore, strict=True):
            overrides = [
                *task.teacher_overrides,
                f"classes={json.dumps(task.known[name])}",
                f"data.train={json.dumps([entry])}",
                f"train.seed={seed}",
            ]
            if args.teacher_epochs:
                overrides.append(f"train.epochs={args.teacher_epochs}")
            train_once(task.teacher, overrides, folder / f"teacher_{name}")
            teachers[name] = folder / f"teacher_{name}" / "last.safetensors"
        results.setdefault("teachers alone", []).append(judge(config.data.val, list(teachers.values())))

        distill = {"distill.teachers": [{"weights": str(path), "name": name} for name, path in teachers.items()]}
        rows: dict[str, dict[str, Any]] = {
            "naive": {"data.train": naive},
            "ignore": {"data.train": ignore},
            "merged": {"data.train": ignore, **distill, "distill.labels": False},
            "masked": {"data.train": ignore, **distill},
            "full": {},
        }
        if "pseudo" in args.rows:
            rows["pseudo"] = {"data.train": pseudo_labels(config.data.val[0], classes, halves, teachers, task, folder)}
        for epochs in args.epochs or task.epochs:
            for row in args.rows:
                common = [f"train.epochs={epochs}", f"train.seed={seed}", *args.set]
                if row == "separate":
                    figures = train_separate(task, ignore, common, folder, epochs)
                else:
                    figures = train_with(task.student, rows[row], common, folder / f"{row}_{epochs}")
                results.setdefault(f"{row}, {epochs} epochs", []).append(figures)
    write_table(out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


def train_with(preset: str, changes: dict[str, Any], overrides: list[str], folder: Path) -> Figures:
    """Train a preset with some keys changed, and then others."""
    return train_once(preset, [*(f"{key}={json.dumps(value)}" for key, value in changes.items()), *overrides], folder)


def train_separate(task: Task, halves: list[dict[str, Any]], common: list[str], folder: Path, epochs: int) -> Figures:
    """Train a student on each half, of its classes alone, and judge both together."""
    models = []
    for name, half in zip(task.known, halves, strict=True):
        run = folder / f"separate_{name}_{epochs}"
        train_with(task.student, {"classes": task.known[name], "data.train": [half]}, common, run)
        models.append(run / "last.safetensors")
    return judge(load_config(task.student).data.val, models)


def judge(val: Sequence[DataEntry], models: Sequence[Path]) -> Figures:
    """AP of every class from the model that knows it, and their mean, on some data."""
    data = build_datasets(val)
    per_class: dict[str, float | None] = {}
    for path in models:
        per_class |= evaluate_model(path, data, batch_size=8).per_class
    figures = {f"AP/{name}": ap or 0.0 for name, ap in per_class.items()}
    return {"AP": sum(figures.values()) / len(figures)} | figures


def pseudo_labels(
    val: DataEntry, classes: list[str], halves: dict[str, Path], teachers: dict[str, Path], task: Task, folder: Path
) -> list[dict[str, Any]]:
    """Entries of data in which each half has its own labels and those of the other half's teacher."""
    entries = []
    for name, other in zip(halves, reversed(halves), strict=True):
        known = task.known[other]
        found, judged, joined = (folder / f"{what}_{name}.json" for what in ("found_on", "judged_beside", "joined"))
        labelled = read_dataset(Path(val.path), split=val.split, classes=known)
        judged.write_text(json.dumps(coco_tree(labelled, folder)), encoding="utf-8")
        centerx.label(teachers[other], halves[name], found, val=judged)
        own = read_dataset(halves[name], classes=classes)
        order = np.array([classes.index(each) for each in known])
        guesses = {record.image.name: relabel(record, order) for record in read_dataset(found, classes=known).records}
        records = [join(record, guesses[record.image.name]) for record in own.records]
        joined.write_text(json.dumps(coco_tree(own._replace(records=records), folder)), encoding="utf-8")
        entries.append({"path": str(joined)})
    return entries


if __name__ == "__main__":
    run_and_exit(main)
