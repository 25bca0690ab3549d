"""Read pseudo labels of the original centerX: one line per picture, `a.jpg;width;height;face;x0;y0;x1;y1;...`."""

from __future__ import annotations

import re
from pathlib import Path

from centerx.data.dataset import Dataset, RecordBuilder
from centerx.data.places import find_pictures, locate_pictures, text_lines
from centerx.data.records import Records
from centerx.data.values import to_hw, to_numbers
from centerx.problems import Kind, Problem

OBJECT = 5  # number of fields of an object: name and corners
HEAD = re.compile(r"[^;]+(;\s*[1-9][0-9]{0,8}\s*){2}(;.*)?")


def recognises(path: Path) -> bool:
    """Return whether a path is a txt file whose first line starts with a name, a width and a height."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    return HEAD.fullmatch(next((line for _, line in text_lines(path)), "")) is not None


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file. All names in it are its classes. If several lines are for one picture, the first is used."""
    problems: list[Problem] = []
    lines: dict[str, tuple[str, list[str]]] = {}
    for where, line in text_lines(path):
        name, *fields = (word.strip() for word in line.split(";"))
        if not HEAD.fullmatch(line) or (len(fields) - 2) % OBJECT:
            what = f"not name, width, height and {OBJECT} fields an object, separated by semicolons"
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, what))
        elif name in lines:
            problems.append(Problem(Kind.REPEATED_ID, where, f"{name} is there already, {lines[name][0]}"))
        else:
            lines[name] = where, fields
    names = tuple(sorted({name for _, fields in lines.values() for name in fields[2::OBJECT]} - {""}))
    folder = images or find_pictures(path, list(lines))
    records = Records()
    places = locate_pictures(folder, list(lines), str(path), problems)
    for place, (name, (where, (width, height, *objects))) in zip(map(Path, places), lines.items(), strict=True):
        builder = RecordBuilder(place, name, problems, to_hw(int(height), int(width)))
        for start in range(0, len(objects), OBJECT):
            label, *corners = objects[start : start + OBJECT]
            here = f"{where}: object {start // OBJECT + 1}"
            xyxy = to_numbers(corners)
            if xyxy is None:
                problems.append(Problem(Kind.MALFORMED_ENTRY, here, f"not four numbers: {' '.join(corners)}"))
                continue
            if label:
                builder.add(here, xyxy, names.index(label))
            else:
                problems.append(Problem(Kind.MALFORMED_ENTRY, here, "has no name"))
        records.append(builder.build())
    return Dataset(path, "pseudo", names, tuple(range(1, len(names) + 1)), records, problems)
