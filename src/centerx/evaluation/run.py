"""A detector over a data set: the one loop behind `centerx eval` and the evaluation during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from centerx.data.source import SampleSource
from centerx.evaluation.coco import Metrics, coco_metrics
from centerx.geometry import placed_sizes
from centerx.types import Batch, Detections

Detect = Callable[[Batch], Detections]  # a batch -> (B, K, ...) detections in input pixels, NumPy


def detect_all(detect: Detect, batches: Iterable[Batch]) -> tuple[dict[int, Detections], list[str]]:
    """Run a detector over letterboxed batches of `EvalPictures`.

    Returns:
        Detections in source pixels by the picture's index, and what was wrong with pictures that are missing there.
    """
    found: dict[int, Detections] = {}
    broken: list[str] = []
    for batch in batches:
        broken += batch.skipped
        if len(batch.images):
            found.update(_to_source(detect(batch), batch))
    return found, broken


def picture_sizes(batch: Batch) -> np.ndarray:
    """(B, 2) float32: height and width of each letterboxed picture in input pixels."""
    return placed_sizes([each for each in batch.letterboxes if each is not None])


def _to_source(detections: Detections, batch: Batch) -> dict[int, Detections]:
    result = {}
    for row, (letterbox, index) in enumerate(zip(batch.letterboxes, batch.image_ids, strict=True)):
        assert letterbox is not None
        boxes = letterbox.to_source(np.asarray(detections.boxes[row]))
        one = Detections(boxes, np.asarray(detections.scores[row]), np.asarray(detections.labels[row]))
        result[int(index)] = one.with_area()
    return result


def evaluate_found(
    source: SampleSource, found: dict[int, Detections], max_detections: int | None = None, quiet: bool = False
) -> Metrics:
    """Metrics over the pictures that could be read; `max_detections` and `quiet` as for `coco_metrics`."""
    order = sorted(found)
    entries = [source.entries[i] for i in order]
    return coco_metrics(entries, [found[i] for i in order], source.class_names, max_detections, quiet)
