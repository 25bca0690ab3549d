"""Averages of the weights over training steps, to evaluate and deploy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...] | list[Tensor]
Move = Callable[[Tensors, Tensors, Tensor | int], None]


class Averaging(NamedTuple):
    """How and when the average takes in the weights.

    Attributes:
        move: the average, the weights, how many it has taken in so far: moves the average in place.
        start: steps of the run before the first.
        every: steps from one to the next.
    """

    move: Move
    start: int = 0
    every: int = 1


def moving_average(decay: float) -> Averaging:
    """Exponential moving average whose memory grows from the start of the run up to `decay`.

    Without growth the random initial weights would stay in the average for 1 / (1 - decay) steps.
    """
    return Averaging(_lerp(lambda count: 1 - min(decay, (1 + count) / (10 + count))))


def equal_average(start: int, every: int) -> Averaging:
    """Stochastic weight averaging (Izmailov et al., 2018): the plain mean from some step on, one in `every` steps.

    Statistics of batch norms are averaged like weights, which spares a pass over the data.
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
