"""A configuration -> a training run: data, network, optimiser, callbacks, trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from centerx.build_data import RunData, build_source, build_train_pictures, check_supervision, data_problems, load_data
from centerx.build_model import build_detector, require_sizes, save_named, start_from
from centerx.build_teaching import build_balance, build_distiller
from centerx.config import Config, dump_config
from centerx.data.batch import EpochBatches, EvalPictures, epoch_size, load_batches
from centerx.data.dataset import Dataset
from centerx.data.function import Function
from centerx.data.source import (
    repeat_factors,
)
from centerx.detector import Detector
from centerx.errors import InputError, nearest
from centerx.evaluation.api import run_source
from centerx.files import remove_scratch, require_utf8
from centerx.losses.balance import Uncertainty
from centerx.losses.terms import label_terms
from centerx.models import CenterNet
from centerx.models.deform import offset_parameters
from centerx.models.norm import freeze_batch_norms, synchronise_batch_norms
from centerx.problems import write_problems
from centerx.runtime import open_session
from centerx.targets import center_targets
from centerx.training.ask import Asked, ask_teachers
from centerx.training.average import equal_average, moving_average
from centerx.training.evaluation import Evaluation
from centerx.training.guard import FiniteWeights, LossGuard
from centerx.training.interrupt import Interrupt
from centerx.training.module import CenterNetModule
from centerx.training.optim import build_optimizer, build_schedule
from centerx.training.patience import Patience
from centerx.training.pictures import compare_with_truth
from centerx.training.processes import Processes, keep_freed_memory
from centerx.training.progress import BrokenImages, TrainProgress
from centerx.training.record import RunLogger, SaveModels, WholeCheckpoints
from centerx.training.report import RunReport
from centerx.training.teachers import Teacher
from centerx.training.threads import LeaveBusyCores
from centerx.types import Batch, Detections

logger = logging.getLogger(__name__)

PROBLEMS = "problems.json"  # of the data, in the run folder
ROOM = 1 << 16  # bytes that a run folder must have room for before anything starts


class Run(NamedTuple):
    """A training run, ready to start.

    Attributes:
        data: what it learns from.
        config: resolved: class names filled in.
        trainer, module, batches: what `trainer.fit` takes.
        evaluation: of the validation data; None where the configuration has none.
    """

    data: RunData
    config: Config
    trainer: L.Trainer
    module: CenterNetModule
    batches: DataLoader[Batch]
    evaluation: Evaluation | None


def ask_all(data: RunData, processes: Processes) -> Asked:
    """Ask the teachers of a run all that must be known before training, see `ask_teachers`."""
    return ask_teachers(data.teachers, data.config.distill.shared, data.val, processes)


def build_run(
    config: Config,
    folder: Path,
    functions: Mapping[str, Function] | None = None,
    ask: Callable[[RunData, Processes], Asked] = ask_all,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Read the data and make everything that a training run needs.

    Args:
        config: of the run.
        folder: where it leaves its files; made where missing.
        functions: as for `open_teachers`.
        ask: what asks the teachers.
        callbacks: further ones, asked last.

    Raises:
        InputError: anything in the configuration or the data is wrong.
    """
    data = load_data(config, folder, functions)
    check_supervision(data)
    config, train = data.config, data.config.train
    processes = Processes.detect(train.device)
    if train.batch_size % processes.world:
        raise InputError(f"train.batch_size: {train.batch_size} cannot be shared by {processes.world} processes")
    share = train.batch_size // processes.world
    if train.accumulate > share:
        parts = f"{train.accumulate} parts of {share} pictures"
        raise InputError(f"train.accumulate: {parts}, which train.batch_size gives")
    problems = data_problems(data, silent=processes.rank > 0)
    if processes.device == "cpu":
        keep_freed_memory()

    logger.debug(
        f"trained on {processes.gpu or processes.device}, by {torch.get_num_threads()} threads of the processor"
    )
    torch.manual_seed(train.seed)
    detector = build_trainable(config, processes)
    factors = build_factors(data, silent=processes.rank > 0)
    sampler = EpochBatches(len(data.source), train.batch_size, train.seed, processes.rank, processes.world, factors)
    evaluation = build_evaluation(config, data.val, folder, processes) if data.val else None
    pictures = build_train_pictures(config, data.source)
    alone = processes.device == "cpu" and processes.world == 1
    every_callback = [
        *([LeaveBusyCores()] if alone else []),
        *build_callbacks(config, folder, evaluation, data.val),
        *callbacks,
    ]
    require_callbacks(every_callback)
    prepare_folder(folder)
    # This takes longest, so it comes after almost everything that may be refused.
    teachers, detections = ask(data, processes)
    module = build_module(config, detector, len(sampler), teachers)
    batches = load_batches(
        pictures.with_detections(detections),
        config.data.workers,
        batch_sampler=sampler,
        persistent_workers=config.data.workers > 0,
    )
    if processes.rank == 0:
        write_problems(folder / PROBLEMS, problems)
    return Run(data, config, build_trainer(config, folder, every_callback, processes), module, batches, evaluation)


