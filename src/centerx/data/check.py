"""What reading alone does not show: pictures that cannot be used, and how much there is of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from centerx.data.dataset import Dataset, Track
from centerx.errors import InputError
from centerx.images import nonsense_orientation, read_image
from centerx.problems import Kind, Problem


class ClassCount(NamedTuple):
    """How much there is of a class.

    Attributes:
        name: of the class. boxes: that train. ignored: crowds and difficult ones. images: with any of them.
    """

    name: str
    boxes: int
    ignored: int
    images: int


def picture_problems(dataset: Dataset, track: Track = iter) -> Iterator[Problem]:
    """Decode every picture and yield what is wrong with it; where none can be read or no box is on any, that is fatal.

    A bare folder of images needs no boxes.

    Args:
        dataset: to check. track: shows progress.
    """
    usable = 0
    for record in track(dataset.records):
        try:
            height, width = read_image(record.image).shape[:2]
        except InputError as error:
            what = str(error).removeprefix(f"{record.image}: ")
            yield Problem(Kind.UNREADABLE_PICTURE, str(record.image), f"{what}; boxes on it: {len(record.labels)}")
            continue
        usable += 1
        orientation = nonsense_orientation(record.image)
        if orientation:
            what = f"its EXIF orientation is {orientation}, not one of 1 to 8; taken as upright"
            yield Problem(Kind.ORIENTATION, str(record.image), what)
        if record.declared_hw is not None and record.declared_hw != (height, width):
            declared = f"{record.declared_hw[1]} x {record.declared_hw[0]}"
            what = f"is {width} x {height} pixels, not {declared} as declared; its boxes are taken as they stand"
            yield Problem(Kind.OTHER_SIZE, str(record.image), what)
    if not usable:
        yield Problem(
            Kind.NO_READABLE_PICTURE, str(dataset.path), f"none of its {len(dataset.records)} pictures can be read"
        )
    if dataset.format != "folder" and not any(len(record.labels) for record in dataset.records):
        yield Problem(Kind.NO_BOXES, str(dataset.path), f"no boxes on any of its {len(dataset.records)} pictures")


def count_classes(dataset: Dataset) -> list[ClassCount]:
    """Count boxes and pictures of each class, in the data set's order."""
    num_classes = len(dataset.class_names)
    boxes, ignored, images = np.zeros((3, num_classes), dtype=np.int64)
    for record in dataset.records:
        boxes += np.bincount(record.labels[~record.ignore], minlength=num_classes)
        ignored += np.bincount(record.labels[record.ignore], minlength=num_classes)
        images[np.unique(record.labels)] += 1
    rows = zip(dataset.class_names, boxes.tolist(), ignored.tolist(), images.tolist(), strict=True)
    return [ClassCount(*row) for row in rows]
