"""A configuration -> teachers, what they teach, and how loss terms are weighed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import torch

from centerx import runtime
from centerx.build_model import load_detector, require_sizes
from centerx.config import Config
from centerx.config.schema import DistillConfig, LossConfig, TeacherConfig, TermWeights
from centerx.data.dataset import Dataset
from centerx.data.function import Function
from centerx.data.store import SUFFIX, TeacherInfo, ask_once, content_digest, read_info, read_store
from centerx.data.stored import StoredDetections
from centerx.errors import InputError
from centerx.evaluation.listed import read_detections
from centerx.levels import ValueRange, range_text
from centerx.losses.balance import Balance, ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, article_terms
from centerx.losses.terms import FEATURES, Term
from centerx.models import Branch, CenterNet
from centerx.tasks import TASKS, Task
from centerx.training.processes import Processes
from centerx.training.teachers import (
    DetectionTeacher,
    Distiller,
    NetworkTeacher,
    StoredTeacher,
    Teacher,
    TeacherModel,
    map_channels,
)

NO_FACTORS = TermWeights()
STORED = (".json", SUFFIX)  # suffixes of files of what a teacher found
COMPANIONS = (".adapter.yaml", ".bin", ".caffemodel")  # suffixes of what belongs to a model file beside it
EXTERNAL = (".data", "_data")  # ends of the names of an ONNX file's own weights, where they lie beside it
logger = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A teacher's file.

    Attributes:
        class_names: of the teacher.
        task: of the teacher.
        model: what answers; None of a teacher that is asked once a picture.
        load: gives what such a teacher found on all training pictures.
    """

    class_names: tuple[str, ...]
    task: Task
    model: TeacherModel | None = None
    load: Callable[[], StoredDetections] | None = None


def open_teachers(
    config: Config,
    datasets: Sequence[Dataset] = (),
    folder: Path = Path(),
    functions: Mapping[str, Function] | None = None,
) -> list[Teacher]:
    """Load the teachers of a configuration, all but what those found that are asked once a picture.

    Args:
        config: of the run.
        datasets: of the training pictures.
        folder: of the run.
        functions: those that are teachers, by the file that keeps what they find.

    Raises:
        InputError: a file is missing, of another kind, or takes pictures of another size; two have one name; every
            weight of one is 0.
    """
    entries, loss = config.distill.teachers, config.loss
    images = [record.image for dataset in datasets for record in dataset.records]
    teachers: list[Teacher] = []
    for entry, name in zip(entries, teacher_names(entries), strict=True):
        path = Path(entry.weights)
        if path.suffix.lower() == ".safetensors":
            opened = open_network(path, config)
        elif functions and entry.weights in functions:
            opened = open_function(path, functions[entry.weights], images, config)
        elif path.suffix.lower() in STORED:
            opened = open_stored(path, datasets, images)
        elif config.distill.cache is False:
            opened = open_detector(path, config)
        else:
            opened = open_asked(path, store_file(config.distill.cache, folder, name), images)
        figures = term_figures(config.distill, TASKS[config.task], loss.balance == "constant", entry.weight)
        if not any(figures[field] for field in figures if field in teacher_terms(opened.task)):
            raise InputError(f"distill: every term of teacher {name} has weight 0, raise one or leave the teacher out")
        model = opened.model or StoredTeacher(
            sum(teacher.load is not None for teacher in teachers),
            opened.task,
            len(opened.class_names),
            CenterNet.stride,
            loss.min_overlap,
            loss.point_radius,
        )
        matched = FEATURES in figures
        teachers.append(Teacher(name, model, opened.class_names, opened.task, entry.classes, matched, opened.load))
    return teachers


def load_detections(teachers: Sequence[Teacher], processes: Processes) -> list[StoredDetections]:
    """Return what each teacher that is asked once a picture found on the training pictures; asks where it must.

    Args:
        teachers: of the run.
        processes: of the run, of which the first asks, and the others read what it kept.
    """
    with processes.first_alone(), torch.random.fork_rng(devices=[]):  # asking must not change the run
        return [teacher.load() for teacher in teachers if teacher.load is not None]


