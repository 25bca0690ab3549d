"""Figures over all data-parallel processes."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


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


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over data-parallel processes; the values themselves where there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
