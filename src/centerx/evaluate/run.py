"""A detector over a data set: the one loop behind `centerx eval` and the evaluation during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from centerx.data.source import SampleSource
from centerx.evaluate.coco import Metrics, coco_metrics
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


def _to_source(detections: Detections, batch: Batch) -> dict[int, Detections]:
    result = {}
    for row, (letterbox, index) in enumerate(zip(batch.letterboxes, batch.image_ids, strict=True)):
        assert letterbox is not None
        boxes = letterbox.to_source(np.asarray(detections.boxes[row]))
        result[int(index)] = Detections(boxes, np.asarray(detections.scores[row]), np.asarray(detections.labels[row]))
    return result


def evaluate_found(source: SampleSource, found: dict[int, Detections]) -> Metrics:
    """Metrics over the pictures that could be read."""
    order = sorted(found)
    return coco_metrics([source.entries[i] for i in order], [found[i] for i in order], source.class_names)
