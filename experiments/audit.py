"""Errors planted into labels, and how many of them `centerx audit` finds, beside cleanlab.

    python experiments/audit.py bccd facemask --seeds 0 1 2
    python experiments/audit.py bccd --judges runs/merging/bccd/seed0 --seeds 0 1 2

Of the labels 5 % each are removed, given another class, moved and scaled (IoU 0.3 to 0.6 with themselves), or doubled
with a jitter (IoU 0.75 to 0.95), and as many boxes are added where no label is. No label gets two errors.

First command: the training pictures; a small model is trained on these very labels, as a stranger would, and audits
them. Second: the pictures of the test split; models of `experiments/merging.py`, which have seen neither these pictures
nor a planted error, audit them: the student alone, and with its teachers.

A suspicion is right where it is about a planted error: the label itself, either of a doubled pair, or the place of a
missing label (IoU 0.5, same class). Recall is of the planted errors, by any suspicion at the default score; precision
is of the suspicions of a kind. Errors that the data had before count as false alarms.

cleanlab (`pip install cleanlab`) ranks pictures, so both are compared by the average precision of the ranking of
pictures: with an error of any kind, and of the three kinds that it tells apart. It gets the same detections. Its
thresholds, 0.95 and 0.5, are above most scores of these detectors, so that it has a second row with 0.3 and 0.2, which
were chosen on planted errors of bccd and flatter it. Without the package its rows are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score

from centerx.api.audit import LEAST
from centerx.auditing.find import KINDS, Suspicion, find_suspicions
from centerx.bench import machine
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.source import Entry
from centerx.data.write import coco_tree
from centerx.evaluation.api import run_model
from centerx.files import write_json
from centerx.geometry import box_area, box_iou, clip_boxes
from centerx.images import image_hw
from centerx.objects import join_objects, make_objects
from centerx.types import Detections

from repeat import train_once

PRESETS = {"bccd": "bccd_nano", "facemask": "facemask_nano"}
SHARE = 0.05
JUDGES = {"student": ["merged_30"], "student and teachers": ["merged_30", "teacher_rbc", "teacher_others"]}
COMPARED = ("missing", "class", "place")  # kinds that cleanlab tells apart
CLEANLAB = {"cleanlab": (None, None), "cleanlab, 0.3 and 0.2": (0.3, 0.2)}
Seen = tuple[Sequence[str], list[Detections]]  # class names of a model, and what it finds on each picture
COLUMNS = ["data", "models", "seed", "method", "kind", "figure", "value", "commit", "machine"]


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


def prepare(preset: str, val: bool, seed: int, out: Path) -> tuple[Path, list[Planted]]:
    """Write planted labels once; return their file and the errors.

    Args:
        preset: whose data.
        val: whether those that judge, instead of those that train.
        seed: of the planting.
        out: folder.
    """
    file, truth = out / "planted.json", out / "truth.json"
    if not truth.is_file():
        config = load_config(preset)
        (entry,) = config.data.val if val else config.data.train
        data = read_dataset(Path(entry.path), split=entry.split, classes=config.classes)
        planted, errors = plant(data, SHARE, np.random.default_rng(seed))
        write_json(file, coco_tree(planted, out.absolute()))
        write_json(truth, [each._asdict() for each in errors])
    return file, [Planted(**each) for each in json.loads(truth.read_text())]


def hits(suspicions: Sequence[Suspicion], errors: Sequence[Planted], entries: Sequence[Entry]) -> np.ndarray:
    """Return the number of the planted error that each suspicion is about, -1 for none; each error counts once."""
    of_picture: dict[int, list[int]] = defaultdict(list)
    for number, error in enumerate(errors):
        of_picture[error.image].append(number)
    found = np.full(len(suspicions), -1)
    for row, each in enumerate(suspicions):
        boxes = [each.box] + ([entries[each.picture].record.boxes[each.other]] if each.other >= 0 else [])
        for number in of_picture[each.picture]:
            error = errors[number]
            least = 0.5 if error.kind == "missing" else 0.99
            about = (error.kind == "missing") == (each.row < 0) and (each.label == error.label or each.other >= 0)
            near = about and box_iou(np.array([error.box]), np.stack(boxes)).max() >= least
            if near and number not in found:
                found[row] = number
                break
    return found


def figures_of_labels(
    suspicions: Sequence[Suspicion], errors: Sequence[Planted], entries: Sequence[Entry]
) -> Iterator[tuple[str, str, float]]:
    """Yield kind, figure and value."""
    found = hits(suspicions, errors, entries)
    flagged = np.array([each.score >= LEAST for each in suspicions])
    told = np.array([each.kind for each in suspicions])
    kinds = np.array([each.kind for each in errors])
    caught = np.isin(np.arange(len(errors)), found[flagged])
    for kind in (*KINDS, "all"):
        mine, planted = told == kind, kinds == kind
        if kind == "all":
            mine, planted = np.ones_like(mine), np.ones_like(planted)
        count = int(planted.sum())
        yield kind, "planted", count
        yield kind, "flagged", int((mine & flagged).sum())
        yield kind, "recall", float(caught[planted].mean())
        yield kind, "precision", float((found[mine & flagged] >= 0).mean()) if (mine & flagged).any() else 0.0
        yield kind, "precision at n", float((found[mine][:count] >= 0).sum() / count)


def figures_of_pictures(
    name: str, scores: dict[str, np.ndarray], errors: Sequence[Planted]
) -> Iterator[tuple[str, str, str, float]]:
    """Yield method, kind, figure and value.

    Args:
        name: of the method.
        scores: by kind, of each picture, higher where an error is more likely.
        errors: planted.
    """
    for kind, values in scores.items():
        wrong = np.zeros(len(values), dtype=bool)
        wrong[[error.image for error in errors if kind in (error.kind, "any")]] = True
        yield name, kind, "pictures with errors", float(wrong.mean())
        yield name, kind, "AP of pictures", float(average_precision_score(wrong, values))


def picture_scores(suspicions: Sequence[Suspicion], pictures: int) -> dict[str, np.ndarray]:
    """Return, for each kind that cleanlab knows and for any, 1 less the product of the doubts about each picture."""
    doubt = {kind: np.ones(pictures) for kind in (*COMPARED, "any")}
    for each in suspicions:
        for kind in {each.kind, "any"} & doubt.keys():
            doubt[kind][each.picture] *= 1 - each.score
    return {kind: 1 - values for kind, values in doubt.items()}


def cleanlab_scores(
    entries: Sequence[Entry], found: Sequence[Detections], classes: int, high: float | None, low: float | None
) -> dict[str, np.ndarray]:
    """Return the same from cleanlab's ObjectLab.

    Args:
        entries: pictures with labels.
        found: on each.
        classes: how many there are.
        high: score from which on a detection counts for missing labels and wrong classes; its default without it.
        low: the same for wrong places.
    """
    from cleanlab.object_detection import rank

    labels = [{"bboxes": each.record.boxes, "labels": each.record.labels} for each in entries]
    rows = [np.column_stack([each.boxes, each.scores]) for each in found]
    predictions = [
        np.array([*(row[each.labels == label] for label in range(classes)), None], dtype=object)[:-1]
        for row, each in zip(rows, found, strict=True)
    ]
    both = {"labels": labels, "predictions": predictions}
    boxes = {
        "missing": rank.compute_overlooked_box_scores(**both, high_probability_threshold=high),
        "class": rank.compute_swap_box_scores(**both, high_probability_threshold=high),
        "place": rank.compute_badloc_box_scores(**both, low_probability_threshold=low),
    }
    quality = {kind: rank.pool_box_scores_per_image(each) for kind, each in boxes.items()}
    quality["any"] = np.prod(list(quality.values()), axis=0)  # its own figure is their geometric mean
    return {kind: 1 - values for kind, values in quality.items()}


def measure(
    file: Path, errors: Sequence[Planted], models: Sequence[Path], classes: Sequence[str], seen: dict[Path, Seen]
) -> list[tuple[str, str, str, float]]:
    """Return method, kind, figure and value of an audit of planted labels by some models.

    Args:
        file: of the labels.
        errors: in them.
        models: files.
        classes: of the labels.
        seen: by model, what it finds on these pictures; filled in.
    """
    data = read_dataset(file, classes=classes)
    some: list[list[Detections]] = []
    known: list[np.ndarray] = []
    for model in models:
        if model not in seen:
            source, found = run_model(model, [data], batch_size=8)
            seen[model] = source.class_names, [found[i] for i in range(len(source))]
        names, detections = seen[model]
        ours = np.array([classes.index(name) for name in names])
        known.append(np.isin(np.arange(len(classes)), ours))
        some.append([Detections(each.boxes, each.scores, ours[each.labels]) for each in detections])
    entries = [Entry(record, np.ones((len(classes), 3), dtype=bool)) for record in data.records]
    suspicions = find_suspicions(entries, some, known, len(classes))
    rows = [("audit", *row) for row in figures_of_labels(suspicions, errors, entries)]
    rows += figures_of_pictures("audit", picture_scores(suspicions, len(entries)), errors)
    if find_spec("cleanlab") and len(some) == 1:
        for name, thresholds in CLEANLAB.items():
            scores = cleanlab_scores(entries, some[0], len(classes), *thresholds)
            rows += figures_of_pictures(name, scores, errors)
    return rows


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the rows of the same data, models and seed in a CSV file, or append them."""
    kept: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            kept = list(csv.DictReader(file))
    new = {(row["data"], row["models"], str(row["seed"])) for row in rows}
    kept = [row for row in kept if (row["data"], row["models"], row["seed"]) not in new]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows([*kept, *rows])


