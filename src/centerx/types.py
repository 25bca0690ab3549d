"""The types that every part shares, and nothing else.

Axes: B images of a batch, C classes, N objects of an image, K slots, (H, W) the input in pixels, (h, w) the
output grid; one cell of the grid is `stride` pixels. Boxes are continuous xyxy: pixel i covers [i, i + 1].

Named tuples, because Lightning, torch.export and DataLoader walk through them unaided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from centerx.geometry import Letterbox


class Sample(NamedTuple):
    """One picture with its annotations, on the CPU, in NumPy.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 xyxy pixels.
        labels: (N,) int64 class indices of the model.
        ignore: (N,) bool; True where an object is neither a positive nor a negative (crowd, difficult, cut away).
        annotated: (C,) bool; the classes labelled exhaustively on this picture. The others are unsupervised.
        image_id: the data set's own id.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    annotated: np.ndarray
    image_id: int | str


class Batch(NamedTuple):
    """Pictures of one size, stacked.

    Attributes:
        images: (B, 3, H, W) uint8 RGB: each model normalises for itself, so a teacher sees its own pixels.
        boxes: B tensors (N, 4) float32 xyxy input pixels.
        labels: B tensors (N,) int64.
        ignore: B tensors (N,) bool.
        annotated: (B, C) bool.
        letterboxes: how each picture was placed; None where augmentation chose the placement.
        image_ids: B ids.
        skipped: what was wrong with pictures that could not be read and were replaced.
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    ignore: list[Tensor]
    annotated: Tensor
    letterboxes: list[Letterbox | None]
    image_ids: list[int | str]
    skipped: list[str]


class CenterTargets(NamedTuple):
    """What a CenterNet should answer for a batch.

    K is the most places on one of its pictures where size and offset are asked for: the centre cell of each object,
    and its neighbours where the targets reach that far. It is no cap.

    Attributes:
        heatmap: (B, C, h, w) float32 in [0, 1], exactly 1 at the centre cell of an object.
        weight: (B, C, h, w) float32; 0 where a class is unsupervised or an ignored object lies.
        index: (B, K) int64 flat cell y * w + x.
        size: (B, K, 2) float32 width and height in cells.
        offset: (B, K, 2) float32: from the cell to the object's centre, x then y, in cells; [0, 1) at the centre cell.
        valid: (B, K) bool; False in the padding slots.
    """

    heatmap: Tensor
    weight: Tensor
    index: Tensor  # type: ignore[assignment]  # the name tuple.index is of no use here
    size: Tensor
    offset: Tensor
    valid: Tensor


class HeadOutputs(NamedTuple):
    """The network's maps.

    Attributes:
        heatmap: (B, C, h, w) logits, never after a sigmoid.
        size: (B, 2, h, w) width and height in cells.
        offset: (B, 2, h, w) the centre inside its cell, x then y.
    """

    heatmap: Tensor
    size: Tensor
    offset: Tensor


class Detections(NamedTuple):
    """Boxes found, best first.

    Attributes:
        boxes: (..., K, 4) float32 xyxy pixels.
        scores: (..., K) float32 in [0, 1].
        labels: (..., K) int64 class indices.
        class_names: the name of each class index; empty inside the network.
    """

    boxes: Any
    scores: Any
    labels: Any
    class_names: tuple[str, ...] = ()

    def above(self, score: float) -> Detections:
        """Return the detections of one picture that score at least `score`."""
        return self._where(self.scores >= score)

    def with_area(self) -> Detections:
        """Return the detections of one picture whose boxes have a width and a height."""
        return self._where((self.boxes[..., 2:] > self.boxes[..., :2]).all(-1))

    def _where(self, keep: Any) -> Detections:
        return self._replace(boxes=self.boxes[keep], scores=self.scores[keep], labels=self.labels[keep])

    def to_supervision(self) -> Any:
        """Return one picture's detections as `supervision.Detections`.

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
