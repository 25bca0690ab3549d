"""Read WIDER FACE, a text file of picture names, counts and rows, and similar files such as those of MAFA.

    0--Parade/a.jpg                   # 0--Parade/a.jpg                  train_1.jpg 56 170 185 185 140 198 ...
    2                                 449 330 122 149 488.9 373.6 ...    train_1.jpg 98 30 120 140 131 79 ...
    449 330 122 149 0 0 0 0 0 0       361 98 263 339 424.0 251.6 ...     train_2.jpg 95 160 91 91 113 177 ...
    361 98 263 339 0 0 0 1 0 0

Every row starts with left, top, width and height in pixels. The meaning of further values depends on the number of
values that most rows have: 10 in WIDER FACE, 21 in MAFA's training labels, which are all masked faces, and 18 in its
test labels.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from centerx.data.dataset import Dataset, RecordBuilder, readable_hw
from centerx.data.places import choose_file, find_pictures, locate_pictures, text_lines
from centerx.data.records import Records
from centerx.data.values import to_numbers
from centerx.images import SUFFIXES
from centerx.problems import Kind, Problem

WIDER, MAFA_TRAIN, MAFA_TEST = 10, 21, 18  # numbers in a row
INVALID = 7  # index of the flag of WIDER FACE
FACE_TYPE = 4  # index of the type in MAFA's test labels: 1 masked, 2 unmasked, 3 invalid
PICTURE = re.compile(
    rf"(?P<hash>#?)\s*(?P<name>\S.*?(?:{'|'.join(map(re.escape, sorted(SUFFIXES)))}))(?:\s+(?P<rest>.+))?",
    re.IGNORECASE,
)
CLASSES = {MAFA_TRAIN: ("face", "masked_face"), MAFA_TEST: ("face", "masked_face", "unmasked_face")}


class _Row(NamedTuple):
    where: str
    text: str
    values: list[float]  # empty if the text is not numbers


@dataclass
class _Picture:
    where: str
    counted: bool  # whether the form of the file has counts
    count: float | None = None
    rows: list[_Row] = field(default_factory=list)


def recognises(path: Path) -> bool:
    """Return whether a path is a txt file that starts with a picture and numbers, or a folder with `*_bbx_gt.txt`."""
    if not path.is_file():
        return bool(_files(path))
    if path.suffix.lower() != ".txt":
        return False
    first, second = [*(line for _, line in islice(text_lines(path), 2)), "", ""][:2]
    picture = PICTURE.fullmatch(first)
    if not picture or picture["rest"]:
        return bool(picture and len(_numbers(picture["rest"])) >= 4)
    return bool(picture["hash"] or _numbers(second))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or the file of a split in a folder.

    The class is `face`. Invalid faces are ignored ones. MAFA's labels have the optional class `masked_face`, and those
    of its test split `unmasked_face`.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    problems: list[Problem] = []
    pictures = _pictures(file, problems)
    folder = images or find_pictures(file, list(pictures))
    lengths = Counter(len(row.values) for picture in pictures.values() for row in picture.rows)
    length = max(lengths, key=lengths.__getitem__, default=WIDER)
    records = Records()
    places = locate_pictures(folder, list(pictures), str(file), problems)
    for image, (name, picture) in zip(map(Path, places), pictures.items(), strict=True):
        builder = RecordBuilder(image, name, problems, readable_hw(image))
        for row in picture.rows:
            _add(builder, row, length)
        records.append(builder.build())
    names = CLASSES.get(length, ("face",))
    return Dataset(path, "wider", names, tuple(range(1, len(names) + 1)), records, problems, optional_classes=names[1:])


def _add(builder: RecordBuilder, row: _Row, length: int) -> None:
    """Add a row's box under each of its labels, which are indices of `CLASSES`."""
    where, text, values = row
    if len(values) < 4:
        what = f"{len(values)} numbers, 4 are needed" if values else f"not numbers: {text}"
        builder.problems.append(Problem(Kind.MALFORMED_ENTRY, where, what))
        return
    labels, ignore = [0], False
    if length in (WIDER, *CLASSES) and len(values) != length:
        what = f"{len(values)} numbers, others have {length}; only its box is used"
        builder.problems.append(Problem(Kind.EXTRA_VALUES, where, what))
    elif length == WIDER:
        ignore = values[INVALID] == 1
    elif length == MAFA_TRAIN:
        labels = [0, 1]
    elif length == MAFA_TEST:
        ignore = values[FACE_TYPE] == 3
        labels = [0, 1, 2] if ignore else [0, 2 if values[FACE_TYPE] == 2 else 1]
    x, y, width, height = values[:4]
    for label in labels:
        builder.add(where, [x, y, x + width, y + height], label, ignore)


def _pictures(file: Path, problems: list[Problem]) -> dict[str, _Picture]:
    """Return the rows of each picture by its name, and check their counts."""
    pictures: dict[str, _Picture] = {}
    current: _Picture | None = None
    for where, line in text_lines(file):
        named = PICTURE.fullmatch(line)
        if named and named["rest"]:
            picture = pictures.setdefault(named["name"], _Picture(where, counted=False))
            picture.rows.append(_Row(where, named["rest"], _numbers(named["rest"])))
            current = None
        elif named:
            current = _Picture(where, counted=not named["hash"])
            first = pictures.setdefault(named["name"], current)
            if first is not current:
                problems.append(Problem(Kind.REPEATED_ID, where, f"{named['name']} is there already, {first.where}"))
        elif not _numbers(line.split()[0]):
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"neither a picture's name nor numbers: {line}"))
            current = None  # it may be a name, so following rows may not belong to the last picture
        elif current is None:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"belongs to no picture: {line}"))
        elif current.counted and current.count is None and not current.rows and len(line.split()) == 1:
            current.count = _numbers(line)[0]
        else:
            current.rows.append(_Row(where, line, _numbers(line)))
    return {name: picture for name, picture in pictures.items() if _agrees(name, picture, problems)}


def _agrees(name: str, picture: _Picture, problems: list[Problem]) -> bool:
    """Return whether a picture is used, and report if its count is not the number of its rows."""
    rows, count = picture.rows, picture.count
    if count in (0, 1) and len(rows) == 1 and rows[0].values and not any(rows[0].values):
        rows.clear()  # the published files mark a picture without faces by a row of zeros
    elif picture.counted and count is None and not rows:
        problems.append(Problem(Kind.MALFORMED_ENTRY, picture.where, f"{name}: neither count nor rows follow"))
        return False
    elif picture.counted and count != len(rows):
        said = "no count" if count is None else f"a count of {count:g}"
        problems.append(Problem(Kind.ROW_COUNT, picture.where, f"{name}: {said}, but rows: {len(rows)}; they are used"))
    return True


def _numbers(text: str) -> list[float]:
    """Return the numbers of a text; an empty list if a word is not a number."""
    return to_numbers(text.split()) or []


def _files(folder: Path) -> list[Path]:
    return [file for place in ("*_bbx_gt.txt", "*/*_bbx_gt.txt") for file in sorted(folder.glob(place))]
