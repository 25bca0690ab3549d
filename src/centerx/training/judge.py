"""Evaluations told to somebody who may end the run, such as a search that compares it with other runs."""

from __future__ import annotations

from collections.abc import Callable

import lightning as L

from centerx.training.evaluation import Evaluation


class Judge(L.Callback):
    """Tells the AP of each evaluation, and ends the run where the answer is to.

    Args:
        ends: called with an epoch, counted from 1, and its AP in [0, 1]; returns whether to end the run. What it says
            of the last epoch changes nothing.

    Attributes:
        curve: AP by epoch.
        ended: whether the run was ended before its last epoch.
    """

    def __init__(self, ends: Callable[[int, float], bool]) -> None:
        self.ends = ends
        self.curve: dict[int, float] = {}
        self.ended = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell the evaluation of the epoch, if there was one; the one that evaluates runs before."""
        evaluation = next(each for each in trainer.callbacks if isinstance(each, Evaluation))  # type: ignore[attr-defined]
        if not evaluation.figures:
            return
        epoch = trainer.current_epoch + 1
        self.curve[epoch] = evaluation.figures["val/AP"]
        if self.ends(epoch, self.curve[epoch]) and epoch != trainer.max_epochs:
            self.ended = trainer.should_stop = True
