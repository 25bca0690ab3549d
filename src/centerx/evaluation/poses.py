"""Poses against ground truth: COCO's AP by the similarity of keypoints (OKS), computed by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster

from centerx.data.source import Entry
from centerx.evaluation.coco import (
    COCO_MAX,
    Found,
    Metrics,
    accumulate,
    as_boxes,
    coco_metrics,
    mean,
)
from centerx.evaluation.crowded import warn_of_cap
from centerx.fields import KEYPOINTS
from centerx.joints import Joints, default_sigmas
from centerx.types import Detections

POSE_TITLES = {
    "AP": "AP, similarity of joints (OKS) 0.50:0.95",
    "AP50": "AP, OKS 0.50",
    "AP75": "AP, OKS 0.75",
    "APm": "AP, medium objects",
    "APl": "AP, large objects",
    "AR100": "AR",
    "AP_boxes": "AP of the boxes, IoU 0.50:0.95",
}


def pose_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
    joints: Joints | None = None,
) -> Metrics:
    """Evaluate detections with joints against objects with joints.

    As in COCO's keypoint evaluation, an object without a labelled joint is neither found nor missed. Other than there,
    100 detections of a class on a picture count, not 20.

    Args:
        entries: the pictures with their labels. detections: of each picture, in its pixels.
        class_names: of the labels.
        max_detections: as for `coco_metrics`.
        quiet: whether pictures with more objects than are counted were told before.
        joints: of the detector.
    """
    most = max_detections or COCO_MAX
    if not quiet:
        warn_of_cap(entries, class_names, most)
    evaluation = curves(entries, detections, class_names, most, joints)
    precision = evaluation.eval["precision"][:, :, :, :, -1]  # (OKS, recall, class, area)
    recall = evaluation.eval["recall"][:, :, 0, -1]
    of_boxes = coco_metrics(entries, detections, class_names, max_detections, quiet=True)
    return Metrics(
        AP=mean(precision[..., 0]),
        AP50=mean(precision[0, ..., 0]),
        AP75=mean(precision[5, ..., 0]),
        APm=mean(precision[..., 1]),
        APl=mean(precision[..., 2]),
        AR100=mean(recall),
        per_class={name: mean(precision[:, :, index, 0]) for index, name in enumerate(class_names)},
        images=len(entries),
        max_detections=max_detections,
        AP_boxes=of_boxes.AP,
        titles=POSE_TITLES,
    )


def curves(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    most: int,
    joints: Joints | None = None,
) -> COCOeval_faster:
    """Return COCO's evaluation of keypoints with its curves filled in; arguments as for `accumulate`."""
    sigmas = sigmas_of(detections, joints)
    to_coco = partial(as_keypoints, count=len(sigmas))
    return accumulate(entries, detections, class_names, most, "keypoints", to_coco, sigmas, fields=())


def sigmas_of(detections: Sequence[Detections], joints: Joints | None) -> tuple[float, ...]:
    """Return the sigma of each joint: of the detector where it says them, else the default."""
    own = joints or next((found.joints for found in detections if found.joints.names), Joints())
    return own.sigmas or default_sigmas(own.names)


def as_keypoints(entry: Entry, found: Found, count: int) -> list[dict[str, Any]]:
    """Return COCO's keys of objects or detections with `count` joints; of detections all joints count."""
    lacking = KEYPOINTS.name not in found.values
    points = np.zeros((len(found.boxes), 2 * count)) if lacking else found.values[KEYPOINTS.name]
    points = np.asarray(points, dtype=np.float64).reshape(len(found.boxes), count, 2)
    known = getattr(found, "known", {}).get(KEYPOINTS.name, not lacking)
    flags = 2.0 * np.broadcast_to(np.asarray(known) > 0, points.shape[:2])
    rows = np.concatenate([points, flags[..., None]], axis=2).reshape(len(points), 3 * count)
    boxes = as_boxes(entry, found)
    return [
        box | {"keypoints": row, "num_keypoints": int(count)}
        for box, row, count in zip(boxes, rows.tolist(), (flags > 0).sum(axis=1), strict=True)
    ]


def pose_overlap(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return COCO's similarity of keypoints (K, N) in [0, 1] of detections and objects of a picture."""
    joints = getattr(found, "joints", Joints())
    sigmas = np.array(joints.sigmas or default_sigmas(joints.names))
    count = len(sigmas)
    theirs = np.asarray(found.values[KEYPOINTS.name], dtype=np.float64).reshape(len(found.boxes), count, 2)
    ours = np.asarray(objects.values.get(KEYPOINTS.name, np.zeros((len(objects.boxes), 2 * count))), dtype=np.float64)
    known = np.asarray(getattr(objects, "known", {}).get(KEYPOINTS.name, np.zeros((len(objects.boxes), count)))) > 0
    area = np.asarray(objects.values["area"])[None, :, None]
    distance = ((theirs[:, None] - ours.reshape(1, -1, count, 2)) ** 2).sum(axis=-1)
    likeness = np.exp(-distance / (2 * np.maximum(area, 1e-9) * (2 * sigmas) ** 2)) * known
    return np.asarray(likeness.sum(axis=2) / np.maximum(known.sum(axis=1), 1))
