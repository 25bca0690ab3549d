"""The LightningModule: it connects model, targets, criterion and optimiser, and does nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.losses.balance import Balance
from centerx.losses.labels import label_terms
from centerx.train.teachers import Teaching
from centerx.types import Batch, CenterTargets


class CenterNetModule(L.LightningModule):
    """One step of training, and the moving average of the weights.

    Args:
        detector: what is trained.
        assign: a batch to its targets.
        balance: loss terms to the scalar to minimise.
        optimizer: made from the parameters of detector and balance.
        schedule: step to factor of the learning rate.
        ema_decay: of the moving average; 0 for none.
        teaching: what teachers do; None without teachers.
    """

    def __init__(
        self,
        detector: Detector,
        assign: Callable[[Batch], CenterTargets],
        balance: Balance,
        optimizer: torch.optim.Optimizer,
        schedule: Callable[[int], float],
        ema_decay: float,
        teaching: Teaching | None = None,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.assign = assign
        self.balance = balance
        self.optimizer = optimizer
        self.schedule = schedule
        self.teaching = teaching
        self.average = AveragedModel(detector, multi_avg_fn=ema(ema_decay), use_buffers=True) if ema_decay else None
        if self.average is not None:
            self.average.requires_grad_(False)

    @property
    def deployed(self) -> Detector:
        """The detector to evaluate and save."""
        return self.average.module if self.average is not None else self.detector  # type: ignore[return-value]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the scalar loss of this process's share of the batch."""
        outputs = self.detector.model(batch.images)
        teaching = self.teaching if self.teaching and self.global_step < self.teaching.steps else None
        terms = label_terms(outputs, self.assign(teaching.left_to_labels(batch) if teaching else batch))
        if teaching:
            terms |= teaching.terms(outputs, batch.images)
        loss, weights = self.balance(terms)
        self._require_finite(loss, terms)
        figures = {f"train/{name}": term.detach() for name, term in {"loss": loss, **terms}.items()}
        figures |= {f"weight/{name}": weight for name, weight in weights.items()}
        self.log_dict(figures, on_step=False, on_epoch=True, sync_dist=True, logger=False, batch_size=len(batch.images))
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Move the average."""
        if self.average is not None:
            self.average.update_parameters(self.detector)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return optimiser and per-step schedule."""
        scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.schedule)
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _require_finite(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        # a balance may leave out a term that is not finite, but the maps behind it have spoilt the gradient
        if not math.isfinite(value := torch.stack([loss, *terms.values()]).sum().item()):
            raise InputError(
                f"the loss became {value} at epoch {self.current_epoch}, step {self.global_step}: lower "
                "train.optimizer.lr or train.clip_norm; the run folder keeps the models of the epochs before"
            )


Tensors = tuple[Tensor, ...] | list[Tensor]


def ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average whose memory grows from the start of the run up to `decay`.

    Without growth the random initial weights would stay in the average for 1 / (1 - decay) steps.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
        else:
            torch._foreach_copy_(averaged, current)

    return update
