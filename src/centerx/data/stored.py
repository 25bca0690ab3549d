"""What a teacher found on the pictures of a run, asked once: flat arrays that are cheap to hand to worker processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from centerx.errors import InputError
from centerx.fields import CORNERS, KEYPOINTS, Field
from centerx.geometry import BOX_CORNERS, clip_boxes
from centerx.joints import NO_JOINTS, Joints, renamed_joints
from centerx.objects import OF_BOXES, SCORE, Objects, make_objects
from centerx.tasks import BOXES, KEYPOINT_SCORES, Task, task_of, taught_as
from centerx.types import Detections

MOST = 100  # detections of a picture that are kept: as many as COCO counts, and as a model gives by default
LEAST_SCORE = 0.01  # of a detection that is kept: a lower peak teaches what background teaches


class Curve(NamedTuple):
    """A strictly rising map of the scores of a class to rates of right detections; 0 stays 0.

    Attributes:
        scores: (N,) from 0 to 1, rising.
        rates: (N,) in [0, 1], rising.
    """

    scores: np.ndarray
    rates: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the rates (...) that scores (...) stand for, in [0, 1]."""
        return np.interp(scores, self.scores, self.rates).astype(np.float32)


Curves = list[Curve | None]  # of each class, None of one whose scores stay as they are


class StoredDetections(NamedTuple):
    """N detections of P pictures, those of a picture in a row, best first, and regions where nothing is taught.

    Attributes:
        class_names: of the teacher.
        task: name of the teacher's task.
        answered: (P,) bool, whether the teacher has seen the picture. On one that it has not seen, it teaches nothing.
        offsets: (P + 1,) int64, where the detections of each picture begin and end.
        boxes: (N, 4) float32 xyxy pixels of the picture; of a point twice the same.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64 into `class_names`.
        ignore: (N,) bool; True where the box is no detection but a region in which nothing is taught of the class.
        values: by name of a field that objects of the task carry, (N, D) float32; and of joints their scores (N, J).
        joints: of the teacher.
    """

    class_names: tuple[str, ...]
    task: str
    answered: np.ndarray
    offsets: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    values: Mapping[str, np.ndarray] = {}
    joints: Joints = NO_JOINTS

    def of(self, index: int, student: Task = BOXES) -> Objects:
        """Return what was found on a picture, with `SCORE` among the values, and the regions that are ignored.

        Args:
            index: of the picture.
            student: task of whom it teaches, which says how corners move.
        """
        rows = slice(*self.offsets[index : index + 2])
        values = {SCORE: self.scores[rows, None], **{name: each[rows] for name, each in self.values.items()}}
        known = {KEYPOINTS.name: values.pop(KEYPOINT_SCORES)} if KEYPOINT_SCORES in values else {}
        objects = make_objects(self.boxes[rows], self.labels[rows], self.ignore[rows], values, known)
        return objects._replace(fields=beside_boxes(taught_as(task_of(self), student)))

    def detections(self, index: int) -> Detections:
        """Return what was found on a picture, best first."""
        return self._some(index, ignored=False)

    def ignored(self, index: int) -> Detections:
        """Return the regions of a picture in which nothing is taught; their scores say nothing."""
        return self._some(index, ignored=True)

    def calibrated(self, curves: Curves) -> StoredDetections:
        """Return the detections with other scores, best first.

        Args:
            curves: of each class.
        """
        scores = self.scores.copy()
        for label, curve in enumerate(curves):
            if curve is not None:
                mine = self.labels == label
                scores[mine] = curve(self.scores[mine])
        return self._sorted(scores)

    def renamed(self, names: Mapping[str, str], class_names: tuple[str, ...]) -> StoredDetections:
        """Return the detections of some classes, in others.

        Args:
            names: class -> its name among `class_names`; what is not in it is left out.
            class_names: of the result.
        """
        place = np.array([class_names.index(names[name]) if name in names else -1 for name in self.class_names])
        labels = place[self.labels]
        kept = labels >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)])[self.offsets]
        return StoredDetections(
            class_names,
            self.task,
            self.answered,
            offsets,
            self.boxes[kept],
            self.scores[kept],
            labels[kept],
            self.ignore[kept],
            {name: each[kept] for name, each in self.values.items()},
            renamed_joints(self.joints, place.tolist(), len(class_names)),
        )

    def _some(self, index: int, ignored: bool) -> Detections:
        start, end = self.offsets[index : index + 2]
        rows = start + np.flatnonzero(self.ignore[start:end] == ignored)
        shapes = {output.name: output for output in task_of(self).outputs}
        values = {name: shapes[name].shaped(each[rows]) for name, each in self.values.items()}
        boxes, scores, labels = self.boxes[rows], self.scores[rows], self.labels[rows]
        return Detections(boxes, scores, labels, values=values, task=self.task, joints=self.joints)

    def _sorted(self, scores: np.ndarray) -> StoredDetections:
        picture = np.repeat(np.arange(len(self.answered)), np.diff(self.offsets))
        order = np.lexsort((-scores, picture))
        return self._replace(
            boxes=self.boxes[order],
            scores=scores[order],
            labels=self.labels[order],
            ignore=self.ignore[order],
            values={name: each[order] for name, each in self.values.items()},
        )


