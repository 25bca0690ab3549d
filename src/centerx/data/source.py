"""Several data sets seen as one list of samples in the model's classes."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from centerx.data.dataset import Dataset, Record, relabel
from centerx.errors import InputError, nearest
from centerx.images import read_image
from centerx.levels import AUTO, ValueRange
from centerx.types import Sample

logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A picture, its labels in the model's classes.

    Attributes:
        record: the picture; `labels` index the model's classes, boxes of other classes are left out.
        annotated: (C,) bool.
    """

    record: Record
    annotated: np.ndarray


class SampleSource:
    """Pictures of several data sets by index.

    Args:
        datasets: what to join.
        class_names: the model's classes; names decide, and classes of the data that the model lacks are left out.
        value_range: how pictures of more than 8 bits are read, see `levels.find_limits`.

    Raises:
        InputError: there are no pictures.
    """

    def __init__(self, datasets: Sequence[Dataset], class_names: Sequence[str], value_range: ValueRange = AUTO) -> None:
        self.class_names, self.value_range = tuple(class_names), value_range
        self.entries = [entry for dataset in datasets for entry in _entries(dataset, self.class_names)]
        if not self.entries:
            raise InputError(f"{', '.join(str(d.path) for d in datasets) or 'data'}: no pictures")

    def __len__(self) -> int:
        return len(self.entries)

    def sample(self, index: int) -> Sample:
        """Read one picture.

        Raises:
            InputError: its file cannot be read.
        """
        record, annotated = self.entries[index]
        return Sample(
            read_image(record.image, self.value_range),
            record.boxes.astype(np.float32),
            record.labels,
            record.ignore,
            annotated,
            record.image_id,
        )


def union_of_classes(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    """Class names of all data sets, in order of first appearance."""
    return tuple(dict.fromkeys(name for dataset in datasets for name in dataset.class_names))


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


def warn_of_likeness(class_names: Sequence[str]) -> None:
    """Say on stderr which names differ in case, spaces and signs alone: likely they mean one class."""
    alike: dict[str, list[str]] = {}
    for name in class_names:
        alike.setdefault(re.sub(r"[\W_]", "", name.casefold()) or name, []).append(name)
    for names in alike.values():
        if len(names) > 1:
            logger.warning(
                f"classes: {' and '.join(map(repr, names))} are learned as {len(names)} classes; if they are "
                "one, rename it where a data set or a teacher lists its classes"
            )


def _entries(dataset: Dataset, class_names: tuple[str, ...]) -> list[Entry]:
    ours = np.array([class_names.index(n) if n in class_names else -1 for n in dataset.class_names], dtype=np.int64)
    annotated = np.array([dataset.complete or name in dataset.class_names for name in class_names])
    return [Entry(relabel(record, ours), annotated) for record in dataset.records]
