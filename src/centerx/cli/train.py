"""`centerx train`."""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Annotated

import typer

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.build import Run
    from centerx.config import Config

logger = logging.getLogger(__name__)


def train(
    config: Annotated[str, typer.Argument(help="a YAML file or the name of a preset, such as bccd_nano")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; runs/NAME without it")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
) -> None:
    """Train a detector. The run folder gets models, metrics and pictures."""
    from centerx.build import build_run
    from centerx.config import load_config
    from centerx.evaluation.table import metrics_table

    folder = out or Path("runs") / Path(config).stem
    checkpoint = checkpoint_of(folder, resume)
    run = build_run(load_config(config, overrides or []), folder)
    fit(run, checkpoint)
    if not run.trainer.is_global_zero:
        return
    if run.evaluation and run.evaluation.metrics:
        metrics_table(run.evaluation.metrics)
    print(f"model: {folder / 'best.safetensors'}")


def checkpoint_of(folder: Path, resume: bool) -> Path | None:
    """What a run in this folder goes on from; None where it starts anew.

    Raises:
        InputError: there is nothing to resume, or a run that would be overwritten.
    """
    from centerx.runtime.info import RUN_MODELS

    checkpoint = folder / "last.ckpt"
    if resume and not checkpoint.is_file():
        raise InputError(f"{checkpoint}: nothing to resume, leave --resume out or name the run folder with --out")
    if checkpoint.exists() and not resume:
        raise InputError(f"{folder}: holds a run already, go on with it by --resume, or name another folder with --out")
    model = next((path for path in map(folder.joinpath, RUN_MODELS) if path.exists()), None)
    if model and not resume:
        raise InputError(f"{model}: is there already and would be overwritten, name another folder with --out")
    return checkpoint if resume else None


def fit(run: Run, checkpoint: Path | None = None) -> None:
    """Train, going on from a checkpoint where one is given.

    Raises:
        InputError: the checkpoint is corrupt or of another network.
        KeyboardInterrupt: Ctrl-C.
    """
    from centerx.data.batch import EpochBatches

    if checkpoint is not None:
        # Lightning tells the sampler its epoch only after the workers have fetched their first batches.
        assert isinstance(run.batches.batch_sampler, EpochBatches)
        epoch = next_epoch(checkpoint, run)
        run.batches.batch_sampler.set_epoch(epoch)
        if run.trainer.is_global_zero:
            tell_changes(checkpoint.with_name("config.yaml"), run)
            if epoch >= run.config.train.epochs:
                logger.warning(f"{checkpoint}: train.epochs={epoch} is reached, nothing is left")
    try:
        run.trainer.fit(run.module, run.batches, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C: status 1, without a word
        raise KeyboardInterrupt from None


def tell_changes(config: Path, run: Run) -> None:
    """Warn where a run that goes on differs from `config`, what it was trained with so far."""
    changes = changed_keys(config, run.config)
    if changes:
        logger.warning(
            f"{config.parent}: goes on with another configuration: {', '.join(changes)}; unless that is "
            "meant, give --resume the words that the run was started with"
        )


def changed_keys(before: Path, config: Config) -> list[str]:
    """Each key that differs from a run's config.yaml, with both values; none where that cannot be read."""
    import yaml

    from centerx.config import Config, dump_config, flat

    try:
        tree = yaml.safe_load(before.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    default = yaml.safe_load(dump_config(Config()))  # a key that is newer than the file
    former = dict(flat(default)) | dict(flat(tree)) if isinstance(tree, dict) else {}
    return [
        f"{key}={value} (was {former.get(key)})"
        for key, value in flat(yaml.safe_load(dump_config(config)))
        if former.get(key) != value
    ]


def next_epoch(checkpoint: Path, run: Run) -> int:
    """Return the epoch, counted from 0, that a run resumed from a checkpoint begins with.

    Raises:
        InputError: the file is corrupt, or of another network.
    """
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        shapes = {name: value.shape for name, value in content["state_dict"].items()}
        epoch = int(content["epoch"])
    except (RuntimeError, EOFError, KeyError, TypeError, UnpicklingError):
        raise InputError(f"{checkpoint}: corrupt or not a checkpoint, train anew without --resume") from None
    if shapes != {name: value.shape for name, value in run.module.state_dict().items()}:
        raise InputError(f"{checkpoint}: is of another network, resume with the configuration it was trained with")
    return epoch + 1
