"""What a detector finds in one picture at several scales, or several detectors -> one set of detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from centerx.data.stored import StoredDetections, store_detections
from centerx.geometry import box_iou
from centerx.objects import Objects
from centerx.runtime.outputs import SMALLEST_SCORE
from centerx.types import Detections

OVERLAP = 0.5  # IoU from which on boxes of two parts are of one object


def fuse(parts: Sequence[Detections], weights: Sequence[float] | None = None) -> Detections:
    """Join detections of one picture, in its pixels, one part a scale or detector: those of one object become one.

    The fused box is the mean of its boxes weighted by their scores, its score the mean over all parts, where a part
    that did not find the object counts as 0 (weighted boxes fusion, Solovyev et al., 2021). Boxes of one part are of
    different objects and never suppress each other.

    Args:
        parts: detections of the same picture.
        weights: of the parts; equal ones without it.
    """
    shares = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=float)
    shares = shares / shares.sum()
    score, weighted, labels = np.zeros(0), np.zeros((0, 4)), np.zeros(0, dtype=np.int64)
    for part, share in zip(parts, shares, strict=True):
        found = part.above(SMALLEST_SCORE if share else np.inf)
        place = same_objects(found, Detections(weighted / score[:, None], score, labels))
        fresh = place < 0
        place[fresh] = len(score) + np.arange(fresh.sum())
        score = np.append(score, np.zeros(fresh.sum()))
        weighted = np.append(weighted, np.zeros((fresh.sum(), 4)), axis=0)
        labels = np.append(labels, found.labels[fresh])
        score[place] += share * found.scores
        weighted[place] += share * found.scores[:, None] * found.boxes
    order = np.argsort(-score, kind="stable")
    return Detections((weighted / score[:, None])[order], score[order], labels[order])


def fuse_stored(parts: Sequence[StoredDetections]) -> StoredDetections:
    """Join what several detectors found on the same pictures, in the same classes.

    A picture has an answer where one of them has; those that have none there do not count. What one of them ignores is
    ignored.

    Args:
        parts: at least one.
    """
    found: list[Detections | None] = []
    ignored: list[Detections | None] = []
    for picture, answered in enumerate(zip(*(part.answered for part in parts), strict=True)):
        some = [part for part, known in zip(parts, answered, strict=True) if known]
        found.append(fuse([part.detections(picture) for part in some]) if some else None)
        ignored.append(_joined([part.ignored(picture) for part in some]) if some else None)
    return store_detections(parts[0].class_names, parts[0].task, found, ignored)


def same_objects(found: Detections, objects: Detections | Objects) -> np.ndarray:
    """The object of the same class that each detection overlaps most, -1 for none; best first, each object once."""
    overlap = box_iou(found.boxes, objects.boxes) * (found.labels[:, None] == objects.labels)
    place = np.full(len(found.scores), -1)
    for row in range(len(place) if overlap.size else 0):
        best = overlap[row].argmax()
        if overlap[row, best] >= OVERLAP:
            place[row] = best
            overlap[:, best] = 0
    return place


def _joined(parts: Sequence[Detections]) -> Detections:
    boxes, scores, labels = zip(*((part.boxes, part.scores, part.labels) for part in parts), strict=True)
    return Detections(np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels))
