"""Averages of the weights over training steps, for evaluation and deployment."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...] | list[Tensor]
Move = Callable[[Tensors, Tensors, Tensor | int], None]


class Averaging(NamedTuple):
    """How and when an average is updated with the weights.

    Attributes:
        move: function that updates the average in place; called with the average, the weights, and the number of
            updates before this one.
        start: steps of the run before the first update.
        every: steps between updates.
    """

    move: Move
    start: int = 0
    every: int = 1


def moving_average(decay: float) -> Averaging:
    """Return an exponential moving average whose decay grows from 0.1 to a limit.

    With a constant decay, the random initial weights would stay in the average for about 1 / (1 - decay) steps.

    Args:
        decay: largest decay, in (0, 1).
    """
    return Averaging(_lerp(lambda count: 1 - min(decay, (1 + count) / (10 + count))))


def equal_average(start: int, every: int) -> Averaging:
    """Return stochastic weight averaging (Izmailov et al., 2018): the plain mean of the weights of some steps.

    Statistics of batch norms are averaged like weights, so that no further pass over the data is needed.

    Args:
        start: steps of the run before the first update.
        every: steps between updates.
    """
    return Averaging(_lerp(lambda count: 1 / (1 + count)), start, every)


def _lerp(weight: Callable[[int], float]) -> Move:
    @torch.no_grad()
    def move(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight(int(count)))
        else:
            torch._foreach_copy_(averaged, current)

    return move
