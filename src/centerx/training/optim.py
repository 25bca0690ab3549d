"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import timm.optim
import torch
from torch import Tensor, nn

from centerx.errors import InputError, nearest

LOW_LR_FACTOR = 0.1  # factor of the learning rate for `low_lr` parameters
# Optimisers of timm that need a compiled package or second-order gradients
LEFT_OUT = ["bnb*", "fused*", "adahessian"]
NORM_LIMIT = 10.0  # largest norm of a layer's weights in its learning rate


def build_optimizer(
    model: nn.Module,
    name: str,
    lr: float,
    weight_decay: float,
    momentum: float,
    low_lr: Collection[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Build an optimiser by name. Norms and biases have no weight decay.

    Args:
        model: module whose parameters are optimised.
        name: `adamw`, `adam`, `sgd` (with Nesterov momentum), `rangerlars`, or an optimiser of timm, optionally with
            the prefix `lookahead_`.
        lr: learning rate.
        weight_decay: of weights with more than one dimension.
        momentum: momentum of `sgd` and of optimisers of timm that have one; first beta of `adamw`, `adam` and
            `rangerlars`.
        low_lr: parameters with a tenth of the learning rate and no weight decay.

    Raises:
        InputError: the name is unknown.
    """
    apart = set(low_lr)
    others = [each for each in model.parameters() if each.requires_grad and each not in apart]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if low_lr:
        groups.append({"params": list(low_lr), "weight_decay": 0.0, "lr": LOW_LR_FACTOR * lr})
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0)
    if name == "rangerlars":
        return timm.optim.Lookahead(LayerwiseRAdam(groups, lr=lr, betas=(momentum, 0.999)))
    if name in ("adamw", "adam"):
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
        return kind(groups, lr=lr, betas=(momentum, 0.999), fused=True)
    known = [str(each) for each in timm.optim.list_optimizers(exclude_filters=LEFT_OUT)]
    if name.removeprefix("lookahead_") not in known:
        raise InputError(
            f"train.optimizer.name: unknown {name!r}{nearest(name, ['rangerlars', *known])}, known: rangerlars and of "
            f"timm {', '.join(known)}"
        )
    return timm.optim.create_optimizer_v2(groups, opt=name, lr=lr, momentum=momentum)


class LayerwiseRAdam(torch.optim.RAdam):
    """RAdam (Liu et al., 2020) with layer-wise learning rates, as in LARS (You et al., 2017).

    The step of a layer is multiplied by the norm of its weights, at most 10, and divided by the norm of the step at
    learning rate 1. Norms and biases have the steps of RAdam. Wrapped in Lookahead this is RangerLars.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the weights that have a gradient."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None  # computes the gradients
        moved = [
            (weight, weight.clone(), group["lr"])
            for group in self.param_groups
            for weight in group["params"]
            if weight.grad is not None and weight.ndim > 1
        ]
        super().step()
        for weight, before, lr in moved:
            weight.copy_(torch.lerp(before, weight, layer_rate(before, (before - weight) / max(lr, 1e-12))))
        return loss


def layer_rate(weight: Tensor, step: Tensor) -> Tensor:
    """Return the norm of the weights, at most 10, over that of their step at rate 1; 1 if either is 0."""
    norm, length = weight.norm().clamp(max=NORM_LIMIT), step.norm()
    return torch.where((norm > 0) & (length > 0), norm / length.clamp(min=1e-12), torch.ones_like(norm))


def build_schedule(
    name: str,
    total: int,
    warmup: float,
    steps: Sequence[float] = (),
    gamma: float = 0.1,
    delay: float = 0.0,
    final: float = 0.0,
    cycle: tuple[int, float, float] | None = None,
) -> Callable[[int], float]:
    """Return a function from the step to the factor of the peak learning rate.

    Args:
        name: `cosine`, `multistep`, or `delayed_cosine` (constant, then cosine).
        total: number of steps.
        warmup: length of the linear warm-up as a share of the run.
        steps: times of the multistep decays as shares of the run.
        gamma: factor of each multistep decay.
        delay: start of the cosine of `delayed_cosine` as a share of the run.
        final: factor at the end of a cosine.
        cycle: for steps after `total`: the number of steps of a cycle, and the factors at its start and its end, with
            a cosine between them.
    """
    warm_steps = round(warmup * total)
    start = max(warmup, delay if name == "delayed_cosine" else 0.0)

    def factor(step: int) -> float:
        if step < warm_steps:
            return (step + 1) / (warm_steps + 1)
        if cycle is not None and step >= total:
            length, high, low = cycle
            return low + (high - low) * (1 + math.cos(math.pi * ((step - total) % length) / length)) / 2
        done = step / max(total, 1)
        if name == "multistep":
            return gamma ** sum(done >= at for at in steps)
        progress = min(max((done - start) / max(1 - start, 1e-9), 0.0), 1.0)
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return factor
