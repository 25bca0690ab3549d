"""Callbacks that protect the weights from losses that are not finite or jump."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor

from centerx.detector import first_not_finite
from centerx.errors import InputError
from centerx.losses.terms import mean_over_processes
from centerx.training.module import CenterNetModule
from centerx.types import Batch

logger = logging.getLogger(__name__)

MEMORY = 0.95  # decay of the running mean of losses
KEPT = "the run folder keeps what earlier epochs reached"
LOWER = f"lower train.optimizer.lr or train.clip_norm; {KEPT}"


class FiniteWeights(L.Callback):
    """Ends the run after an epoch whose weights are not finite, before its models and checkpoint are written."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check weights, running statistics and averages."""
        broken = first_not_finite(pl_module.state_dict())
        if broken is not None:
            raise InputError(
                f"{broken} is not finite after epoch {trainer.current_epoch}, step {trainer.global_step}: {LOWER}"
            )


class LossGuard(L.Callback):
    """Skips steps whose loss or gradient is not finite, and those whose loss jumps.

    A skipped step changes no weight, no state of the optimiser, no average of weights and no statistic of a batch norm;
    time goes on for the schedule alone. All data-parallel processes skip the same steps. Training is in float32 or
    bfloat16, which need no scaling of the loss, so that there are no steps that overflow as a matter of course.

    The loss can be finite while one of its raw terms is not, because a balance may leave the term out. The gradient is
    wrong all the same, so such a step counts as not finite.

    A loss is a jump if it is more than `ratio` times the running mean of all finite losses. Losses of skipped steps
    enter the mean too, clamped to the limit, so that neither one batch with a low loss nor a lasting change of level
    stops training for good. A loss of 0, from a batch without supervision, is neither a jump nor part of the mean.

    Args:
        most: steps in a row that are not finite after which the run ends, at least 1.
        ratio: smallest ratio of a jump to the running mean, above 1; 0: there are no jumps.
    """

    def __init__(self, most: int, ratio: float = 0.0) -> None:
        self.most, self.ratio = most, ratio
        self.mean: float | None = None
        self.skipped = 0
        self.not_finite = 0  # of those that were skipped
        self.in_a_row = 0  # of those, since the last one that was finite
        self._statistics: list[tuple[Tensor, Tensor]] = []
        self._groups: list[dict[str, Any]] = []
        self._wrong = self._first = ""  # what is not finite, and the term of the loss that it began with

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: the former name of the class, so that older checkpoints resume."""
        return "SkipJumps"

    def state_dict(self) -> dict[str, Any]:
        """Return the running mean and the numbers of skipped steps."""
        numbers = {"skipped": self.skipped, "not_finite": self.not_finite, "in_a_row": self.in_a_row}
        return {"mean": self.mean, **numbers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.mean, self.skipped = state_dict["mean"], state_dict["skipped"]
        self.not_finite, self.in_a_row = (state_dict.get(name, 0) for name in ("not_finite", "in_a_row"))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Remember the statistics of batch norms, which change before the loss is known."""
        assert isinstance(pl_module, CenterNetModule)
        if not self._statistics:
            self._statistics = [(each, each.clone()) for each in pl_module.detector.buffers()]
        for current, former in self._statistics:
            former.copy_(current)

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Decide by the loss and its terms whether the step is skipped."""
        assert isinstance(pl_module, CenterNetModule)
        terms = pl_module.terms
        own = torch.stack([pl_module.loss, *terms.values()]).float()
        value, *rest = mean_over_processes(own).tolist()
        self._wrong = self._first = ""
        broken = {f", first its term {term}": mean for term, mean in zip(terms, rest, strict=True)} | {"": value}
        for first, mean in broken.items():
            if not math.isfinite(mean):
                self._wrong, self._first = f"loss is {mean if math.isfinite(value) else value}", first
                break
        pl_module.skipped = bool(self._wrong) or self.jumps(value)

    def jumps(self, value: float) -> bool:
        """Update the running mean with a finite loss; return whether the loss is a jump."""
        if not value or not self.ratio:
            return False
        if self.mean is None:
            self.mean = value
        highest = self.ratio * self.mean
        self.mean += (1 - MEMORY) * (min(value, highest) - self.mean)
        return value > highest

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Remove the gradients of a skipped step; an optimiser does not move weights without a gradient."""
        assert isinstance(pl_module, CenterNetModule)
        if not pl_module.skipped and not gradient_is_finite(pl_module):
            pl_module.skipped, self._wrong = True, "gradient is not finite"
        if pl_module.skipped:
            # Some optimisers count steps all the same.
            self._groups = [
                {name: value for name, value in group.items() if name not in ("params", "lr")}
                for group in optimizer.param_groups
            ]
            optimizer.zero_grad(set_to_none=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Undo what else a skipped step changed, count it, and tell of it where it was not finite.

        Raises:
            InputError: it was one too many.
        """
        assert isinstance(pl_module, CenterNetModule)
        self.in_a_row = self.in_a_row + 1 if self._wrong else 0
        if not pl_module.skipped:
            return
        for current, former in self._statistics:
            current.copy_(former)
        for group, before in zip(trainer.optimizers[0].param_groups, self._groups, strict=True):
            group.update(before)
        self.skipped += 1
        if not self._wrong:
            return
        self.not_finite += 1
        pictures = ", ".join(of_all_processes(batch.names))
        where = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step}"
        if trainer.is_global_zero:
            logger.warning(f"{where} left out: its {self._wrong}{self._first}; its pictures: {pictures}")
        if self.in_a_row >= self.most:
            row = f"{self.most} steps in a row" if self.most > 1 else "train.max_not_finite=1"
            became = self._wrong.replace(" is ", " became ", 1)
            raise InputError(f"the {became} at {where}{self._first}, {row}: {LOWER}")

    def on_train_end(self, trainer: L.Trainer, *_: object) -> None:
        """Log the number of skipped steps."""
        if self.skipped and trainer.is_global_zero:
            jumps = self.skipped - self.not_finite
            causes = [f"{self.not_finite} not finite"] * bool(self.not_finite) + [
                f"{jumps} by train.skip_jumps"
            ] * bool(jumps)
            logger.warning(f"{self.skipped} of {trainer.global_step} steps were left out: {', '.join(causes)}")


def gradient_is_finite(module: torch.nn.Module) -> bool:
    """Return whether every component of the gradient is finite."""
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return not gradients or bool(torch.nn.utils.get_total_norm(gradients).isfinite())


def of_all_processes(names: Sequence[str]) -> Sequence[str]:
    """Return the names that all data-parallel processes have, in their order."""
    if not (dist.is_available() and dist.is_initialized()):
        return names
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, names)
    return [name for share in shares for name in share]
