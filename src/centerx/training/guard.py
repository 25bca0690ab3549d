"""What stands between a loss gone wrong and the weights."""

from __future__ import annotations

import logging
import math
from typing import Any

import lightning as L
from torch import Tensor

from centerx.errors import InputError
from centerx.losses.reduce import mean_over_processes
from centerx.training.module import CenterNetModule

logger = logging.getLogger(__name__)

MEMORY = 0.95  # of the running mean that a loss is compared with
PATIENCE = 50  # steps without a finite loss before the run is given up


class FiniteLoss(L.Callback):
    """Ends the run at a loss, or a raw term of it, that is not finite.

    A balance may leave out such a term, but the maps behind it have spoilt the gradient.
    """

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Look at the step's loss and terms."""
        assert isinstance(pl_module, CenterNetModule)
        value = loss.detach() + sum(pl_module.terms.values())
        if not math.isfinite(value):
            raise InputError(not_finite(float(value), trainer))


class LossSpikeGuard(L.Callback):
    """Leaves out steps whose loss jumped, or is not finite: weights and the optimiser's state stay as they are.

    A jump is measured against the running mean of all finite losses, those of skipped steps among them but no larger
    than the jump allowed, so that neither one lucky batch nor a lasting change of level can stop training for good. A
    loss of 0, that of a batch which nobody teaches, is neither a jump nor part of the mean.
    Processes decide together.

    Args:
        ratio: of a loss to the running mean from which on it is a jump, above 1.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.mean: float | None = None
        self.skipped = 0
        self._lost = 0  # steps without a finite loss in a row
        self._skip = False

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: the former name of the class, so that older checkpoints resume."""
        return "SkipJumps"

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run compares with."""
        return {"mean": self.mean, "skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.mean, self.skipped = state_dict["mean"], state_dict["skipped"]

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Decide whether the step counts."""
        value = float(mean_over_processes(loss.detach()))
        self._skip = self.jumps(value)
        self._lost = 0 if math.isfinite(value) else self._lost + 1
        if self._lost >= PATIENCE:
            raise InputError(f"{not_finite(value, trainer)}; train.skip_jumps left out {PATIENCE} steps in a row")

    def jumps(self, value: float) -> bool:
        """Take in a loss; return whether it jumped."""
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
        """Take the gradients of a step that does not count away: an optimiser passes over weights without one."""
        if self._skip:
            optimizer.zero_grad(set_to_none=True)
            self.skipped += 1

    def on_train_end(self, trainer: L.Trainer, *_: object) -> None:
        """Say how many there were."""
        if self.skipped and trainer.is_global_zero:
            logger.warning(f"train.skip_jumps left out {self.skipped} of {trainer.global_step} steps")


def not_finite(value: float, trainer: L.Trainer) -> str:
    """What happened and what to do."""
    return (
        f"the loss became {value} at epoch {trainer.current_epoch}, step {trainer.global_step}: lower "
        "train.optimizer.lr or train.clip_norm; the run folder keeps what earlier epochs reached"
    )
