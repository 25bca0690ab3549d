"""The LightningModule: it connects model, targets, criterion and optimiser, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from centerx.detector import Detector
from centerx.losses.balance import Balance
from centerx.losses.terms import Term, Terms
from centerx.training.average import Averaging
from centerx.training.teachers import Distiller
from centerx.types import Batch, Maps, Targets

Criterion = Callable[[Maps, Targets], Terms]


class CenterNetModule(L.LightningModule):
    """One step of training, and the moving average of the weights.

    Args:
        detector: what is trained.
        assign: a batch to its targets.
        criterion: maps and targets to raw loss terms.
        balance: loss terms to the scalar to minimise.
        optimizer: made from the parameters of detector and balance.
        schedule: step to factor of the learning rate.
        averaging: of the weights, to deploy; None to deploy them as they are.
        distiller: what teachers do; None without teachers.
        clip_value: largest magnitude of each component of the gradient; 0: no clipping.
        clip_each: largest norm of each parameter's gradient by itself; 0: no clipping.

    Attributes:
        terms: raw loss terms of the latest step, without gradient.
        skipped: whether the latest step is left out, as a callback decides.
    """

    def __init__(
        self,
        detector: Detector,
        assign: Callable[[Batch], Targets],
        criterion: Criterion,
        balance: Balance,
        optimizer: torch.optim.Optimizer,
        schedule: Callable[[int], float],
        averaging: Averaging | None,
        distiller: Distiller | None = None,
        clip_value: float = 0.0,
        clip_each: float = 0.0,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.assign = assign
        self.criterion = criterion
        self.balance = balance
        self.optimizer = optimizer
        self.schedule = schedule
        self.distiller = distiller
        self.clip_value, self.clip_each = clip_value, clip_each
        self.terms: dict[Term, Tensor] = {}
        self.skipped = False
        self._figures: dict[str, Tensor] = {}
        self.averaging = averaging
        self.average: AveragedModel | None = None
        if averaging is not None:
            self.average = AveragedModel(detector, multi_avg_fn=averaging.move, use_buffers=True).requires_grad_(False)

    @property
    def deployed(self) -> Detector:
        """The detector to evaluate and save."""
        started = self.average is not None and int(self.average.n_averaged) > 0
        return self.average.module if started else self.detector  # type: ignore[union-attr, return-value]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the scalar loss of this process's share of the batch."""
        model = self.detector.model
        features = model.features(batch.images)
        maps = model.head(features)
        distiller = self.distiller if self.distiller and self.global_step < self.distiller.steps else None
        terms = dict(self.criterion(maps, self.assign(distiller.mask_labels(batch) if distiller else batch)))
        if distiller:
            terms |= distiller.terms(maps, features, batch)
        loss, weights = self.balance(terms, distiller.decay(terms, self.global_step) if distiller else {})
        self.terms = {term: value.detach() for term, value in terms.items()}
        self.skipped = False
        self._figures = {"train/loss": loss.detach()}
        self._figures |= {f"train/{term.label}": value for term, value in self.terms.items()}
        self._figures |= {f"weight/{term.label}": weight for term, weight in weights.items()}
        return loss

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *limits: object, **named: object) -> None:
        """Clip by value, then the norm of each parameter, then that of all.

        Lightning's own way has one of them, and refuses fused optimisers under bf16. A skipped step has no gradients.
        """
        if all(parameter.grad is None for parameter in self.parameters()):
            return
        if self.clip_value:
            torch.nn.utils.clip_grad_value_(self.parameters(), self.clip_value)
        if self.clip_each:
            for parameter in self.parameters():
                torch.nn.utils.clip_grad_norm_(parameter, self.clip_each)
        norm = self.trainer.gradient_clip_val
        if norm:
            torch.nn.utils.clip_grad_norm_(self.parameters(), norm)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the figures and move the average where it is due; a skipped step is counted alone."""
        self.log("skipped_steps", float(self.skipped), on_step=False, on_epoch=True, reduce_fx="sum", logger=False)
        if not self.skipped:
            size = len(batch.images)
            self.log_dict(self._figures, on_step=False, on_epoch=True, sync_dist=True, logger=False, batch_size=size)
        if self.average is None or self.averaging is None or (self.skipped and self.averaging.every == 1):
            return
        if self.global_step > self.averaging.start and self.global_step % self.averaging.every == 0:
            self.average.update_parameters(self.detector)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return optimiser and per-step schedule."""
        scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.schedule)
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
