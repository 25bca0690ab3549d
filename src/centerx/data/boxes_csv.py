"""A csv with a row for each box, as Roboflow and the TensorFlow object detection tools write it.

    filename,width,height,class,xmin,ymin,xmax,ymax
    a.jpg,640,480,cat,10,20,110,80

The columns may have other common names and any order. A row without a box is a picture without objects; pictures that
no row names are not read. A column `ignore`, `difficult` or `iscrowd` makes objects ignored ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from centerx.data.copies import (
    Written,
    boxed_objects,
    check_free,
    copy_pictures,
    lost_classes,
    partly_labelled,
    require_trimmed_names,
    rows_of,
)
from centerx.data.dataset import Dataset, Track, UnusableData
from centerx.data.places import choose_file
from centerx.data.points import COLUMNS, header_of, read_cells, tell_length
from centerx.data.shapes import IGNORE, Labelled, Shape, Source, is_ignored, make_dataset
from centerx.data.signs import Text, label_files
from centerx.data.text import read_text
from centerx.data.values import to_hw, to_number
from centerx.files import write_atomic
from centerx.problems import Kind

CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
HEADER = ("filename", "width", "height", "class", *CORNERS[0])
FILE = "_annotations.csv"


def recognises(path: Path) -> bool:
    """Return whether a path is a csv file of boxes, or a folder with one in it or in its subfolders."""
    return any(True for _ in label_files(path, ".csv", _is_ours))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder. Corners are in pixels.

    Raises:
        UnusableData: the first line is no header.
    """
    file = path if path.is_file() else choose_file(path, label_files(path, ".csv", _is_ours), split)
    source = Source(path, file, "csv", images, [])
    text = read_text(file, source.problems)
    header, delimiter = header_of(text)
    columns = _columns(header)
    if columns is None:
        raise UnusableData(file, "its first line does not name columns of pictures, classes and four corners")
    image, of_class, *corners = columns
    place_of = {name: place for place, name in enumerate(header)}
    flags = [name for name in IGNORE if name in place_of]
    shapes: dict[str, list[Shape]] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    for line, cells in read_cells(text, delimiter, file, source.problems):
        where = f"{file}:{line}"
        tell_length(cells, header, where, source.problems)
        cells = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
        name = cells[image]
        if not name:
            if any(cells):
                source.report(Kind.MALFORMED_ENTRY, where, "names no picture")
            continue
        some = shapes.setdefault(name, [])
        if sizes.get(name) is None:
            sides = [to_number(cells[place_of[side]]) if side in place_of else None for side in ("height", "width")]
            sizes[name] = to_hw(*sides)
        texts = [cells[place] for place in corners]
        if not any(texts):
            continue
        xyxy = [value for value in map(to_number, texts) if value is not None]
        if len(xyxy) < 4 or not cells[of_class]:
            source.report(
                Kind.MALFORMED_ENTRY, where, f"not a class and four numbers: {cells[of_class]!r}, {' '.join(texts)}"
            )
            continue
        some.append(
            Shape(where, cells[of_class], xyxy, is_ignored({name: cells[place_of[name]].lower() for name in flags}))
        )
    return make_dataset(source, [Labelled(name, some, sizes[name]) for name, some in shapes.items()])


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>`, with `_annotations.csv` beside them, as Roboflow exports them.

    There is a column `ignore` if any object is ignored.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, or no picture can be read.
    """
    home = folder / split
    require_trimmed_names(dataset, "CSV")
    check_free(split, home)
    copies, problems = copy_pictures(dataset.records, home, track, begin)
    problems += [*partly_labelled(dataset), *lost_classes(dataset)]
    ignores = any(copy.record.ignore.any() for copy in copies)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*HEADER, *IGNORE[: int(ignores)]])
    for copy in copies:
        height, width = copy.known_hw
        rows = list(rows_of(boxed_objects(copy, problems), dataset.class_names))
        for name, box, ignore in rows:
            writer.writerow([copy.name, width, height, name, *box, *[int(ignore)][: int(ignores)]])
        if not rows:
            writer.writerow([copy.name, width, height, *[""] * (5 + ignores)])
    write_atomic(home / FILE, text.getvalue().encode())
    return Written(len(copies), problems)


def _is_ours(text: Text) -> bool:
    return _columns(header_of(text.head)[0]) is not None


def _columns(header: Sequence[str]) -> list[int] | None:
    """Return the places of the columns of picture, class and corners; None if one is missing."""
    names = [next((each for each in COLUMNS[kind] if each in header), None) for kind in ("image", "label")]
    corners = next((some for some in CORNERS if all(each in header for each in some)), None)
    if None in names or corners is None:
        return None
    return [header.index(name) for name in (*names, *corners)]
