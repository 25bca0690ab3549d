"""What a reader makes of files: pictures by path, boxes by class, and every problem met on the way."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from centerx.data.records import Record, Records
from centerx.errors import InputError
from centerx.fields import CORNERS, KEYPOINTS, SIZE
from centerx.geometry import BOX_CORNERS, box_area, clip_boxes, spanned_boxes
from centerx.images import Header, image_header
from centerx.joints import NO_JOINTS, Joints, renamed_joints
from centerx.objects import Objects, join_objects, make_objects
from centerx.problems import Kind, Problem

OVERHANG = 2.0  # pixels that a box may leave the picture by, through rounding or counting from 1


FARTHEST = 1e6  # pixels that a corner may be away
USUAL_SIDE = 20_000  # pixels; of a picture that is declared to be larger, the file itself is asked
LARGEST = float(np.finfo(np.float32).max)  # of a position: objects are float32 in a network
LEAST_AREA = 1e-3  # square pixels of four corners
LEAST_SIDE = 1e-3  # pixels between neighbouring ones; nearer ones are three corners, told as four
VISIBILITY = "visibility"  # among the values of objects with joints, (N, J): COCO's flags
BELONGS = 0.3  # least IoU of an object's box with the one around its corners; boxes may be of what is visible


class Dataset(NamedTuple):
    """The outcome of reading.

    Attributes:
        path: what was read.
        format: the reader's name.
        class_names: the classes labelled exhaustively on every picture whose record does not say otherwise; empty for a
            bare folder of images.
        category_ids: the format's own id of each class.
        records: one a picture, in the format's order.
        problems: everything that was wrong.
        optional_classes: of the classes, those that are read only by their names, as other boxes of the same objects.
        fields: which fields of its objects count as labelled, beside the centre; None: all that it has.
        complete: whether a class that it lacks is on none of its pictures, rather than not labelled there.
        joints: of its objects, in the order of their values; of each class its own where they differ.
        neighbour: a folder beside that of the labels with pictures of the names sought; None where they are its own.
    """

    path: Path
    format: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: Sequence[Record]
    problems: list[Problem]
    optional_classes: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    complete: bool = False
    neighbour: Path | None = None
    joints: Joints = NO_JOINTS

    def __repr__(self) -> str:
        boxes = sum(len(record.labels) for record in self.records)
        names = ", ".join(self.class_names) or "no classes"
        return f"Dataset({self.path}: {len(self.records)} pictures, {boxes} boxes of {names})"

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[str | Path],
        boxes: Sequence[ArrayLike],
        labels: Sequence[ArrayLike],
        class_names: Sequence[str],
        name: str = "arrays",
    ) -> Dataset:
        """Return a data set of boxes that are in memory. All its classes count as labelled on every picture.

        Boxes that leave their picture are clipped, and those that nothing is left of are dropped; both are among the
        `problems`.

        Args:
            images: the file of each picture.
            boxes: of each picture (N, 4) xyxy in pixels of the picture as a viewer shows it; an empty list for none.
            labels: of each picture (N,) numbers of classes, from 0.
            class_names: their names.
            name: what messages call the data set.

        Raises:
            InputError: the lengths differ, or a label is no class.
        """
        if not len(images) == len(boxes) == len(labels):
            counts = f"{len(images)} images, {len(boxes)} arrays of boxes, {len(labels)} arrays of labels"
            raise InputError(f"{name}: {counts}, there must be one of each for every picture")
        problems: list[Problem] = []
        records = Records()
        for number, image in enumerate(images):
            corners, classes = _rows_of_arrays(f"{name}: {image}", boxes[number], labels[number], len(class_names))
            header = readable_header(Path(image))
            builder = RecordBuilder(Path(image), number + 1, problems, header and header.hw)
            for row, (box, label) in enumerate(zip(corners, classes, strict=True)):
                builder.add(f"{name}: {image}: box {row}", box, label)
            records.append(builder.build())
        names = tuple(map(str, class_names))
        return cls(Path(name), "arrays", names, tuple(range(1, len(names) + 1)), records, problems)


class UnusableData(InputError):
    """The data itself leaves nothing to read; scanning makes a fatal problem of it.

    Args:
        where: file. what: is wrong there.
    """

    def __init__(self, where: Path, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.problem = Problem(Kind.UNREADABLE_LABELS, str(where), what)


Track = Callable[[Sequence[Record]], Iterable[Record]]  # passes records on and shows how far it is


class RecordBuilder:
    """Collects one picture's boxes while a reader goes through its file, setting the unusable ones aside.

    Args:
        image: the picture's file. image_id: its id.
        problems: where to report.
        declared_hw: the picture's height and width as the data set states them.
    """

    def __init__(
        self,
        image: Path,
        image_id: int | str,
        problems: list[Problem],
        declared_hw: tuple[int, int] | None = None,
    ) -> None:
        self.image, self.image_id, self.problems, self.declared_hw = image, image_id, problems, declared_hw
        self.rows: list[tuple[Sequence[float], int, bool, float]] = []
        self.corners: dict[int, tuple[str, Sequence[float]]] = {}  # and where they stand, by the number of a row
        self.joints: dict[int, tuple[str, Sequence[float]]] = {}  # likewise

    def add(
        self,
        where: str,
        xyxy: list[float],
        label: int,
        ignore: bool = False,
        area: float | None = None,
        corners: Sequence[float] | None = None,
        joints: Sequence[float] | None = None,
    ) -> None:
        """Add a box, unless it is not finite, has no area or lies outside; that is a problem of the record at `where`.

        Args:
            where: file, with line or id.
            xyxy: corners in pixels. label: into `Dataset.class_names`. ignore: crowd or difficult.
            area: the object's own, in square pixels; the box's without it.
            corners: x and y of the four corners of the object, around which the box lies, in pixels. Those whose sides
                cross are put in order, others that are none of the box are left out; both are problems too.
            joints: x, y and a flag of each joint, in pixels: 0 not labelled, 1 hidden, 2 visible. The number of joints
                is that of the whole data set. What cannot be used counts as not labelled, and is a problem too.
        """
        if not self._fits(xyxy):
            usable = self._repaired(where, xyxy)
            if usable is None:
                return
            xyxy = usable
        own = area if area is not None and 0 < area < math.inf else (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])
        if corners is not None:
            self.corners[len(self.rows)] = where, corners
        if joints is not None and any(joints[2::3]):
            self.joints[len(self.rows)] = where, joints
        self.rows.append((xyxy, label, ignore, own))

    def add_point(self, where: str, xy: list[float], label: int, ignore: bool = False) -> None:
        """Add an object that is marked by a point, unless it is not finite or lies outside; that is a problem.

        A point outside the upright picture is added if it lies in the picture as stored, before its EXIF orientation is
        applied: `frame` turns it or leaves it out.

        Args:
            where: file, with line or id.
            xy: its place in pixels.
            label: into `Dataset.class_names`.
            ignore: crowd or difficult.
        """
        x, y = xy
        hw = self.declared_hw
        if hw is None or not (0 <= x <= hw[1] and 0 <= y <= hw[0]):
            problem = self._unusable(where, xy)
            if problem is not None:
                self.problems.append(problem)
                return
        self.rows.append(((x, y, x, y), label, ignore, 0.0))

    def build(self) -> Record:
        """Return the record."""
        boxes, labels, ignore, area = zip(*self.rows, strict=True) if self.rows else ((), (), (), ())
        objects = make_objects(
            np.array(boxes, dtype=np.float64).reshape(-1, 4),
            np.array(labels, dtype=np.int64),
            np.array(ignore, dtype=bool),
            {"area": np.array(area, dtype=np.float64)},
            {} if all(area) else {SIZE.name: np.array(area) > 0},  # a point has no size
        )
        if self.corners:
            rows, told = list(self.corners), list(self.corners.values())
            corners, known = np.zeros((len(self.rows), CORNERS.channels)), np.zeros(len(self.rows), dtype=bool)
            corners[rows], known[rows] = self._usable_corners(
                [where for where, _ in told], np.array([each for _, each in told]), objects.boxes[rows]
            )
            objects = with_corners(objects, corners, known)
        if self.joints:
            objects = self._with_joints(objects)
        return Record(self.image, self.image_id, objects, self.declared_hw)

    def _usable_corners(
        self, where: Sequence[str], corners: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return corners (K, 8) in order around their middle, and (K,) bool whether they can be used.

        They cannot where they have no area, where two neighbours are one, or where they are not those of their box; a
        box may be of what is visible alone.
        """
        near = np.isfinite(corners).all(axis=1) & (np.abs(corners) < FARTHEST).all(axis=1)
        points = np.where(near[:, None], corners, 0.0).reshape(-1, 4, 2)
        crossed = crosses_itself(points)
        around = points - points.mean(axis=1, keepdims=True)
        turn = np.argsort(np.arctan2(around[..., 1], around[..., 0]), axis=1, kind="stable")
        points = np.where(crossed[:, None, None], np.take_along_axis(points, turn[..., None], axis=1), points)
        x, y = points[..., 0], points[..., 1]
        area = np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)) / 2
        spans, inside = spanned_boxes(points.reshape(-1, CORNERS.channels)), boxes
        if self.declared_hw is not None:
            spans, inside = clip_boxes(spans, self.declared_hw), clip_boxes(boxes, self.declared_hw)
        union = box_area(spans) + box_area(inside)
        low, high = np.maximum(spans[:, :2], inside[:, :2]), np.minimum(spans[:, 2:], inside[:, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        sides = np.abs(points - np.roll(points, -1, axis=1)).max(axis=2).min(axis=1)
        belongs = (shared >= BELONGS * (union - shared)) & (shared > 0)
        usable = near & (area > LEAST_AREA) & (sides > LEAST_SIDE) & belongs
        for place in np.flatnonzero(~usable | crossed).tolist():
            told = " ".join(f"{value:g}" for value in corners[place])
            crossing = Kind.CROSSED_CORNERS, "its sides cross, the corners are put in order around their middle"
            alien = (
                Kind.UNUSABLE_CORNERS,
                f"corners {told} have no area, are not four or not those of its box, which alone is used",
            )
            kind, what = crossing if usable[place] else alien
            self.problems.append(Problem(kind, where[place], what))
        return points.reshape(-1, CORNERS.channels), usable

    def _with_joints(self, objects: Objects) -> Objects:
        """Return the objects with joints; those outside the picture count as not labelled."""
        rows, told = list(self.joints), np.array([each for _, each in self.joints.values()], dtype=np.float64)
        told = told.reshape(len(rows), -1, 3)
        points, flags = told[..., :2], told[..., 2]
        labelled = np.isin(flags, (1, 2))
        inside = within(points, self.declared_hw)
        if self.declared_hw is None or (labelled & ~inside).any():
            inside = within(points, frame_hw(self._header, self.declared_hw))
        for row, place in zip(*np.nonzero((~labelled & (flags != 0)) | (labelled & ~inside)), strict=True):
            x, y, flag = told[row, place].tolist()
            what = (
                f"joint {place + 1} at {x:g} {y:g} lies outside its picture and counts as not labelled"
                if labelled[row, place]
                else f"joint {place + 1} has the flag {flag:g}, not 0, 1 or 2, and counts as not labelled"
            )
            self.problems.append(Problem(Kind.UNUSABLE_JOINT, self.joints[rows[row]][0], what))
        known = labelled & inside
        field = KEYPOINTS._replace(num_values=told.shape[1])
        values = np.zeros((len(self.rows), field.channels))
        seen = np.zeros((len(self.rows), field.num_values))
        values[rows] = np.where(known[..., None], points, 0.0).reshape(len(rows), -1)
        seen[rows] = np.where(known, flags, 0.0)
        return objects._replace(
            values={**objects.values, KEYPOINTS.name: values, VISIBILITY: seen},
            known={**objects.known, KEYPOINTS.name: seen > 0},
            fields=(*objects.fields, field),
        )

    def _fits(self, xyxy: list[float]) -> bool:
        """Whether a box has an area and lies in the declared picture: most do, and need no further look."""
        if self.declared_hw is None:
            return False
        left, top, right, bottom = xyxy
        height, width = self.declared_hw
        if max(height, width) > USUAL_SIDE:
            return False
        return -OVERHANG <= left < right <= width + OVERHANG and -OVERHANG <= top < bottom <= height + OVERHANG

    def _repaired(self, where: str, xyxy: list[float]) -> list[float] | None:
        """The part of a box that can be used; None where there is none."""
        if not all(abs(value) <= LARGEST for value in xyxy):
            self.problems.append(Problem(Kind.BOX_NOT_FINITE, where, f"box {xyxy} is not finite"))
            return None
        width, height = xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]
        if width <= 0 or height <= 0:
            what = f"box of {width:g} x {height:g} pixels has no area"
            self.problems.append(Problem(Kind.BOX_WITHOUT_AREA, where, what))
            return None
        doubtful = self.declared_hw is None or max(self.declared_hw) > USUAL_SIDE or max(xyxy) > USUAL_SIDE
        over = _overhang(xyxy, None if doubtful else self.declared_hw)
        return self._clip(where, xyxy) if over > OVERHANG or (doubtful and max(xyxy) > USUAL_SIDE) else xyxy

    def _unusable(self, where: str, xy: list[float]) -> Problem | None:
        """What makes a point unusable; None where nothing does."""
        text = " ".join(f"{value:g}" for value in xy)
        if not all(abs(value) <= LARGEST for value in xy):
            return Problem(Kind.BOX_NOT_FINITE, where, f"point {text} is not finite")
        hw = frame_hw(self._header, self.declared_hw)
        if hw is None or _holds(hw, xy) or (self._header is not None and _holds(self._header.stored_hw, xy)):
            return None
        return Problem(Kind.BOX_OUTSIDE, where, f"point {text} lies outside its {hw[1]} x {hw[0]} picture")

    @cached_property
    def _header(self) -> Header | None:
        return readable_header(self.image)

    def _clip(self, where: str, xyxy: list[float]) -> list[float] | None:
        """Clip to the picture, whose own size is believed over the declared one; None where nothing is left."""
        hw = frame_hw(self._header, self.declared_hw)
        if hw is None and max(xyxy) > FARTHEST:
            what = f"box {' '.join(f'{value:g}' for value in xyxy)} lies outside any picture"
            self.problems.append(Problem(Kind.BOX_OUTSIDE, where, what))
            return None
        if hw is None or _overhang(xyxy, hw) <= OVERHANG:
            return xyxy
        limit = (hw[1], hw[0], hw[1], hw[0])
        inside = [min(max(value, 0.0), float(side)) for value, side in zip(xyxy, limit, strict=True)]
        box = " ".join(f"{value:g}" for value in xyxy)
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            self.problems.append(
                Problem(Kind.BOX_OUTSIDE, where, f"box {box} lies outside its {hw[1]} x {hw[0]} picture")
            )
            return None
        self.problems.append(
            Problem(Kind.BOX_CLIPPED, where, f"box {box} leaves its {hw[1]} x {hw[0]} picture, clipped")
        )
        return inside


def _rows_of_arrays(
    where: str, boxes: ArrayLike, labels: ArrayLike, num_classes: int
) -> tuple[list[list[float]], list[int]]:
    """The boxes and labels of a picture as lists."""
    corners, classes = np.asarray(boxes, dtype=np.float64), np.asarray(labels)
    if classes.size == 0 and corners.size == 0:
        return [], []
    if corners.shape != (classes.size, 4) or classes.ndim != 1:
        raise InputError(f"{where}: boxes {corners.shape} and labels {classes.shape}, not (N, 4) and (N,)")
    if not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0 or classes.max() >= num_classes:
        raise InputError(f"{where}: labels {np.unique(classes).tolist()}, not numbers of {num_classes} classes from 0")
    return corners.tolist(), classes.tolist()


def relabel(record: Record, new_label: np.ndarray) -> Record:
    """Replace each label l by `new_label[l]`; boxes whose new label is -1 are left out.

    Of several classes that become one, all must be labelled exhaustively on the picture.
    """
    labelled = record.labelled
    if labelled is not None:
        partly = {int(new) for old, new in enumerate(new_label) if old not in labelled}
        labelled = frozenset(int(new_label[old]) for old in labelled) - partly - {-1}
    labels = new_label[record.objects.labels]
    return record._replace(objects=record.objects._replace(labels=labels).where(labels >= 0), labelled=labelled)


def arrange_joints(record: Record, order: Sequence[int] | None) -> Record:
    """Return a record with other joints.

    Args:
        record: of a data set with joints.
        order: which joint of the data set each is, -1 of one that it lacks; None changes nothing.
    """
    objects = record.objects
    if order is None or KEYPOINTS.name not in objects.values:
        return record
    there, chosen = np.array(order, dtype=np.int64) >= 0, np.maximum(order, 0).astype(np.int64)
    former = objects.values[VISIBILITY].shape  # number of objects and of joints
    points = objects.values[KEYPOINTS.name].reshape(*former, 2)[:, chosen] * there[:, None]
    values = {**objects.values, KEYPOINTS.name: points.reshape(len(points), 2 * len(there))}
    values[VISIBILITY] = objects.values[VISIBILITY][:, chosen] * there
    field = KEYPOINTS._replace(num_values=len(there))
    moved = objects._replace(
        values=values,
        known={**objects.known, KEYPOINTS.name: objects.known[KEYPOINTS.name][:, chosen] & there},
        fields=(*(each for each in objects.fields if each.name != KEYPOINTS.name), field),
    )
    return record._replace(objects=moved)


def keep_classes(dataset: Dataset, labels: Sequence[int]) -> Dataset:
    """The data set with some of its classes, in the order given; boxes of the others are left out."""
    new_label = np.full(len(dataset.class_names), -1, dtype=np.int64)
    new_label[list(labels)] = np.arange(len(labels))
    return dataset._replace(
        class_names=tuple(dataset.class_names[label] for label in labels),
        category_ids=tuple(dataset.category_ids[label] for label in labels),
        records=Records(relabel(record, new_label) for record in dataset.records),
        joints=renamed_joints(dataset.joints, new_label.tolist(), len(labels)),
    )


def join_records(records: Records, problems: list[Problem]) -> Records:
    """Make one record of those of one picture, with the first one's id; a box that several have is kept once."""
    if len(set(map(hash, map(_plain, records.paths())))) == len(records):
        return records
    of_picture: dict[str, list[int]] = {}
    for number, path in enumerate(records.paths()):
        of_picture.setdefault(_plain(path), []).append(number)
    for image, numbers in of_picture.items():
        if len(numbers) > 1:
            ids = ", ".join(repr(records[number].image_id) for number in numbers)
            what = f"is annotated {len(numbers)} times, as {ids}; their labels are joined"
            problems.append(Problem(Kind.REPEATED_PICTURE, image, what))
    groups = ([records[number] for number in numbers] for numbers in of_picture.values())
    return Records(some[0] if len(some) == 1 else _joined(some) for some in groups)


def _plain(path: str) -> str:
    return os.path.normpath(path) if ".." in path else path


def _joined(records: Sequence[Record]) -> Record:
    objects = join_objects([record.objects for record in records])
    source = np.repeat(np.arange(len(records)), [len(record.objects.labels) for record in records])
    rows = np.column_stack([objects.boxes, objects.labels, objects.ignore])
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    same = source > source[first[group.ravel()]]
    sets = [record.labelled for record in records]
    return records[0]._replace(
        objects=objects.where(~same),
        declared_hw=next((record.declared_hw for record in records if record.declared_hw), None),
        labelled=None if None in sets else frozenset().union(*(each for each in sets if each is not None)),
        aliases=tuple(record.image_id for record in records[1:]),
    )


def with_corners(objects: Objects, corners: np.ndarray, known: np.ndarray) -> Objects:
    """Return the objects of a record with corners.

    Args:
        objects: of the record.
        corners: (N, 8) x and y of each corner, in pixels.
        known: (N,) bool, whether an object has them.
    """
    return objects._replace(
        values={**objects.values, CORNERS.name: corners},
        known={**objects.known, CORNERS.name: known},
        fields=(CORNERS, *(field for field in objects.fields if field.name != CORNERS.name)),
    )


def corners_or_boxes(objects: Objects) -> np.ndarray:
    """Return the corners (N, 8) of the objects of a record, those of its box where one has no corners of its own."""
    of_boxes = objects.boxes[:, BOX_CORNERS]
    return np.where(objects.outlined[:, None], objects.values.get(CORNERS.name, of_boxes), of_boxes)


def corners_from_boxes(dataset: Dataset) -> Dataset:
    """Return the data set with the corners of its box for each object that has no corners of its own."""
    records = Records()
    for record in dataset.records:
        objects = record.objects
        known = objects.outlined | ~objects.is_point
        records.append(record._replace(objects=with_corners(objects, corners_or_boxes(objects), known)))
    return dataset._replace(records=records)


def turned_corners(centre: tuple[float, float], sides: tuple[float, float], radians: float) -> list[float]:
    """Return x and y of the four corners of a box that is turned about its centre, clockwise on a screen.

    They go around clockwise, from the one that is at the top left of the box before it is turned.
    """
    (x, y), (width, height) = centre, sides
    cos, sin = math.cos(radians), math.sin(radians)
    across, down = (width * cos / 2, width * sin / 2), (-height * sin / 2, height * cos / 2)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [at + a * across[i] + b * down[i] for a, b in signs for i, at in enumerate((x, y))]


def span(corners: Sequence[float]) -> list[float]:
    """Return the xyxy that positions in pairs of x and y span."""
    return [min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])]


