"""Batch norm over all data-parallel processes, on CPUs too, and frozen batch norm."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Tensor, nn


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with training statistics over the batches of all processes.

    SyncBatchNorm of torch runs on accelerators only. This one needs `all_reduce` only, so that two processes on a CPU
    compute the same as one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w), normalised."""
        if not self.training:
            return nn.BatchNorm2d.forward(self, x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x.float()).to(x.dtype)

    def _normalise(self, x: Tensor) -> Tensor:
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = SumOverProcesses.apply(torch.cat([x.sum((0, 2, 3)), (x * x).sum((0, 2, 3)), count]))
        total = sums[-1]
        mean, square = sums[:-1].div(total).chunk(2)
        variance = (square - mean * mean).clamp(min=0)  # rounding can make it negative where the mean is large
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


class GlobalBatchNormAct2d(GlobalBatchNorm2d, BatchNormAct2d):
    """`GlobalBatchNorm2d` for timm's batch norm with an activation."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w), normalised and activated."""
        return self.act(self.drop(super().forward(x)))


REPLACEMENT: dict[type, type[GlobalBatchNorm2d]] = {
    nn.BatchNorm2d: GlobalBatchNorm2d,
    BatchNormAct2d: GlobalBatchNormAct2d,
}


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d that always uses its running statistics."""

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        """Stay in evaluation mode; `mode` is ignored."""
        super().train(False)
        return self


class FrozenBatchNormAct2d(FrozenBatchNorm2d, BatchNormAct2d):
    """`FrozenBatchNorm2d` for timm's batch norm with an activation."""


FROZEN: dict[type, type[FrozenBatchNorm2d]] = {
    nn.BatchNorm2d: FrozenBatchNorm2d,
    BatchNormAct2d: FrozenBatchNormAct2d,
}


class SumOverProcesses(torch.autograd.Function):
    """Sum over processes. Its gradient is a sum too, as the loss of each process depends on the inputs of all."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Return the sum of a tensor over processes."""
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the sum of the gradient over processes."""
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def synchronise_batch_norms(module: nn.Module) -> None:
    """Make every batch norm in a module one over all processes, in place; weights and statistics stay."""
    for child in module.modules():
        child.__class__ = REPLACEMENT.get(type(child), type(child))


def freeze_batch_norms(module: nn.Module) -> None:
    """Freeze the weights and the statistics of every batch norm in a module, in place."""
    for child in module.modules():
        if type(child) in FROZEN:
            child.__class__ = FROZEN[type(child)]
            child.train(False).requires_grad_(False)
