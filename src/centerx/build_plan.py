"""A configuration -> what its training would do: who supervises which class, how many steps, and about how long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from centerx.build import Run, build_run, build_trainer
from centerx.build_data import RunData
from centerx.build_teachers import STORED, open_teachers, store_file, teacher_names
from centerx.config import Config
from centerx.config.schema import DataEntry
from centerx.data.batch import EpochBatches
from centerx.data.check import count_classes
from centerx.data.function import Function
from centerx.data.source import SampleSource, labelled_attributes
from centerx.data.store import read_info, require_teacher
from centerx.data.stored import store_detections
from centerx.errors import InputError
from centerx.evaluation import detect_all
from centerx.files import require_folder
from centerx.progress import Display, shown_on
from centerx.training.ask import Asked, images_of
from centerx.training.evaluation import torch_detect
from centerx.training.interrupt import fit_heeding_ctrl_c
from centerx.training.pace import MEASURED, WARM_UP, StepClock
from centerx.training.processes import Processes
from centerx.training.progress import BrokenImages
from centerx.training.record import next_epoch
from centerx.training.teachers import BY_AP


class PlannedData(NamedTuple):
    """A data set.

    Attributes:
        part: `train` or `val`.
        name: its path, with its split.
        format: by name.
        pictures: how many there are.
        objects: how many of each class are trained or judged by, in the classes of the detector; ignored ones do not
            count.
    """

    part: str
    name: str
    format: str
    pictures: int
    objects: dict[str, int]


class Supervised(NamedTuple):
    """Who supervises a field of a class.

    Attributes:
        class_name: of the detector.
        field: `center` or a field of the task, such as `size`.
        labels: by data set for training, the share of its pictures on which labels teach, in [0, 1].
        teachers: by teacher, its weight in (0, 1]; of those that teach it alone.
    """

    class_name: str
    field: str
    labels: dict[str, float]
    teachers: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the row of the JSON."""
        tree = {"class": self.class_name, "field": self.field, "labels": self.labels, "teachers": self.teachers}
        return tree | {"nobody": self.nobody}

    @property
    def nobody(self) -> list[str]:
        """The data sets on some of whose pictures nobody supervises it."""
        return [] if self.teachers else [name for name, share in self.labels.items() if share < 1]


class Pace(NamedTuple):
    """About how long a training takes, in seconds.

    Attributes:
        step: a step.
        training: all steps.
        evaluation: all evaluations.
        asking: asking teachers that are asked once a picture, before training.
    """

    step: float
    training: float
    evaluation: float
    asking: float

    @property
    def total(self) -> float:
        """The whole training."""
        return self.training + self.evaluation + self.asking


