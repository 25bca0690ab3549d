"""Read DOTA: a text file for each picture, with the four corners of each object, its class and whether it is difficult.

    imagesource:GoogleEarth
    gsd:0.146343590398
    2753 2408 2861 2385 2888 2468 2805 2502 plane 0

Corners are in pixels and go around clockwise.
"""

from __future__ import annotations

import re
from pathlib import Path

from centerx.data import corner_rows
from centerx.data.corner_rows import Form, Row
from centerx.data.dataset import Dataset

NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
ROW = re.compile(rf"((?:{NUMBER}\s+){{8}})([^\d\s]\S*)(?:\s+([0-2]))?\s*")
HEADER = re.compile(r"(?:imagesource|gsd)\s*:.*", re.IGNORECASE)


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
