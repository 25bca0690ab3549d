"""Losses on the centre heatmap.

The two that training spends its time on make their gradient by hand, along with the loss, of what both need; it is all
that is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Focal(torch.autograd.Function):
    """A positive costs what a negative of the opposite logit does, without a penalty reduction."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        hit = target == 1
        sign = 1 - 2 * hit.float()
        logits = logits * sign
        wrong = logits.sigmoid()
        right = 1 - wrong
        surprise = softplus(logits, wrong, right)
        scale = (1 - target).masked_fill_(hit, 1).square_().mul_(wrong).square_().mul_(weight)
        slope = right.mul_(surprise).mul_(2).add_(wrong).mul_(scale).mul_(sign)
        ctx.save_for_backward(slope)
        return surprise.mul_(scale).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None


def heatmap_focal(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss, Objects as Points eq. 1 with alpha = 2 and beta = 4, summed and not divided.

    Computed on logits in float32, so that no logarithm reaches -inf however sure the network is.

    Args:
        logits: (B, C, h, w).
        target: (B, C, h, w) in [0, 1]; 1 marks a positive.
        weight: (B, C, h, w); 0 removes a cell from the loss.

    Returns:
        A scalar; divide it by the number of objects.
    """
    logits = logits.to(torch.float32, memory_format=torch.contiguous_format)  # the target's: mixed, all is slow
    return _Focal.apply(logits, target, weight)


def heatmap_squared(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the probabilities, summed and not divided, in float32.

    Args:
        logits, target, weight: as for `heatmap_focal`.

    Returns:
        A scalar; divide it by the sum of the weights, the number of cells.
    """
    return (weight * (logits.float().sigmoid() - target) ** 2).sum()


class _QualityFocal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        probability = logits.sigmoid()
        complement = 1 - probability
        entropy = softplus(logits, probability, complement).addcmul_(target, logits, value=-1)
        error = probability - target
        weight = error.square()
        slope = complement.mul_(probability).mul_(entropy).mul_(2).add_(weight).mul_(error)
        ctx.save_for_backward(slope)
        return entropy.mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with a probability, weighted by (p - target)^2, so that the many cells that agree cost nothing.

    Li et al., Generalized Focal Loss, 2020, eq. 2, with beta = 2.

    Args:
        logits: any shape, float32. target: the same, in [0, 1]; gets no gradient.

    Returns:
        The loss of each cell.
    """
    return _QualityFocal.apply(logits, target)


def softplus(logits: Tensor, probability: Tensor, complement: Tensor) -> Tensor:
    """log(1 + e^x) = -log(1 - p) of x, p = sigmoid(x) and 1 - p; finite, and exact to 1e-7 of 1 or of x."""
    return logits.clamp(min=0).sub_(torch.maximum(probability, complement).log_())
