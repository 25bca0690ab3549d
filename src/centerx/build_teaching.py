"""A configuration -> teachers, what they teach, and how loss terms are weighed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from centerx import runtime
from centerx.build_model import load_detector
from centerx.config import Config
from centerx.config.schema import DistillConfig, LossConfig
from centerx.errors import InputError
from centerx.losses.balance import Balance, ConstantMagnitude, FixedWeights, Uncertainty
from centerx.losses.distill import DISTILL_LOSSES, article_terms
from centerx.models import CenterNet
from centerx.train.teachers import (
    Answer,
    BoxTeacher,
    Claim,
    NetworkTeacher,
    Teacher,
    Teaching,
    plan_lessons,
)


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
            answer = NetworkTeacher(detector)
        else:
            session = runtime.open_session(path)
            info = session.info
            if config.augment.short_sides:
                raise InputError(f"{path}: takes pictures of one size only, leave out augment.short_sides")
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
        "features" in term_figures(distill, config.loss.balance == "constant"),
    )


def build_balance(config: Config, teachers: Sequence[str]) -> Balance:
    """Return how the terms of labels and of each teacher are weighed."""
    constant = config.loss.balance == "constant"
    parts = {"": config.loss} | {f"kd/{name}/": config.distill for name in teachers}
    figures = {
        prefix + term: figure
        for prefix, section in parts.items()
        for term, figure in term_figures(section, constant).items()
    }
    if config.loss.balance == "uncertainty":
        zero = next((term for term, figure in figures.items() if not figure), None)
        if zero is not None:
            raise InputError(f"loss.balance: uncertainty cannot start from weight 0 of {zero!r}, raise it")
        return Uncertainty(figures)
    return ConstantMagnitude(figures) if constant else FixedWeights(figures)


def term_figures(section: LossConfig | DistillConfig, constant: bool) -> dict[str, float]:
    """The weight of each loss term, or its constant; features are left out where they would count for nothing."""
    source = section.constant if constant else section
    figures = {term: getattr(source, term, 0.0) for term in ("heatmap", "size", "offset", "features")}
    return figures if figures["features"] else {term: figures[term] for term in ("heatmap", "size", "offset")}
