"""Reductions over all data-parallel processes."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def loss_normalizer(count: Tensor) -> Tensor:
    """Return the number to divide a summed loss by, so that gradients are those of the mean over the whole batch.

    Data-parallel training averages gradients over processes. The number is therefore the total count over processes,
    at least 1, divided by the number of processes.

    Args:
        count: scalar of this process, such as its number of objects.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1)
    total = count.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of a tensor over data-parallel processes, or the tensor itself in a single process."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
