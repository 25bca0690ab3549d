"""Lengths as distributions (Li et al., Generalized Focal Loss, 2020): how likely each of some lengths is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# In cells: 0, and from half a cell to 512 cells by a factor of the square root of 2
LENGTHS = (0.0, *(2 ** (step / 2 - 1) for step in range(21)))
SLOPE = -0.2  # of the logits over the lengths at the start, so that their mean is some 10 cells
MOST = 7.0  # of a logit's distance from 0, so that sums of exponentials are finite in half precision


class Bounded(torch.autograd.Function):
    """Clamp logits to -MOST and MOST. Their gradients pass, but for those that would lead further out."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        """(...) -> (...) of the same kind."""
        ctx.save_for_backward(logits)
        return logits.clamp(-MOST, MOST)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Descent takes the gradient away, so one of the other sign leads out."""
        (logits,) = ctx.saved_tensors
        return gradient.masked_fill((logits.abs() > MOST) & (gradient * logits < 0), 0)


def bounded(logits: Tensor) -> Tensor:
    """Return logits between -MOST and MOST, in float32; what is beyond them can still be learned."""
    logits = logits.float()
    return Bounded.apply(logits) if logits.requires_grad else logits.clamp(-MOST, MOST)


def mean_lengths(logits: Tensor) -> Tensor:
    """Return the means of distributions over `LENGTHS`.

    A quotient of convolutions of exponentials, as a softmax over channels takes runtimes many times as long.

    Args:
        logits: (B, D * K, h, w) between -MOST and MOST, K for each of D lengths.

    Returns:
        (B, D, h, w) float32 in cells.
    """
    each = np.eye(logits.shape[1] // len(LENGTHS))
    rows = [np.kron(each, values) for values in (np.array(LENGTHS) / LENGTHS[-1], np.ones(len(LENGTHS)))]
    weights = torch.tensor(np.concatenate(rows)[..., None, None].tolist(), device=logits.device)
    with torch.autocast(logits.device.type, enabled=False):  # half the bits would cost a hundredth of the length
        weighed, whole = F.conv2d(logits.float().exp(), weights).chunk(2, dim=1)
        return weighed / whole * LENGTHS[-1]


def distribution_loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Return the cross-entropy with the two lengths around the true one, weighed so that their mean is that.

    Args:
        logits: (B, D * K, P), K for each of D lengths.
        goal: (B, D, P) in cells; what is longer than the last of `LENGTHS` counts as that.

    Returns:
        (B, P) float32, the mean over the D lengths.
    """
    values = torch.tensor(LENGTHS, device=logits.device)
    goal = goal.float().clamp(0, LENGTHS[-1]).contiguous()
    above = torch.bucketize(goal, values).clamp(min=1)
    share = (goal - values[above - 1]) / (values[above] - values[above - 1])
    said = logits.float().unflatten(1, (goal.shape[1], len(LENGTHS))).log_softmax(dim=2)
    low, high = (said.gather(2, each[:, :, None])[:, :, 0] for each in (above - 1, above))
    return -(low * (1 - share) + high * share).mean(dim=1)
