"""Teachers between their files and a training: asked once a picture, calibrated, fused where they share classes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch

from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource, union_of_classes
from centerx.data.stored import Curves, StoredDetections, under_a_pixel
from centerx.errors import InputError
from centerx.evaluation.api import evaluate_stored, taught_names
from centerx.evaluation.calibrate import LEAST_RIGHT, fit_calibration
from centerx.evaluation.fuse import fuse_stored
from centerx.tasks import Task
from centerx.training.processes import Processes
from centerx.training.teachers import BY_AP, FUSE, CalibratedTeacher, Find, Teacher, TeacherModel

Asked = tuple[list[Teacher], list[StoredDetections]]  # teachers, and what those that are asked once a picture found
logger = logging.getLogger(__name__)


class OpenTeacher(NamedTuple):
    """A teacher whose file is open.

    Attributes:
        class_names: its own.
        task: its own.
        find: what it finds on pictures, whether it teaches on them or not.
        model: what answers a batch; None of a teacher that is asked once a picture.
        load: gives what such a teacher found on all training pictures.
        name: for logs and errors.
        classes: its class -> the student's.
        factors: of its loss terms, by name.
        curves: gives the calibration of its classes, where it is calibrated.
        teaches: attributes of its task that it teaches; None: all.
    """

    class_names: tuple[str, ...]
    task: Task
    find: Find
    model: TeacherModel | None = None
    load: Callable[[], StoredDetections] | None = None
    name: str = ""
    classes: Mapping[str, str] = {}
    factors: Mapping[str, float] = {}
    curves: Callable[[], Curves] | None = None
    teaches: tuple[str, ...] | None = None


def calibrate(teacher: OpenTeacher, judged_by: Sequence[Dataset]) -> OpenTeacher:
    """Return a teacher whose scores become rates of right detections on labelled pictures, when it is asked.

    Raises:
        InputError: it finds no boxes.
    """
    if not teacher.task.has_area:
        raise InputError(
            f"distill.calibrate: goes with boxes, but {teacher.name} finds {teacher.task.name}; leave it out"
        )

    @cache
    def curves() -> Curves:
        found = teacher.find(images_of(judged_by))
        pictures = SampleSource(judged_by, taught_names(teacher.class_names, teacher.classes))
        known = np.flatnonzero(found.answered).tolist()
        entries, detections = [pictures.entries[i] for i in known], [found.detections(i) for i in known]
        fitted = fit_calibration(entries, detections, len(teacher.class_names))
        pairs = zip(teacher.class_names, fitted, strict=True)
        few = [own for own, curve in pairs if own in teacher.classes and curve is None]
        if not known:
            logger.warning(
                f"distill.calibrate: {teacher.name} knows none of the pictures of data.val, so its scores stay as they "
                "are"
            )
        elif few:
            logger.warning(
                f"distill.calibrate: {teacher.name} finds fewer than {LEAST_RIGHT} objects of {', '.join(few)}, whose "
                "scores stay as they are"
            )
        return fitted

    find, load, model = teacher.find, teacher.load, teacher.model
    return teacher._replace(
        find=lambda images: find(images).calibrated(curves()),
        load=load and (lambda: load().calibrated(curves())),
        model=model and CalibratedTeacher(model, curves),
        curves=curves,
    )


def fuse_shared(teachers: Sequence[OpenTeacher]) -> list[OpenTeacher]:
    """Join teachers that are asked once a picture where they share classes: one more teaches these, fused.

    Raises:
        InputError: one that shares a class is asked otherwise.
    """
    rivals: dict[tuple[int, ...], list[str]] = {}
    for target in dict.fromkeys(name for teacher in teachers for name in teacher.classes.values()):
        places = tuple(place for place, teacher in enumerate(teachers) if target in teacher.classes.values())
        if len(places) > 1:
            rivals.setdefault(places, []).append(target)
    shared = {target for targets in rivals.values() for target in targets}
    alone = [
        teacher._replace(classes={own: target for own, target in teacher.classes.items() if target not in shared})
        for teacher in teachers
    ]
    return [teacher for teacher in alone if teacher.classes] + [
        fuse_some([teachers[place] for place in places], tuple(targets)) for places, targets in rivals.items()
    ]


def fuse_some(teachers: Sequence[OpenTeacher], targets: tuple[str, ...]) -> OpenTeacher:
    """Return one teacher of several, of classes of the student that all of them know."""
    loads = [teacher.load for teacher in teachers]
    other = next((teacher.name for teacher, load in zip(teachers, loads, strict=True) if load is None), None)
    point = next((teacher for teacher in teachers if not teacher.task.is_box), None)
    if point is not None:
        raise InputError(
            f"distill.shared: {FUSE} joins boxes, but {point.name} finds {point.task.name}; choose average"
        )
    if other is not None:
        raise InputError(
            f"distill.shared: {FUSE} joins teachers that are asked once a picture for their boxes, but {other} is not "
            f"and shares {', '.join(targets)}; set it to average or to the teacher to prefer"
        )
    renamed = [{own: target for own, target in each.classes.items() if target in targets} for each in teachers]

    def join(parts: Sequence[StoredDetections]) -> StoredDetections:
        return fuse_stored([part.renamed(names, targets) for part, names in zip(parts, renamed, strict=True)])

    return OpenTeacher(
        targets,
        teachers[0].task,
        lambda images: join([teacher.find(images) for teacher in teachers]),
        load=lambda: join([load() for load in loads if load is not None]),
        name="+".join(teacher.name for teacher in teachers),
        classes={name: name for name in targets},
        factors={term: mean(each.factors[term] for each in teachers) for term in teachers[0].factors},
    )


def ask_teachers(
    teachers: Sequence[Teacher], shared: str | None, judged_by: Sequence[Dataset], processes: Processes
) -> Asked:
    """Ask all that must be known of teachers before training.

    Args:
        teachers: of the run.
        shared: `distill.shared`.
        judged_by: labelled pictures.
        processes: of the run, of which the first asks, and the others read what it kept.

    Returns:
        The teachers, with the AP of their classes where that is to weigh them, and what each that is asked once a
        picture found on the training pictures.
    """
    with processes.first_alone(), torch.random.fork_rng(devices=[]):  # asking must not change the run
        for teacher in teachers:
            if teacher.curves is not None:
                teacher.curves()
        if shared == BY_AP:
            teachers = [weighed(teacher, teachers, judged_by) for teacher in teachers]
        asked = [(teacher, teacher.load()) for teacher in teachers if teacher.load is not None]
        for teacher, found in asked:
            tell_lacking(teacher, found)
        return list(teachers), [found for _, found in asked]


def tell_lacking(teacher: Teacher, found: StoredDetections) -> None:
    """Warn of classes of which a teacher found nothing on the training pictures."""
    large = ~under_a_pixel(found.boxes) | (not teacher.task.has_area)
    there = {found.class_names[label] for label in found.labels[large & ~found.ignore]}
    lacking = [own for own in teacher.renames if own not in there]
    if lacking:
        logger.warning(
            f"distill.teachers: {teacher.name} found no {', '.join(lacking)} on any of {int(found.answered.sum())} "
            "pictures, and teaches that none is there; check how it is read and which pictures it is of"
        )


def weighed(teacher: Teacher, teachers: Sequence[Teacher], judged_by: Sequence[Dataset]) -> Teacher:
    """Return a teacher with the AP of its classes, if it shares one with others."""
    others = {name for other in teachers if other is not teacher for name in other.student_classes}
    shared = [name for name in teacher.student_classes if name in others]
    return teacher._replace(strengths=reached_alone(teacher, shared, judged_by)) if shared else teacher


def reached_alone(teacher: Teacher, shared: Sequence[str], judged_by: Sequence[Dataset]) -> dict[str, float]:
    """Return the AP of a teacher by class of the student.

    Args:
        teacher: to judge.
        shared: classes of the student that it shares with others.
        judged_by: labelled pictures; those that it has no answer for do not count.

    Raises:
        InputError: it has no answer for any of them.
    """
    assert teacher.find is not None
    names = taught_names(teacher.class_names, teacher.renames)
    found = teacher.find(images_of(judged_by))._replace(class_names=names)
    if not found.answered.any():
        raise InputError(
            f"distill.shared: {BY_AP} judges teachers by data.val, none of whose pictures {teacher.name} knows; name "
            "other data, or choose another rule"
        )
    labelled = set(names).intersection(union_of_classes(judged_by))
    per_class = evaluate_stored(found, judged_by).per_class if labelled else {}
    reached = {name: ap for name, ap in per_class.items() if ap is not None}
    unjudged = [name for name in shared if name not in reached]
    if unjudged:
        logger.warning(
            f"distill.shared: data.val has no object of {', '.join(unjudged)} to judge {teacher.name} by, whose weight "
            "for it is 0 beside teachers that were judged"
        )
    return reached


def images_of(datasets: Sequence[Dataset]) -> list[Path]:
    """Return the pictures of data sets."""
    return [record.image for dataset in datasets for record in dataset.records]
