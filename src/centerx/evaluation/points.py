"""Points against ground truth: AP by distance, and how far counts are off.

A point is right where COCO's object keypoint similarity, exp(-d^2 / (2 A (2 sigma)^2)), is high enough. Here d is the
distance and A the area of the picture, so distances are relative to the square root of A, the picture's side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster

from centerx.data.dataset import readable_hw
from centerx.data.source import Entry
from centerx.evaluation.coco import COCO_MAX, Found, Metrics, accumulate, mean
from centerx.evaluation.crowded import warn_of_cap
from centerx.types import Detections

NEAR = 0.05  # of the picture's side: the distance at which the similarity is 0.5, that of AP50
SIGMA = NEAR / (2 * math.sqrt(2 * math.log(2)))
COUNTED = 0.3  # score from which on a detection counts as one of the objects
TITLES = {
    "AP": "AP, distance 0.014 to 0.050 of the picture's side",
    "AP50": "AP, distance 0.050",
    "AP75": "AP, distance 0.032",
    "AR1": "AR, 1 detection a picture",
    "AR10": "AR, 10 detections",
    "AR100": "AR",
    "count_error": f"mean error of the count of a class on a picture, score {COUNTED}",
}


def point_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
) -> Metrics:
    """Evaluate centres of detections against centres of objects.

    Args:
        entries: the pictures with their labels.
        detections: of each picture, in its pixels.
        class_names: of the labels.
        max_detections: to count of a class on a picture, 10 or more; 100 without it.
        quiet: whether pictures with more objects than that were reported before.
    """
    most = max_detections or COCO_MAX
    if not quiet:
        warn_of_cap(entries, class_names, most)
    evaluation = curves(entries, detections, class_names, most)
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (threshold, recall, class)
    recall = evaluation.eval["recall"][:, :, 0]  # (threshold, class, detections)
    return Metrics(
        AP=mean(precision),
        AP50=mean(precision[0]),
        AP75=mean(precision[5]),
        AR1=mean(recall[..., 0]),
        AR10=mean(recall[..., 1]),
        AR100=mean(recall[..., 2]),
        per_class={name: mean(precision[:, :, index]) for index, name in enumerate(class_names)},
        images=len(entries),
        max_detections=max_detections,
        count_error=count_error(entries, detections, len(class_names)),
        titles=TITLES,
    )


def curves(
    entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str], most: int
) -> COCOeval_faster:
    """Return COCO's evaluation of points with its curves filled in; arguments as for `evaluation.coco.accumulate`."""
    return accumulate(entries, detections, class_names, most, "keypoints", as_keypoints, (SIGMA,), fields=())


def as_keypoints(entry: Entry, found: Found) -> list[dict[str, Any]]:
    """Return COCO's keys of points: the centres, and the area of the picture."""
    area = picture_area(entry)
    return [{"keypoints": [x, y, 2], "num_keypoints": 1, "area": area} for x, y in box_centers(found.boxes).tolist()]


def point_overlap(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return COCO's similarity in [0, 1] of the centres of detections and objects of a picture, (K, N)."""
    between = box_centers(found.boxes)[:, None] - box_centers(objects.boxes)
    return np.asarray(np.exp(-(between**2).sum(axis=-1) / (2 * picture_area(entry) * (2 * SIGMA) ** 2)))


def box_centers(boxes: np.ndarray) -> np.ndarray:
    """Return the centres (N, 2) of xyxy (N, 4)."""
    boxes = np.asarray(boxes, dtype=np.float64)
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def picture_area(entry: Entry) -> float:
    """Return the area of a picture in square pixels, 1 where it is not known."""
    height, width = entry.record.declared_hw or readable_hw(entry.record.image) or (1, 1)
    return float(height * width)


def count_error(entries: Sequence[Entry], detections: Sequence[Detections], num_classes: int) -> float | None:
    """Return the mean absolute error of the number of objects, over the classes that each picture labels."""
    errors: list[np.ndarray] = []
    for entry, found in zip(entries, detections, strict=True):
        objects = entry.record.objects
        due = np.bincount(objects.labels[~objects.ignore], minlength=num_classes)
        counted = np.bincount(found.labels[found.scores >= COUNTED], minlength=num_classes)
        errors.append(np.abs(counted - due)[entry.supervised[:, 0]])
    values = np.concatenate(errors) if errors else np.zeros(0)
    return float(values.mean()) if values.size else None
