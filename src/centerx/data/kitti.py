"""KITTI's 2D boxes: a text file for each picture, with a row for each object.

    Car 0.00 0 -1.57 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57
    DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10

Type, truncation, occlusion, angle, the box in pixels, and seven numbers in space. Corners are taken as they stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from centerx.data.copies import (
    Copy,
    Written,
    boxed_objects,
    check_free,
    copy_pictures,
    lost_classes,
    partly_labelled,
    rows_of,
)
from centerx.data.dataset import Dataset, Track
from centerx.data.places import index_pictures, without_labels
from centerx.data.row_folders import choose_row_folder, picture_folder, row_folders
from centerx.data.shapes import Labelled, Shape, Source, make_dataset
from centerx.data.text import read_text
from centerx.data.values import DECIMAL, to_number
from centerx.errors import InputError
from centerx.files import many_files
from centerx.problems import Kind, Problem

NUMBER = DECIMAL.pattern
WORD = rf"(?!{NUMBER}\s)[^\s,;:]+"
ROW = re.compile(rf"{WORD}(?:\s+{WORD})*(?:\s+{NUMBER}){{14,15}}", re.IGNORECASE)  # a 16th value is a score
DONT_CARE = "DontCare"
VALUES = 14  # numbers of a row
BOX = slice(3, 7)  # among them
UNKNOWN = "-1 -1 -1 -1000 -1000 -1000 -10"  # size, place and angle in space


def recognises(path: Path) -> bool:
    """Return whether a path is a folder of rows of KITTI, or one with such a folder in it or in its subfolders."""
    return path.is_dir() and bool(row_folders(path, ROW))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read all label files of a folder, or of that of a split, such as `training`.

    Regions called `DontCare` are ignored objects of every class. An empty file is a picture without objects.

    Raises:
        InputError: there are several folders of labels, and the split names none.
    """
    folder = choose_row_folder(path, row_folders(path, ROW), split)
    source = Source(path, folder, "kitti", images, [])
    root = images or picture_folder(folder)
    index = index_pictures(root)
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt" and not file.is_dir())
    rows = {file: list(_rows(file, source)) for file in files}
    _tell_lengths([row for some in rows.values() for row in some], source)
    parsed = {file: [row.shape for row in some] for file, some in rows.items()}
    names = sorted({shape.name for shapes in parsed.values() for shape in shapes} - {DONT_CARE})
    pictures, places = [], []
    for file, shapes in parsed.items():
        if file.stem not in index and not shapes:  # such as a list of names
            source.report(Kind.LABELS_WITHOUT_PICTURE, str(file), f"no rows of KITTI, and no picture in {root}")
            continue
        spread = [
            shape._replace(name=name, ignore=shape.name == DONT_CARE)
            for shape in shapes
            for name in (names if shape.name == DONT_CARE else (shape.name,))
        ]
        places.append(index.get(file.stem, root / f"{file.stem}.png"))
        pictures.append(Labelled(places[-1].name, spread))
    source.problems.extend(filter(None, [without_labels(index.values(), places)]))
    return make_dataset(source, pictures, declared=names, places=places)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>/image_2` and the rows into `<split>/label_2`; what is not 2D is unknown.

    Ignored objects become `DontCare`, of no class.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, no picture can be read, or a class name has spaces, commas or colons, or
            is a number.
    """
    unfit = next((name for name in dataset.class_names if not _is_type(name)), None)
    if unfit is not None:
        raise InputError(f"{dataset.path}: KITTI cannot hold the class name {unfit!r}, rename it with --rename")
    home = folder / split
    check_free(split, home)
    copies, problems = copy_pictures(dataset.records, home / "image_2", track, begin)
    problems += [*partly_labelled(dataset), *lost_classes(dataset)]
    with many_files(home / "label_2") as new_file:
        for copy in copies:
            with new_file(f"{Path(copy.name).stem}.txt") as made:
                made.write_bytes("".join(f"{line}\n" for line in _lines(copy, dataset.class_names, problems)).encode())
    return Written(len(copies), problems)


def _is_type(name: str) -> bool:
    """Return whether a class name is read back as the type of a row."""
    word = re.fullmatch(WORD, name) is not None and to_number(name) is None and not name.startswith("\ufeff")
    return word and name != DONT_CARE


def _lines(copy: Copy, class_names: Sequence[str], problems: list[Problem]) -> Iterator[str]:
    """Yield the rows of a picture. A region that is ignored for every class is one row."""
    ignored: dict[tuple[float, ...], int] = {}
    for name, box, ignore in rows_of(boxed_objects(copy, problems), class_names):
        if ignore:
            ignored[tuple(box)] = ignored.get(tuple(box), 0) + 1
        else:
            yield f"{name} 0.00 0 -10 {' '.join(map(repr, box))} {UNKNOWN}"
    for region in ignored:
        yield f"{DONT_CARE} -1 -1 -10 {' '.join(map(repr, region))} {UNKNOWN}"
    widened = sum(count < len(class_names) for count in ignored.values())
    if widened:
        what = f"{widened} ignored objects become {DONT_CARE}, which is ignored for every class"
        problems.append(Problem(Kind.NOT_WRITTEN, str(copy.record.image), what, widened))


class _Row(NamedTuple):
    shape: Shape
    length: int  # numbers behind the type


def _tell_lengths(rows: Sequence[_Row], source: Source) -> None:
    """Report rows with another number of values than most have, of which one may be lost or too many."""
    lengths = Counter(row.length for row in rows)
    usual = max(lengths, key=lengths.__getitem__, default=VALUES)
    for row in rows:
        if row.length != usual:
            what = f"{row.length} numbers behind the type, where most rows have {usual}; its box is used"
            source.report(Kind.EXTRA_VALUES, row.shape.where, what)


def _rows(file: Path, source: Source) -> Iterator[_Row]:
    """Yield the objects of a label file."""
    for line, text in enumerate(read_text(file, source.problems).splitlines(), start=1):
        words, where = text.split(), f"{file}:{line}"
        values = [to_number(word) for word in words]
        first = len(values) - next((n for n, value in enumerate(reversed(values)) if value is None), 0)
        numbers = [value for value in values[first:] if value is not None]
        if not first or len(numbers) not in (VALUES, VALUES + 1):
            if words:
                source.report(Kind.MALFORMED_ENTRY, where, f"not a type and {VALUES} numbers, or {VALUES + 1}")
            continue
        yield _Row(Shape(where, " ".join(words[:first]), numbers[BOX]), len(numbers))
