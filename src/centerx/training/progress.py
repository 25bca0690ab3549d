"""How far a training is: each epoch as a line of the log, each step to the display."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning as L

from centerx.errors import InputError
from centerx.progress import current_display
from centerx.training.evaluation import Evaluation
from centerx.types import Batch

logger = logging.getLogger(__name__)


class TrainProgress(L.Callback):
    """Tells epoch, losses, speed, AP and the time left.

    Args:
        evaluation: callback that runs before this one; None without evaluation.
    """

    def __init__(self, evaluation: Evaluation | None) -> None:
        self.evaluation = evaluation
        self._run_started = self._epoch_started = self._speed = 0.0
        self._first_step = self._steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the run."""
        self._run_started = time.perf_counter()
        self._first_step = trainer.global_step
        self._steps = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        if trainer.is_global_zero:
            current_display().start_training(self._steps, trainer.global_step)

    def on_train_epoch_start(self, *_: object) -> None:
        """Start to measure the time of the epoch."""
        self._epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Tell the display how far the epoch is."""
        self._speed = (batch_idx + 1) / (time.perf_counter() - self._epoch_started)
        if trainer.is_global_zero:
            loss = f"loss {float(outputs['loss']):.3f}"
            line = self._line(trainer, f"step {batch_idx + 1}/{trainer.num_training_batches}  {loss}")
            note = f"{loss}  {self._speed:.1f} steps/s"
            current_display().show_step(trainer.global_step, epoch_of(trainer), note, line)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the epoch's figures; a term of 0 is one that nothing teaches."""
        figures = trainer.callback_metrics
        terms = "  ".join(
            f"{name[6:]} {float(value):.3f}" for name, value in figures.items() if name[:6] == "train/" and float(value)
        )
        evaluated = self.evaluation.figures if self.evaluation else {}
        if trainer.is_global_zero:
            logger.info(self._line(trainer, terms + (f"  AP {evaluated['val/AP']:.3f}" if evaluated else "")))

    def _line(self, trainer: L.Trainer, figures: str) -> str:
        """Return epoch, figures, speed and the time left."""
        pace = (time.perf_counter() - self._run_started) / (trainer.global_step - self._first_step)
        left = pace * (self._steps - trainer.global_step)
        return f"{epoch_of(trainer)}  {figures}  {self._speed:.1f} steps/s  {left:.0f} s left"

    def teardown(self, *_: object, **__: object) -> None:
        """Tell the display that the training has ended."""
        current_display().end_training()

    def on_exception(self, *_: object) -> None:
        """Tell the display before the error is told: Lightning calls no teardown here."""
        self.teardown()


def epoch_of(trainer: L.Trainer) -> str:
    """Return which epoch is under way, such as `epoch 3/40`."""
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


class BrokenImages(L.Callback):
    """Logs each picture that cannot be read once, and counts them.

    Args:
        fail: whether the run ends at the first one.
    """

    def __init__(self, fail: bool) -> None:
        self.fail = fail
        self.seen: set[str] = set()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, _: int) -> None:
        """Log the pictures that the batch left out."""
        for message in batch.skipped:
            if self.fail:
                raise InputError(f"{message}, or set data.broken_images=skip")
            if message not in self.seen:
                self.seen.add(message)
                logger.warning(f"skipped: {message}")
        if not len(batch.images):
            raise InputError("data.train: not one picture of a batch can be read; run `centerx data check` on it")

    def on_train_end(self, *_: object) -> None:
        """Log the number of unreadable pictures."""
        if self.seen:
            logger.warning(f"{len(self.seen)} unreadable pictures were left out")
