"""Check what a model file gives against what it says of itself: shapes, types, finite numbers, known labels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from centerx.errors import InputError
from centerx.runtime.info import ModelInfo

AGAIN = "export it again"
MOST_SCORE = 1.001  # a probability in fp16 may be rounded up


def require_detections(outputs: Mapping[str, np.ndarray], info: ModelInfo) -> None:
    """Raise unless arrays are detections of a batch: outputs of the task (B, K, ...), `scores` and `labels` (B, K).

    Numbers of places that score 0 may be anything.

    Raises:
        InputError: they are not.
    """
    scores, labels = outputs["scores"], outputs["labels"]
    rows = scores.shape
    if len(rows) != 2 or labels.shape != rows:
        raise InputError(f"the model gives scores {rows} and labels {labels.shape}, not (B, K) each, {AGAIN}")
    if scores.dtype.kind != "f" or labels.dtype.kind not in "iu":
        raise InputError(f"the model gives scores of {scores.dtype} and labels of {labels.dtype}, {AGAIN}")
    found = scores > 0
    if not ((scores >= 0) & (scores <= MOST_SCORE)).all():
        raise InputError(f"the model gives scores that are not from 0 to 1, {AGAIN}")
    if found.any() and not 0 <= labels[found].min() <= labels[found].max() < len(info.class_names):
        raise InputError(f"the model gives labels beyond its {len(info.class_names)} classes, {AGAIN}")
    for each in info.made_task.outputs:
        values = outputs[each.name]
        if values.dtype.kind != "f" or values.shape[:2] != rows or (each.shape and values.shape[2:] != each.shape):
            due = ", ".join(map(str, (*rows, *(each.shape or ("D",)))))
            raise InputError(f"the model gives {each.name} of {values.dtype} {values.shape}, not ({due}), {AGAIN}")
        if not np.isfinite(values[found]).all():
            raise InputError(f"the model gives {each.name} that are not finite, {AGAIN}")
        if each.name == "boxes":
            if values.shape[2:] != (4,):
                raise InputError(f"the model gives boxes {values.shape}, not (B, K, 4), {AGAIN}")
            if (values[found][:, :2] > values[found][:, 2:]).any():
                raise InputError(f"the model gives boxes whose right or lower side is before the other, {AGAIN}")


def rows_due(info: ModelInfo) -> int:
    """Return how many rows a model gives for a picture of its input's size by its metadata: `top_k`, or all cells."""
    return min(info.top_k, len(info.class_names) * math.prod(side // info.stride for side in info.input_hw))


def require_maps(outputs: Mapping[str, np.ndarray], info: ModelInfo) -> None:
    """Raise unless arrays are maps of a batch: `heatmap` (B, C, h, w) of probabilities, the fields (B, D, h, w).

    Raises:
        InputError: they are not.
    """
    heatmap = outputs["heatmap"]
    if heatmap.ndim != 4 or heatmap.shape[1] != len(info.class_names):
        raise InputError(f"the model gives a heatmap {heatmap.shape}, not (B, {len(info.class_names)}, h, w), {AGAIN}")
    batch, _, *hw = heatmap.shape
    for field in info.made_task.branches:
        due = (batch, field.channels, *hw)
        if outputs[field.name].shape != due:
            raise InputError(f"the model gives {field.name} {outputs[field.name].shape}, not {due}, {AGAIN}")
    wrong = next(
        (name for name, each in outputs.items() if each.dtype.kind != "f" or not np.isfinite(each).all()), None
    )
    if wrong is not None:
        raise InputError(f"the model gives a map {wrong} that is not of finite numbers, {AGAIN}")
    if heatmap.min() < 0 or heatmap.max() > MOST_SCORE:
        raise InputError(f"the model gives a heatmap whose probabilities are not from 0 to 1, {AGAIN}")