def print_tables(path: Path) -> None:
    """Print the figures of a CSV file as Markdown, means over seeds."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells: dict[tuple[str, ...], list[float]] = defaultdict(list)
    seeds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        cells[row["data"], row["models"], row["method"], row["kind"], row["figure"]].append(float(row["value"]))
        seeds[row["data"], row["models"]].add(row["seed"])
    for (data, models), some in seeds.items():
        print(f"\n{data}, {models}, {len(some)} seeds\n\n| kind | planted | flagged | recall | precision | at n |")
        print("|---|---|---|---|---|---|")
        for kind in (*KINDS, "all"):
            figures = ("planted", "flagged", "recall", "precision", "precision at n")
            values = [mean(cells[data, models, "audit", kind, figure]) for figure in figures]
            print(
                f"| {kind} | {values[0]:.0f} | {values[1]:.0f} | " + " | ".join(f"{v:.2f}" for v in values[2:]) + " |"
            )
        methods = [m for m in ("audit", *CLEANLAB) if (data, models, m, "any", "AP of pictures") in cells]
        print("\n| pictures with | share | " + " | ".join(methods) + " |\n" + "|---" * (len(methods) + 2) + "|")
        for kind in ("any", *COMPARED):
            share = mean(cells[data, models, "audit", kind, "pictures with errors"])
            values = [mean(cells[data, models, method, kind, "AP of pictures"]) for method in methods]
            print(f"| {kind} | {share:.2f} | " + " | ".join(f"{v:.2f}" for v in values) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=PRESETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of planting and training")
    parser.add_argument("--epochs", type=int, help="of the model; those of its preset without it")
    parser.add_argument("--judges", type=Path, help="folder of trained models, instead of training one")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/audit"))
    parser.add_argument("--csv", type=Path, default=Path("experiments/results/audit.csv"))
    args = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    judged: dict[str, dict[Path, Seen]] = defaultdict(dict)  # by task: the pictures are the same with each seed
    for seed in args.seeds:
        for task in args.tasks:
            preset = PRESETS[task]
            folder = args.out / (f"{task}_test" if args.judges else task) / f"seed{seed}"
            file, errors = prepare(preset, bool(args.judges), seed, folder)
            if args.judges:
                named = {
                    name: [args.judges / each / "last.safetensors" for each in some] for name, some in JUDGES.items()
                }
            else:
                epochs = args.epochs or load_config(preset).train.epochs
                entry = json.dumps([{"path": str(file)}])
                overrides = [f"data.train={entry}", f"train.seed={seed}"]
                train_once(
                    preset, [*overrides, f"train.epochs={epochs}", f"train.val_every={epochs}"], folder / "model"
                )
                named = {f"trained on them, {epochs} epochs": [folder / "model" / "last.safetensors"]}
            if args.train_only:
                continue
            data = f"{task}, {'test' if args.judges else 'train'}"
            seen = judged[task] if args.judges else {}
            for name, models in named.items():
                start = {"data": data, "models": name, "seed": seed, "commit": commit, "machine": machine(False)}
                rows = measure(file, errors, models, load_config(preset).classes or (), seen)
                titles = ("method", "kind", "figure", "value")
                write_rows(
                    args.csv,
                    [start | dict(zip(titles, [*row[:3], f"{row[3]:.4f}"], strict=True)) for row in rows],
                )
    print_tables(args.csv)


if __name__ == "__main__":
    run_and_exit(main)
