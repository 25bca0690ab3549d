"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn


def build_optimizer(
    model: nn.Module, name: str, lr: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD; weight decay spares norms and biases, whose scale means something."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
    return kind(groups, lr=lr, betas=(momentum, 0.999), fused=True)


def build_schedule(
    name: str,
    total: int,
    warmup: float,
    steps: Sequence[float] = (),
    gamma: float = 0.1,
    delay: float = 0.0,
    final: float = 0.0,
) -> Callable[[int], float]:
    """Return the factor of the peak learning rate at each step.

    Args:
        name: `cosine`, `multistep`, or `delayed_cosine` (constant, then cosine).
        total: steps of the run.
        warmup, steps, delay: times as shares of the run.
        gamma: factor of each multistep fall.
        final: factor at the end of a cosine.
    """
    warm_steps = round(warmup * total)
    start = max(warmup, delay if name == "delayed_cosine" else 0.0)

    def factor(step: int) -> float:
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        done = step / max(total, 1)
        if name == "multistep":
            return gamma ** sum(done >= at for at in steps)
        progress = min(max((done - start) / max(1 - start, 1e-9), 0.0), 1.0)
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return factor
