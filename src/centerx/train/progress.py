"""What a person sees while training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

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
from centerx.train.evaluation import Evaluation
from centerx.types import Batch


class TrainProgress(L.Callback):
    """Shows epoch, loss, speed, AP and the time left.

    Args:
        evaluation: which runs before this.
    """

    def __init__(self, evaluation: Evaluation | None) -> None:
        self.evaluation = evaluation
        self._bar: Progress | None = None
        self._task: Any = None
        self._epoch_started = self._run_started = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar."""
        self._run_started, self._first_epoch = time.perf_counter(), trainer.current_epoch
        if trainer.is_global_zero and sys.stdout.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            steps = int(trainer.num_training_batches)
            self._task = self._bar.add_task(
                "training", total=steps * (trainer.max_epochs or 1), completed=trainer.global_step, note=""
            )
            self._bar.start()

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the clock of the epoch."""
        self._epoch_started = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell the epoch's figures."""
        if not trainer.is_global_zero:
            return
        figures = trainer.callback_metrics
        spent = time.perf_counter() - self._epoch_started
        speed = int(trainer.num_training_batches) / spent
        terms = "  ".join(f"{name[6:]} {float(value):.3f}" for name, value in figures.items() if name[:6] == "train/")
        evaluated = self.evaluation.figures if self.evaluation else {}
        ap = f"  AP {evaluated['val/AP']:.3f}" if evaluated else ""
        note = f"{terms}{ap}  {speed:.1f} steps/s"
        if self._bar is not None:
            self._bar.update(
                self._task, description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", note=note
            )
            return
        done = trainer.current_epoch + 1 - self._first_epoch
        left = (
            (time.perf_counter() - self._run_started) / done * ((trainer.max_epochs or 1) - trainer.current_epoch - 1)
        )
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {note}  {left:.0f} s left", flush=True)

    def teardown(self, *_: object, **__: object) -> None:
        """Close the bar, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class BrokenImages(L.Callback):
    """Counts and names pictures that could not be read, once each.

    Args:
        fail: end the run at the first one.
    """

    def __init__(self, fail: bool) -> None:
        self.fail = fail
        self.seen: set[str] = set()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, _: int) -> None:
        """Look at what the batch had to leave out."""
        for message in batch.skipped:
            if self.fail:
                raise InputError(f"{message}, or set data.broken_images=skip")
            if message not in self.seen:
                self.seen.add(message)
                print(f"warning: skipped: {message}", file=sys.stderr, flush=True)
        if not len(batch.images):
            raise InputError("data.train: not one picture of a batch can be read; run `centerx data check` on it")

    def on_train_end(self, *_: object) -> None:
        """Say how many there were."""
        if self.seen:
            print(f"warning: {len(self.seen)} unreadable pictures were left out", file=sys.stderr, flush=True)
