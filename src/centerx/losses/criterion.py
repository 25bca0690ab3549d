"""The label loss: its terms, their weights, their common divisor."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor

from centerx.losses.boxes import l1_at_centers
from centerx.losses.heatmap import heatmap_focal
from centerx.types import CenterTargets, HeadOutputs


class CenterCriterion:
    """Weighted sum of the heatmap, size and offset losses of Objects as Points, eq. 4.

    Args:
        heatmap, size, offset: weights of the terms.
    """

    def __init__(self, heatmap: float, size: float, offset: float) -> None:
        self.weights = {"heatmap": heatmap, "size": size, "offset": offset}

    def __call__(self, outputs: HeadOutputs, targets: CenterTargets) -> dict[str, Tensor]:
        """Return each term raw, before its weight: a mean over the whole batch, of all processes.

        The heatmap's divisor is the number of positive cells, that of size and offset the number of their places.
        """
        objects = share_of_total((targets.heatmap == 1).sum())
        places = share_of_total(targets.valid.sum())
        return {
            "heatmap": heatmap_focal(outputs.heatmap, targets.heatmap, targets.weight) / objects,
            "size": l1_at_centers(outputs.size, targets.index, targets.size, targets.valid) / places,
            "offset": l1_at_centers(outputs.offset, targets.index, targets.offset, targets.valid) / places,
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the scalar to minimise."""
        return sum((self.weights[name] * term for name, term in terms.items()), start=next(iter(terms.values())) * 0)


def share_of_total(count: Tensor) -> Tensor:
    """The total over data-parallel processes, at least 1, divided by their number.

    Data parallel training averages gradients over processes, so sums divided by this give the gradient of the whole
    batch's mean.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1)
    total = count.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()
