"""Files of one data set in one: which of a folder, its lines, and where its pictures are."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from centerx.data.dataset import parent_folder
from centerx.errors import InputError, nearest
from centerx.problems import Kind, Problem

LABEL_FOLDER = re.compile("ann|label|json|coco|gt|split", re.IGNORECASE)  # in names of folders that hold labels alone
ODD = re.compile(r"[/\\%?]")  # in names that may mean other paths as well
FEW = 5  # of them, where none is at its name: most folders near by have nothing to do with them
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


def find_pictures(file: Path, names: Sequence[str], problems: list[Problem] | None = None) -> Path:
    """The folder near a file that holds most of the first pictures it names; of several, the one named like the file.

    Args:
        file: with the labels.
        names: of pictures, relative to the folder sought.
        problems: is told where another folder holds as many.
    """
    roots, listed = picture_folders(file), _Listings()
    plain = [name.replace("\\", "/") for name in names[:PROBE]]
    tails = [path_tails(name) for name in names[:FEW]]
    counts = {root: sum(os.path.isfile(os.path.join(root, name)) for name in plain) for root in roots}
    if not any(counts.values()):
        counts = {
            root: sum(any(listed.find(os.path.join(root, tail)) for tail in some) for some in tails) for root in roots
        }

    def likelihood(root: Path) -> tuple[int, bool]:
        return counts[root], bool(root.name) and root.name in file.stem

    best = max(roots, key=likelihood)
    place, home = os.path.realpath(best), os.path.realpath(file.parent)
    if problems is None or not counts[best] or place == home:
        return best
    if os.path.commonpath([home, place]) != home:
        return best  # a neighbour, of which there may be many
    rivals = [each for each in roots if likelihood(each) == likelihood(best) and os.path.realpath(each) != place]
    rivals = [each for each in rivals if os.path.commonpath([home, os.path.realpath(each)]) == home]
    if rivals:
        what = f"its pictures may be in {best}, which is read, or in {rivals[0]}"
        problems.append(Problem(Kind.TWO_PLACES, str(file), what))
    return best


def is_neighbour(folder: Path, file: Path) -> bool:
    """Whether a folder is beside that of a file of labels, whose own name does not say that it holds labels alone."""
    home = os.path.realpath(file.parent)
    inside = os.path.commonpath([home, os.path.realpath(folder)]) == home
    return not inside and not LABEL_FOLDER.search(os.path.basename(home))


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


def locate_pictures(folder: Path, names: Sequence[str], where: str, problems: list[Problem]) -> list[Path]:
    """Where the pictures are that labels name.

    A picture that is not at its name below `folder` is sought by the last parts of the name, which may be a path of
    another machine, a URL or percent-encoded, and by a name that differs in case or Unicode normal form alone.

    Args:
        folder: of the pictures.
        names: as the labels have them.
        where: the file of labels, for problems.
        problems: is told what was found elsewhere.

    Returns:
        A path a name; where nothing is found, the place where it should be.
    """
    listed = _Listings()
    paths = [os.path.join(folder, name.replace("\\", "/")) for name in names]
    there = [listed.find(path) for path in paths]
    taken = {path for path, found in zip(paths, there, strict=True) if found == path}
    elsewhere: dict[str, str] = {}
    for place, (name, found) in enumerate(zip(names, there, strict=True)):
        if found != paths[place] and found in taken:
            found = None
        if found is None and ODD.search(name):
            tails = (listed.find(os.path.join(folder, tail)) for tail in path_tails(name))
            found = next((each for each in tails if each is not None and each not in taken), None)
        if found is None or found == paths[place]:
            continue
        if elsewhere.setdefault(found, name) == name:  # of two names that may mean one picture, the first
            paths[place] = found
    for path, name in elsewhere.items():
        problems.append(Problem(Kind.FOUND_ELSEWHERE, where, f"{name!r} is not there, {path} is taken for it"))
    return list(map(Path, paths))


def path_tails(name: str) -> list[str]:
    """The relative paths that a name may mean, longest first: `C:\\a\\b%20c.jpg` -> a/b%20c.jpg, ..., b c.jpg."""
    path = name.replace("\\", "/")
    path = path.rpartition("?d=")[2]  # Label Studio's files of its own machine
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/", "", path)
    tails: list[str] = []
    for form in dict.fromkeys((path, unquote(path), unquote(path.partition("?")[0]))):
        parts = [
            part for part in form.split("/") if part not in ("", ".", "..") and not re.fullmatch("[A-Za-z]:", part)
        ]
        tails += ["/".join(parts[start:]) for start in range(len(parts))]
    return list(dict.fromkeys(tails))


class _Listings:
    """What is in folders, each listed once."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}
        self.alike: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> str | None:
        """The file at a path, or the only one there whose name differs in case or Unicode normal form alone."""
        folder, name = os.path.split(path)
        if folder not in self.names:
            try:
                self.names[folder] = set(os.listdir(folder))
            except OSError:
                self.names[folder] = set()
        if name in self.names[folder]:
            return path
        if folder not in self.alike:
            self.alike[folder] = {}
            for each in self.names[folder]:
                self.alike[folder].setdefault(letters_of(each), []).append(each)
        others = self.alike[folder].get(letters_of(name), [])
        return os.path.join(folder, others[0]) if len(others) == 1 else None


def letters_of(name: str) -> str:
    """A name by which those that differ in case or Unicode normal form alone are equal."""
    return unicodedata.normalize("NFC", name).casefold()


def text_lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that are not blank, without space around, each with its place as `file:number`."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:  # the bytes of file names survive
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{file}:{number}", line.strip()


def _folders(root: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in root.iterdir() if os.path.isdir(each))
    except OSError:  # neighbours that may not be read hold none of ours
        return ()
