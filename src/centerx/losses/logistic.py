"""log(1 + e^x), of which the logarithms of a probability and of its complement are made."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits)
        return logits.clamp(min=0).add_(logits.abs().neg_().exp_().add_(1).log_())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (logits,) = ctx.saved_tensors
        return gradients[0] * logits.sigmoid()


def softplus(logits: Tensor) -> Tensor:
    """log(1 + e^x) = -log(1 - p) = x - log p of a probability p = sigmoid(x); finite, and exact to 1e-7 of 1 or of x.

    For CPUs, where torch's own takes one number at a time (its log1p is not vectorised).
    """
    return _Softplus.apply(logits)
