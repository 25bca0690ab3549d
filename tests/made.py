"""What many tests make: maps and branches of the task of boxes, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from centerx.data.records import Record
from centerx.fields import OFFSET, SIZE
from centerx.models import Branch
from centerx.objects import join_objects, make_objects
from centerx.types import Batch, Maps

BRANCHES = {field.name: Branch(8, 8, field) for field in (SIZE, OFFSET)}


def box_maps(heatmap: Tensor, size: Tensor, offset: Tensor) -> Maps:
    """Maps (B, C, h, w), (B, 2, h, w) and (B, 2, h, w) of a detector of boxes."""
    return Maps(heatmap, {"size": size, "offset": offset})


def equal_weights(count: int, value: float = 1.0) -> dict[str, Tensor]:
    """The same weight for so many classes, of the heatmap and of every field."""
    return dict.fromkeys(("heatmap", *BRANCHES), torch.full((count,), value))


def every_map(maps: Maps) -> list[Tensor]:
    """Heatmap and fields."""
    return [maps.heatmap, *maps.fields.values()]


def box_batch(
    images: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor], ignore: Sequence[Tensor], annotated: Tensor
) -> Batch:
    """A batch of pictures whose classes are labelled with boxes where `annotated` (B, C) says so."""
    parts = [
        make_objects(*rows)._replace(image=torch.full((len(rows[1]),), image))
        for image, rows in enumerate(zip(boxes, labels, ignore, strict=True))
    ]
    objects = join_objects(parts, torch.cat)
    supervised = annotated[..., None].expand(-1, -1, 2).clone()
    count = len(parts)
    return Batch(images, objects, supervised, [None] * count, list(range(count)), [])


def pictures(images: Tensor) -> Batch:
    """A batch of pictures (B, 3, H, W) without objects."""
    nothing = (
        [torch.zeros(0, 4)] * len(images),
        *([torch.zeros(0, dtype=kind)] * len(images) for kind in (torch.int64, torch.bool)),
    )
    return box_batch(images, *nothing, torch.ones(len(images), 1, dtype=torch.bool))


def make_record(
    image: Path | str,
    image_id: int | str,
    boxes: Any,
    labels: Any,
    ignore: Any = None,
    area: Any = None,
    **more: Any,
) -> Record:
    """A record of boxes (N, 4); nothing is ignored, and areas are those of the boxes, unless they are given."""
    rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    areas = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]) if area is None else np.array(area, dtype=np.float64)
    ignored = None if ignore is None else np.array(ignore, dtype=bool)
    objects = make_objects(rows, np.array(labels, dtype=np.int64), ignored, {"area": areas})
    return Record(Path(image), image_id, objects, **more)
