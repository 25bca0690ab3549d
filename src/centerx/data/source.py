"""Several data sets seen as one list of samples in the model's classes."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from typing import NamedTuple

import numpy as np

from centerx.data.cache import Read
from centerx.data.dataset import Dataset, arrange_joints, relabel
from centerx.data.records import Record, Records
from centerx.data.stored import StoredDetections
from centerx.errors import InputError, nearest
from centerx.fields import SIZE
from centerx.images import image_hw, read_image
from centerx.lazy import LazySequence
from centerx.levels import AUTO, ValueRange
from centerx.problems import Kind, Problem
from centerx.tasks import BOXES, Task
from centerx.types import Sample


class Entry(NamedTuple):
    """A picture, its labels in the model's classes.

    Attributes:
        record: the picture; `labels` index the model's classes, boxes of other classes are left out.
        supervised: (C, 1 + F) bool; whether its labels tell all centres of a class (column 0), and each field.
    """

    record: Record
    supervised: np.ndarray


class Entries(LazySequence[Entry]):
    """Entries whose records are packed; each is made when it is asked for.

    Args:
        entries: of one size of `supervised`.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        tables: dict[bytes, int] = {}
        self._records, self._table_of = Records(), array("q")
        self._tables: list[np.ndarray] = []
        self._alike: dict[int, np.ndarray] = {}
        for record, supervised in entries:
            number = tables.setdefault(supervised.tobytes(), len(tables))
            if number == len(self._tables):
                self._tables.append(supervised)
            self._table_of.append(number)
            self._records.append(record)

    def __len__(self) -> int:
        return len(self._records)

    def make(self, place: int) -> Entry:
        """Return an entry."""
        return Entry(self._records[place], self._tables[self._table_of[place]])

    def alike(self, place: int) -> range | np.ndarray:
        """Return the places of all entries whose labels tell the same as those of one, in ascending order."""
        if len(self._tables) == 1:
            return range(len(self))
        number = self._table_of[place]
        if number not in self._alike:
            self._alike[number] = np.flatnonzero(np.frombuffer(self._table_of, dtype=np.int64) == number)
        return self._alike[number]


class SampleSource:
    """Pictures of several data sets by index.

    Args:
        datasets: what to join.
        class_names: the model's classes; names decide, and classes of the data that the model lacks are left out.
        value_range: how pictures of more than 8 bits are read, see `levels.find_limits`.
        task: whose fields the objects are to carry.

    Attributes:
        detections: of each stored teacher, what it found on the pictures.
        read: what reads a picture, `images.read_image` or a cache.

    Raises:
        InputError: there are no pictures.
    """

    detections: tuple[StoredDetections, ...] = ()
    read: Read = staticmethod(read_image)

    def __init__(
        self,
        datasets: Sequence[Dataset],
        class_names: Sequence[str],
        value_range: ValueRange = AUTO,
        task: Task = BOXES,
    ) -> None:
        self.class_names, self.value_range, self.task = tuple(class_names), value_range, task
        self.entries = Entries(entry for each in datasets for entry in _entries(each, self.class_names, task))
        if not self.entries:
            raise InputError(f"{', '.join(str(d.path) for d in datasets) or 'data'}: no pictures")
        self.sizes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def with_detections(self, detections: Sequence[StoredDetections]) -> SampleSource:
        """Return the source with what each stored teacher found on its pictures."""
        taught = copy(self)
        taught.detections = tuple(detections)
        return taught

    def with_reader(self, read: Read) -> SampleSource:
        """Return the source with something else that reads its pictures."""
        cached = copy(self)
        cached.read = read
        return cached

    def hw(self, index: int) -> tuple[int, int]:
        """Return height and width of a sample in pixels, when asked first from the header of its file.

        Raises:
            InputError: its file has no readable header.
        """
        if index not in self.sizes:
            self.sizes[index] = image_hw(self.entries[index].record.image)
        return self.sizes[index]

    def sample(self, index: int, reduction: int = 1) -> Sample:
        """Read one picture.

        Args:
            index: of the sample.
            reduction: the image may be read with so many times fewer rows and columns, see `images.read_image`; the
                objects stay in pixels of the whole picture.

        Raises:
            InputError: its file cannot be read.
        """
        record, supervised = self.entries[index]
        image = self.read(record.image, self.value_range, reduction)
        return Sample(
            image,
            record.objects.with_fields(self.task.fields),
            supervised,
            record.image_id,
            tuple(found.of(index, self.task) for found in self.detections),
            tuple(bool(found.answered[index]) for found in self.detections),
        )


