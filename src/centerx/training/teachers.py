"""Teachers: frozen models that answer for some of the student's classes, once a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from centerx.detector import Detector
from centerx.errors import InputError, nearest
from centerx.losses.distill import DistillLoss, ridge_residual
from centerx.targets.soft import maps_from_detections
from centerx.types import Batch, Detections, HeadOutputs


class Told(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
        maps: of the classes that it was asked for.
        features: (B, F, h, w) what its head sees; None where that is out of reach.
    """

    maps: HeadOutputs
    features: Tensor | None


Answer = Callable[[Tensor, list[int]], Told]


class NetworkTeacher:
    """A network of this project, frozen; no module of the student's run holds it, so no checkpoint does.

    Args:
        detector: network and decoder, of which only the network is asked.
    """

    def __init__(self, detector: Detector) -> None:
        self.model = detector.model.eval().requires_grad_(False)

    def __call__(self, images: Tensor, own: list[int]) -> Told:
        """Its own maps, of some of its channels, and features."""
        features = self.model.to(images.device).features(images)
        maps = self.model.head(features)
        return Told(maps._replace(heatmap=channels(maps.heatmap, own)), features)


class BoxTeacher:
    """Anything that gives boxes; its maps are rendered from them.

    Args:
        detect: (B, 3, H, W) uint8 -> (B, K, ...) detections in input pixels, NumPy.
        path: where it is from.
        num_classes: it knows. stride, min_overlap: of the maps to render.
    """

    def __init__(
        self,
        detect: Callable[[np.ndarray], Detections],
        path: Path,
        num_classes: int,
        stride: int,
        min_overlap: float,
    ) -> None:
        self.detect, self.path = detect, path
        self.num_classes, self.stride, self.min_overlap = num_classes, stride, min_overlap

    def __call__(self, images: Tensor, own: list[int]) -> Told:
        """Maps with a splat for every box of some of its classes; the others leave no trace.

        Raises:
            InputError: a box or score is not finite, a label not of its classes.
        """
        found = self.detect(images.cpu().contiguous().numpy())
        if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
            raise InputError(f"{self.path}: gives boxes or scores that are not finite, use another file as teacher")
        known = (found.labels >= 0) & (found.labels < self.num_classes)
        if not known[found.scores > 0].all():
            raise InputError(f"{self.path}: gives labels beyond its {self.num_classes} classes, export it again")
        place = np.full(self.num_classes, -1)
        place[own] = np.arange(len(own))
        asked = place[np.where(known, found.labels, 0)]
        boxes, scores, labels = (
            torch.from_numpy(each).to(images.device) for each in (found.boxes, found.scores * (asked >= 0), asked)
        )
        height, width = images.shape[-2:]
        maps = maps_from_detections(
            Detections(boxes, scores, labels), len(own), self.stride, (height, width), self.min_overlap
        )
        return Told(maps, None)


class Lesson(NamedTuple):
    """Which classes a teacher teaches.

    Attributes:
        own: its T channels. taught: the T channels of the student that they teach.
        share: (T,) float32, the weight of each: 1, or less where several teachers share a class.
    """

    own: list[int]
    taught: list[int]
    share: Tensor


class Teacher(NamedTuple):
    """A frozen model and what it teaches.

    Attributes:
        name: for logs and errors.
        answer: (B, 3, H, W) uint8 and channels -> what it says of them.
        lesson: its classes and the student's.
        features: whether the student's features are to hold its.
    """

    name: str
    answer: Answer
    lesson: Lesson
    features: bool


