"""What a run leaves behind: configuration, models, checkpoint, metrics.csv with one row an epoch, and curves.png."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from centerx.detector import Detector
from centerx.files import write_atomic
from centerx.training.evaluation import Evaluation
from centerx.training.module import CenterNetModule

Row = dict[str, float]


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all; Lightning's own way copies it where /tmp is another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getbuffer())


class SaveModels(L.Callback):
    """Writes `last` after every epoch and `best` where the evaluation improved, or always where there is none.

    Args:
        save: called with the detector to deploy and 'last' or 'best'.
        evaluation: which runs before this.
    """

    def __init__(self, save: Callable[[Detector, str], None], evaluation: Evaluation | None) -> None:
        self.save = save
        self.evaluation = evaluation

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what is due."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, CenterNetModule)
        self.save(pl_module.deployed, "last")
        if self.evaluation is None or self.evaluation.improved:
            self.save(pl_module.deployed, "best")


class RunLogger(L.Callback):
    """Writes config.yaml, metrics.csv and curves.png; the rows travel in the checkpoint, so a resume goes on.

    Args:
        folder: of the run.
        config: resolved, as YAML.
        evaluation: which runs before this.
    """

    def __init__(self, folder: Path, config: str, evaluation: Evaluation | None) -> None:
        self.folder, self.config = folder, config
        self.evaluation = evaluation
        self.rows: list[Row] = []
        self._started = 0.0

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: the former name of the class, so that older checkpoints resume."""
        return "RunRecord"

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.rows = state_dict["rows"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the configuration, now that nothing speaks against the run."""
        if trainer.is_global_zero:
            write_atomic(self.folder / "config.yaml", self.config.encode())

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the epoch, and forget what the last one logged: its terms may be no more."""
        self._started = time.perf_counter()
        trainer.callback_metrics.clear()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch's row."""
        if not trainer.is_global_zero:
            return
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "seconds": round(time.perf_counter() - self._started, 3),
                "lr": trainer.optimizers[0].param_groups[0]["lr"],
                **{name: float(value) for name, value in trainer.callback_metrics.items()},
                **(self.evaluation.figures if self.evaluation else {}),
            }
        )
        for logger in trainer.loggers:
            logger.log_metrics(self.rows[-1], step=trainer.current_epoch + 1)
        write_csv(self.folder / "metrics.csv", self.rows)
        if len(self.rows) % 10 == 0 or trainer.current_epoch + 1 == trainer.max_epochs:
            draw_curves(self.folder / "curves.png", self.rows)


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write rows whose columns may differ; missing cells are empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())


def draw_curves(path: Path, rows: list[Row]) -> None:
    """Draw loss terms, learning rate and AP over epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.8), layout="constrained")
    panels = {"loss terms": "train/", "learning rate": "lr", "AP": "val/AP"}
    for axis, (title, prefix) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        names = dict.fromkeys(name for row in rows for name in row if name.startswith(prefix))
        for name in names:
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            label = name.replace("$", r"\$")  # dollars begin a formula
            axis.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend(fontsize=8)
        if prefix == "train/":
            axis.set_yscale("log")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_atomic(path, content.getbuffer())
