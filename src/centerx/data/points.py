"""Read points: a csv file with one row per object, for the task `center`.

    image,x,y,label
    a.jpg,104.5,33,tree

The columns may have other common names and any order; without labels all objects are of one class. A row without x and
y is a picture without objects; pictures that no row names are not read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from centerx.data.dataset import Dataset, RecordBuilder, join_records, readable_hw
from centerx.data.places import find_pictures, is_neighbour, locate_pictures
from centerx.data.text import decode_head, read_text
from centerx.problems import Kind, Problem

COLUMNS = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "image_name", "img"),
    "x": ("x", "x_pixel", "px", "cx", "center_x", "centre_x"),
    "y": ("y", "y_pixel", "py", "cy", "center_y", "centre_y"),
    "label": ("label", "class", "category", "class_name", "name", "species"),
}
NEEDED = ("image", "x", "y")
OF_A_BOX = re.compile(  # columns, such as xmin, x1, box_width, h
    r"b?box|(?:b?box[ _-]?)?(?:[xy][ _-]?(?:min|max|\d)|(?:min|max)[ _-]?[xy]|w|width|h|height|left|top|right|bottom)"
)
CLASS = "object"  # of files without labels
HEADER = 4096  # bytes in which the first line ends


class Row(NamedTuple):
    """A row of the file.

    Attributes:
        line: number of the line where it begins, from 1.
        image: name of the picture.
        x: as text; empty, as `y` is, where the picture has no object.
        y: as text.
        label: name of the class.
    """

    line: int
    image: str
    x: str
    y: str
    label: str


def recognises(path: Path) -> bool:
    """Return whether a path is a csv file whose first line names a picture, x and y, and no box."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    try:
        cells, _ = header_of(decode_head(path, HEADER))
    except OSError:  # unreadable
        return False
    return all(name in find_columns(cells) for name in NEEDED) and not any(map(OF_A_BOX.fullmatch, cells))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file. Names of one picture, such as `a.png` and `./a.png`, become one record."""
    problems: list[Problem] = []
    rows = list(read_rows(path, problems))
    names = list(dict.fromkeys(row.image for row in rows))
    class_names = tuple(dict.fromkeys(row.label for row in rows if row.x or row.y))
    folder = images or find_pictures(path, names, problems)
    places = locate_pictures(folder, names, str(path), problems)
    builders = {
        name: RecordBuilder(place, name, problems, readable_hw(place))
        for name, place in zip(names, places, strict=True)
    }
    label_of = {name: label for label, name in enumerate(class_names)}
    prefix = f"{path}:"
    for row in rows:
        if not row.x and not row.y:
            continue
        where = prefix + str(row.line)
        try:
            point = [float(row.x), float(row.y)]
        except ValueError:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"not two numbers: {row.x!r}, {row.y!r}"))
            continue
        builders[row.image].add_point(where, point, label_of[row.label])
    records = join_records([builder.build() for builder in builders.values()], problems)
    neighbour = folder if images is None and is_neighbour(folder, path) else None
    ids = tuple(range(1, len(class_names) + 1))
    return Dataset(path, "points", class_names, ids, records, problems, neighbour=neighbour)


def read_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a file that name a picture."""
    text = read_text(path, problems)
    header, delimiter = header_of(text)
    columns = find_columns(header)
    image, x, y = (columns[name] for name in NEEDED)
    label = columns.get("label")
    needed = max(columns.values()) + 1
    for line, cells in read_cells(text, delimiter, path, problems):
        if len(cells) < needed:
            cells += [""] * (needed - len(cells))
        name = cells[image].strip()
        if name:
            of_class = CLASS if label is None else cells[label].strip() or CLASS
            yield Row(line, name, cells[x].strip(), cells[y].strip(), of_class)
        elif any(cells):
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{path}:{line}", "names no picture"))


def read_cells(text: str, delimiter: str, path: Path, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row below the header, with the line where it begins.

    A row that is no csv, such as one with a quote that nothing closes, is a problem; reading goes on at the next line.
    """
    lines = io.StringIO(text, newline="").readlines()
    start = 1
    while start < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter, strict=True)
        begin = start + 1
        try:
            for cells in reader:
                yield begin, cells
                begin = start + reader.line_num + 1
            return
        except csv.Error as error:
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{path}:{begin}", f"no row of a csv file ({error})"))
            start = begin


def header_of(text: str) -> tuple[list[str], str]:
    """Return the cells of the first line, stripped and in lower case, and what separates them; no cells if it is no csv.

    The separator is a comma, a semicolon or a tab.
    """
    line = io.StringIO(text, newline="").readline().rstrip("\r\n")
    delimiter = max(",;\t", key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True), [])
    except csv.Error:
        cells = []
    return [cell.strip().lower() for cell in cells], delimiter


def find_columns(header: list[str]) -> dict[str, int]:
    """Return the column of each of COLUMNS that a header has."""
    found = {
        name: next((header.index(each) for each in names if each in header), -1) for name, names in COLUMNS.items()
    }
    return {name: column for name, column in found.items() if column >= 0}
