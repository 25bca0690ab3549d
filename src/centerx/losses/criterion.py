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
        objects = mean_over_processes((targets.heatmap == 1).sum().float()).clamp(min=1)
        places = mean_over_processes(targets.valid.sum().float()).clamp(min=1)
        return {
            "heatmap": heatmap_focal(outputs.heatmap, targets.heatmap, targets.weight) / objects,
            "size": l1_at_centers(outputs.size, targets.index, targets.size, targets.valid) / places,
            "offset": l1_at_centers(outputs.offset, targets.index, targets.offset, targets.valid) / places,
        }

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the scalar to minimise."""
        return sum((self.weights[name] * term for name, term in terms.items()), start=next(iter(terms.values())) * 0)


def mean_over_processes(value: Tensor) -> Tensor:
    """Average over data-parallel processes; gradients are averaged too, so sums over it are those of one process."""
    if dist.is_available() and dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value
