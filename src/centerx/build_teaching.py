"""A configuration -> teachers, what they teach, and how loss terms are weighed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from centerx import runtime
from centerx.build_model import load_detector, require_sizes
from centerx.config import Config
from centerx.config.schema import DistillConfig, LossConfig, TeacherConfig, TermWeights
from centerx.errors import InputError
from centerx.levels import range_text
from centerx.losses.balance import Balance, ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, article_terms
from centerx.losses.terms import FEATURES, Term
from centerx.models import Branch, CenterNet
from centerx.resize import OWN_RESIZE
from centerx.tasks import TASKS, Task
from centerx.training.teachers import (
    DetectionTeacher,
    Distiller,
    NetworkTeacher,
    Teacher,
    TeacherModel,
    map_channels,
)

NO_FACTORS = TermWeights()
logger = logging.getLogger(__name__)


def open_teachers(config: Config) -> list[Teacher]:
    """Load the teachers of a configuration.

    Raises:
        InputError: a file is missing, of another kind, or takes pictures of another size; two have one name; every
            weight of one is 0.
    """
    entries, loss = config.distill.teachers, config.loss
    teachers = []
    for entry, name in zip(entries, teacher_names(entries), strict=True):
        path = Path(entry.weights)
        model: TeacherModel
        if path.suffix.lower() == ".safetensors":
            if entry.adapter is not None:
                raise InputError(f"{path}: a model of this project says itself how it is read, leave its adapter out")
            detector, info = load_detector(path)
            try:
                require_sizes(detector, config)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            if config.train.channels_last:
                detector.to(memory_format=torch.channels_last)
            model = NetworkTeacher(detector)
        else:
            session = runtime.open_session(path, adapter=entry.adapter)
            info = session.info
            own_rule = info.resize == OWN_RESIZE
            if own_rule and not session.any_size:
                check_size(path, info.input_hw, config)
            model = DetectionTeacher(
                session if own_rule else runtime.Predictor(session).detect_array,
                path,
                TASKS[info.task],
                len(info.class_names),
                CenterNet.stride,
                loss.min_overlap,
                loss.point_radius,
            )
        if info.value_range != config.data.range:
            logger.warning(
                f"{path}: this teacher was trained with data.range={range_text(info.value_range)}, not "
                f"{range_text(config.data.range)}; set that where there are pictures of more than 8 bits"
            )
        figures = term_figures(config.distill, TASKS[config.task], loss.balance == "constant", entry.weight)
        if not any(figures[field] for field in figures if field in teacher_terms(TASKS[info.task])):
            raise InputError(f"distill: every term of teacher {name} has weight 0, raise one or leave the teacher out")
        teachers.append(Teacher(name, model, info.class_names, TASKS[info.task], entry.classes, FEATURES in figures))
    return teachers


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
