"""Read ICDAR: a text file for each picture, with the four corners of each word and what it says.

    377,117,463,117,465,130,378,130,Genaxis Theatre
    374,155,409,155,409,170,374,170,###

Corners are in pixels and go around clockwise, from the first letter's top left. The file of `img_1.jpg` is
`gt_img_1.txt` or `img_1.txt`.
"""

from __future__ import annotations

import re
from pathlib import Path

from centerx.data import corner_rows
from centerx.data.corner_rows import NUMBER, Form, Row
from centerx.data.dataset import Dataset

ROW = re.compile(rf"((?:{NUMBER}\s*,\s*){{7}}{NUMBER})\s*,(.*)")
CLASS, UNREADABLE = "text", "###"


def parse(match: re.Match[str]) -> Row:
    """Return the word of a row; one that nobody could read is an ignored object."""
    return Row(CLASS, [float(word) for word in match[1].split(",")], match[2].strip().strip('"') == UNREADABLE)


ICDAR = Form("icdar", ROW, parse, "eight numbers and a text, with commas between them", prefix="gt_")


def recognises(path: Path) -> bool:
    """Return whether a path is a folder of such files, or one with such a folder in it or in its subfolders."""
    return corner_rows.recognises(path, ICDAR)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read all label files of a folder, or of that of a split. The class is `text`.

    Raises:
        InputError: there are several folders of labels, and the split names none.
    """
    return corner_rows.read(path, split, images, ICDAR)
