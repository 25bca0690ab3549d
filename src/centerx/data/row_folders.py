"""Folders of text files with a row for each object: where they are in a data set, and where their pictures are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from centerx.data.dataset import parent_folder
from centerx.data.signs import SAMPLE, read_signs
from centerx.errors import InputError, nearest

LABELS = re.compile("label_2|(?:.*[_-])?labels?|labeltxt.*|(?:.*[_-])?gt", re.IGNORECASE)  # names of such folders
PICTURES = ("image_2", "images", "image", "data")  # names of folders of pictures, beside those of labels


def picture_folder(folder: Path) -> Path:
    """Return the folder of the pictures of a folder of labels: in it, beside it, or beside the folder above."""
    home = parent_folder(folder)
    above = parent_folder(home)
    roots = ((folder, ""), (home, ""), (above, folder.name), (above, ""))
    places = [root / name / split for root, split in roots for name in PICTURES]
    return next((place for place in places if place.is_dir()), folder)


def row_folders(path: Path, row: re.Pattern[str], header: re.Pattern[str] | None = None) -> list[Path]:
    """Return the path itself if it is a folder of rows, or else those in it, or in its subfolders.

    A folder of labels has its name, such as `label_2` and `labels`, or is in one of that name, such as `labels/train`.

    Args:
        path: folder of a data set.
        row: what the first line of a file is.
        header: what else it may be.
    """
    inside = _subfolders(path)
    deeper = [each for folder in inside for each in _subfolders(folder)]
    named = [each for each in deeper if LABELS.fullmatch(each.name) or LABELS.fullmatch(each.parent.name)]
    for level in ([path], [each for each in inside if LABELS.fullmatch(each.name)], named):
        found = [folder for folder in level if _has_rows(folder, row, header)]
        if found:
            return found
    return []


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir())
    except OSError:  # an unreadable folder has no labels
        return []


def _has_rows(folder: Path, row: re.Pattern[str], header: re.Pattern[str] | None) -> bool:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt")
    except OSError:
        return False
    for file in files[:SAMPLE]:
        first = next(iter(read_signs(file).lines), "")
        if row.fullmatch(first) or (header is not None and header.fullmatch(first)):
            return True
    return False


def choose_row_folder(path: Path, folders: Sequence[Path], split: str | None) -> Path:
    """Return the folder of a split, or the only one.

    Raises:
        InputError: there are several, or none is of the split.
    """
    known = {"/".join(folder.relative_to(path).parts): folder for folder in folders}
    chosen = [name for name in known if split is None or split in name.split("/")]
    if len(chosen) == 1:
        return known[chosen[0]]
    there = ", ".join(known)
    if chosen:
        raise InputError(f"{path}: which of {', '.join(chosen)}? name one with split")
    raise InputError(f"{path}: no split {split!r}{nearest(split or '', known)}, there are: {there}")
