"""Read DOTA: a text file for each picture, with the four corners of each object, its class and whether it is difficult.

    imagesource:GoogleEarth
    gsd:0.146343590398
    2753 2408 2861 2385 2888 2468 2805 2502 plane 0

Corners are in pixels and go around clockwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from centerx.data import corner_rows
from centerx.data.copies import Written, boxed_objects, check_free, copy_pictures, lost_classes, partly_labelled
from centerx.data.corner_rows import NUMBER, Form, Row
from centerx.data.dataset import Dataset, Track, corners_or_boxes
from centerx.errors import InputError
from centerx.files import many_files

NAME = rf"(?!{NUMBER}(?:\s|$))[^\d\s]\S*"  # no number, as .5 and -0.1 that end a row of YOLO
ROW = re.compile(rf"((?:{NUMBER}\s+){{8}})({NAME})(?:\s+([0-2]))?\s*")
TOP = "imagesource:unknown\ngsd:null\n"  # of each file that is written
HEADER = re.compile(r"(?:imagesource|gsd)\s*:\s*\S*(?:\s+\S+){0,2}", re.IGNORECASE)  # no row that lost its beginning


def parse(match: re.Match[str]) -> Row:
    """Return the object of a row."""
    corners, name, difficult = match.groups()
    return Row(name, [float(word) for word in corners.split()], difficult not in (None, "0"))


DOTA = Form("dota", ROW, parse, "eight numbers, a class and 0 or 1", HEADER)


def recognises(path: Path) -> bool:
    """Return whether a path is a folder of such files, or one with such a folder in it or in its subfolders."""
    return corner_rows.recognises(path, DOTA)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read all label files of a folder, or of that of a split, such as `train`. Difficult objects are ignored ones.

    Raises:
        InputError: there are several folders of labels, and the split names none.
    """
    return corner_rows.read(path, split, images, DOTA)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>/images` and the rows into `<split>/labelTxt`.

    An object without corners has those of its box. Ignored objects become difficult ones.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, no picture can be read, or a class name has spaces or begins with a
            digit.
    """
    unfit = next((name for name in dataset.class_names if not re.fullmatch(NAME, name)), None)
    if unfit is not None:
        raise InputError(f"{dataset.path}: DOTA cannot hold the class name {unfit!r}, rename it with --rename")
    home = folder / split
    check_free(split, home)
    copies, problems = copy_pictures(dataset.records, home / "images", track, begin)
    problems += [*partly_labelled(dataset), *lost_classes(dataset)]
    with many_files(home / "labelTxt") as new_file:
        for copy in copies:
            objects = boxed_objects(copy, problems)
            names = [dataset.class_names[label] for label in objects.labels]
            rows = zip(corners_or_boxes(objects).tolist(), names, objects.ignore, strict=True)
            lines = [f"{' '.join(map(repr, row))} {name} {int(ignore)}\n" for row, name, ignore in rows]
            with new_file(f"{Path(copy.name).stem}.txt") as made:
                made.write_bytes("".join([TOP, *lines]).encode())
    return Written(len(copies), problems)
