"""The label loss: its terms and their divisors."""

from __future__ import annotations

from torch import Tensor

from centerx.losses.boxes import l1_at_centers
from centerx.losses.heatmap import heatmap_focal, heatmap_squared
from centerx.losses.reduce import loss_normalizer
from centerx.types import CenterTargets, HeadOutputs


def label_terms(
    outputs: HeadOutputs, targets: CenterTargets, squared_heatmap: bool = False, relative_size: bool = False
) -> dict[str, Tensor]:
    """Return the raw heatmap, size and offset terms of Objects as Points, eq. 4: means over the whole batch.

    The heatmap's divisor is the number of positive cells, that of size and offset the number of their places, both of
    all processes.

    Args:
        outputs, targets: of the batch.
        squared_heatmap: squared error instead of the focal loss; its divisor is the number of supervised cells.
        relative_size: see `l1_at_centers`.
    """
    heatmap = heatmap_squared if squared_heatmap else heatmap_focal
    divisor = loss_normalizer(targets.weight.sum() if squared_heatmap else (targets.heatmap == 1).sum())
    places = loss_normalizer(targets.valid.sum())
    return {
        "heatmap": heatmap(outputs.heatmap, targets.heatmap, targets.weight) / divisor,
        "size": l1_at_centers(outputs.size, targets.index, targets.size, targets.valid, relative_size) / places,
        "offset": l1_at_centers(outputs.offset, targets.index, targets.offset, targets.valid) / places,
    }
