"""Display of training progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import lightning as L
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from centerx.errors import InputError
from centerx.training.evaluation import Evaluation
from centerx.types import Batch

logger = logging.getLogger(__name__)

PAUSE = 30.0  # seconds between two plain lines within an epoch


class TrainProgress(L.Callback):
    """Shows epoch, losses, speed, AP and the remaining time in one line per epoch.

    During an epoch it shows a bar on a terminal, and elsewhere a line every `PAUSE` seconds.

    Args:
        evaluation: callback that runs before this one; None without evaluation.
    """

    def __init__(self, evaluation: Evaluation | None) -> None:
        self.evaluation = evaluation
        self._bar: Progress | None = None
        self._task: Any = None
        self._run_started = self._epoch_started = self._told = self._speed = 0.0
        self._first_step = self._steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._run_started = self._told = time.perf_counter()
        self._first_step = trainer.global_step
        self._steps = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        if trainer.is_global_zero and sys.stdout.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._task = self._bar.add_task("training", total=self._steps, completed=trainer.global_step, note="")
            self._bar.start()

    def on_train_epoch_start(self, *_: object) -> None:
        """Start to measure the time of the epoch."""
        self._epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Update the bar, or print a line if the last one is `PAUSE` seconds ago."""
        now = time.perf_counter()
        self._speed = (batch_idx + 1) / (now - self._epoch_started)
        loss = f"loss {float(outputs['loss']):.3f}"
        if self._bar is not None:
            note = f"{loss}  {self._speed:.1f} steps/s"
            self._bar.update(self._task, description=epoch_of(trainer), completed=trainer.global_step, note=note)
        elif now - self._told >= PAUSE:
            self._tell(trainer, f"step {batch_idx + 1}/{trainer.num_training_batches}  {loss}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the figures of the epoch. Terms of 0, which have no supervision, are left out."""
        figures = trainer.callback_metrics
        terms = "  ".join(
            f"{name[6:]} {float(value):.3f}" for name, value in figures.items() if name[:6] == "train/" and float(value)
        )
        evaluated = self.evaluation.figures if self.evaluation else {}
        self._tell(trainer, terms + (f"  AP {evaluated['val/AP']:.3f}" if evaluated else ""))

    def _tell(self, trainer: L.Trainer, figures: str) -> None:
        if not trainer.is_global_zero:
            return
        self._told = time.perf_counter()
        pace = (self._told - self._run_started) / (trainer.global_step - self._first_step)
        left = pace * (self._steps - trainer.global_step)
        line = f"{epoch_of(trainer)}  {figures}  {self._speed:.1f} steps/s  {left:.0f} s left"
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, flush=True)

    def teardown(self, *_: object, **__: object) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_exception(self, *_: object) -> None:
        """Close the bar before the error is printed; Lightning does not call `teardown` then."""
        self.teardown()


def epoch_of(trainer: L.Trainer) -> str:
    """Return the current epoch and their number: `epoch 3/30`."""
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
