"""The label loss: its terms and their divisors."""

from __future__ import annotations

from torch import Tensor

from centerx.losses.boxes import l1_at_centers
from centerx.losses.heatmap import heatmap_focal
from centerx.losses.reduce import share_of_total
from centerx.types import CenterTargets, HeadOutputs


def label_terms(outputs: HeadOutputs, targets: CenterTargets) -> dict[str, Tensor]:
    """Return the raw heatmap, size and offset terms of Objects as Points, eq. 4: means over the whole batch.

    The heatmap's divisor is the number of positive cells, that of size and offset the number of their places, both of
    all processes.
    """
    objects = share_of_total((targets.heatmap == 1).sum())
    places = share_of_total(targets.valid.sum())
    return {
        "heatmap": heatmap_focal(outputs.heatmap, targets.heatmap, targets.weight) / objects,
        "size": l1_at_centers(outputs.size, targets.index, targets.size, targets.valid) / places,
        "offset": l1_at_centers(outputs.offset, targets.index, targets.offset, targets.valid) / places,
    }
