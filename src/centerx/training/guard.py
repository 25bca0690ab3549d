"""Callbacks that protect the weights from losses that are not finite or jump."""

from __future__ import annotations

import logging
import math
from typing import Any

import lightning as L
from torch import Tensor

from centerx.detector import first_not_finite
from centerx.errors import InputError
from centerx.losses.terms import mean_over_processes
from centerx.training.module import CenterNetModule

logger = logging.getLogger(__name__)

MEMORY = 0.95  # decay of the running mean of losses
PATIENCE = 50  # consecutive steps without a finite loss after which the run ends


class FiniteLoss(L.Callback):
    """Ends the run when the loss or one of its raw terms is not finite.

    The loss can be finite without such a term, because a balance may leave the term out. The gradient is wrong all the
    same.
    """

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Check the loss and the terms of the step."""
        assert isinstance(pl_module, CenterNetModule)
        value = loss.detach() + sum(pl_module.terms.values())
        if not math.isfinite(value):
            wrong = [f", first its term {term}" for term, one in pl_module.terms.items() if not one.isfinite()]
            raise InputError(not_finite(float(value), trainer, *wrong[:1]))


class FiniteWeights(L.Callback):
    """Ends the run after an epoch whose weights are not finite, before its models and checkpoint are written."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check weights, running statistics and averages."""
        broken = first_not_finite(pl_module.state_dict())
        if broken is not None:
            raise InputError(
                f"{broken} is not finite after epoch {trainer.current_epoch}, step {trainer.global_step}: lower "
                "train.optimizer.lr or train.clip_norm; the run folder keeps what earlier epochs reached"
            )


class LossSpikeGuard(L.Callback):
    """Skips optimiser steps whose loss jumps or is not finite; weights and the optimiser's state stay as they are.

    A loss is a jump if it is more than `ratio` times the running mean of all finite losses. Losses of skipped steps
    enter the mean too, clamped to the limit, so that neither one batch with a low loss nor a lasting change of level
    stops training for good. A loss of 0, from a batch without supervision, is neither a jump nor part of the mean. All
    data-parallel processes skip the same steps.

    Args:
        ratio: smallest ratio of a jump to the running mean, above 1.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.mean: float | None = None
        self.skipped = 0
        self._lost = 0  # consecutive steps without a finite loss
        self._skip = False

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: the former name of the class, so that older checkpoints resume."""
        return "SkipJumps"

    def state_dict(self) -> dict[str, Any]:
        """Return the running mean and the number of skipped steps."""
        return {"mean": self.mean, "skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.mean, self.skipped = state_dict["mean"], state_dict["skipped"]

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Decide whether the step is skipped."""
        value = float(mean_over_processes(loss.detach()))
        self._skip = self.jumps(value)
        self._lost = 0 if math.isfinite(value) else self._lost + 1
        if self._lost >= PATIENCE:
            raise InputError(f"{not_finite(value, trainer)}; train.skip_jumps left out {PATIENCE} steps in a row")

    def jumps(self, value: float) -> bool:
        """Update the running mean with a loss; return whether the loss is a jump or not finite."""
        if not math.isfinite(value):
            return True
        if not value:
            return False
        if self.mean is None:
            self.mean = value
        highest = self.ratio * self.mean
        self.mean += (1 - MEMORY) * (min(value, highest) - self.mean)
        return value > highest

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Remove the gradients of a skipped step; an optimiser does not move weights without a gradient."""
        if self._skip:
            optimizer.zero_grad(set_to_none=True)
            self.skipped += 1

    def on_train_end(self, trainer: L.Trainer, *_: object) -> None:
        """Log the number of skipped steps."""
        if self.skipped and trainer.is_global_zero:
            logger.warning(f"train.skip_jumps left out {self.skipped} of {trainer.global_step} steps")


def not_finite(value: float, trainer: L.Trainer, worst: str = "") -> str:
    """What happened and what to do."""
    return (
        f"the loss became {value} at epoch {trainer.current_epoch}, step {trainer.global_step}{worst}: lower "
        "train.optimizer.lr or train.clip_norm; the run folder keeps what earlier epochs reached"
    )
