"""Read points: a csv file with one row per object, for the task `center`.

    image,x,y,label
    a.jpg,104.5,33,tree

The columns may have other common names and any order; without labels all objects are of one class. A row without x and
y is a picture without objects; pictures that no row names are not read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from centerx.data.dataset import Dataset, RecordBuilder, readable_hw
from centerx.data.places import find_pictures, is_neighbour, locate_pictures
from centerx.data.text import read_text
from centerx.problems import Kind, Problem

COLUMNS = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "image_name", "img"),
    "x": ("x", "x_pixel", "px", "cx", "center_x", "centre_x"),
    "y": ("y", "y_pixel", "py", "cy", "center_y", "centre_y"),
    "label": ("label", "class", "category", "class_name", "name", "species"),
}
NEEDED = ("image", "x", "y")
CLASS = "object"  # of files without labels
HEADER = 4096  # bytes in which the first line ends


class Row(NamedTuple):
    """A line of the file.

    Attributes:
        where: file and line.
        image: name of the picture.
        place: x and y as text; empty where the picture has no object.
        label: name of the class.
    """

    where: str
    image: str
    place: tuple[str, str]
    label: str


def recognises(path: Path) -> bool:
    """Return whether a path is a csv file whose first line names a picture, x and y, and no box."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.read(HEADER).split(b"\n")[0].decode("utf-8", errors="replace")
    columns = find_columns(split_line(line, delimiter_of(line)))
    boxes = {"xmin", "xmax", "x1", "x2", "width", "w"}
    return all(name in columns for name in NEEDED) and not boxes & set(line.lower().replace('"', "").split(","))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file."""
    problems: list[Problem] = []
    rows = list(read_rows(path, problems))
    names = list(dict.fromkeys(row.image for row in rows))
    class_names = tuple(dict.fromkeys(row.label for row in rows if any(row.place)))
    folder = images or find_pictures(path, names, problems)
    places = locate_pictures(folder, names, str(path), problems)
    builders = {
        name: RecordBuilder(place, name, problems, readable_hw(place))
        for name, place in zip(names, places, strict=True)
    }
    for row in rows:
        try:
            point = [float(value) for value in row.place if value]
        except ValueError:
            problems.append(Problem(Kind.MALFORMED_ENTRY, row.where, f"not two numbers: {', '.join(row.place)}"))
            continue
        if len(point) == 2:
            builders[row.image].add_point(row.where, point, class_names.index(row.label))
        elif point:
            problems.append(Problem(Kind.MALFORMED_ENTRY, row.where, f"not two numbers: {', '.join(row.place)}"))
    records = [builder.build() for builder in builders.values()]
    neighbour = folder if images is None and is_neighbour(folder, path) else None
    ids = tuple(range(1, len(class_names) + 1))
    return Dataset(path, "points", class_names, ids, records, problems, neighbour=neighbour)


def read_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a file that name a picture."""
    lines = read_text(path, problems).splitlines()
    delimiter = delimiter_of(lines[0])
    columns = find_columns(split_line(lines[0], delimiter))
    for number, cells in enumerate(csv.reader(lines[1:], delimiter=delimiter), start=2):
        texts = {name: cells[column].strip() if column < len(cells) else "" for name, column in columns.items()}
        where = f"{path}:{number}"
        if texts["image"]:
            yield Row(where, texts["image"], (texts["x"], texts["y"]), texts.get("label") or CLASS)
        elif any(cells):
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, "names no picture"))


def find_columns(header: list[str]) -> dict[str, int]:
    """Return the column of each of COLUMNS that a header has."""
    given = [name.strip().lower() for name in header]
    found = {name: next((given.index(each) for each in names if each in given), -1) for name, names in COLUMNS.items()}
    return {name: column for name, column in found.items() if column >= 0}


def delimiter_of(line: str) -> str:
    """Return what separates the cells of a header: a comma, a semicolon or a tab."""
    return max(",;\t", key=line.count)


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the cells of one line."""
    return next(csv.reader([line], delimiter=delimiter), [])