def build_factors(data: RunData, silent: bool) -> np.ndarray | None:
    """Return how often each picture comes in an epoch; None where each comes once.

    Args:
        data: of the run.
        silent: whether another process tells it.
    """
    if not data.config.data.balance:
        return None
    entries = data.source.entries
    factors = repeat_factors(entries, len(data.classes), data.config.data.balance)
    if not silent:
        logger.info(
            f"data.balance: {epoch_size(factors)} pictures an epoch instead of {len(entries)}, one comes up to "
            f"{factors.max():.1f} times"
        )
    return factors


def build_trainable(config: Config, processes: Processes) -> Detector:
    """Return the detector as a training starts with it: its first weights, its memory layout, its batch norms."""
    train = config.train
    detector = build_detector(config)
    require_sizes(detector, config)
    if train.init is not None:
        start_from(detector, Path(train.init), config)
    if train.channels_last:
        detector.to(memory_format=torch.channels_last)
    if train.frozen_bn:
        freeze_batch_norms(detector.model.backbone)
    freeze_parts(detector, train.frozen)
    if processes.world > 1 and train.sync_bn:
        synchronise_batch_norms(detector)
    return detector


def freeze_parts(detector: Detector, names: Sequence[str]) -> None:
    """Freeze parts of a network, in place.

    Args:
        detector: the network with its decoder.
        names: of modules of the network.

    Raises:
        InputError: there is no such part, or no part would be left to train.
    """
    parts = {name: part for name, part in detector.model.named_modules() if name}
    for name in names:
        if name not in parts:
            known = [each for each in parts if each.count(".") == each.startswith("head.")]
            raise InputError(
                f"train.frozen: the network has no part {name!r}{nearest(name, parts)}, the large ones are: "
                f"{', '.join(known)}"
            )
        parts[name].requires_grad_(False)
        freeze_batch_norms(parts[name])
    if names and not any(parameter.requires_grad for parameter in detector.parameters()):
        raise InputError(f"train.frozen: {', '.join(names)} leave nothing to train, leave one of them out")


def build_callbacks(
    config: Config, folder: Path, evaluation: Evaluation | None, val_data: Sequence[Dataset]
) -> list[Callback]:
    """Return what watches, evaluates and records a run, in the order in which it is asked."""
    record = RunLogger(folder, dump_config(config), evaluation)
    callbacks: list[Callback] = [
        Interrupt(),
        BrokenImages(fail=config.data.broken_images == "fail"),
        build_guard(config),
        FiniteWeights(),
    ]
    callbacks += [evaluation] if evaluation else []
    callbacks += build_patience(config, evaluation)
    return [
        *callbacks,
        SaveModels(partial(save_named, folder, config), evaluation),
        record,
        TrainProgress(evaluation),
        *([build_report(config, folder, evaluation, record, val_data)] if evaluation and config.train.report else []),
    ]


def require_callbacks(callbacks: Sequence[Callback]) -> None:
    """Check that Lightning takes them all.

    Raises:
        InputError: one is no callback, or two have one key in checkpoints.
    """
    keys: set[str] = set()
    for each in callbacks:
        if not isinstance(each, Callback):
            raise InputError(f"callbacks: something of type {type(each).__name__} is no lightning.pytorch.Callback")
        stateful = is_overridden("state_dict", each, Callback)
        if stateful and each.state_key in keys:
            raise InputError(f"callbacks: two are called {each.state_key!r} in checkpoints, give one a state_key")
        keys |= {each.state_key} if stateful else set()


def build_report(
    config: Config, folder: Path, evaluation: Evaluation, record: RunLogger, val_data: Sequence[Dataset]
) -> RunReport:
    """Return what reports a finished run."""

    best = folder / "best.safetensors"

    def detect_best() -> dict[int, Detections] | None:
        if not best.is_file():
            return None
        session = open_session(best)
        return run_source(session, evaluation.source, config.train.batch_size, session.info.input_hw)[0]

    where = ", ".join(str(dataset.path) for dataset in val_data)
    return RunReport(folder, where, evaluation, record, detect_best)


def build_patience(config: Config, evaluation: Evaluation | None) -> list[Callback]:
    """Return what ends a run early, if anything does.

    Raises:
        InputError: there is nothing to go by, or the run averages weights at its end.
    """
    train = config.train
    if not train.patience:
        return []
    if evaluation is None:
        raise InputError("train.patience: goes by the AP on data.val, name some or set it to 0")
    if train.swa:
        raise InputError("train.patience: could end the run before train.swa averages its end, set one of them to 0")
    return [Patience(evaluation, train.patience)]