class Teaching:
    """What all teachers do in a run.

    Args:
        teachers: each with its lesson.
        loss: student, teacher and share to raw terms.
        num_classes: of the student.
        labels: whether labels teach too the classes that have a teacher.
        steps: after so many of the run, labels alone teach.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        loss: DistillLoss,
        num_classes: int,
        labels: bool,
        steps: int,
    ) -> None:
        self.teachers = teachers
        self.loss = loss
        self.steps = steps
        self.left = torch.ones(num_classes, dtype=torch.bool)
        if not labels:
            for teacher in teachers:
                self.left[teacher.lesson.taught] = False

    def left_to_labels(self, batch: Batch) -> Batch:
        """The batch with only those classes annotated that labels are to teach."""
        return batch._replace(annotated=batch.annotated & self.left.to(batch.annotated.device))

    def terms(self, student: HeadOutputs, features: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Return the raw terms of every teacher, named `kd/<teacher>/<term>`.

        Args:
            student: its maps. features: (B, F, h, w) what its head saw. images: (B, 3, H, W) uint8.
        """
        terms: dict[str, Tensor] = {}
        for teacher in self.teachers:
            own, taught, share = teacher.lesson
            with torch.no_grad():
                told = teacher.answer(images, own)
            seen = student._replace(heatmap=channels(student.heatmap, taught))
            found = self.loss(seen, told.maps, share.to(images.device))
            if teacher.features and told.features is not None:
                found["features"] = ridge_residual(features, told.features)
            terms |= {f"kd/{teacher.name}/{name}": term for name, term in found.items()}
        return terms

    def fades(self, terms: Iterable[str], step: int) -> dict[str, float]:
        """Factors of the terms that fade: features lead at first, the task itself at last.

        Args:
            terms: all of a step, by name. step: of the run, less than `steps`.
        """
        return {name: 1 - step / self.steps for name in terms if name.endswith("/features")}


def channels(maps: Tensor, chosen: list[int]) -> Tensor:
    """Some channels of (B, C, h, w): a view where they follow one another, which spares copies there and back."""
    first, end = chosen[0], chosen[-1] + 1
    if chosen == list(range(first, end)):
        return maps[:, first:end]
    return maps.index_select(1, torch.tensor(chosen, device=maps.device))


class Claim(NamedTuple):
    """What a teacher could teach.

    Attributes:
        name: of the teacher. class_names: its own, in the order of its channels.
        classes: its class -> the student's; all its classes under their own names where None.
    """

    name: str
    class_names: tuple[str, ...]
    classes: Mapping[str, str] | None


def plan_lessons(claims: Sequence[Claim], student: Sequence[str], shared: str | None) -> list[Lesson]:
    """Decide which teacher teaches which class.

    Args:
        claims: one a teacher. student: the student's class names.
        shared: the rule for a class that several claim: `average`, or the name of the teacher to prefer.

    Raises:
        InputError: a class that a teacher or the student lacks; a class claimed twice without a rule; a teacher that is
            left without a class.
    """
    names = [claim.name for claim in claims]
    if shared not in (None, "average", *names):
        raise InputError(f"distill.shared: {shared!r} is neither average nor a teacher, teachers: {', '.join(names)}")
    pairs = [_pairs(claim, student) for claim in claims]
    chosen: dict[str, list[str]] = {}
    for target in student:
        rivals = [name for name, own in zip(names, pairs, strict=True) if target in own]
        if len(rivals) > 1 and shared not in ("average", *rivals):
            raise InputError(
                f"distill.teachers: {' and '.join(rivals)} both teach {target!r}, set distill.shared to average or to "
                "the teacher to prefer, or list the classes of each"
            )
        chosen[target] = [name for name in rivals if name == shared != "average"] or rivals
    lessons = []
    for claim, own in zip(claims, pairs, strict=True):
        taught = [target for target in own if claim.name in chosen[target]]
        if not taught:
            raise InputError(
                f"distill.teachers: {claim.name} is left without a class to teach, leave it out or change its classes"
            )
        lessons.append(
            Lesson(
                [claim.class_names.index(own[target]) for target in taught],
                [student.index(target) for target in taught],
                torch.tensor([1 / len(chosen[target]) for target in taught]),
            )
        )
    return lessons


def taught_classes(claim: Claim) -> list[str]:
    """The student's classes that a teacher could teach."""
    return list(claim.class_names if claim.classes is None else claim.classes.values())


def _pairs(claim: Claim, student: Sequence[str]) -> dict[str, str]:
    """The student's class -> the teacher's."""
    classes = claim.classes if claim.classes is not None else {name: name for name in claim.class_names}
    for own, target in classes.items():
        if own not in claim.class_names:
            raise InputError(
                f"distill.teachers: {claim.name} has no class {own!r}{nearest(own, claim.class_names)}, "
                f"it has: {', '.join(claim.class_names)}"
            )
        if target not in student:
            raise InputError(
                f"distill.teachers: {claim.name} teaches {target!r}, which the student lacks"
                f"{nearest(target, student)}, add it to classes, or list the teacher's classes that are to teach"
            )
        if list(classes.values()).count(target) > 1:
            raise InputError(f"distill.teachers: {claim.name} teaches {target!r} by two of its classes, choose one")
    return {target: own for own, target in classes.items()}
