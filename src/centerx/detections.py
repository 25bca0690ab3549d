"""What a detector finds on one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found on one picture, best first, in NumPy.

    Attributes:
        boxes: (K, 4) xyxy pixels of the picture; of a task of points, each point twice.
        scores: (K,) in [0, 1].
        labels: (K,) int64 class indices.
        class_names: the name of each class index; may be empty.
        values: by name, (K, ...) whatever else the task gives.
        task: the name of what was looked for, a key of `tasks.TASKS`.

    Raises:
        ValueError: the arrays do not belong together.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    task: str = "boxes"

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.scores.ndim != 1 or self.labels.shape != (count,):
            raise ValueError(
                f"detections: boxes {self.boxes.shape}, scores {self.scores.shape} and labels {self.labels.shape} must "
                "be (K, 4), (K,) and (K,)"
            )
        if any(len(rows) != count for rows in self.values.values()):
            raise ValueError(f"detections: each of {', '.join(self.values)} must have {count} rows")
        if self.class_names and count and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(f"detections: labels must be below {len(self.class_names)}, the number of class names")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def centers(self) -> np.ndarray:
        """(K, 2) x and y of the centres, in pixels."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def where(self, keep: Any) -> Detections:
        """Return the detections that a mask or an index selects."""
        values = {name: rows[keep] for name, rows in self.values.items()}
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], self.class_names, values, self.task)

    def above(self, score: float) -> Detections:
        """Return the detections that score at least `score`."""
        return self.where(self.scores >= score)

    def to_supervision(self) -> Any:
        """Return `supervision.Detections`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[supervision]`.
        """
        import supervision

        names = np.array([self.class_names[label] for label in self.labels], dtype=str)
        return supervision.Detections(
            xyxy=np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4),
            confidence=np.asarray(self.scores, dtype=np.float32),
            class_id=np.asarray(self.labels, dtype=int),
            data={"class_name": names},
        )