def build_module(
    config: Config, detector: Detector, epoch_steps: int, teachers: list[Teacher] | None = None
) -> CenterNetModule:
    """Return the training module for epochs of so many steps."""
    assert config.classes is not None
    train, loss = config.train, config.loss
    total_steps = epoch_steps * train.epochs
    swa_epochs = max(round(train.swa * train.epochs), 1) if train.swa else 0
    swa_start = total_steps - swa_epochs * epoch_steps
    if train.swa_rates and not train.swa:
        raise InputError("train.swa_rates: goes with train.swa only, set that above 0 or leave it out")
    branches = detector.model.head.branches
    distiller = build_distiller(config, teachers or [], branches, total_steps)
    balance = build_balance(config, distiller)
    learned = [detector, balance] if isinstance(balance, Uncertainty) else [detector]
    optimizer = build_optimizer(
        torch.nn.ModuleList(learned),
        train.optimizer.name,
        train.optimizer.lr,
        train.optimizer.weight_decay,
        train.optimizer.momentum,
        offset_parameters(detector),
    )
    schedule = build_schedule(
        train.schedule.name,
        swa_start,
        warmup=train.schedule.warmup,
        steps=train.schedule.steps,
        gamma=train.schedule.gamma,
        delay=train.schedule.delay,
        final=train.schedule.final,
        cycle=(epoch_steps, *train.swa_rates) if train.swa_rates else None,
    )
    assign = partial(
        center_targets,
        num_classes=len(config.classes),
        stride=CenterNet.stride,
        min_overlap=loss.min_overlap,
        reach=loss.reach,
        task=config.made_task,
        point_radius=loss.point_radius,
    )
    criterion = partial(
        label_terms,
        branches=branches,
        squared_heatmap=loss.heatmap_type == "mse",
        relative_size=loss.relative_size,
        class_weights=build_class_weights(config),
    )
    averaging = moving_average(train.ema) if train.ema else None
    if train.swa:
        averaging = equal_average(swa_start, epoch_steps)
    return CenterNetModule(
        detector,
        assign,
        criterion,
        balance,
        optimizer,
        schedule,
        averaging,
        distiller,
        train.clip_value,
        train.clip_each,
        train.accumulate,
    )


def build_class_weights(config: Config) -> tuple[float, ...]:
    """Return the factor of each class in the heatmap's loss; empty where all are 1.

    Raises:
        InputError: a name is no class of the model.
    """
    assert config.classes is not None
    weights = config.loss.class_weights
    for name in weights:
        if name not in config.classes:
            known = ", ".join(config.classes)
            raise InputError(
                f"loss.class_weights: {name!r} is no class{nearest(name, config.classes)}, there are: {known}"
            )
    return tuple(weights.get(name, 1.0) for name in config.classes) if weights else ()


def build_guard(config: Config) -> Callback:
    """Return what watches the loss."""
    ratio = config.train.skip_jumps
    if 0 < ratio <= 1:
        raise InputError(f"train.skip_jumps: {ratio} would leave out ordinary steps, set it above 1, or 0 for none")
    if ratio and config.loss.balance != "fixed":
        raise InputError(
            "train.skip_jumps: goes with loss.balance=fixed only, as another balance hides how large the loss is"
        )
    return LossGuard(config.train.max_not_finite, ratio)


def build_evaluation(config: Config, val_data: list[Dataset], folder: Path, processes: Processes) -> Evaluation:
    """Return the evaluation during training, and its picture `val.png`."""
    assert config.classes is not None
    task = config.made_task
    source = build_source(config, val_data)
    pictures = EvalPictures(source, config.data.input_size)
    batches = load_batches(
        pictures,
        config.data.workers,
        batch_size=config.train.batch_size,
        sampler=range(processes.rank, len(pictures), processes.world),
    )

    def draw(found: dict[int, Detections]) -> None:
        compare_with_truth(folder / "val.png", source, found, task)

    return Evaluation(source, task, batches, config.train.val_every, draw)


def build_trainer(
    config: Config, folder: Path, callbacks: list[Callback], processes: Processes, max_steps: int = -1
) -> L.Trainer:
    """Return Lightning's trainer: quiet, checkpoints in `last.ckpt`; `max_steps` ends the run, unless it is -1."""
    train = config.train
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    last = ModelCheckpoint(folder, filename="last", every_n_epochs=1, enable_version_counter=False)
    return L.Trainer(
        accelerator=processes.device,
        devices=processes.local_world,
        num_nodes=processes.world // processes.local_world,
        strategy="ddp" if processes.world > 1 else "auto",
        precision="bf16-mixed" if processes.use_bf16(train.precision) else "32-true",
        max_epochs=train.epochs,
        max_steps=max_steps,
        gradient_clip_val=train.clip_norm or None,
        callbacks=[*callbacks, last],
        plugins=[WholeCheckpoints()],
        logger=TensorBoardLogger(folder, name="", version=""),
        use_distributed_sampler=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        deterministic=False,
    )


def prepare_folder(folder: Path) -> None:
    """Make the run folder, and remove what a killed run was writing there.

    Raises:
        InputError: it cannot be written, or no library could open its files.
    """
    require_utf8(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write the run folder ({error.strerror}), choose another with --out"
        ) from None
    remove_scratch(folder)