class Usable(NamedTuple):
    """Detections of a picture that can teach.

    Attributes:
        found: the best `MOST` that score at least `LEAST_SCORE`, best first, inside the picture.
        clipped: how many boxes reached outside.
        empty: how many have no area inside and are left out.
    """

    found: Detections
    clipped: int
    empty: int


def usable_detections(
    found: Detections, num_classes: int, image_hw: tuple[int, int], where: str, has_area: bool
) -> Usable:
    """Return what can be used of the detections of one picture.

    Args:
        found: in pixels of the picture.
        num_classes: of the teacher.
        image_hw: height and width of the picture in pixels.
        where: teacher and picture, for the error.
        has_area: of the teacher's task; without it a box without sides is a point.

    Raises:
        InputError: as `require_sound`.
    """
    require_sound(found, num_classes, where)
    boxes, scores, labels = found.boxes, found.scores, found.labels
    clipped = clip_boxes(boxes, image_hw)
    outside = (clipped != boxes).any(axis=1)
    inside = clipped.astype(np.float32)
    empty = without_area(inside)
    if not has_area:
        empty = np.where((boxes[:, :2] == boxes[:, 2:]).all(axis=1), outside, empty)
    order = np.argsort(-scores, kind="stable")
    chosen = order[(~empty & (scores >= LEAST_SCORE))[order]][:MOST]
    values = {name: each[chosen] for name, each in found.values.items()}
    kept = replace(found, boxes=inside[chosen], scores=scores[chosen], labels=labels[chosen], values=values)
    return Usable(kept, int((outside & ~empty).sum()), int(empty.sum()))


def beside_boxes(task: Task) -> tuple[Field, ...]:
    """Return the fields that objects of a task carry beside their boxes."""
    return tuple(field for field in task.carried if field.name not in OF_BOXES)


def stored_columns(task: Task) -> dict[str, int]:
    """Return the columns of what is stored of each detection beside its box, by name: its fields, scores of joints."""
    columns = {field.name: field.channels for field in beside_boxes(task)}
    return columns | ({KEYPOINT_SCORES: len(task.joints.names)} if task.joint_branches else {})


def carried_values(found: Detections) -> dict[str, np.ndarray]:
    """Return the values (K, D) float32 of detections that objects of their task carry, and the scores of joints.

    Regions without corners have those of their boxes, without joints those of score 0.
    """
    values = {}
    for name, width in stored_columns(task_of(found)).items():
        around = found.boxes[:, BOX_CORNERS] if name == CORNERS.name else np.zeros((len(found), width))
        own = found.values.get(name, around)
        with np.errstate(over="ignore"):  # what is too large is not finite then, which is an error
            values[name] = np.asarray(own, dtype=np.float32).reshape(len(found), width)
    return values


def require_sound(found: Detections, num_classes: int, where: str) -> None:
    """Check the detections of one picture.

    Args:
        found: in pixels of the picture.
        num_classes: of the teacher.
        where: teacher and picture, for the error.

    Raises:
        InputError: a box or score is not finite, a side negative, a score outside [0, 1] or a label of no class.
    """
    boxes, scores, labels = found.boxes, found.scores, found.labels
    faults = {
        "a box that is not finite": ~np.isfinite(boxes).all(axis=1),
        **{
            f"{name} that are not finite": ~np.isfinite(each).all(axis=1)
            for name, each in carried_values(found).items()
        },
        "a score that is no number in [0, 1]": ~((scores >= 0) & (scores <= 1)),
        "a box of negative width or height": (boxes[:, 2:] < boxes[:, :2]).any(axis=1),
        f"a label beyond its {num_classes} classes": (labels < 0) | (labels >= num_classes),
    }
    for fault, wrong in faults.items():
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            values = " ".join(f"{value:g}" for value in (*boxes[row], scores[row], labels[row]))
            raise InputError(f"{where}: {fault} (box, score and label: {values}), repair it or leave the teacher out")


def without_area(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a box (N, 4) xyxy has no width or no height."""
    return np.any(boxes[:, 2:] <= boxes[:, :2], axis=1)


def under_a_pixel(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a side of a box (N, 4) xyxy is shorter than a pixel of the picture."""
    return np.any(boxes[:, 2:] - boxes[:, :2] < 1, axis=1)


def store_detections(
    class_names: Sequence[str],
    task: str,
    found: Sequence[Detections | None],
    ignored: Sequence[Detections | None] | None = None,
    joints: Joints = NO_JOINTS,
) -> StoredDetections:
    """Return the detections of pictures in their order, each best first; None where there is no answer for a picture.

    Args:
        class_names: of the teacher.
        task: name of its task.
        found: on each picture.
        ignored: regions of each picture in which nothing is taught of their class.
        joints: of task pose.
    """
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    regions = ignored or [None] * len(found)
    parts = [part or nothing for pair in zip(found, regions, strict=True) for part in pair]
    counts = list(map(len, parts))
    parts.append(nothing)
    carried = [carried_values(replace(each, task=task, joints=joints)) for each in parts]
    return StoredDetections(
        tuple(class_names),
        task,
        np.array([each is not None for each in found], dtype=bool),
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)[1::2]]),
        np.concatenate([each.boxes for each in parts]).astype(np.float32),
        np.concatenate([each.scores for each in parts]).astype(np.float32),
        np.concatenate([each.labels for each in parts]).astype(np.int64),
        np.repeat(np.arange(len(counts)) % 2 == 1, counts),
        {name: np.concatenate([each[name] for each in carried]) for name in carried[0]},
        joints,
    )
