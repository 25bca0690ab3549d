"""A configuration and teachers -> what they teach, and how loss terms are weighed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from centerx.config import Config
from centerx.config.schema import DistillConfig, LossConfig
from centerx.errors import InputError
from centerx.losses.balance import Balance, ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, article_terms
from centerx.losses.terms import FEATURES, Term
from centerx.models import Branch
from centerx.tasks import Task
from centerx.training.teachers import Distiller, Teacher, map_channels


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
        map_channels(teachers, config.classes, distill.shared, config.made_task),
        loss,
        config.classes,
        config.made_task,
        branches,
        distill.labels,
        round(distill.until * total_steps),
    )


def build_balance(config: Config, distiller: Distiller | None) -> Balance:
    """Return how the terms of labels and of each teacher are weighed.

    Teachers that share classes share the constants of their terms: at constant magnitude it would not show in the terms
    that a class counts for less.
    """
    constant, task = config.loss.balance == "constant", config.made_task
    figures = {Term(field): figure for field, figure in term_figures(config.loss, task, constant).items()}
    for place, teacher in enumerate(distiller.teachers) if distiller else ():
        assert distiller is not None
        known, channel_map = teacher_terms(teacher.task), distiller.channel_maps[place]
        for field, figure in term_figures(config.distill, task, constant, teacher.factors).items():
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
    section: LossConfig | DistillConfig, task: Task, constant: bool, factors: Mapping[str, float] = {}
) -> dict[str, float]:
    """Return the weight of each loss term, or its constant, unless its weight is 0.

    Features are left out where their weight is 0.

    Args:
        section: of weights, with constants in it.
        task: whose fields have terms.
        constant: whether constants are asked for.
        factors: of one teacher, by which they are multiplied; 1 of what is not in it.
    """
    source = section.constant if constant else section
    fields = ["heatmap", *(field.name for field in task.branches), *([FEATURES] if hasattr(section, FEATURES) else [])]
    figures: dict[str, float] = {
        name: getattr(source, name) * factors.get(name, 1.0) if getattr(section, name) else 0.0 for name in fields
    }
    return {name: figure for name, figure in figures.items() if figure or name != FEATURES}
