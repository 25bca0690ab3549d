"""The types that every part shares, and nothing else.

Axes: B images of a batch, C classes, N objects, F fields, P places, K detections of a picture, (H, W) the input in
pixels, (h, w) the output grid; one cell of the grid is `stride` pixels. Boxes are continuous xyxy: pixel i covers
[i, i + 1].

Named tuples, because Lightning, torch.export and DataLoader walk through them unaided; what was found on one picture is
a class of its own, which checks itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from centerx.objects import Objects

if TYPE_CHECKING:
    from torch import Tensor

    from centerx.geometry import Letterbox


class Sample(NamedTuple):
    """One picture with its annotations, on the CPU, in NumPy.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        objects: on it, in its pixels.
        supervised: (C, 1 + F) bool; whether labels tell of a class its centres (column 0) and each field of the task.
            The rest has no supervisor but teachers.
        image_id: the data set's own id.
        detections: of each stored teacher what it found on the picture, in the teacher's own labels and with `SCORE`
            among their values; nothing where it has not seen the picture.
        answered: of each stored teacher whether it has seen the picture.
    """

    image: np.ndarray
    objects: Objects
    supervised: np.ndarray
    image_id: int | str
    detections: tuple[Objects, ...] = ()
    answered: tuple[bool, ...] = ()

    def move(self, change: Callable[[Objects], Objects]) -> Sample:
        """Return the sample with everything on it moved alike: its objects, and what stored teachers found."""
        return self._replace(objects=change(self.objects), detections=tuple(map(change, self.detections)))


class Batch(NamedTuple):
    """Pictures of one size, stacked.

    Attributes:
        images: (B, 3, H, W) uint8 RGB: each model normalises for itself, so a teacher sees its own pixels.
        objects: of all pictures, as tensors in input pixels.
        supervised: (B, C, 1 + F) bool.
        letterboxes: how each picture was placed; None where augmentation chose the placement.
        image_ids: B ids.
        skipped: what was wrong with pictures that could not be read and were replaced.
        detections: of each stored teacher what it found on all pictures, as tensors in input pixels, see `Sample`.
        answered: of each stored teacher (B,) bool, whether it has seen the pictures.
    """

    images: Tensor
    objects: Objects
    supervised: Tensor
    letterboxes: list[Letterbox | None]
    image_ids: list[int | str]
    skipped: list[str]
    detections: tuple[Objects, ...] = ()
    answered: tuple[Tensor, ...] = ()


class Places(NamedTuple):
    """Cells at which a network learns fields: of labelled objects, or all cells, weighted by what a teacher sees.

    P is the most places on one picture; those with fewer are padded with weight 0.

    Attributes:
        cells: (B, P) int64 flat cell y * w + x; None where the places are all cells in order.
        goals: by field, (B, D, P) what the network is to say there.
        weights: by field, (B, P) float32 of each place, 0 where the field is not known.
    """

    cells: Tensor | None
    goals: dict[str, Tensor]
    weights: dict[str, Tensor]


class Targets(NamedTuple):
    """What labels tell a CenterNet to say of a batch.

    Attributes:
        heatmap: (B, C, h, w) float32 in [0, 1], exactly 1 at the centre cell of an object.
        weight: (B, C, h, w) float32; 0 where a class is unsupervised or an ignored object lies.
        places: the centre cell of each object, and its neighbours where the targets reach that far.
    """

    heatmap: Tensor
    weight: Tensor
    places: Places


class Maps(NamedTuple):
    """What a network says of B pictures.

    Attributes:
        heatmap: (B, C, h, w) logits, never after a sigmoid.
        fields: by field, (B, D, h, w) in cells; `offset` is the centre inside its cell, x then y.
    """

    heatmap: Tensor
    fields: dict[str, Tensor]


class RawDetections(NamedTuple):
    """The K best places of each of B pictures, in input pixels; those that are no peaks score 0.

    Attributes:
        values: by output of the task, (B, K, D) float32, such as `boxes` (B, K, 4) xyxy.
        scores: (B, K) float32 in [0, 1], falling.
        labels: (B, K) int64 class indices.
    """

    values: dict[str, Any]
    scores: Any
    labels: Any


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
