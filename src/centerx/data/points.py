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
from typing import TypeAlias

from centerx.data.dataset import Dataset, RecordBuilder, UnusableData, join_records, readable_hw
from centerx.data.places import find_pictures, is_neighbour, locate_pictures
from centerx.data.records import Records
from centerx.data.text import decode_head, read_text
from centerx.data.values import to_numbers
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
Row: TypeAlias = tuple[int, str, str, int]  # of an object: the line where its row begins, x and y, label


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
    rows, class_names = read_rows(path, problems)
    names = list(rows)
    folder = images or find_pictures(path, names, problems)
    records, where = Records(), f"{path}:"
    places = locate_pictures(folder, names, str(path), problems)
    for name, place in zip(names, map(Path, places), strict=True):
        builder = RecordBuilder(place, name, problems, readable_hw(place))
        for line, x, y, label in rows[name]:
            point = to_numbers([x, y])
            if point is None:
                what = f"not two numbers: {x!r}, {y!r}"
                problems.append(Problem(Kind.MALFORMED_ENTRY, f"{where}{line}", what))
            else:
                builder.add_point(f"{where}{line}", point, label)
        records.append(builder.build())
    records = join_records(records, problems)
    neighbour = folder if images is None and is_neighbour(folder, path) else None
    ids = tuple(range(1, len(class_names) + 1))
    return Dataset(path, "points", class_names, ids, records, problems, neighbour=neighbour)


def read_rows(path: Path, problems: list[Problem]) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return the objects of each picture that a file names, and the names of their classes.

    Raises:
        UnusableData: the first line is no header.
    """
    text = read_text(path, problems)
    header, delimiter = header_of(text)
    columns = find_columns(header)
    if not all(name in columns for name in NEEDED):
        raise UnusableData(path, "its first line does not name columns of pictures, x and y")
    image, x, y = (columns[name] for name in NEEDED)
    label = columns.get("label")
    needed = max(columns.values()) + 1
    rows: dict[str, list[Row]] = {}
    labels: dict[str, int] = {}
    for line, cells in read_cells(text, delimiter, path, problems):
        tell_length(cells, header, f"{path}:{line}", problems)
        if len(cells) < needed:
            cells += [""] * (needed - len(cells))
        name, place = cells[image].strip(), (cells[x].strip(), cells[y].strip())
        if name:
            row = rows.setdefault(name, [])
            if any(place):
                of_class = CLASS if label is None else cells[label].strip()
                row.append((line, *place, labels.setdefault(of_class, len(labels))))
        elif any(cells):
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{path}:{line}", "names no picture"))
    if "" not in labels or len(labels) == 1:
        return rows, tuple(name or CLASS for name in labels)
    return _without_nameless(rows, list(labels), path, problems)


def _without_nameless(
    rows: dict[str, list[Row]], names: list[str], path: Path, problems: list[Problem]
) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Leave out, and report, the objects without a label where others have one."""
    nameless = names.index("")
    kept: dict[str, list[Row]] = {}
    for picture, some in rows.items():
        kept[picture] = []
        for line, x, y, label in some:
            if label == nameless:
                problems.append(Problem(Kind.MALFORMED_ENTRY, f"{path}:{line}", "has no label, where others have one"))
            else:
                kept[picture].append((line, x, y, label - (label > nameless)))
    return kept, tuple(filter(None, names))


def read_cells(text: str, delimiter: str, path: Path, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row below the header, with the line where it begins.

    A row that is no csv, such as one with a quote that nothing closes, is a problem; reading goes on at the next line.
    """
    lines = io.StringIO(text, newline="").readlines()
    start = 1
    while start < len(lines):
        reader = csv.reader(
            map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter, skipinitialspace=True, strict=True
        )
        begin = start + 1
        try:
            for cells in reader:
                yield begin, cells
                begin = start + reader.line_num + 1
            return
        except csv.Error as error:
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{path}:{begin}", f"no row of a csv file ({error})"))
            start = begin


def tell_length(cells: list[str], header: list[str], where: str, problems: list[Problem]) -> None:
    """Report a row that is cut, or has more cells than the header; a name alone is a picture without objects.

    Args:
        cells: of the row.
        header: names of the columns.
        where: file and line.
        problems: list to which a problem is appended.
    """
    few = 1 < len(cells) < len(header)
    if few or any(cell.strip() for cell in cells[len(header) :]):
        what = f"has {len(cells)} values for {len(header)} columns"
        problems.append(Problem(Kind.EXTRA_VALUES, where, f"{what}; what is there is used"))


def header_of(text: str) -> tuple[list[str], str]:
    """Return the cells of the first line, stripped and in lower case, and what separates them.

    The separator is a comma, a semicolon or a tab. There are no cells if the line is no csv.
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
