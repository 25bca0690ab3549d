"""Losses on the centre heatmap.

`heatmap_focal` and `quality_focal`, on which training spends most of its time, compute their gradients by hand in the
forward pass, from values that the loss needs as well. The gradient is all that they keep for the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Focal(torch.autograd.Function):
    """`heatmap_focal` with its gradient.

    The logits of positives change sign, so that both kinds of cells have one formula: `p` is the probability of the
    wrong answer, `q` = 1 - p that of the right one, and `nll` = -log(q). A positive then has the loss of a negative
    with the opposite logit and without penalty reduction.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        positive = target == 1
        sign = 1 - 2 * positive.float()
        logits = logits * sign
        p = logits.sigmoid()
        q = 1 - p
        nll = softplus(logits, p, q)
        scale = (1 - target).masked_fill_(positive, 1).square_().mul_(p).square_().mul_(weight)
        grad = q.mul_(nll).mul_(2).add_(p).mul_(scale).mul_(sign)
        ctx.save_for_backward(grad)
        return nll.mul_(scale).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = ctx.saved_tensors
        return gradients[0] * grad, None, None


def heatmap_focal(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss, Objects as Points eq. 1 with alpha = 2 and beta = 4, summed and not divided.

    It is computed from logits in float32, so that no logarithm reaches -inf.

    Args:
        logits: (B, C, h, w).
        target: (B, C, h, w) in [0, 1]; 1 marks a positive.
        weight: (B, C, h, w); 0 removes a cell from the loss.

    Returns:
        A scalar; divide it by the number of objects.
    """
    # The target is contiguous; element-wise operations on mixed memory formats are slow.
    logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
    return _Focal.apply(logits, target, weight)


def heatmap_squared(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the probabilities, summed and not divided, in float32.

    Args:
        logits: (B, C, h, w).
        target: (B, C, h, w) in [0, 1].
        weight: (B, C, h, w); 0 removes a cell from the loss.

    Returns:
        A scalar; divide it by the sum of the weights, the number of cells.
    """
    return (weight * (logits.float().sigmoid() - target) ** 2).sum()


class _QualityFocal(torch.autograd.Function):
    """`quality_focal` with its gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        p = logits.sigmoid()
        q = 1 - p
        cross_entropy = softplus(logits, p, q).addcmul_(target, logits, value=-1)
        error = p - target
        weight = error.square()
        grad = q.mul_(p).mul_(cross_entropy).mul_(2).add_(weight).mul_(error)
        ctx.save_for_backward(grad)
        return cross_entropy.mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grad,) = ctx.saved_tensors
        return gradients[0] * grad, None


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with a target probability, weighted by (p - target)^2; cells that agree cost nothing.

    Li et al., Generalized Focal Loss, 2020, eq. 2, with beta = 2.

    Args:
        logits: float32 of any shape.
        target: the same shape, in [0, 1]; gets no gradient.

    Returns:
        The loss of each cell, in the shape of the logits.
    """
    return _QualityFocal.apply(logits, target)


def softplus(logits: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """log(1 + e^x) = -log(1 - p) for logits x; finite, with an error below 1e-7, absolute or relative to x.

    Args:
        logits: x, any shape.
        p: sigmoid(x), of the same shape.
        q: 1 - p, of the same shape.

    Returns:
        A new tensor of the same shape.
    """
    return logits.clamp(min=0).sub_(torch.maximum(p, q).log_())
