"""What the objects of a data set carry beside boxes, joints and corners: how many have them, and which are doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from centerx.data.dataset import OVERHANG, VISIBILITY, Dataset
from centerx.data.records import in_columns
from centerx.fields import CORNERS, KEYPOINTS
from centerx.joints import mirror_of
from centerx.problems import Kind, Problem
from centerx.tasks import Task
from centerx.tasks.rotated import angle_of

VISIBLE = 2  # COCO's flag
BESIDE = 0.1  # of the longer side of a box: a joint further outside is doubtful
LONGER = 1.5  # times as long as with the two joints of a pair exchanged: lines of the skeleton that are doubtful
FARTHER = 0.25  # of the longer side of a box, by which they are longer as well
UPRIGHT = 0.003  # sine of twice an angle of a tenth of a degree


class JointCount(NamedTuple):
    """Numbers of a joint.

    Attributes:
        name: of the joint.
        labelled: on how many objects its place is known.
        visible: on how many of these it is flagged as visible, not as hidden.
    """

    name: str
    labelled: int
    visible: int


class AttributeCounts(NamedTuple):
    """How many objects carry what, without those that are ignored.

    Attributes:
        joints: of each joint of the data set; empty where it has none.
        with_joints: objects with a labelled joint.
        without_joints: objects without one, of classes that have joints.
        with_corners: objects with four corners of their own.
        without_corners: the others that have a box.
        turned: those with corners that do not lie upright, and so have an angle.
    """

    joints: list[JointCount]
    with_joints: int
    without_joints: int
    with_corners: int
    without_corners: int
    turned: int

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `centerx data check --json`."""
        return self._asdict() | {"joints": [count._asdict() for count in self.joints]}


