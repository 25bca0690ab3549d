"""Teachers: frozen models that say something of some of the student's classes and fields, once a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from centerx.data.stored import Curve, Curves, StoredDetections
from centerx.detector import Detector
from centerx.errors import InputError, nearest
from centerx.fields import JOINT_HEATMAP, JOINT_OFFSET, KEYPOINTS
from centerx.losses.distill import DistillLoss, ridge_residual
from centerx.losses.terms import FEATURES, JOINT_TERMS, Term, joint_branches, joint_maps
from centerx.models import Branch
from centerx.targets.soft import FLOOR, ignore_tiny, known_cells, maps_from_detections, maps_from_objects
from centerx.tasks import KEYPOINT_SCORES, Task
from centerx.types import Batch, Maps, RawDetections

AVERAGE, BY_AP, FUSE = RULES = "average", "by_ap", "fuse"  # for classes that several teachers know


class TeacherOutput(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
        maps: of the classes that it was asked for.
        features: (B, F, h, w) what its head sees; None where that is out of reach.
        known: (B, T, h, w) of the classes that it was asked for, how much each cell counts, 0 where it has nothing to
            say; None: all cells count alike.
    """

    maps: Maps
    features: Tensor | None = None
    known: Tensor | None = None


Find = Callable[[Sequence[Path]], StoredDetections]  # pictures -> what is found on them
TeacherModel = Callable[[Batch, list[int]], TeacherOutput]  # what a teacher says in some of its channels


class Teacher(NamedTuple):
    """A frozen model, and what of it is to be taught.

    Attributes:
        name: for logs and errors.
        model: what answers.
        class_names: its own, in the order of its channels.
        task: its own: it teaches the fields of the student that it has as well.
        classes: its class -> the student's; all its classes under their own names where None.
        match_features: whether the student's features are to hold its.
        factors: of its loss terms, by name; 1 of what is not in it.
        find: what it finds on pictures, whether it teaches on them or not.
        load: gives what it found on all training pictures, in their order; of a `StoredTeacher` alone.
        curves: gives the calibration of its classes, where it is calibrated.
        strengths: AP of its classes alone, by class of the student, where teachers of one class are weighed by it.
        teaches: attributes of its task that it teaches; None: all.
    """

    name: str
    model: TeacherModel
    class_names: tuple[str, ...]
    task: Task
    classes: Mapping[str, str] | None = None
    match_features: bool = False
    factors: Mapping[str, float] = {}
    find: Find | None = None
    load: Callable[[], StoredDetections] | None = None
    curves: Callable[[], Curves] | None = None
    strengths: Mapping[str, float] = {}
    teaches: tuple[str, ...] | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        """What it teaches: `center`, and fields."""
        return self.task.attributes if self.teaches is None else self.teaches

    @property
    def renames(self) -> Mapping[str, str]:
        """Its class -> the student's, of the classes to teach."""
        return {name: name for name in self.class_names} if self.classes is None else self.classes

    @property
    def student_classes(self) -> list[str]:
        """The student's classes that it could teach."""
        return list(self.renames.values())


class ChannelMap(NamedTuple):
    """Which channels of the student's heatmap a teacher teaches.

    Attributes:
        teacher_channels: T channels of the teacher.
        student_channels: the T channels of the student that they teach.
        weights: by attribute that the teacher has, `center` and fields, (T,) float32 of each class: 1, less where
            several teachers share it, 0 where another one is preferred; of joints (T, J) of each class and joint of the
            student. Equal ones are one tensor.
        joints: of each joint of the student, which of the teacher it is; 0 where the teacher lacks it.
    """

    teacher_channels: list[int]
    student_channels: list[int]
    weights: dict[str, Tensor]
    joints: tuple[int, ...] = ()

    def weight(self, field: str) -> Tensor:
        """Return the weights of a term, (T,) or (T, J): heatmap and offset have those of the centre."""
        of_joints = field in (JOINT_HEATMAP.name, JOINT_OFFSET.name) and KEYPOINTS.name in self.weights
        return self.weights.get(KEYPOINTS.name if of_joints else field, self.weights["center"])


