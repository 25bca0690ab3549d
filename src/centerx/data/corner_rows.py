"""Text files with a row for each object, which begins with its four corners: what their formats have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from centerx.data.dataset import Dataset, span
from centerx.data.places import index_pictures, without_labels
from centerx.data.row_folders import choose_row_folder, picture_folder, row_folders
from centerx.data.shapes import FOUR_CORNERS, Labelled, Shape, Source, make_dataset
from centerx.data.text import read_text
from centerx.data.values import DECIMAL
from centerx.problems import Kind

NUMBER = DECIMAL.pattern


class Row(NamedTuple):
    """An object.

    Attributes:
        name: of its class.
        corners: x and y of each.
        ignore: whether it is neither positive nor negative.
    """

    name: str
    corners: list[float]
    ignore: bool = False


class Form(NamedTuple):
    """What a row is.

    Attributes:
        name: of the format.
        row: pattern of a row.
        parse: the match of a row -> its object.
        told: what a row is, for messages.
        header: pattern of lines that are no rows.
        prefix: of a label file's name, before that of its picture.
        relative: whether corners are shares of the picture's sides.
    """

    name: str
    row: re.Pattern[str]
    parse: Callable[[re.Match[str]], Row]
    told: str
    header: re.Pattern[str] | None = None
    prefix: str = ""
    relative: bool = False


def recognises(path: Path, form: Form) -> bool:
    """Return whether a path is a folder of such files, or one with such a folder in it or in its subfolders."""
    return path.is_dir() and bool(row_folders(path, form.row, form.header))


def read(path: Path, split: str | None, images: Path | None, form: Form) -> Dataset:
    """Read all label files of a folder, or of that of a split. An empty file is a picture without objects.

    Raises:
        InputError: there are several folders of labels, and the split names none.
    """
    folder = choose_row_folder(path, row_folders(path, form.row, form.header), split)
    source = Source(path, folder, form.name, images, [])
    root = images or picture_folder(folder)
    index = index_pictures(root)
    pictures, places = [], []
    for file in sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt" and not file.is_dir()):
        shapes = list(_shapes(file, source, form))
        stem = file.stem.removeprefix(form.prefix)
        if stem not in index and not shapes:  # such as a list of names
            source.report(Kind.LABELS_WITHOUT_PICTURE, str(file), f"no rows, and no picture in {root}")
            continue
        places.append(index.get(stem, root / f"{stem}.jpg"))
        pictures.append(Labelled(places[-1].name, shapes))
    source.problems.extend(filter(None, [without_labels(index.values(), places)]))
    return make_dataset(source, pictures, relative=form.relative, places=places)


def _shapes(file: Path, source: Source, form: Form) -> Iterator[Shape]:
    for line, text in enumerate(read_text(file, source.problems).splitlines(), start=1):
        where, match = f"{file}:{line}", form.row.fullmatch(text.strip())
        if match:
            name, corners, ignore = form.parse(match)
            source.report(Kind.ROTATED_BOX, where, FOUR_CORNERS)
            yield Shape(where, name, span(corners), ignore, corners)
        elif text.strip() and not (form.header and form.header.fullmatch(text.strip())):
            source.report(Kind.MALFORMED_ENTRY, where, f"not {form.told}")
