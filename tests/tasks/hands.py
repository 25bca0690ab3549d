"""Hands of three joints: objects, batches, targets and maps of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from centerx.fields import KEYPOINTS
from centerx.joints import Joints
from centerx.objects import SCORE, Objects, make_objects
from centerx.targets import center_targets
from centerx.targets.soft import maps_from_objects
from centerx.tasks import make_task
from centerx.types import Batch, Maps

HAND = Joints(("wrist", "left_tip", "right_tip"), (0, 2, 1), ((0, 1), (0, 2)), (0.05, 0.05, 0.1))
POSE = make_task("pose", joints=HAND)
STRIDE, INPUT_HW = 4, (48, 64)
GRID = 12, 16
MIRROR = np.array([[-1.0, 0, INPUT_HW[1]], [0, 1, 0], [0, 0, 1]])
NAN = float("nan")


def hands(points: list[Any], labels: list[int] | None = None, score: float = 1.0) -> Objects:
    """Objects on one picture with three joints each, NaN where one is not known; boxes around them with a margin."""
    places = np.array(points, dtype=np.float32).reshape(-1, 3, 2)
    known = np.isfinite(places).all(axis=2)
    low, high = np.nanmin(places, axis=1) - 2, np.nanmax(places, axis=1) + 2
    objects = make_objects(
        np.concatenate([low, high], axis=1).astype(np.float32),
        np.array(labels or [0] * len(places), dtype=np.int64),
        values={KEYPOINTS.name: np.nan_to_num(places).reshape(len(places), 6), "area": (high - low).prod(axis=1)},
        known={KEYPOINTS.name: known},
    )
    moved = objects.with_fields(POSE.fields)
    return moved._replace(values={**moved.values, SCORE: np.full((len(places), 1), score, np.float32)})


def batch_of(objects: Objects, supervised: np.ndarray | None = None) -> Batch:
    told = np.ones((1, 1, 3), dtype=bool) if supervised is None else supervised
    images = torch.zeros((1, 3, *INPUT_HW), dtype=torch.uint8)
    return Batch(images, objects.map(torch.from_numpy), torch.from_numpy(told), [None], [0], [])


def targets_of(batch: Batch, num_classes: int = 1, task: Any = POSE) -> Any:
    return center_targets(batch, num_classes, STRIDE, 0.7, 0, task, 2.0)


def perfect_maps(objects: Objects, num_classes: int = 1, task: Any = POSE) -> Maps:
    return maps_from_objects(objects.map(torch.from_numpy), 1, task, num_classes, STRIDE, INPUT_HW)


TWO = [[[10, 10], [17.5, 20.25], [24, 9]], [[40, 30], [50, 41], [NAN, NAN]]]
