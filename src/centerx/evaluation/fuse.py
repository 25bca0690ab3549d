"""What a detector finds in one picture at several scales, or several detectors -> one set of detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from centerx.data.stored import StoredDetections, store_detections
from centerx.fields import CORNERS
from centerx.geometry import box_iou
from centerx.objects import Objects
from centerx.runtime.outputs import SMALLEST_SCORE
from centerx.tasks.rotated import ANGLES, angle_of
from centerx.types import Detections

OVERLAP = 0.5  # IoU from which on boxes of two parts are of one object
FUSED = {"boxes", CORNERS.name, ANGLES}  # outputs that can be joined


def fuse(parts: Sequence[Detections], weights: Sequence[float] | None = None) -> Detections:
    """Join detections of one picture, in its pixels, one part a scale or detector: those of one object become one.

    The fused box is the mean of its boxes weighted by their scores, its score the mean over all parts, where a part
    that did not find the object counts as 0 (weighted boxes fusion, Solovyev et al., 2021). Boxes of one part are of
    different objects and never suppress each other.

    Corners are joined as boxes are, from whichever of them on they are nearest to those of earlier parts; an angle is
    that of the joined corners.

    Args:
        parts: detections of the same picture, with corners all of them or none.
        weights: of the parts; equal ones without it.
    """
    shares = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=float)
    shares = shares / shares.sum()
    has_corners = all(CORNERS.name in part.values for part in parts)
    width = 4 + CORNERS.channels * has_corners
    score, weighted, labels = np.zeros(0), np.zeros((0, width)), np.zeros(0, dtype=np.int64)
    for part, share in zip(parts, shares, strict=True):
        found = part.above(SMALLEST_SCORE if share else np.inf)
        place = same_objects(found, Detections(weighted[:, :4] / score[:, None], score, labels))
        fresh = place < 0
        place[fresh] = len(score) + np.arange(fresh.sum())
        score = np.append(score, np.zeros(fresh.sum()))
        weighted = np.append(weighted, np.zeros((fresh.sum(), width)), axis=0)
        labels = np.append(labels, found.labels[fresh])
        told = found.boxes
        if has_corners:
            corners = found.values[CORNERS.name].reshape(len(place), CORNERS.channels)
            earlier = weighted[place, 4:] / np.where(fresh, 1, score[place])[:, None]
            told = np.concatenate([told, np.where(fresh[:, None], corners, begun_alike(corners, earlier))], axis=1)
        score[place] += share * found.scores
        weighted[place] += share * found.scores[:, None] * told
    order = np.argsort(-score, kind="stable")
    joined = (weighted / score[:, None])[order]
    values: dict[str, np.ndarray] = {}
    if has_corners:
        values = {CORNERS.name: joined[:, 4:].reshape(-1, 4, 2)}
        if all(ANGLES in part.values for part in parts):
            double = angle_of(joined[:, 4:])
            values[ANGLES] = np.degrees(np.arctan2(double[:, 1], double[:, 0])) / 2
    task = parts[0].task if values else "boxes"
    return Detections(joined[:, :4], score[order], labels[order], values=values, task=task)


def begun_alike(corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return corners (N, 8), from the one on with which they are nearest to others (N, 8), one by one."""
    turns = np.stack([np.roll(corners, 2 * turn, axis=1) for turn in range(4)])
    best = np.square(turns - others).sum(axis=2).argmin(axis=0)
    return np.asarray(turns[best, np.arange(len(corners))])


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