class NetworkTeacher:
    """A network of this project, frozen; no module of the student's run holds it, so no checkpoint does.

    Args:
        detector: network and decoder, of which only the network is asked.
    """

    def __init__(self, detector: Detector) -> None:
        self.model = detector.model.eval().requires_grad_(False)

    def __call__(self, batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
        """Return its own maps, of some of its channels, and features."""
        features = self.model.to(batch.images.device).features(batch.images)
        maps = self.model.head(features)
        return TeacherOutput(maps._replace(heatmap=channels(maps.heatmap, teacher_channels)), features)


class DetectionTeacher:
    """Anything that gives detections, asked anew at every batch; its maps are rendered from them.

    Args:
        detect: (B, 3, H, W) uint8 -> detections in input pixels, NumPy.
        path: where it is from.
        task: of the model.
        num_classes: of the model.
        stride: pixels per cell of the maps to render.
    """

    def __init__(
        self,
        detect: Callable[[np.ndarray], RawDetections],
        path: Path,
        task: Task,
        num_classes: int,
        stride: int,
    ) -> None:
        self.detect, self.path, self.task = detect, path, task
        self.num_classes, self.stride = num_classes, stride

    def __call__(self, batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
        """Return maps with a peak for every detection of some of its classes; the others leave no trace.

        Raises:
            InputError: a position or score is not finite, a label not of its classes.
        """
        images = batch.images
        found = self.detect(images.cpu().contiguous().numpy())
        boxes = self.task.boxes(found.values)
        if not (np.isfinite(found.scores).all() and np.isfinite(boxes).all()):
            raise InputError(f"{self.path}: gives boxes or scores that are not finite, use another file as teacher")
        known = (found.labels >= 0) & (found.labels < self.num_classes)
        if not known[found.scores > 0].all():
            raise InputError(f"{self.path}: gives labels beyond its {self.num_classes} classes, export it again")
        place = np.full(self.num_classes, -1)
        place[teacher_channels] = np.arange(len(teacher_channels))
        asked = place[np.where(known, found.labels, 0)]
        values = {
            name: torch.from_numpy(found.values[name]).to(images.device)
            for name in (*(field.name for field in self.task.carried), KEYPOINT_SCORES)
            if name in found.values
        }
        maps = maps_from_detections(
            torch.from_numpy(boxes).to(images.device),
            torch.from_numpy(found.scores * (asked >= 0)).to(images.device),
            torch.from_numpy(asked).to(images.device),
            self.task,
            len(teacher_channels),
            self.stride,
            (images.shape[2], images.shape[3]),
            values,
        )
        return TeacherOutput(maps)


class StoredTeacher:
    """A teacher that was asked once a picture; its maps are rendered from the detections that came with the batch.

    Args:
        index: of the teacher among those of `Batch.detections`.
        task: of the teacher.
        num_classes: of the teacher.
        stride: pixels per cell of the maps to render.
        point_radius: cells around an ignored point in which nothing is taught.
    """

    def __init__(self, index: int, task: Task, num_classes: int, stride: int, point_radius: float) -> None:
        self.index, self.task = index, task
        self.num_classes, self.stride = num_classes, stride
        self.point_radius = point_radius

    def __call__(self, batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
        """Return maps of some of its classes, and where they are known: not where a box is cut or nobody has asked."""
        found, input_hw = batch.detections[self.index], (batch.images.shape[2], batch.images.shape[3])
        place = torch.full((self.num_classes,), -1, device=found.labels.device)
        place[teacher_channels] = torch.arange(len(teacher_channels), device=place.device)
        asked = found._replace(labels=place[found.labels])
        objects = ignore_tiny(asked.where(asked.labels >= 0))
        count = len(teacher_channels)
        maps = maps_from_objects(
            objects.where(~objects.ignore), len(batch.images), self.task, count, self.stride, input_hw
        )
        answered = batch.answered[self.index]
        known = known_cells(objects, answered, count, self.stride, input_hw, self.point_radius)
        return TeacherOutput(maps, known=known)


class CalibratedTeacher:
    """A teacher whose probabilities become rates of right detections.

    Args:
        model: answers.
        curves: gives the curve of each of its classes, None of one that stays as it is.
    """

    def __init__(self, model: TeacherModel, curves: Callable[[], Curves]) -> None:
        self.model, self.curves = model, curves

    def __call__(self, batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
        """Return what the model says with the calibrated heatmap."""
        output, curves = self.model(batch, teacher_channels), self.curves()
        heatmap = output.maps.heatmap.float()
        channels = []
        for place, channel in enumerate(teacher_channels):
            curve, logits = curves[channel], heatmap[:, place]
            channels.append(logits if curve is None else calibrated_logits(logits, curve))
        return output._replace(maps=output.maps._replace(heatmap=torch.stack(channels, dim=1)))


def calibrated_logits(logits: Tensor, curve: Curve) -> Tensor:
    """Return logits (...) moved along a curve of probabilities; what is below FLOOR stays there."""
    scores, rates = (torch.from_numpy(each).to(logits) for each in curve)
    probability = logits.sigmoid()
    right = torch.searchsorted(scores, probability.contiguous(), right=True).clamp(1, len(scores) - 1)
    share = (probability - scores[right - 1]) / (scores[right] - scores[right - 1])
    moved = rates[right - 1] + share * (rates[right] - rates[right - 1])
    return torch.where(probability > FLOOR, moved.clamp(FLOOR, 1 - FLOOR).logit(), logits)


class Distiller:
    """What all teachers do in a run.

    Args:
        teachers: of the run.
        channel_maps: of each teacher.
        loss: student's and teacher's maps, weights of the classes, the student's branches and the cells that the
            teacher knows -> raw terms.
        class_names: of the student.
        task: of the student.
        branches: of the student, by field.
        labels: whether labels teach too what has a teacher.
        steps: after so many of the run, labels alone teach.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        channel_maps: Sequence[ChannelMap],
        loss: DistillLoss,
        class_names: Sequence[str],
        task: Task,
        branches: Mapping[str, Branch],
        labels: bool,
        steps: int,
    ) -> None:
        self.teachers, self.channel_maps = teachers, channel_maps
        self.loss, self.branches, self.steps = loss, branches, steps
        self.class_names = class_names
        self.by_labels = torch.ones(len(class_names), len(task.attributes), dtype=torch.bool)
        for channel_map in channel_maps if not labels else ():
            self.by_labels &= ~taught_attributes(channel_map, task, len(class_names))

    def mask_labels(self, batch: Batch) -> Batch:
        """Return the batch with only that supervised that labels are to teach."""
        return batch._replace(supervised=batch.supervised & self.by_labels.to(batch.supervised.device))

    def terms(self, student: Maps, features: Tensor, batch: Batch) -> dict[Term, Tensor]:
        """Return the raw terms of every teacher.

        Args:
            student: its maps.
            features: (B, F, h, w) what its head saw.
            batch: the pictures.
        """
        terms: dict[Term, Tensor] = {}
        for place, teacher in enumerate(self.teachers):
            channel_map = self.channel_maps[place]
            with torch.no_grad():
                output = teacher.model(batch, channel_map.teacher_channels)
            seen = student._replace(heatmap=channels(student.heatmap, channel_map.student_channels))
            moved = {id(weight): weight.to(features.device) for weight in channel_map.weights.values()}
            weights = {name: moved[id(channel_map.weight(name))] for name in ("heatmap", *self.branches)}
            centers = {name: each for name, each in self.branches.items() if name not in JOINT_TERMS.values()}
            taught = with_joints(output.maps, channel_map.joints)
            found = self.loss(seen, taught, weights, centers, output.known)
            if JOINT_HEATMAP.name in self.branches and JOINT_HEATMAP.name in taught.fields:
                share = weights[JOINT_HEATMAP.name].amax(dim=0)
                known = (
                    None
                    if output.known is None
                    else output.known.amin(dim=1, keepdim=True).expand(-1, len(share), -1, -1)
                )
                of_joints = self.loss(
                    joint_maps(seen), joint_maps(taught), dict.fromkeys(JOINT_TERMS, share),
                    joint_branches(self.branches), known,
                )  # fmt: skip
                found |= {JOINT_TERMS[name]: term for name, term in of_joints.items()}
            if teacher.match_features and output.features is not None:
                found[FEATURES] = ridge_residual(features, output.features)
            terms |= {self.term(place, field): value for field, value in found.items()}
        return terms

    def term(self, place: int, field: str) -> Term:
        """Return the term of a field of the teacher at a place of `teachers`."""
        classes = tuple(self.class_names[channel] for channel in self.channel_maps[place].student_channels)
        return Term(field, self.teachers[place].name, classes)

    def decay(self, terms: Iterable[Term], step: int) -> dict[Term, float]:
        """Return factors of the terms whose weight decays: features lead at first, the task itself at last.

        Args:
            terms: all of a step.
            step: of the run, less than `steps`.
        """
        return {term: 1 - step / self.steps for term in terms if term.field == FEATURES}


def channels(maps: Tensor, chosen: list[int]) -> Tensor:
    """Some channels of (B, C, h, w): a view where they follow one another, which spares copies there and back."""
    first, end = chosen[0], chosen[-1] + 1
    if chosen == list(range(first, end)):
        return maps[:, first:end]
    return maps.index_select(1, torch.tensor(chosen, device=maps.device))


def with_joints(maps: Maps, order: tuple[int, ...]) -> Maps:
    """Return the maps of a teacher with its joints in the order of the student, see `ChannelMap`."""
    if not order or (list(order) == list(range(len(order))) and maps.fields[JOINT_HEATMAP.name].shape[1] == len(order)):
        return maps
    points = maps.fields[KEYPOINTS.name].unflatten(1, (-1, 2))[:, list(order)].flatten(1, 2)
    heatmap = maps.fields[JOINT_HEATMAP.name][:, list(order)]
    return maps._replace(
        fields=maps.fields | {KEYPOINTS.name: points, JOINT_HEATMAP.name: heatmap},
        sure={name: each[:, list(order)] for name, each in maps.sure.items()},
    )


def joint_shares(teacher: Teacher, channel_map: ChannelMap, task: Task, num_classes: int) -> Tensor:
    """(T, J): 1 where teacher and student both have a joint in a class that the one teaches the other, else 0."""
    ours = torch.tensor(task.joints.table(num_classes))[channel_map.student_channels]
    places = teacher.task.joints.places(task.joints.names)
    table = torch.tensor(teacher.task.joints.table(len(teacher.class_names)))[channel_map.teacher_channels]
    theirs = torch.stack([table[:, place] if place >= 0 else table[:, 0] * 0 for place in places], dim=1)
    return ours * theirs


def map_channels(
    teachers: Sequence[Teacher], student: Sequence[str], shared: str | None, task: Task
) -> list[ChannelMap]:
    """Decide which teacher teaches which class, its centres and each field.

    Args:
        teachers: of the run.
        student: the student's class names.
        shared: the rule for a class that several teach: `average`; BY_AP, which is an average by their AP alone; FUSE,
            which has joined them before; or the name of the teacher to prefer.
        task: of the student.

    Raises:
        InputError: a class that a teacher or the student lacks; a class with two teachers and no rule; a teacher that
            is left without a class.
    """
    names = [teacher.name for teacher in teachers]
    if shared not in (None, *RULES, *names):
        raise InputError(
            f"distill.shared: {shared!r} is neither of {', '.join(RULES)} nor a teacher, teachers: {', '.join(names)}"
        )
    pairs = [_pairs(teacher, student) for teacher in teachers]
    shares: list[dict[str, dict[str, float]]] = [{} for _ in teachers]  # of a teacher: attribute -> class -> weight
    for attribute in task.attributes:
        for target in student:
            rivals = [
                place
                for place, teacher in enumerate(teachers)
                if target in pairs[place] and attribute in teacher.attributes
            ]
            if len(rivals) > 1 and shared not in (*RULES, *(names[place] for place in rivals)):
                raise InputError(
                    f"distill.teachers: {' and '.join(names[place] for place in rivals)} both teach {target!r}, set "
                    f"distill.shared to {', '.join(RULES)} or to the teacher to prefer, or list the classes of each"
                )
            chosen = [place for place in rivals if names[place] == shared != "average"] or rivals
            strengths = [teachers[place].strengths.get(target, 0.0) for place in chosen]
            total = sum(strengths)
            for place in rivals:
                share = 1 / len(chosen) if place in chosen else 0.0
                if place in chosen and total:
                    share = strengths[chosen.index(place)] / total
                shares[place].setdefault(attribute, {})[target] = share
    channel_maps = []
    for place, teacher in enumerate(teachers):
        own = pairs[place]
        taught = [target for target in own if any(share.get(target) for share in shares[place].values())]
        if not taught:
            raise InputError(
                f"distill.teachers: {teacher.name} is left without a class to teach, leave it out or change its classes"
            )
        lists = {name: tuple(share[target] for target in taught) for name, share in shares[place].items()}
        lists.setdefault("center", (0.0,) * len(taught))  # of one that knows no objects by itself
        tensors = {each: torch.tensor(each) for each in lists.values()}
        channel_map = ChannelMap(
            [teacher.class_names.index(own[target]) for target in taught],
            [student.index(target) for target in taught],
            {name: tensors[each] for name, each in lists.items()},
        )
        if KEYPOINTS.name in task.attributes and KEYPOINTS.name in lists:
            both = joint_shares(teacher, channel_map, task, len(student))
            if not both.any():
                raise InputError(
                    f"distill.teachers: {teacher.name} knows none of the joints {', '.join(task.joints.names)}, its "
                    f"own are {', '.join(teacher.task.joints.names)}; leave it out or name its joints alike"
                )
            weighed = channel_map.weights | {KEYPOINTS.name: channel_map.weights[KEYPOINTS.name][:, None] * both}
            order = tuple(max(place, 0) for place in teacher.task.joints.places(task.joints.names))
            channel_map = channel_map._replace(weights=weighed, joints=order)
        channel_maps.append(channel_map)
    return channel_maps


def taught_attributes(channel_map: ChannelMap, task: Task, num_classes: int) -> Tensor:
    """(C, 1 + F) bool: what a teacher teaches of each class of the student, whose task it is."""
    table = torch.zeros(num_classes, len(task.attributes), dtype=torch.bool)
    for column, attribute in enumerate(task.attributes):
        if attribute in channel_map.weights:
            weight = channel_map.weights[attribute]
            table[channel_map.student_channels, column] = (weight > 0).view(len(weight), -1).any(dim=1)
    return table


def _pairs(teacher: Teacher, student: Sequence[str]) -> dict[str, str]:
    """The student's class -> the teacher's."""
    classes = teacher.renames
    for own, target in classes.items():
        if own not in teacher.class_names:
            raise InputError(
                f"distill.teachers: {teacher.name} has no class {own!r}{nearest(own, teacher.class_names)}, "
                f"it has: {', '.join(teacher.class_names)}"
            )
        if target not in student:
            raise InputError(
                f"distill.teachers: {teacher.name} teaches {target!r}, which the student lacks"
                f"{nearest(target, student)}, add it to classes, or list the teacher's classes that are to teach"
            )
        if list(classes.values()).count(target) > 1:
            raise InputError(f"distill.teachers: {teacher.name} teaches {target!r} by two of its classes, choose one")
    return {target: own for own, target in classes.items()}