def labelled_attributes(entries: Sequence[Entry], task: Task) -> np.ndarray:
    """Return (C, 1 + F) bool: what labels of any picture tell of a class, its centres and each field of the task."""
    table = np.zeros_like(entries[0].supervised)
    for record, supervised in entries:
        objects = record.objects.where(~record.objects.ignore).with_fields(task.fields)
        told = supervised[objects.labels]
        for column, field in enumerate(task.fields, start=1):
            known = objects.known.get(field.carried.name, np.array(True))
            told[:, column] &= known.any(axis=1) if field.apart else known
        np.logical_or.at(table, objects.labels, told)
    return table


def repeat_factors(entries: Sequence[Entry], num_classes: int, threshold: float) -> np.ndarray:
    """Return (N,) float64: how often each picture is to come in an epoch, so that rare classes are seen more.

    Repeat factor sampling of Gupta et al., LVIS, 2019: r(c) = max(1, sqrt(t / f(c))) of a class c on a share f(c) of
    the pictures, and of a picture the largest r(c) of its classes.

    Args:
        entries: the pictures.
        num_classes: of their labels.
        threshold: t, the share below which a class is rare.
    """
    shows = np.zeros((len(entries), num_classes), dtype=bool)
    for row, entry in enumerate(entries):
        shows[row, entry.record.labels[~entry.record.ignore]] = True
    share = shows.mean(axis=0)
    of_class = np.sqrt(np.maximum(threshold / np.maximum(share, 1 / len(entries)), 1.0))
    return np.where(shows, of_class, 1.0).max(axis=1, initial=1.0)


def require_judging(source: SampleSource, task: Task, where: str) -> None:
    """Raise where labels tell the centres of objects alone and a detector of more is to be judged by them.

    Args:
        source: the labelled pictures.
        task: of the detector.
        where: the data, for the error.

    Raises:
        InputError: no class has all fields of the task.
    """
    table = labelled_attributes(source.entries, task)
    if table[:, 0].any() and not table.all(axis=1).any():
        what = "points alone" if SIZE in task.fields else f"no {' and '.join(task.needed)}"
        if task.joints.names and table[:, task.attributes.index(SIZE.name)].any():
            what = f"none of the joints {', '.join(task.joints.names)}"
        alike = ", or its joints alike, by the key or option joints" if task.joints.names else ""
        raise InputError(f"{where}: labels {what}, by which no {task.name} can be judged; name data with them{alike}")


def union_of_classes(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    """Class names of all data sets, in order of first appearance."""
    return tuple(dict.fromkeys(name for dataset in datasets for name in dataset.class_names))


def only_with_objects(dataset: Dataset) -> Dataset:
    """Leave out the pictures without a box of the data set's classes; an ignored box, such as a crowd, counts.

    Raises:
        InputError: none is left.
    """
    kept = Records(record for record in dataset.records if len(record.objects.labels))
    left_out, classes = len(dataset.records) - len(kept), ", ".join(dataset.class_names) or "any class"
    if not kept:
        raise InputError(
            f"{dataset.path}: only_with_objects leaves nothing, as none of {left_out} pictures shows {classes}; set it "
            "to false"
        )
    what = f"has no box of {classes} and is left out by only_with_objects"
    problems = [
        Problem(Kind.PICTURE_WITHOUT_OBJECTS, str(record.image), what)
        for record in dataset.records
        if not len(record.objects.labels)
    ]
    return dataset._replace(records=kept, problems=[*dataset.problems, *problems])


def check_class_names(
    class_names: Sequence[str], datasets: Sequence[Dataset], taught: Collection[str] | None = None
) -> None:
    """Raise where the model has a class that no data set labels and no teacher teaches.

    Raises:
        InputError: names the class, the nearest and all known ones.
    """
    known = union_of_classes(datasets)
    for name in class_names:
        if name not in known and name not in (taught or ()):
            raise InputError(
                f"classes: {name!r} is {'taught by no teacher and ' if taught else ''}labelled in none of "
                f"{', '.join(str(d.path) for d in datasets)}"
                f"{nearest(name, [*known, *(taught or ())])}; labelled there: {', '.join(known) or 'nothing'}"
                f"{'; taught: ' if taught else ''}{', '.join(taught or ())}; rename it or leave it out"
            )


def _entries(dataset: Dataset, class_names: tuple[str, ...], task: Task) -> Iterator[Entry]:
    ours = np.array([class_names.index(n) if n in class_names else -1 for n in dataset.class_names], dtype=np.int64)
    labelled = np.array([dataset.complete or name in dataset.class_names for name in class_names])
    told = dataset.fields
    fields = np.array([True, *(told is None or field.carried.name in told for field in task.fields)])
    order = dataset.joints.order(task.joints.names)
    for record in dataset.records:
        moved = arrange_joints(relabel(record, ours), order)
        known = labelled
        if moved.labelled is not None:
            known = labelled.copy()
            known[ours[ours >= 0]] = False
            known[list(moved.labelled)] = True
        yield Entry(moved, known[:, None] & fields)
