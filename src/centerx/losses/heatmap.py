"""Losses on the centre heatmap."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from centerx.losses.logistic import softplus


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
    probability, surprise = logits.sigmoid(), softplus(logits)
    hit = (surprise - logits) * (1 - probability).square()
    miss = surprise * (probability * (1 - target).square()).square()
    return (weight * torch.where(target == 1, hit, miss)).sum()


def heatmap_squared(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the probabilities, summed and not divided, in float32.

    Args:
        logits, target, weight: as for `heatmap_focal`.

    Returns:
        A scalar; divide it by the sum of the weights, the number of cells.
    """
    return (weight * (logits.float().sigmoid() - target) ** 2).sum()


class _QualityFocal(torch.autograd.Function):
    """The gradient is made along with the loss, of what both need, and is all that is kept."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        probability = logits.sigmoid()
        error = probability - target
        entropy = softplus(logits) - target * logits
        weight = error.square()
        slope = (1 - probability).mul_(probability).mul_(entropy).mul_(2).add_(weight).mul_(error)
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
