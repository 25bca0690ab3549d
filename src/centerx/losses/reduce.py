"""Figures over all data-parallel processes."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


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


def mean_of_parts(part: Tensor) -> Tensor:
    """The mean over data-parallel processes of what each holds for its equal share, with gradient to each share.

    Every process then minimises the same figure of the whole batch, and averaging their gradients gives its gradient.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return part
    return all_reduce(part) / dist.get_world_size()