def crosses_itself(points: np.ndarray) -> np.ndarray:
    """Return (N,) bool for polygons (N, M, 2). An edge that turns back on the one before crosses it."""
    start, end = points[:, :, None], np.roll(points, -1, axis=1)[:, :, None]
    other_start, other_end = np.swapaxes(start, 1, 2), np.swapaxes(end, 1, 2)
    sides = _side(start, end, other_start) * _side(start, end, other_end)
    crossing = (sides < 0) & (np.swapaxes(sides, 1, 2) < 0)
    edge = (end - start)[:, :, 0]
    after = np.roll(edge, -1, axis=1)
    back = (np.abs(_cross(edge, after)) < 1e-9) & ((edge * after).sum(axis=-1) < 0)
    return np.asarray(crossing.any(axis=(1, 2)) | back.any(axis=1))


def within(points: np.ndarray, hw: tuple[int, int] | None) -> np.ndarray:
    """Return (...) bool of positions (..., 2): finite and in a picture of some height and width, or near its border."""
    limit = np.array([math.inf, math.inf] if hw is None else hw[::-1])
    return np.asarray((np.isfinite(points) & (points >= -OVERHANG) & (points <= limit + OVERHANG)).all(axis=-1))


def frame_hw(header: Header | None, declared_hw: tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width that boxes are of: of the stored picture where that is what is declared.

    Args:
        header: of the picture, None where it cannot be read.
        declared_hw: height and width as the data set states them.
    """
    if header is None:
        return declared_hw
    return header.stored_hw if declared_hw == header.stored_hw else header.hw


def readable_header(image: Path) -> Header | None:
    """Header of a picture; None where it is missing or broken."""
    try:
        return image_header(image)
    except InputError:
        return None


def readable_hw(image: Path) -> tuple[int, int] | None:
    """Height and width of a picture as a viewer shows it; None where it is missing or broken."""
    header = readable_header(image)
    return None if header is None else header.hw


def parent_folder(path: Path) -> Path:
    """The folder above, relative where `path` is; `Path.parent` of `.` is itself."""
    return Path(os.path.normpath(path / ".."))


def _holds(hw: tuple[int, int], xy: list[float]) -> bool:
    """Whether a picture of some height and width holds a point."""
    return 0 <= xy[0] <= hw[1] and 0 <= xy[1] <= hw[0]


def _overhang(xyxy: list[float], hw: tuple[int, int] | None) -> float:
    """By how many pixels a box leaves the picture at its worst side; without a size, only left and top count."""
    over = max(-xyxy[0], -xyxy[1])
    return over if hw is None else max(over, xyxy[2] - hw[1], xyxy[3] - hw[0])


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    return _cross(end - start, point - start)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
