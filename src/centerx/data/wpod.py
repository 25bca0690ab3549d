"""Read the text files of WPOD-NET, a detector of licence plates: all x, then all y of the corners, and a text.

    4,0.329167,0.493056,0.495833,0.331944,0.441379,0.443103,0.476724,0.475000,ABC1234,

Corners are shares of the picture's sides and go around clockwise, from the plate's top left.
"""

from __future__ import annotations

import re
from pathlib import Path

from centerx.data import corner_rows
from centerx.data.corner_rows import NUMBER, Form, Row
from centerx.data.dataset import Dataset

ROW = re.compile(rf"4\s*,\s*((?:{NUMBER}\s*,\s*){{7}}{NUMBER})\s*(?:,.*)?")
CLASS = "plate"


def parse(match: re.Match[str]) -> Row:
    """Return the plate of a row."""
    values = [float(word) for word in match[1].split(",")]
    return Row(CLASS, [value for pair in zip(values[:4], values[4:], strict=True) for value in pair])


WPOD = Form("wpod", ROW, parse, "4, eight numbers and a text, with commas between them", relative=True)


def recognises(path: Path) -> bool:
    """Return whether a path is a folder of such files, or one with such a folder in it or in its subfolders."""
    return corner_rows.recognises(path, WPOD)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read all label files of a folder, or of that of a split. The class is `plate`.

    Raises:
        InputError: there are several folders of labels, and the split names none.
    """
    return corner_rows.read(path, split, images, WPOD)
