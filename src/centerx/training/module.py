"""The LightningModule: it connects model, targets, criterion and optimiser, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from centerx.data.batch import split_batch
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
        accumulate: parts in which the pictures of a step go through the network, one after another.

    Attributes:
        loss: of the latest step, without gradient.
        terms: its raw terms, without gradient.
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
        accumulate: int = 1,
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
        self.accumulate = accumulate
        self.loss = torch.zeros(())
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
        """Return the scalar loss of this process's share of the batch; of several parts that of the last.

        The loss of a step is the mean of its parts, by their pictures. The gradients of the others are there already.
        """
        parts = split_batch(batch, self.accumulate) if self.accumulate > 1 else [batch]
        self.skipped = False
        self.loss, self.terms, self._figures = batch.images.new_zeros((), dtype=torch.float32), {}, {}
        if self.accumulate > 1:
            self.optimizer.zero_grad()
        for part in parts:
            share = len(part.images) / len(batch.images) if len(parts) > 1 else 1.0
            loss = self._loss(part, share)
            if part is not parts[-1]:
                with torch.autocast(self.device.type, enabled=False):
                    loss.backward()
        self._figures |= {"train/loss": self.loss}
        self._figures |= {f"train/{term.label}": value for term, value in self.terms.items()}
        return loss

    def _loss(self, batch: Batch, share: float) -> Tensor:
        """Return the loss of a part of the step, times its share, and add it to the figures of the step."""
        model = self.detector.model
        features = model.features(batch.images)
        maps = model.head(features)
        distiller = self.distiller if self.distiller and self.global_step < self.distiller.steps else None
        terms = dict(self.criterion(maps, self.assign(distiller.mask_labels(batch) if distiller else batch)))
        if distiller:
            terms |= distiller.terms(maps, features, batch)
        loss, weights = self.balance(terms, distiller.decay(terms, self.global_step) if distiller else {})
        loss = loss * share
        self.loss = self.loss + loss.detach()
        self.terms = {term: value.detach() * share + self.terms.get(term, 0.0) for term, value in terms.items()}
        for term, weight in weights.items():
            name = f"weight/{term.label}"
            self._figures[name] = weight * share + self._figures.get(name, 0.0)
        return loss

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Forget the gradients of the step before; of several parts that is done before the first."""
        if self.accumulate == 1:
            optimizer.zero_grad()

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
