"""What a detector finds in one picture at several scales -> one set of detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from centerx.geometry import box_iou
from centerx.runtime.outputs import SMALLEST_SCORE
from centerx.types import Detections

OVERLAP = 0.5  # IoU from which on boxes of two scales are of one object


def fuse(parts: Sequence[Detections]) -> Detections:
    """Join detections of one picture, in its pixels, one part a scale: those of one object become one.

    The fused box is the mean of its boxes weighted by their scores, its score their sum over the number of scales.
    Boxes of one scale are of different objects and never suppress each other.
    """
    score, weighted, labels = np.zeros(0), np.zeros((0, 4)), np.zeros(0, dtype=np.int64)
    for part in parts:
        found = part.above(SMALLEST_SCORE)
        place = same_objects(found, Detections(weighted / score[:, None], score, labels))
        fresh = place < 0
        place[fresh] = len(score) + np.arange(fresh.sum())
        score = np.append(score, np.zeros(fresh.sum()))
        weighted = np.append(weighted, np.zeros((fresh.sum(), 4)), axis=0)
        labels = np.append(labels, found.labels[fresh])
        score[place] += found.scores
        weighted[place] += found.scores[:, None] * found.boxes
    order = np.argsort(-score, kind="stable")
    return Detections((weighted / score[:, None])[order], score[order] / len(parts), labels[order])


def same_objects(found: Detections, objects: Detections) -> np.ndarray:
    """The object of the same class that each detection overlaps most, -1 for none; best first, each object once."""
    overlap = box_iou(found.boxes, objects.boxes) * (found.labels[:, None] == objects.labels)
    place = np.full(len(found.scores), -1)
    for row in range(len(place) if overlap.size else 0):
        best = overlap[row].argmax()
        if overlap[row, best] >= OVERLAP:
            place[row] = best
            overlap[:, best] = 0
    return place
