"""Evaluation of 5,000 pictures with 100 detections each, beside pycocotools: seconds of the processor, in one thread.

Both begin with arrays of boxes, scores and classes, and end with COCO's twelve figures, which are compared. Their best
of two runs in turn; writes results/evaluating.csv.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centerx.data.dataset import Dataset
from centerx.data.source import Entry, SampleSource
from centerx.evaluation.coco import coco_metrics
from centerx.types import Detections

from rows import Row, command_line, rows, show, write

RESULTS = Path(__file__).parent / "results" / "evaluating.csv"
PICTURES, OBJECTS, FOUND = 5_000, 10, 100
RUNS = 2


def measure(classes: int) -> list[Row]:
    """Time both on pictures of so many classes.

    Raises:
        AssertionError: their figures differ.
    """
    names = [str(label) for label in range(classes)]
    rng = np.random.default_rng(0)
    boxes, labels = random_boxes(rng, OBJECTS), rng.integers(0, classes, (PICTURES, OBJECTS))
    dataset = Dataset.from_arrays(
        [Path(f"{number}.jpg") for number in range(PICTURES)], list(boxes), list(labels), names
    )
    entries = SampleSource([dataset], names).entries
    found = [detections(rng, *each, classes) for each in zip(boxes, labels, strict=True)]
    calls: dict[str, Callable[[], Sequence[float]]] = {
        "pycocotools": lambda: judge(boxes, labels, found, classes),
        "coco_metrics": lambda: ours(entries, found, names),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    figures = {}
    for _ in range(RUNS):
        for name, call in calls.items():
            started = time.process_time()
            figures[name] = call()
            seconds[name].append(time.process_time() - started)
    np.testing.assert_allclose(*figures.values(), atol=1e-9)
    figure = f"evaluation of {PICTURES:,} pictures, {FOUND} detections each, {classes} classes"
    return rows(figure, {name: min(each) for name, each in seconds.items()}, "s", RUNS, "pycocotools")


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(PICTURES, count, 4) float64 xyxy."""
    low = rng.uniform(0, 500, (PICTURES, count, 2))
    return np.concatenate([low, low + rng.uniform(5, 200, low.shape)], axis=-1)


def detections(rng: np.random.Generator, boxes: np.ndarray, labels: np.ndarray, classes: int) -> Detections:
    """FOUND boxes near those of a picture, a fifth of them of another class."""
    owner = np.arange(FOUND) % len(boxes)
    moved = boxes[owner] + rng.normal(0, 8, (FOUND, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    guessed = np.where(rng.random(FOUND) < 0.2, rng.integers(0, classes, FOUND), labels[owner])
    return Detections(moved, rng.permutation(FOUND) / FOUND + rng.uniform(0, 1e-6, FOUND), guessed)


def ours(entries: Sequence[Entry], found: Sequence[Detections], names: Sequence[str]) -> list[float]:
    """COCO's figures by centerX."""
    return [-1.0 if figure is None else figure for figure in coco_metrics(entries, found, names, quiet=True)[:12]]


def judge(boxes: np.ndarray, labels: np.ndarray, found: Sequence[Detections], classes: int) -> np.ndarray:
    """COCO's figures by pycocotools."""
    truth = COCO()
    objects = [
        (number, label, box)
        for number, (own, given) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True), start=1)
        for box, label in zip(own, given, strict=True)
    ]
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, PICTURES + 1)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [
            {"id": place, "image_id": number, "category_id": label, "iscrowd": 0, "bbox": xywh(box),
             "area": (box[2] - box[0]) * (box[3] - box[1])}
            for place, (number, label, box) in enumerate(objects, start=1)
        ],
    }  # fmt: skip
    truth.createIndex()
    results = [
        {"image_id": number, "category_id": label, "score": score, "bbox": xywh(box)}
        for number, each in enumerate(found, start=1)
        for box, score, label in zip(each.boxes.tolist(), each.scores.tolist(), each.labels.tolist(), strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.asarray(evaluation.stats)


def xywh(box: Sequence[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        measured = [row for classes in (3, 80) for row in measure(classes)]
    show(measured)
    write(RESULTS, measured)
