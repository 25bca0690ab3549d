"""Early stopping: the end of a run whose AP rises no more."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L

from centerx.training.evaluation import Evaluation

logger = logging.getLogger(__name__)


class Patience(L.Callback):
    """Ends training after so many evaluations in a row without a better AP, the figure that chooses `best`.

    The count is in the checkpoint, so a resumed run ends where the run would have ended without the stop.

    Args:
        evaluation: callback that runs before this one.
        most: number of evaluations, at least 1.
    """

    def __init__(self, evaluation: Evaluation, most: int) -> None:
        self.evaluation, self.most = evaluation, most
        self.waited = 0
        self._said = ""

    def state_dict(self) -> dict[str, Any]:
        """Return the number of evaluations since the best."""
        return {"waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the number of a checkpoint."""
        self.waited = state_dict["waited"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End a resumed run that had ended already."""
        if self.waited >= self.most:
            trainer.should_stop = True
            if trainer.is_global_zero:
                logger.warning(
                    f"train.patience={self.most} ended this run before, nothing is left; a larger one goes on"
                )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count an evaluation; only the first process has its figures."""
        if self.evaluation.figures:
            self.waited = 0 if self.evaluation.improved else self.waited + 1
        if trainer.strategy.broadcast(self.waited >= self.most) and trainer.current_epoch + 1 != trainer.max_epochs:
            trainer.should_stop = True
            self._said = (
                f"stopped after epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: no better AP than "
                f"{self.evaluation.best:.3f} in {self.waited} evaluations (train.patience)"
            )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that the run ended early, after the figures of its last epoch."""
        if self._said and trainer.is_global_zero:
            logger.info(self._said)