def open_stored(path: Path, datasets: Sequence[Dataset], images: Sequence[Path]) -> Opened:
    """Open a file, one of `STORED`, of what somebody found on pictures.

    Args:
        path: the file.
        datasets: by whose ids a json of results is read.
        images: the pictures.

    Raises:
        InputError: the file cannot be used.
    """
    if path.suffix.lower() == SUFFIX:
        info = read_info(path)
        return Opened(info.class_names, TASKS[info.task], load=partial(read_store, path, images))
    found = read_detections(path, datasets, images)
    return Opened(found.class_names, TASKS[found.task], load=lambda: found)


def find_stored(path: Path, datasets: Sequence[Dataset], images: Sequence[Path]) -> StoredDetections:
    """Return what a file, one of `STORED`, says of pictures that need not be those that it teaches on.

    Args:
        path: the file.
        datasets: as for `open_stored`.
        images: the pictures.
    """
    if path.suffix.lower() == SUFFIX:
        return read_store(path, images, quiet=True)
    return read_detections(path, datasets, images, quiet=True)


def open_network(path: Path, config: Config) -> Opened:
    """Open a network of this project, which is asked about each augmented picture."""
    detector, info = load_detector(path)
    try:
        require_sizes(detector, config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    tell_range(path, info.value_range, config)
    if config.train.channels_last:
        detector.to(memory_format=torch.channels_last)
    return Opened(info.class_names, TASKS[info.task], NetworkTeacher(detector))


def open_detector(path: Path, config: Config) -> Opened:
    """Open a file that gives detections, which is asked about each augmented picture."""
    session, loss = runtime.open_session(path), config.loss
    info, task = session.info, TASKS[session.info.task]
    if not session.any_size:
        check_size(path, info.input_hw, config)
    tell_range(path, info.value_range, config)
    count = len(info.class_names)
    model = DetectionTeacher(session, path, task, count, CenterNet.stride, loss.min_overlap, loss.point_radius)
    return Opened(info.class_names, task, model)


def open_asked(path: Path, store: Path, images: Sequence[Path]) -> Opened:
    """Open a file that gives detections, which is asked once a picture; the model is dropped until then."""
    info = runtime.open_session(path).info

    def load() -> StoredDetections:
        teacher = TeacherInfo(content_digest(teacher_files(path)), info.class_names, info.task)
        return ask_once(store, teacher, runtime.load(path), images, info.value_range)

    return Opened(info.class_names, TASKS[info.task], load=load)


def open_function(store: Path, function: Function, images: Sequence[Path], config: Config) -> Opened:
    """Open a function of Python, which is asked once a picture."""
    teacher = function.info(store, images, config.data.range)
    load = partial(ask_once, store, teacher, function.named(teacher.class_names), images, config.data.range)
    return Opened(teacher.class_names, TASKS[teacher.task], load=load)


def store_file(cache: bool | str, folder: Path, name: str) -> Path:
    """Return the file that keeps what a teacher finds.

    Args:
        cache: `distill.cache`, a folder or True.
        folder: of the run.
        name: of the teacher.
    """
    home = Path(cache) if isinstance(cache, str) else folder / "teachers"
    return home / f"{quote(name, safe=' ')}{SUFFIX}"


def teacher_files(path: Path) -> list[Path]:
    """Return a model file and the files beside it that belong to it."""
    beside = [path.with_suffix(suffix) for suffix in COMPANIONS] + [Path(f"{path}{end}") for end in EXTERNAL]
    return [path, *(each for each in beside if each.is_file() and each != path)]


def tell_range(path: Path, value_range: ValueRange, config: Config) -> None:
    """Warn where a teacher reads pictures of more than 8 bits otherwise than the run does."""
    if value_range != config.data.range:
        logger.warning(
            f"{path}: this teacher was trained with data.range={range_text(value_range)}, not "
            f"{range_text(config.data.range)}; set that where there are pictures of more than 8 bits"
        )


def teacher_names(entries: Sequence[TeacherConfig]) -> list[str]:
    """Names for logs: those given, else of the file, or of the run folder where all files are called alike.

    Of several with one name the second and on get a number.

    Raises:
        InputError: a name is given twice.
    """
    names: list[str] = []
    for entry in entries:
        path = Path(entry.weights)
        of_run = path.stem.partition("-")[0] in ("best", "last")  # best.onnx, last-maps.onnx, best-int8.onnx
        name = entry.name or (path.absolute().parent.name if of_run else path.stem)
        if entry.name is None:
            numbered = (f"{name}-{number}" for number in range(2, len(entries) + 1))
            name = next(each for each in (name, *numbered) if each not in names)
        if name in names:
            raise InputError(f"distill.teachers: two are called {name!r}, give each a name of its own")
        names.append(name)
    return names


def check_size(path: Path, input_hw: tuple[int, int], config: Config) -> None:
    """Raise where a file that takes pictures of one height and width would be given others."""
    if config.augment.short_sides:
        raise InputError(
            f"{path}: takes pictures of one size only, leave out augment.short_sides or export it again with --size any"
        )
    if input_hw != config.data.input_size:
        raise InputError(
            f"{path}: takes pictures of {input_hw[0]} x {input_hw[1]} pixels only, set "
            f"data.input_size=[{input_hw[0]},{input_hw[1]}] or export it again with --size"
        )


def build_distiller(
    config: Config, teachers: list[Teacher], branches: Mapping[str, Branch], total_steps: int
) -> Distiller | None:
    """Return what the teachers do in a run of `total_steps`; None without teachers.

    Args:
        config: of the run, with class names.
        teachers: of the run.
        branches: of the student, by field.
        total_steps: of the run.
    """
    distill = config.distill
    if not teachers:
        return None
    assert config.classes is not None
    loss = DISTILL_LOSSES[distill.loss]
    if distill.relative_size:
        if distill.loss != "article":
            raise InputError("distill.relative_size: goes with distill.loss=article only, leave it out")
        loss = partial(article_terms, relative_size=True)
    return Distiller(
        teachers,
        map_channels(teachers, config.classes, distill.shared, TASKS[config.task]),
        loss,
        config.classes,
        TASKS[config.task],
        branches,
        distill.labels,
        round(distill.until * total_steps),
    )


def build_balance(config: Config, distiller: Distiller | None) -> Balance:
    """Return how the terms of labels and of each teacher are weighed.

    Teachers that share classes share the constants of their terms: at constant magnitude it would not show in the terms
    that a class counts for less.
    """
    constant, task = config.loss.balance == "constant", TASKS[config.task]
    figures = {Term(field): figure for field, figure in term_figures(config.loss, task, constant).items()}
    for place, entry in enumerate(config.distill.teachers) if distiller else ():
        assert distiller is not None
        known, channel_map = teacher_terms(distiller.teachers[place].task), distiller.channel_maps[place]
        for field, figure in term_figures(config.distill, task, constant, entry.weight).items():
            if field in known:
                share = channel_map.weight(field).mean().item() if constant and field != FEATURES else 1.0
                figures[distiller.term(place, field)] = figure * share
    if config.loss.balance == "uncertainty":
        zero = next((term for term, figure in figures.items() if not figure), None)
        if zero is not None:
            raise InputError(f"loss.balance: uncertainty cannot start from weight 0 of {zero.label!r}, raise it")
        return Uncertainty(figures)
    return ConstantMagnitude(figures) if constant else FixedWeights(figures)


def teacher_terms(task: Task) -> set[str]:
    """Names of the terms that a teacher of a task can have."""
    return {"heatmap", FEATURES, *(field.name for field in task.branches)}


def term_figures(
    section: LossConfig | DistillConfig, task: Task, constant: bool, factors: TermWeights = NO_FACTORS
) -> dict[str, float]:
    """Return the weight of each loss term, or its constant, unless its weight is 0.

    Features are left out where their weight is 0.

    Args:
        section: of weights, with constants in it.
        task: whose fields have terms.
        constant: whether constants are asked for.
        factors: of one teacher, by which they are multiplied.
    """
    source = section.constant if constant else section
    fields = ["heatmap", *(field.name for field in task.branches), *([FEATURES] if hasattr(section, FEATURES) else [])]
    figures: dict[str, float] = {
        name: getattr(source, name) * getattr(factors, name) if getattr(section, name) else 0.0 for name in fields
    }
    return {name: figure for name, figure in figures.items() if figure or name != FEATURES}
