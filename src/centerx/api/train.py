"""`centerx.train`: a run from its configuration to its models."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError
from centerx.show import Table, import_optional, new_figure

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from centerx.api.datasets import DatasetFiles
    from centerx.build import Run
    from centerx.config import Config, ConfigSource, Overrides
    from centerx.data.function import Function
    from centerx.evaluation import Metrics
    from centerx.page import Cell

METRICS = "metrics.csv"

logger = logging.getLogger(__name__)


class TrainResult(NamedTuple):
    """A finished training.

    Attributes:
        folder: of the run.
        model: the file of the last epoch's model.
        best: the file of the model with the best AP; the last one where nothing was evaluated.
        metrics: of the last evaluation; None where there was none.
        rank: number of this process; above 0 only where several processes train, of which the first has the metrics.
    """

    folder: Path
    model: Path
    best: Path
    metrics: Metrics | None
    rank: int = 0

    def table(self) -> Table:
        """Return where the models are, and how good the last one is."""
        return result_table("Training", self.folder, self.best, self.metrics)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return metrics.csv, a row an epoch, as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return import_optional("pandas").read_csv(self.folder / METRICS)

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of the loss terms, the learning rate and the AP of each epoch."""
        return plot_run(self.folder)

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx train --json`."""
        return result_tree(self.folder, self.model, self.best, self.metrics)


def result_table(
    title: str,
    folder: Path,
    best: Path,
    metrics: Metrics | None,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[Cell]] = (),
) -> Table:
    """Return what every training shows: its files, AP and rows, which are those of the metrics where none are given."""
    facts = {"folder": folder, "best model": best} | ({"AP": metrics.AP} if metrics else {})
    if metrics and not rows:
        columns, rows = metrics.table().columns, metrics.table().rows
    return Table(title, facts, columns, rows)


def plot_run(folder: Path) -> Any:
    """Return a figure of the curves of a run, from its metrics.csv."""
    from centerx.training.record import CURVES_INCHES, plot_curves

    with (folder / METRICS).open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    figure = new_figure(CURVES_INCHES)
    plot_curves(figure, rows)
    return figure


def result_tree(folder: Path, model: Path, best: Path, metrics: Metrics | None) -> dict[str, Any]:
    """Return what the JSON of every training has."""
    return {
        "folder": str(folder),
        "model": str(model),
        "best": str(best),
        "metrics": metrics.to_json() if metrics else None,
    }


def train(
    config: ConfigSource,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overrides: Overrides = (),
    callbacks: Sequence[Callback] = (),
) -> TrainResult:
    """Train a detector. The run folder gets models, metrics and pictures.

    Args:
        config: a YAML file, the name of a preset such as `bccd_nano`, a mapping with the keys of a YAML file, or a
            `Config`. Entries of `data.train` and `data.val` may be `Dataset` objects in a mapping, here or in
            `overrides`. The run folder gets a COCO file of each, `data/train.json` and so on, which names the pictures
            where they are; the run learns from these files, so that it can be read back and go on.
        out: the run folder; without it `runs/NAME`, NAME being that of the file or preset.
        resume: go on from the run folder's last.ckpt.
        overrides: `dotted.key=value` texts, or a mapping of dotted keys to values.
        callbacks: Lightning callbacks, asked after those of centerX: an epoch's evaluation is done and its models are
            written by then. Their state goes into last.ckpt; a run may go on with others.

    Raises:
        InputError: anything in the configuration, the data or the folder is wrong.
    """
    from centerx.api.datasets import DatasetFiles
    from centerx.config import load_config

    folder = run_folder(config, out)
    files = DatasetFiles(folder)
    settings = load_config(files.named(config), files.named(overrides))
    run = train_in(folder, settings, resume, callbacks=callbacks, files=files)
    metrics = run.evaluation.metrics if run.evaluation else None
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    return TrainResult(folder, last, best, metrics, run.trainer.global_rank)


def run_folder(config: ConfigSource, out: str | Path | None) -> Path:
    """Return the run folder: `out`, or runs/NAME, NAME being that of the file or preset.

    Raises:
        InputError: neither is there.
    """
    if out is None and not isinstance(config, (str, Path)):
        raise InputError("out: this configuration has no name for a run folder, give one")
    return Path(out) if out is not None else Path("runs") / Path(str(config)).stem


def train_in(
    folder: Path,
    config: Config,
    resume: bool = False,
    functions: Mapping[str, Function] | None = None,
    callbacks: Sequence[Callback] = (),
    files: DatasetFiles | None = None,
) -> Run:
    """Train in a run folder.

    Args:
        folder: of the run.
        config: of the run.
        resume: go on from the folder's last.ckpt.
        functions: those that are teachers, by the file that keeps what they find.
        callbacks: as for `train`.
        files: of data sets that were given as objects.

    Returns:
        The finished run.

    Raises:
        InputError: as `train`.
    """
    from centerx.build import build_run

    checkpoint = checkpoint_of(folder, resume)
    if files is not None:
        files.write(config.data.policies)
    run = build_run(config, folder, functions, callbacks=callbacks)
    fit(run, checkpoint)
    return run


def checkpoint_of(folder: Path, resume: bool) -> Path | None:
    """Return the file that a run in this folder goes on from; None where it starts anew.

    Args:
        folder: of the run.
        resume: whether it is to go on; one that ended before its first checkpoint begins anew.

    Raises:
        InputError: there is nothing to resume, or a run that would be overwritten.
    """
    from centerx.runtime.info import RUN_MODELS

    checkpoint = folder / "last.ckpt"
    model = next((path for path in map(folder.joinpath, RUN_MODELS) if path.exists()), None)
    begun = not checkpoint.exists() and (folder / "config.yaml").is_file() and epochs_of(folder) <= 1
    if begun and (resume or model):  # it ended before the first checkpoint
        if not resume:
            raise InputError(f"{folder}: ended in its first epoch, begin it anew by --resume, or remove {model}")
        logger.warning(f"{folder}: ended in its first epoch, before last.ckpt was written; it begins anew")
        return None
    if resume and not checkpoint.is_file():
        raise InputError(f"{checkpoint}: nothing to resume, leave --resume out or name the run folder with --out")
    if checkpoint.exists() and not resume:
        raise InputError(f"{folder}: holds a run already, go on with it by --resume, or name another folder with --out")
    if model and not resume:
        raise InputError(f"{model}: is there already and would be overwritten, name another folder with --out")
    return checkpoint if resume else None


def epochs_of(folder: Path) -> int:
    """Return how many epochs the metrics of a run folder tell of."""
    metrics = folder / METRICS
    if not metrics.is_file():
        return 0
    with metrics.open(newline="", encoding="utf-8", errors="replace") as file:
        return sum(1 for _ in csv.DictReader(file))


def fit(run: Run, checkpoint: Path | None = None) -> None:
    """Train.

    Args:
        run: as built.
        checkpoint: to go on from.

    Raises:
        InputError: the checkpoint is corrupt or of another network.
        KeyboardInterrupt: Ctrl-C.
    """
    from centerx.data.batch import EpochBatches
    from centerx.training.interrupt import fit_heeding_ctrl_c
    from centerx.training.record import next_epoch

    if checkpoint is not None:
        # Lightning tells the sampler its epoch only after the workers have fetched their first batches.
        assert isinstance(run.batches.batch_sampler, EpochBatches)
        epoch = next_epoch(checkpoint, run.module)
        run.batches.batch_sampler.set_epoch(epoch)
        if run.trainer.is_global_zero:
            tell_changes(checkpoint.with_name("config.yaml"), run.config)
            if epoch >= run.config.train.epochs:
                logger.warning(f"{checkpoint}: train.epochs={epoch} is reached, nothing is left")
    fit_heeding_ctrl_c(run.trainer, run.module, run.batches, checkpoint)


def tell_changes(before: Path, config: Config) -> None:
    """Warn where a run that goes on differs from `before`, the file of what it was trained with so far."""
    from centerx.config import changed_keys

    changes = changed_keys(before, config)
    if changes:
        logger.warning(
            f"{before.parent}: goes on with another configuration: {', '.join(changes)}; unless that is "
            "meant, give --resume the words that the run was started with"
        )
