"""What a teacher found on the pictures of a run, asked once: flat arrays that are cheap to hand to worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from centerx.objects import SCORE, Objects, make_objects
from centerx.types import Detections


class StoredDetections(NamedTuple):
    """N detections of P pictures, those of a picture in a row, best first.

    Attributes:
        class_names: of the teacher.
        task: name of the teacher's task.
        answered: (P,) bool, whether the teacher has seen the picture. On one that it has not seen, it teaches nothing.
        offsets: (P + 1,) int64, where the detections of each picture begin and end.
        boxes: (N, 4) float32 xyxy pixels of the picture; of a point twice the same.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64 into `class_names`.
    """

    class_names: tuple[str, ...]
    task: str
    answered: np.ndarray
    offsets: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def of(self, index: int) -> Objects:
        """Return what was found on a picture, with `SCORE` among the values."""
        rows = slice(*self.offsets[index : index + 2])
        return make_objects(self.boxes[rows], self.labels[rows], values={SCORE: self.scores[rows, None]})


def store_detections(class_names: Sequence[str], task: str, found: Sequence[Detections | None]) -> StoredDetections:
    """Return the detections of pictures in their order, None where there is no answer for a picture.

    Args:
        class_names: of the teacher.
        task: name of its task.
        found: on each picture.
    """
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    filled = [nothing if each is None else each.where(np.argsort(-each.scores, kind="stable")) for each in found]
    parts = filled or [nothing]
    return StoredDetections(
        tuple(class_names),
        task,
        np.array([each is not None for each in found], dtype=bool),
        np.cumsum([0, *map(len, filled)]),
        np.concatenate([each.boxes for each in parts]).astype(np.float32),
        np.concatenate([each.scores for each in parts]).astype(np.float32),
        np.concatenate([each.labels for each in parts]).astype(np.int64),
    )
