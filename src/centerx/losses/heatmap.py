"""Losses on the centre heatmap."""

from __future__ import annotations

import torch
from torch import Tensor

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