class _Carried(NamedTuple):
    """The objects of a data set that are not ignored, and have a box, in a row.

    Attributes:
        picture: (N,) number of the record.
        row: (N,) among the objects of the record.
        labels: (N,). boxes: (N, 4).
        points: (N, J, 2). flags: (N, J), 0 where a joint is not labelled.
        corners: (N, 8). outlined: (N,) bool, whether they are known.
    """

    picture: np.ndarray
    row: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    flags: np.ndarray
    corners: np.ndarray
    outlined: np.ndarray

    @property
    def longer(self) -> np.ndarray:
        """(N,) the longer side of each box."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1))


def count_attributes(dataset: Dataset) -> AttributeCounts:
    """Count the joints, corners and angles of a data set."""
    joints = dataset.joints
    labelled, visible = np.zeros((2, len(joints.names)), dtype=np.int64)
    some, lacking, with_corners, without_corners, turned = np.zeros(5, dtype=np.int64)
    jointed = np.array([bool(joints.of_class(label)) for label, _ in enumerate(dataset.class_names)], dtype=bool)
    for objects in _carried(dataset):
        has = (objects.flags > 0).any(axis=1)
        labelled += (objects.flags > 0).sum(axis=0)
        visible += (objects.flags == VISIBLE).sum(axis=0)
        some += has.sum()
        lacking += (jointed[objects.labels] & ~has).sum()
        with_corners += objects.outlined.sum()
        without_corners += (~objects.outlined).sum()
        turned += (np.abs(angle_of(objects.corners[objects.outlined])[:, 1]) > UPRIGHT).sum()
    counts = zip(joints.names, labelled.tolist(), visible.tolist(), strict=True)
    return AttributeCounts(
        [JointCount(*row) for row in counts],
        *map(int, (some, lacking, with_corners, without_corners, turned)),
    )


def attribute_problems(dataset: Dataset, task: Task | None = None) -> Iterator[Problem]:
    """Yield what is doubtful about joints and corners, one problem a picture.

    Args:
        dataset: the data set.
        task: what it is used for; None: all is looked at. The order of corners matters to those as they are labelled.
    """
    poses = bool(dataset.joints.names) and (task is None or KEYPOINTS.name in task.needed)
    orders = task is None or CORNERS in task.fields
    usual = _usual_way(dataset) if orders else 0.0
    for objects in _carried(dataset) if poses or orders else ():
        if poses:
            yield from _outside_joints(dataset, objects)
            yield from _swapped_joints(dataset, objects)
        if orders:
            yield from _turned_orders(dataset, objects, usual)


def _carried(dataset: Dataset) -> Iterator[_Carried]:
    """Yield the objects of all pictures, those of many at a time."""
    count = len(dataset.joints.names)
    for every in in_columns(dataset.records):
        rows = np.arange(len(every.labels)) - np.searchsorted(every.image, every.image)
        kept = ~every.ignore & ~every.is_point
        objects = every.where(kept)
        total = len(objects.labels)
        points = np.asarray(objects.values.get(KEYPOINTS.name, np.zeros((total, 2 * count))))
        yield _Carried(
            objects.image,
            rows[kept],
            objects.labels,
            objects.boxes,
            points.reshape(total, count, 2),
            objects.values.get(VISIBILITY, np.zeros((total, count))),
            objects.values.get(CORNERS.name, np.zeros((total, CORNERS.channels))),
            objects.outlined,
        )


def _outside_joints(dataset: Dataset, objects: _Carried) -> Iterator[Problem]:
    low, high = objects.boxes[:, None, :2], objects.boxes[:, None, 2:]
    beyond = np.maximum(low - objects.points, objects.points - high).max(axis=2)
    outside = (objects.flags > 0) & (beyond > (BESIDE * objects.longer + OVERHANG)[:, None])
    names = dataset.joints.names
    for image, where, times in _by_picture(dataset, objects, outside.any(axis=1)):
        joint = int(outside[where].argmax())
        what = (
            f"object {objects.row[where] + 1}: {names[joint]!r} lies {beyond[where, joint]:.0f} pixels outside its box"
        )
        yield Problem(Kind.JOINT_OUTSIDE_BOX, image, what, times)


def _swapped_joints(dataset: Dataset, objects: _Carried) -> Iterator[Problem]:
    """Yield where lines of the skeleton are much shorter once the two joints of a pair change places."""
    flip, names = mirror_of(dataset.joints), dataset.joints.names
    lines = dataset.joints.skeleton
    swapped = np.full(len(objects.labels), -1)
    for first, second in ((place, other) for place, other in enumerate(flip) if place < other):
        pair = {first: second, second: first}
        own = [line for line in lines if len(pair.keys() & {*line}) == 1]
        seen = (objects.flags[:, [first, second]] > 0).all(axis=1)
        as_told, exchanged = np.zeros((2, len(objects.labels)))
        for start, end in own:
            told = seen & (objects.flags[:, [start, end]] > 0).all(axis=1)
            as_told += told * _length(objects.points, start, end)
            exchanged += told * _length(objects.points, pair.get(start, start), pair.get(end, end))
        doubtful = (as_told > LONGER * exchanged) & (as_told - exchanged > FARTHER * objects.longer)
        swapped[doubtful] = first
    for image, where, times in _by_picture(dataset, objects, np.asarray(swapped >= 0)):
        one = int(swapped[where])
        what = (
            f"object {objects.row[where] + 1}: {names[one]!r} and {names[flip[one]]!r} seem to be exchanged, the lines "
            "of the skeleton would be shorter"
        )
        yield Problem(Kind.SWAPPED_JOINTS, image, what, times)


def _turned_orders(dataset: Dataset, objects: _Carried, usual: float) -> Iterator[Problem]:
    """Yield where corners go around the other way than those of most objects do."""
    around = "clockwise" if usual < 0 else "counterclockwise"
    for image, where, times in _by_picture(dataset, objects, objects.outlined & (_areas(objects) * usual < 0)):
        what = f"object {objects.row[where] + 1}: its corners go {around}, those of most objects the other way"
        yield Problem(Kind.CORNER_ORDER, image, what, times)


def _usual_way(dataset: Dataset) -> float:
    """Return the sign of the area of most corners."""
    total = sum(float(np.sign(_areas(objects)[objects.outlined]).sum()) for objects in _carried(dataset))
    return 1.0 if total >= 0 else -1.0


def _areas(objects: _Carried) -> np.ndarray:
    """Return (N,) twice the area of the corners, below 0 of those that go around counterclockwise on a screen."""
    corners = objects.corners.reshape(-1, 4, 2)
    x, y = corners[..., 0], corners[..., 1]
    return np.asarray((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1))


def _by_picture(dataset: Dataset, objects: _Carried, doubtful: np.ndarray) -> Iterator[tuple[str, int, int]]:
    """Yield of each picture with doubtful objects its name, the first of these, and how many they are."""
    places = np.flatnonzero(doubtful)
    pictures, first, times = np.unique(objects.picture[places], return_index=True, return_counts=True)
    for picture, where, count in zip(pictures.tolist(), places[first].tolist(), times.tolist(), strict=True):
        yield str(dataset.records[picture].image), where, count


def _length(points: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.asarray(np.linalg.norm(points[:, start] - points[:, end], axis=1))