class TrainPlan(NamedTuple):
    """What a training would do.

    Attributes:
        folder: the run folder.
        config: resolved: class names filled in.
        data: the data sets, those for training first.
        supervision: a row for each class and field.
        teachers: their names.
        parameters: how many numbers are trained.
        device: what it runs on: `cpu` or the name of a GPU.
        precision: `fp32` or `bf16`.
        batch_size: pictures a step.
        epoch_steps: steps an epoch.
        steps: that are left to do.
        pace: about how long it takes.
    """

    folder: Path
    config: Config
    data: list[PlannedData]
    supervision: list[Supervised]
    teachers: list[str]
    parameters: int
    device: str
    precision: str
    batch_size: int
    epoch_steps: int
    steps: int
    pace: Pace

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        assert self.config.classes is not None
        return self.config.classes

    def __repr__(self) -> str:
        """Return one line."""
        pictures = sum(each.pictures for each in self.data if each.part == "train")
        return (
            f"TrainPlan({self.folder}: {len(self.classes)} classes, {pictures} pictures, {len(self.teachers)} "
            f"teachers, {self.steps} steps, about {self.pace.total / 60:.1f} minutes)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `--dry-run --json`."""
        return {
            "folder": str(self.folder),
            "classes": list(self.classes),
            "data": [each._asdict() for each in self.data],
            "supervision": [each.to_json() for each in self.supervision],
            "teachers": self.teachers,
            "labels_alone_after": self.config.distill.until if self.teachers else None,
            "parameters": self.parameters,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "epochs": self.config.train.epochs,
            "epoch_steps": self.epoch_steps,
            "steps": self.steps,
            "seconds": self.pace._asdict(),
            "minutes": self.pace.total / 60,
        }


def build_plan(
    config: Config, folder: Path, functions: Mapping[str, Function] | None = None, checkpoint: Path | None = None
) -> TrainPlan:
    """Build a training as it would be built, do a few steps of it, and leave nothing behind.

    Args:
        config: of the run.
        folder: of the run; nothing is written there.
        functions: as for `open_teachers`; what they find is not kept.
        checkpoint: that the run goes on from.

    Raises:
        InputError: anything in the configuration or the data is wrong, or there are several processes.
    """
    processes = Processes.detect(config.train.device)
    if processes.world > 1:
        raise InputError("--dry-run: is of one process, leave torchrun out")
    require_folder(folder)
    with TemporaryDirectory() as scratch:
        kept, names = config.distill.cache, teacher_names(config.distill.teachers)
        config, functions = kept_in(Path(scratch), config, functions or {})
        run = build_run(config, Path(scratch), functions, partial(ask_nobody, functions))
        epoch_steps, train = len(run.batches), run.config.train
        first = next_epoch(checkpoint, run.module) if checkpoint is not None else 0
        epochs = max(train.epochs - first, 0)
        evaluations = count_evaluations(first, train.epochs, train.val_every)
        with silent():
            step = step_seconds(run, Path(scratch), processes)
            pace = Pace(
                step,
                step * epoch_steps * epochs,
                evaluation_seconds(run, processes) * evaluations,
                asking_seconds(run, Path(scratch), functions),
            )
        require_same_teachers(names, Path(scratch), kept, folder)
    distiller, sampler = run.module.distiller, run.batches.batch_sampler
    assert isinstance(sampler, EpochBatches)
    return TrainPlan(
        folder,
        run.config,
        planned_data(run),
        supervision(run),
        [teacher.name for teacher in distiller.teachers] if distiller else [],
        sum(each.numel() for each in run.module.detector.parameters() if each.requires_grad),
        processes.gpu or processes.device,
        "bf16" if processes.use_bf16(train.precision) else "fp32",
        sampler.batch_size,
        epoch_steps,
        epoch_steps * epochs,
        pace,
    )


def count_evaluations(first: int, epochs: int, every: int) -> int:
    """Return how many evaluations a run has yet, one after every so many epochs and one after the last.

    Args:
        first: epochs that are done.
        epochs: of the whole run.
        every: epochs between evaluations.
    """
    return max(-(-epochs // every) - first // every, 0) if first < epochs else 0


def kept_in(folder: Path, config: Config, functions: Mapping[str, Function]) -> tuple[Config, dict[str, Function]]:
    """Return a run whose teachers keep what they find in a folder.

    Args:
        folder: the folder.
        config: of the run.
        functions: those that are teachers, by the file that keeps what they find.
    """
    moved = {file: str(folder / Path(file).name) for file in functions}
    entries = [
        entry.model_copy(update={"weights": moved.get(entry.weights, entry.weights)})
        for entry in config.distill.teachers
    ]
    config = with_distill(config, teachers=tuple(entries), cache=config.distill.cache is not False)
    return config, {moved[file]: function for file, function in functions.items()}


def require_same_teachers(names: Sequence[str], scratch: Path, kept: bool | str, folder: Path) -> None:
    """Raise where a file that a run would use keeps what another teacher found.

    Args:
        names: of the teachers.
        scratch: folder of files that were made by asking them.
        kept: `distill.cache` of the run.
        folder: of the run.

    Raises:
        InputError: one does, or it is corrupt.
    """
    for name in names:
        asked, there = store_file(True, scratch, name), store_file(kept, folder, name)
        if asked.is_file() and there.is_file():
            require_teacher(there, read_info(there), read_info(asked))


def with_distill(config: Config, **values: Any) -> Config:
    """Return a configuration with other values in its section `distill`."""
    return config.model_copy(update={"distill": config.distill.model_copy(update=values)})


def ask_nobody(functions: Mapping[str, Function], data: RunData, processes: Processes) -> Asked:
    """Read files of detections, and take all other teachers that are asked once a picture to have no answer.

    Args:
        functions: as for `open_teachers`.
        data: of the run.
        processes: not used.
    """
    entries = data.config.distill.teachers
    files = {
        name
        for name, entry in zip(teacher_names(entries), entries, strict=True)
        if Path(entry.weights).suffix.lower() in STORED and entry.weights not in functions
    }
    return data.teachers, [
        teacher.load()
        if teacher.name in files
        else store_detections(
            teacher.class_names, teacher.task.name, [None] * len(images_of(data.train)), joints=teacher.task.joints
        )
        for teacher in data.teachers
        if teacher.load is not None
    ]


@contextmanager
def silent() -> Iterator[None]:
    """Log no more than errors and show no progress inside the `with`."""
    logger = logging.getLogger("centerx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with shown_on(Display()):
            yield
    finally:
        logger.setLevel(level)


def step_seconds(run: Run, folder: Path, processes: Processes) -> float:
    """Return about how long a step takes, by the first ones.

    Args:
        run: as built.
        folder: for what the trainer writes.
        processes: of the run.
    """
    clock = StepClock()
    watch = [BrokenImages(fail=run.config.data.broken_images == "fail"), clock]
    trainer = build_trainer(run.config, folder, watch, processes, WARM_UP + MEASURED)
    fit_heeding_ctrl_c(trainer, run.module, run.batches)
    return clock.seconds


def evaluation_seconds(run: Run, processes: Processes) -> float:
    """Return about how long one evaluation takes, by its first batches."""
    if run.evaluation is None:
        return 0.0
    detect = torch_detect(run.module.to(processes.device).deployed)
    clock = StepClock()
    clock.on_train_start()
    for batch in islice(run.evaluation.batches, WARM_UP + MEASURED):
        detect_all(detect, run.evaluation.task, [batch])
        clock.tick()
    return clock.seconds * len(run.evaluation.batches)  # type: ignore[arg-type]


def asking_seconds(run: Run, folder: Path, functions: Mapping[str, Function] | None) -> float:
    """Return about how long it takes to ask the teachers that are asked once a picture, by a few pictures.

    Args:
        run: as built.
        folder: for what they find.
        functions: as for `open_teachers`.
    """
    config, data = run.config, run.data
    teachers = data.teachers
    if config.distill.calibrate:  # a calibrated teacher would first be asked about all pictures to judge by
        teachers = open_teachers(with_distill(config, calibrate=False), data.train, folder, functions, data.val)
    images, judged = images_of(data.train), images_of(data.val)
    total = 0.0
    for teacher in teachers:
        asked = len(images) if teacher.load is not None else 0
        asked += len(judged) if config.distill.calibrate or config.distill.shared == BY_AP else 0
        if asked and teacher.find is not None:
            started = time.perf_counter()
            teacher.find(images[:WARM_UP])
            opened = time.perf_counter()
            some = teacher.find(images[WARM_UP : WARM_UP + MEASURED])
            more = time.perf_counter() - opened
            total += (opened - started) + max(more, 0.0) / max(len(some.answered), 1) * asked
    return total


def planned_data(run: Run) -> list[PlannedData]:
    """Return the data sets, those for training first."""
    rows = []
    for part, datasets, entries in (
        ("train", run.data.train, run.config.data.train),
        ("val", run.data.val, run.config.data.val),
    ):
        for name, dataset in zip(data_names(entries), datasets, strict=True):
            counts = {count.name: count.boxes for count in count_classes(dataset)}
            objects = {each: counts[each] for each in run.data.classes if each in counts}
            rows.append(PlannedData(part, name, dataset.format, len(dataset.records), objects))
    return rows


def data_names(entries: Sequence[DataEntry]) -> list[str]:
    """Return a name for each entry: its path, with its split where it has one; a number where two are alike."""
    names: list[str] = []
    for entry in entries:
        name = f"{entry.path}, {entry.split}" if entry.split else str(entry.path)
        alike = sum(each == name or each.startswith(f"{name} (") for each in names)
        names.append(f"{name} ({alike + 1})" if alike else name)
    return names


def supervision(run: Run) -> list[Supervised]:
    """Return who supervises each field of each class."""
    task, classes, distiller = run.config.made_task, run.data.classes, run.module.distiller
    pictures = SampleSource(run.data.train, classes, run.config.data.range, task).entries  # whole, where it has tiles
    shares: dict[str, np.ndarray] = {}
    start = 0
    for name, dataset in zip(data_names(run.config.data.train), run.data.train, strict=True):
        entries = pictures[start : start + len(dataset.records)]
        start += len(dataset.records)
        share = np.mean([entry.supervised for entry in entries], axis=0)  # (C, 1 + F)
        labels = np.concatenate([entry.record.labels[~entry.record.ignore] for entry in entries])
        there = np.isin(np.arange(len(classes)), labels)
        told = (
            labelled_attributes(entries, task) | ~there[:, None]
        )  # of a class that is not there, all that it could be
        masked = ~distiller.by_labels.numpy() if distiller else False
        shares[name] = np.where(masked, 0.0, share * told)
    rows = []
    for row, class_name in enumerate(classes):
        for column, field in enumerate(task.attributes):
            taught: dict[str, float] = {}
            for teacher, channel_map in (
                zip(distiller.teachers, distiller.channel_maps, strict=True) if distiller else ()
            ):
                if field in channel_map.weights and row in channel_map.student_channels:
                    weight = float(channel_map.weights[field][channel_map.student_channels.index(row)].max())
                    taught |= {teacher.name: weight} if weight else {}
            labels_of = {name: round(float(share[row, column]), 6) for name, share in shares.items()}
            rows.append(Supervised(class_name, field, labels_of, taught))
    return rows
