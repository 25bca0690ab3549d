"""Copy the pictures of a data set that is written, and tell what its format has no word for."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.data.dataset import Dataset, Track
from centerx.data.records import Record
from centerx.errors import InputError
from centerx.files import is_line, many_files, quoted
from centerx.images import image_hw
from centerx.objects import Objects
from centerx.problems import Kind, Problem

MOST_BYTES = 255  # largest length of a file name in bytes
UNFIT_FOR_XML = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in a line of text


class Written(NamedTuple):
    """Result of writing.

    Attributes:
        pictures: number of copied pictures.
        problems: what could not be written.
    """

    pictures: int
    problems: list[Problem]


class Copy(NamedTuple):
    """A record with the name of its picture in the written data set, and the picture's height and width if known."""

    record: Record
    name: str
    hw: tuple[int, int] | None

    @property
    def known_hw(self) -> tuple[int, int]:
        """Height and width of a picture that was copied."""
        assert self.hw is not None, f"{self.name}: its size is not known"
        return self.hw


def check_free(split: str, *places: Path) -> None:
    """Raise if a split cannot be written.

    Args:
        split: its name.
        places: files and folders that are to be made.

    Raises:
        InputError: the name is no file name, or a place is there already.
    """
    if Path(split).name != split:
        raise InputError(f"split: {split!r} cannot be part of a file name, choose another name")
    for place in places:
        if place.exists():
            raise InputError(f"{place}: is there already, choose another folder or split, or remove it")


def copy_pictures(
    records: Sequence[Record], folder: Path, track: Track, begin: Callable[[], object]
) -> tuple[list[Copy], list[Problem]]:
    """Copy pictures into one folder. Their names are unique there even without suffixes.

    Args:
        records: whose pictures to copy.
        folder: where to; created if missing.
        track: iterator that shows progress.
        begin: called before the first picture.

    Returns:
        The records of the pictures that can be read, with their new names; and the problems of the others.

    Raises:
        InputError: no picture can be read.
    """
    begin()
    copies, problems = [], []
    with many_files(folder) as new_file:
        taken = {file.stem.casefold() for file in folder.iterdir()}
        for record in track(records):
            try:
                hw = image_hw(record.image)
            except InputError as error:
                what = str(error).removeprefix(f"{record.image}: ")
                problems.append(Problem(Kind.UNREADABLE_PICTURE, str(record.image), f"{what}; left out"))
                continue
            name = _free_name(record.image, taken)
            if quoted(record.image.name) != record.image.name:
                what = f"not a name in UTF-8 on one line; copied as {name}"
                problems.append(Problem(Kind.RENAMED_PICTURE, str(record.image), what))
            taken.add(Path(name).stem.casefold())
            with new_file(name) as made:
                shutil.copyfile(record.image, made)
            copies.append(Copy(record, name, hw))
    if not copies:
        raise InputError(f"{folder}: nothing to write, none of the {len(problems)} pictures can be read")
    return copies, problems


def partly_labelled(dataset: Dataset) -> list[Problem]:
    """Report pictures that label only some of the classes, which most formats cannot express."""
    what = "labels some of the classes only; the others will pass for labelled"
    return [
        Problem(Kind.NOT_WRITTEN, str(record.image), what) for record in dataset.records if record.labelled is not None
    ]


def lost_classes(dataset: Dataset) -> list[Problem]:
    """Report classes without a box, which a format that has no list of its classes cannot express."""
    used = {label for record in dataset.records for label in record.labels.tolist()}
    return [
        Problem(Kind.NOT_WRITTEN, str(dataset.path), f"the class {name!r} has no box and is in no list of classes")
        for label, name in enumerate(dataset.class_names)
        if label not in used
    ]


def boxed_objects(copy: Copy, problems: list[Problem], ignored: bool = True) -> Objects:
    """Return the objects of a picture that have a box, and report how many are left out.

    Args:
        copy: the picture.
        problems: list to which a problem is appended.
        ignored: whether the format can hold ignored objects; otherwise they are left out too.
    """
    objects = copy.record.objects
    keep = ~objects.is_point & (ignored | ~objects.ignore)
    if not keep.all():
        why = "points without a box" if ignored else "ignored or points without a box"
        what = f"{np.count_nonzero(~keep)} of {len(keep)} objects are left out: {why}"
        problems.append(Problem(Kind.NOT_WRITTEN, str(copy.record.image), what))
    return objects.where(keep)


def rows_of(objects: Objects, class_names: Sequence[str]) -> Iterator[tuple[str, list[float], bool]]:
    """Yield the class, the corners in pixels and whether it is ignored of each object."""
    for box, label, ignore in zip(
        objects.boxes.tolist(), objects.labels.tolist(), objects.ignore.tolist(), strict=True
    ):
        yield class_names[label], box, ignore


def require_xml_names(dataset: Dataset, format: str) -> None:
    """Raise if XML cannot represent the name of a class.

    Raises:
        InputError: names the class.
    """
    _refuse_names(dataset, format, lambda name: UNFIT_FOR_XML.search(name) is None and is_line(name))


def require_trimmed_names(dataset: Dataset, format: str) -> None:
    """Raise if the name of a class is no line of text or has blanks around it, which readers of the format remove.

    Raises:
        InputError: names the class.
    """
    _refuse_names(dataset, format, lambda name: is_line(name) and name == name.strip())


def _refuse_names(dataset: Dataset, format: str, fits: Callable[[str], bool]) -> None:
    unfit = next((name for name in dataset.class_names if not fits(name)), None)
    if unfit is not None:
        raise InputError(f"{dataset.path}: {format} cannot hold the class name {unfit!r}, rename it with --rename")


def _free_name(image: Path, taken: set[str]) -> str:
    """Return the picture's own name, quoted, or one with the name of its folder or a number."""
    suffix = quoted(image.suffix)
    room = MOST_BYTES - max(len(suffix.encode()), len(".json"))  # its label file may have that suffix
    own, number = quoted(image.stem), 1
    if _cut(own, room).casefold() in taken and image.parent.name:
        own = f"{quoted(image.parent.name)}_{own}"
    stem = _cut(own, room)
    while stem.casefold() in taken:
        number += 1
        end = f"_{number}"
        stem = _cut(own, room - len(end)) + end
    return stem + suffix


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
