"""The only file that turns a configuration into objects."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from centerx import runtime
from centerx.config import Config, dump_config, parse_text
from centerx.config.schema import DataEntry
from centerx.data.augment import ColourTransform, RandomAffine
from centerx.data.batch import EpochBatches, EvalPictures, TrainPictures, collate
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource, check_class_names, union_of_classes
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.losses.balance import Balance, ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, article_terms
from centerx.model_file import read_model, save_model
from centerx.models import Backbone, CenterHead, CenterNet, DeconvNeck, FpnNeck
from centerx.models.norm import synchronise_batch_norms
from centerx.runtime.info import ModelInfo
from centerx.targets import center_targets
from centerx.train.evaluation import Evaluation
from centerx.train.memory import keep_freed_memory
from centerx.train.module import CenterNetModule
from centerx.train.optim import build_optimizer, build_schedule
from centerx.train.pictures import compare_with_truth
from centerx.train.processes import Processes
from centerx.train.progress import BrokenImages, TrainProgress
from centerx.train.record import KeepModels, RunRecord, WholeCheckpoints
from centerx.train.teachers import (
    Answer,
    BoxTeacher,
    Claim,
    NetworkTeacher,
    Teacher,
    Teaching,
    plan_lessons,
    taught_classes,
)
from centerx.types import Batch, Detections

ROOM = 1 << 16  # bytes that a run folder must have room for before anything starts


class Run(NamedTuple):
    """A training run, ready to start.

    Attributes:
        config: resolved: class names filled in.
        trainer, module, batches: what `trainer.fit` takes.
        evaluation: of the validation data; None where the configuration has none.
    """

    config: Config
    trainer: L.Trainer
    module: CenterNetModule
    batches: DataLoader[Batch]
    evaluation: Evaluation | None


def build_datasets(entries: Sequence[DataEntry]) -> list[Dataset]:
    """Read the data sets of some entries."""
    return [
        read_dataset(
            Path(entry.path),
            split=entry.split,
            classes=entry.classes,
            images=Path(entry.images) if entry.images else None,
            format=entry.format,
        )
        for entry in entries
    ]


def build_model(config: Config) -> CenterNet:
    """Return the network, freshly initialised; `config.classes` must be set."""
    assert config.classes is not None
    model = config.model
    backbone = Backbone(model.backbone, model.pretrained)
    width = model.neck.channels
    neck: FpnNeck | DeconvNeck
    if model.neck.type == "deconv":
        widths = width if isinstance(width, tuple) else (width,) * 3
        if len(widths) != 3:
            raise InputError(
                f"model.neck.channels: a deconv neck has three stages, not {len(widths)}, list a width each"
            )
        neck = DeconvNeck(backbone.channels, widths)
    elif isinstance(width, tuple):
        raise InputError("model.neck.channels: an fpn neck has one width, not a list, give a number")
    else:
        neck = FpnNeck(backbone.channels, width)
    return CenterNet(backbone, neck, CenterHead(neck.out_channels, len(config.classes), model.head_channels))


def build_detector(config: Config) -> Detector:
    """Return network and decoder."""
    return Detector(build_model(config), config.model.top_k)


def model_info(config: Config) -> ModelInfo:
    """Return what a model file says of itself."""
    assert config.classes is not None
    return ModelInfo(config.classes, config.data.input_size, CenterNet.stride)


def load_detector(path: Path) -> tuple[Detector, ModelInfo]:
    """Read a model file of this project.

    Raises:
        InputError: the file is missing, corrupt, or its weights do not fit its configuration.
    """
    state, info, text = read_model(path)
    config = parse_text(text, f"{path} (its configuration)")
    config = config.model_copy(update={"model": config.model.model_copy(update={"pretrained": False})})
    detector = build_detector(config)
    load_weights(detector, state, path)
    return detector.eval(), info


def load_weights(detector: Detector, state: dict[str, torch.Tensor], where: Path) -> None:
    """Load weights, naming the first tensor that does not fit."""
    own = detector.model.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) + [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if wrong:
        raise InputError(f"{where}: {len(wrong)} tensors are missing, extra or misshapen, the first is {wrong[0]!r}")
    detector.model.load_state_dict(state)


def build_run(config: Config, folder: Path) -> Run:
    """Read the data and make everything that a training run needs.

    Args:
        config: of the run.
        folder: where it leaves its files; made where missing.

    Raises:
        InputError: anything in the configuration or the data is wrong.
    """
    train = config.train
    train_data, val_data = build_datasets(config.data.train), build_datasets(config.data.val)
    if not train_data:
        raise InputError("data.train: no data set to train on, name one such as data.train=[path/to/data]")
    teachers = open_teachers(config)
    taught = [name for claim, _ in teachers for name in taught_classes(claim)]
    config = resolve_classes(config, train_data, taught)
    assert config.classes is not None
    check_class_names(config.classes, train_data, taught)
    source = SampleSource(train_data, config.classes)
    labels_alone = not teachers or config.distill.until < 1
    if labels_alone and not any(len(entry.record.labels) for entry in source.entries):
        raise InputError(
            f"data.train: no boxes of {', '.join(config.classes)} on any of {len(source)} pictures"
            + (", set distill.until=1: no labels can teach after it" if teachers else "")
        )

    processes = Processes.detect(train.device)
    if train.batch_size % processes.world:
        raise InputError(f"train.batch_size: {train.batch_size} cannot be shared by {processes.world} processes")
    if processes.device == "cpu":
        keep_freed_memory()
    prepare_folder(folder)

    torch.manual_seed(train.seed)
    detector = build_detector(config)
    detector.model.backbone.require_maps(config.data.input_size)
    if train.init is not None:
        load_weights(detector, read_model(Path(train.init))[0], Path(train.init))
    if train.channels_last:
        detector.to(memory_format=torch.channels_last)
    if processes.world > 1 and train.sync_bn:
        synchronise_batch_norms(detector)

    sampler = EpochBatches(len(source), train.batch_size, train.seed, processes.rank, processes.world)
    evaluation = build_evaluation(config, val_data, folder, processes) if val_data else None
    module = build_module(config, detector, len(sampler) * train.epochs, teachers)
    batches = DataLoader(
        build_train_pictures(config, source),
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=config.data.workers,
        persistent_workers=config.data.workers > 0,
    )
    save = partial(save_named, folder, config)
    callbacks: list[Callback] = [BrokenImages(fail=config.data.broken_images == "fail")]
    callbacks += [evaluation] if evaluation else []
    callbacks += [
        KeepModels(save, evaluation),
        RunRecord(folder, dump_config(config), evaluation),
        TrainProgress(evaluation),
    ]
    return Run(config, build_trainer(config, folder, callbacks, processes), module, batches, evaluation)


def resolve_classes(config: Config, datasets: Sequence[Dataset], taught: Sequence[str] = ()) -> Config:
    """Fill in the class names from teachers and data where the configuration leaves them out."""
    if config.classes is not None:
        return config
    names = tuple(dict.fromkeys([*taught, *union_of_classes(datasets)]))
    if not names:
        raise InputError("classes: the training data labels no classes, add labelled data")
    return config.model_copy(update={"classes": names})


def build_train_pictures(config: Config, source: SampleSource) -> TrainPictures:
    """Return the augmented pictures."""
    augment = config.augment
    affine = RandomAffine(
        config.data.input_size,
        flip=augment.flip,
        flip_vertical=augment.flip_vertical,
        scale=augment.scale,
        aspect=augment.aspect,
        shift=augment.shift,
        rotate=augment.rotate,
        min_visible=augment.min_visible,
    )
    return TrainPictures(source, affine, ColourTransform(augment.colour), augment.mosaic, config.train.seed)


def open_teachers(config: Config) -> list[tuple[Claim, Answer]]:
    """Load the teachers of a configuration: what each could teach, and how it answers.

    Raises:
        InputError: a file is missing, of another kind, or takes pictures of another size; two have one name.
    """
    opened: list[tuple[Claim, Answer]] = []
    for entry in config.distill.teachers:
        path = Path(entry.weights)
        name = entry.name or (path.absolute().parent.name if path.stem in ("best", "last") else path.stem)
        if any(claim.name == name for claim, _ in opened):
            raise InputError(f"distill.teachers: two are called {name!r}, give each a name of its own")
        answer: Answer
        if path.suffix.lower() == ".safetensors":
            detector, info = load_detector(path)
            try:
                detector.model.backbone.require_maps(config.data.input_size)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            if config.train.channels_last:
                detector.to(memory_format=torch.channels_last)
            answer = NetworkTeacher(detector.model)
        else:
            session = runtime.open_session(path)
            info = session.info
            if info.input_hw != config.data.input_size:
                raise InputError(
                    f"{path}: takes pictures of {info.input_hw[0]} x {info.input_hw[1]} pixels only, set "
                    f"data.input_size=[{info.input_hw[0]},{info.input_hw[1]}] or export it again with --size"
                )
            answer = BoxTeacher(session, len(info.class_names), CenterNet.stride, config.loss.min_overlap)
        opened.append((Claim(name, info.class_names, entry.classes), answer))
    return opened


def build_teaching(config: Config, teachers: list[tuple[Claim, Answer]], total_steps: int) -> Teaching | None:
    """Return what the teachers do in a run of `total_steps`; None without teachers."""
    distill = config.distill
    if not teachers:
        return None
    assert config.classes is not None
    lessons = plan_lessons([claim for claim, _ in teachers], config.classes, distill.shared)
    loss = DISTILL_LOSSES[distill.loss]
    if distill.relative_size:
        if distill.loss != "article":
            raise InputError("distill.relative_size: goes with distill.loss=article only, leave it out")
        loss = partial(article_terms, relative_size=True)
    return Teaching(
        [Teacher(claim.name, answer, lesson) for (claim, answer), lesson in zip(teachers, lessons, strict=True)],
        loss,
        len(config.classes),
        distill.labels,
        round(distill.until * total_steps),
    )


def build_balance(config: Config, teachers: Sequence[str]) -> Balance:
    """Return how the terms of labels and of each teacher are weighed."""
    constant = config.loss.balance == "constant"
    parts = {"": config.loss} | {f"kd/{name}/": config.distill for name in teachers}
    figures = {
        prefix + term: getattr(part.constant if constant else part, term)
        for prefix, part in parts.items()
        for term in ("heatmap", "size", "offset")
    }
    if config.loss.balance == "uncertainty":
        zero = next((term for term, figure in figures.items() if not figure), None)
        if zero is not None:
            raise InputError(f"loss.balance: uncertainty cannot start from weight 0 of {zero!r}, raise it")
        return Uncertainty(figures)
    return ConstantMagnitude(figures) if constant else FixedWeights(figures)


def build_module(
    config: Config, detector: Detector, total_steps: int, teachers: list[tuple[Claim, Answer]] | None = None
) -> CenterNetModule:
    """Return the training module for a run of `total_steps`."""
    assert config.classes is not None
    train, loss = config.train, config.loss
    teaching = build_teaching(config, teachers or [], total_steps)
    balance = build_balance(config, [claim.name for claim, _ in teachers or []])
    learned = [detector, balance] if isinstance(balance, Uncertainty) else [detector]
    optimizer = build_optimizer(
        torch.nn.ModuleList(learned),
        train.optimizer.name,
        train.optimizer.lr,
        train.optimizer.weight_decay,
        train.optimizer.momentum,
    )
    schedule = build_schedule(
        train.schedule.name,
        total_steps,
        warmup=train.schedule.warmup,
        steps=train.schedule.steps,
        gamma=train.schedule.gamma,
        delay=train.schedule.delay,
        final=train.schedule.final,
    )
    assign = partial(
        center_targets,
        num_classes=len(config.classes),
        stride=CenterNet.stride,
        min_overlap=loss.min_overlap,
        reach=loss.reach,
    )
    return CenterNetModule(detector, assign, balance, optimizer, schedule, train.ema, teaching)


def build_evaluation(config: Config, val_data: list[Dataset], folder: Path, processes: Processes) -> Evaluation:
    """Return the evaluation during training, and its picture `val.png`."""
    assert config.classes is not None
    source = SampleSource(val_data, config.classes)
    pictures = EvalPictures(source, config.data.input_size)
    batches = DataLoader(
        pictures,
        batch_size=config.train.batch_size,
        sampler=range(processes.rank, len(pictures), processes.world),
        collate_fn=collate,
        num_workers=config.data.workers,
    )

    def draw(found: dict[int, Detections]) -> None:
        compare_with_truth(folder / "val.png", source, found)

    return Evaluation(source, batches, config.train.val_every, draw)


def build_trainer(config: Config, folder: Path, callbacks: list[Callback], processes: Processes) -> L.Trainer:
    """Return Lightning's trainer: quiet, its checkpoints in `last.ckpt`."""
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
    """Make the run folder.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write the run folder ({error.strerror}), choose another with --out"
        ) from None


def save_named(folder: Path, config: Config, detector: Detector, name: str) -> None:
    """Write `name`.safetensors into the run folder."""
    save_model(folder / f"{name}.safetensors", detector, model_info(config), dump_config(config))


class TorchSession:
    """A model file run by torch, in float32 on the CPU: the runtime's interface.

    Args:
        path: a `.safetensors` model file.
    """

    def __init__(self, path: Path) -> None:
        self.detector, self.info = load_detector(path)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> Detections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels."""
        boxes, scores, labels, _ = self.detector(torch.from_numpy(images))
        return Detections(boxes.numpy(), scores.numpy(), labels.numpy(), self.info.class_names)


def open_session(path: Path) -> TorchSession:
    """What the runtime calls for `.safetensors` files."""
    return TorchSession(path)
