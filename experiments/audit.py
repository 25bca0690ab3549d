"""Errors planted into labels, and how many of them `centerx audit` finds, beside cleanlab.

    python experiments/audit.py bccd facemask --seeds 0 1 2

Of the training pictures' labels 5 % each are removed, given another class, moved and scaled (IoU 0.3 to 0.6 with
themselves), or doubled with a jitter (IoU 0.75 to 0.95), and as many boxes are added where nothing is. No label gets
two errors. A small model is trained on these very labels, as a stranger would, and audits them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree
from centerx.files import write_json
from centerx.geometry import box_area, box_iou, clip_boxes
from centerx.images import image_hw
from centerx.objects import join_objects, make_objects

from repeat import train_once

KINDS = ("missing", "class", "place", "doubled", "spurious")
PRESETS = {"bccd": "bccd_nano", "facemask": "facemask_nano"}


class Planted(NamedTuple):
    """An error that was planted.

    Attributes:
        kind: one of KINDS.
        image: number of the record.
        box: xyxy in the planted labels; of a missing one the box that was there.
        label: its class in the planted labels; of a missing one the class that it had.
    """

    kind: str
    image: int
    box: list[float]
    label: int


def plant(dataset: Dataset, share: float, rng: np.random.Generator) -> tuple[Dataset, list[Planted]]:
    """Return a data set with errors, and these.

    Args:
        dataset: with good labels.
        share: of its labels, for each kind of error.
        rng: decides which and how.
    """
    image = np.repeat(np.arange(len(dataset.records)), [len(each.labels) for each in dataset.records])
    row = np.concatenate([np.arange(len(each.labels)) for each in dataset.records])
    usable = np.concatenate([~each.ignore & (each.objects.sizes.min(axis=1) >= 4) for each in dataset.records])
    count = round(share * usable.sum())
    chosen = rng.permutation(np.flatnonzero(usable))[: count * 4].reshape(4, count)
    errors = {(image[each], row[each]): kind for kind, some in zip(KINDS, chosen, strict=False) for each in some}
    donors = rng.permutation(np.flatnonzero(usable))
    records, planted = [], []
    for number, record in enumerate(dataset.records):
        boxes, labels, keep = record.boxes.copy(), record.labels.copy(), np.ones(len(record.labels), dtype=bool)
        doubles: list[tuple[np.ndarray, int]] = []
        for index in range(len(labels)):
            kind = errors.get((number, index))
            if kind == "missing":
                keep[index] = False
                planted.append(Planted(kind, number, boxes[index].tolist(), int(labels[index])))
                continue
            if kind == "class":
                labels[index] = (labels[index] + rng.integers(1, len(dataset.class_names))) % len(dataset.class_names)
            elif kind == "place":
                boxes[index] = moved(boxes[index], (0.3, 0.6), 0.6, image_hw(record.image), rng)
            elif kind == "doubled":
                doubles.append(
                    (moved(boxes[index], (0.75, 0.95), 0.15, image_hw(record.image), rng), int(labels[index]))
                )
                planted.append(Planted(kind, number, doubles[-1][0].tolist(), int(labels[index])))
            if kind in ("class", "place"):
                planted.append(Planted(kind, number, boxes[index].tolist(), int(labels[index])))
        objects = make_objects(boxes, labels, record.ignore, {"area": box_area(boxes)}).where(keep)
        if doubles:
            added = np.array([box for box, _ in doubles])
            extra = make_objects(added, np.array([label for _, label in doubles]), None, {"area": box_area(added)})
            objects = join_objects([objects, extra])
        records.append(record._replace(objects=objects))
    while donors.size and sum(each.kind == "spurious" for each in planted) < count:
        donor, donors = donors[0], donors[1:]
        number = int(rng.integers(len(records)))
        size = dataset.records[image[donor]].objects.sizes[row[donor]]
        height, width = image_hw(records[number].image)
        room = np.array([width, height]) - size
        if room.min() <= 0:
            continue
        corner = rng.uniform(0, room)
        box = np.concatenate([corner, corner + size])[None]
        there = np.concatenate([dataset.records[number].boxes, records[number].boxes])
        if len(there) and box_iou(box, there).max() > 0.1:
            continue
        label = int(dataset.records[image[donor]].labels[row[donor]])
        extra = make_objects(box, np.array([label]), None, {"area": box_area(box)})
        records[number] = records[number]._replace(objects=join_objects([records[number].objects, extra]))
        planted.append(Planted("spurious", number, box[0].tolist(), label))
    return dataset._replace(records=records), planted


def moved(
    box: np.ndarray, iou: tuple[float, float], most: float, picture_hw: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Return a box xyxy moved and scaled at random by up to `most` of its sides, whose IoU with it is in a range."""
    while True:
        size = box[2:] - box[:2]
        centre = (box[2:] + box[:2]) / 2 + rng.uniform(-most, most, 2) * size
        half = size * np.exp(rng.uniform(-most, most, 2)) / 2
        new = clip_boxes(np.concatenate([centre - half, centre + half]), picture_hw)
        if iou[0] <= box_iou(box[None], new[None])[0, 0] <= iou[1]:
            return new


def prepare(task: str, seed: int, out: Path) -> tuple[Path, list[Planted]]:
    """Write the planted labels once; return their file and the errors."""
    file, truth = out / "planted.json", out / "truth.json"
    if not truth.is_file():
        (entry,) = load_config(PRESETS[task]).data.train
        data = read_dataset(Path(entry.path), split=entry.split, classes=load_config(PRESETS[task]).classes)
        planted, errors = plant(data, 0.05, np.random.default_rng(seed))
        write_json(file, coco_tree(planted, out.absolute()))
        write_json(truth, [each._asdict() for each in errors])
    return file, [Planted(**each) for each in json.loads(truth.read_text())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=PRESETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/audit"))
    args = parser.parse_args()
    for seed in args.seeds:
        for task in args.tasks:
            folder = args.out / task / f"seed{seed}"
            file, _ = prepare(task, seed, folder)
            epochs = args.epochs or load_config(PRESETS[task]).train.epochs
            overrides: list[Any] = [
                f"data.train={json.dumps([{'path': str(file)}])}",
                f"train.seed={seed}",
                f"train.epochs={epochs}",
                f"train.val_every={epochs}",
            ]
            train_once(PRESETS[task], overrides, folder / "model")


if __name__ == "__main__":
    run_and_exit(main)
