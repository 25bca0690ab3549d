"""Write the files of a run: configuration, models, checkpoint, metrics.csv with one row per epoch, and curves.png."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from centerx.checkpoint_file import read_mapping
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.files import write_atomic
from centerx.training.evaluation import Evaluation
from centerx.training.module import CenterNetModule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES_INCHES = (13.0, 3.8)
Row = dict[str, float]


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically; Lightning's own writer does not if /tmp is on another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getbuffer())


class SaveModels(L.Callback):
    """Saves the model `last` after every epoch, and `best` if the evaluation improved or there is no evaluation.

    Args:
        save: called with the detector to deploy and `last` or `best`.
        evaluation: callback that runs before this one; None without evaluation.
    """

    def __init__(self, save: Callable[[Detector, str], None], evaluation: Evaluation | None) -> None:
        self.save = save
        self.evaluation = evaluation

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the models."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, CenterNetModule)
        self.save(pl_module.deployed, "last")
        if self.evaluation is None or self.evaluation.improved:
            self.save(pl_module.deployed, "best")


class RunLogger(L.Callback):
    """Writes config.yaml, metrics.csv and curves.png. Checkpoints contain the rows, so a resumed run continues them.

    Args:
        folder: folder of the run.
        config: resolved configuration as YAML.
        evaluation: callback that runs before this one; None without evaluation.
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
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = state_dict["rows"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the configuration, once all checks before training have passed."""
        if trainer.is_global_zero:
            write_atomic(self.folder / "config.yaml", self.config.encode())

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start to measure the time of the epoch, and clear the metrics of the last one, whose terms may have ended."""
        self._started = time.perf_counter()
        trainer.callback_metrics.clear()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Append the row of the epoch and write the files."""
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
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if ends or len(self.rows) % 10 == 0:
            draw_curves(self.folder / "curves.png", self.rows)


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write rows with different columns as CSV; missing cells are empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())


def draw_curves(path: Path, rows: list[Row]) -> None:
    """Draw curves of loss terms, learning rate and AP over epochs."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    content = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # a dollar in the name of a class starts no formula
        figure = Figure(figsize=CURVES_INCHES, layout="constrained")
        plot_curves(figure, rows)
        figure.savefig(content, format="png", dpi=110)
    write_atomic(path, content.getbuffer())


def plot_curves(figure: Figure, rows: list[Row]) -> None:
    """Plot curves of loss terms, learning rate and AP over epochs into an empty figure."""
    from matplotlib.ticker import LogFormatter, MaxNLocator

    panels = {"loss terms": "train/", "learning rate": "lr", "AP": "val/AP"}
    for axis, (title, prefix) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        names = dict.fromkeys(name for row in rows for name in row if name.startswith(prefix))
        for name in names:
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else None)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend(fontsize=8)
        if prefix == "train/":
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(LogFormatter())  # the usual ones write formulas
            axis.yaxis.set_minor_formatter(LogFormatter())


def next_epoch(checkpoint: Path, module: L.LightningModule) -> int:
    """Return the epoch, counted from 0, that a run resumed from a checkpoint begins with.

    Raises:
        InputError: the file is corrupt, or of another network.
    """
    try:
        content = read_mapping(checkpoint)
        shapes = {name: value.shape for name, value in content["state_dict"].items()}
        epoch = content["epoch"]
        whole = all(len(content[name]) == 1 for name in ("optimizer_states", "lr_schedulers"))
        rows, loop = content["callbacks"]["RunRecord"]["rows"], content["loops"]["fit_loop"]
        if type(epoch) is not int or epoch < 0 or not (whole and rows and loop):
            raise TypeError
    except (InputError, KeyError, TypeError, AttributeError):
        raise InputError(f"{checkpoint}: corrupt or not a checkpoint, train anew without --resume") from None
    if shapes != {name: value.shape for name, value in module.state_dict().items()}:
        raise InputError(f"{checkpoint}: is of another network, resume with the configuration it was trained with")
    return epoch + 1
