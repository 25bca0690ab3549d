"""The types that every part shares, and nothing else.

Axes: B images of a batch, C classes, N objects, F fields, P places, K detections of a picture, (H, W) the input in
pixels, (h, w) the output grid; one cell of the grid is `stride` pixels. Boxes are continuous xyxy: pixel i covers
[i, i + 1].

Named tuples, because Lightning, torch.export and DataLoader walk through them unaided.
"""

from __future__ import annotations

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
    """

    image: np.ndarray
    objects: Objects
    supervised: np.ndarray
    image_id: int | str


class Batch(NamedTuple):
    """Pictures of one size, stacked.

    Attributes:
        images: (B, 3, H, W) uint8 RGB: each model normalises for itself, so a teacher sees its own pixels.
        objects: of all pictures, as tensors in input pixels.
        supervised: (B, C, 1 + F) bool.
        letterboxes: how each picture was placed; None where augmentation chose the placement.
        image_ids: B ids.
        skipped: what was wrong with pictures that could not be read and were replaced.
    """

    images: Tensor
    objects: Objects
    supervised: Tensor
    letterboxes: list[Letterbox | None]
    image_ids: list[int | str]
    skipped: list[str]


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
