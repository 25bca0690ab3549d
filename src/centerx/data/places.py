"""Files of one data set in one: which of a folder, its lines, and where its pictures are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from centerx.data.dataset import parent_folder
from centerx.errors import InputError, nearest

PROBE = 50  # file names by which the folder of the pictures is recognised
INNER = ("images", "Images", "JPEGImages")  # of a split's folder, such as `WIDER_train/images`


def choose_file(folder: Path, files: Iterable[Path], split: str | None) -> Path:
    """The file of a split among those of a folder: the one that has the split's name as a word or, failing that, in it.

    Raises:
        InputError: none has it, or several.
    """
    known = {file.relative_to(folder).with_suffix("").as_posix().removeprefix("annotations/"): file for file in files}
    chosen = list(known)
    if split is not None:
        chosen = [name for name in known if split in re.split(r"[/_.-]", name)] or [n for n in known if split in n]
    if len(chosen) == 1:
        return known[chosen[0]]
    if not chosen:
        close = nearest(split or "", known)
        raise InputError(f"{folder}: no split {split!r}{close}, there are: {', '.join(known)}")
    raise InputError(f"{folder}: which of {', '.join(chosen)}? name one with split, or its file")


def find_pictures(file: Path, names: Sequence[str]) -> Path:
    """The folder near a file that holds most of the first pictures it names; of several, the one named like the file.

    Args:
        file: with the labels. names: of pictures, relative to the folder sought.
    """
    roots = picture_folders(file)

    def likelihood(root: Path) -> tuple[int, bool]:
        there = sum(os.path.isfile(root / name.replace("\\", "/")) for name in names[:PROBE])
        return there, bool(root.name) and root.name in file.stem

    return max(roots, key=likelihood)


def picture_folders(file: Path) -> list[Path]:
    """The folders near a file of labels where its pictures may be, whether they exist or not, the nearest first."""
    home = file.parent
    roots = [home, parent_folder(home)]
    splits = [folder for root in roots for folder in _folders(root)]
    roots += splits
    roots.append(parent_folder(parent_folder(home)) / "images")
    roots += [folder for root in roots if root.name == "images" for folder in _folders(root)]
    roots += [split / name for split in splits for name in INNER]
    return roots


def text_lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that are not blank, without space around, each with its place as `file:number`."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{file}:{number}", line.strip()


def _folders(root: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in root.iterdir() if os.path.isdir(each))
    except OSError:  # neighbours that may not be read hold none of ours
        return ()
