"""Batch norm over all data-parallel processes, on a CPU too."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of the whole batch of all processes.

    torch's own SyncBatchNorm runs on accelerators only; this one needs nothing but `all_reduce`, so that two
    processes on a CPU compute what one would.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, normalised."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x.float()).to(x.dtype)

    def _normalise(self, x: Tensor) -> Tensor:
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = SumOverProcesses.apply(torch.cat([x.sum((0, 2, 3)), (x * x).sum((0, 2, 3)), count]))
        total = sums[-1]
        mean, square = sums[:-1].div(total).chunk(2)
        variance = square - mean * mean
        self._track(mean.detach(), (variance * total / (total - 1).clamp(min=1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SumOverProcesses(torch.autograd.Function):
    """all_reduce whose gradient is all_reduced too: every process's loss depends on every process's input."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Sum over processes."""
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Sum over processes."""
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def synchronise_batch_norms(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm2d below `module`, weights kept, subclasses with an activation inside included."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d) and type(child).forward is nn.BatchNorm2d.forward:
            child.__class__ = GlobalBatchNorm2d
    return module
