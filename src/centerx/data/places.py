"""Find the files of a data set: its label file in a folder, and the pictures that labels name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from urllib.parse import unquote

from centerx.contents import open_plain
from centerx.data.dataset import parent_folder
from centerx.errors import InputError, nearest
from centerx.images import SUFFIXES
from centerx.problems import Kind, Problem

LABEL_FOLDER = re.compile("ann|label|json|coco|gt|split", re.IGNORECASE)  # in names of folders that contain labels only
ODD = re.compile(r"[/\\%?]")  # in names that can be read as other paths
FEW = 5  # names tried in other forms if none exists as it is, since most near folders are unrelated
DEEPEST = 64  # folders above a picture whose names are tried
PROBE = 50  # number of names that are looked up to find the folder of the pictures
INNER = ("images", "Images", "JPEGImages")  # subfolders of a split's folder, such as `WIDER_train/images`


def choose_file(folder: Path, files: Iterable[Path], split: str | None) -> Path:
    """Return the file of a split: the one whose name has the split's name as a word or, if there is none, as a part.

    Args:
        folder: the folder, for messages.
        files: the candidates.
        split: name of the split; None if there is one file only.

    Raises:
        InputError: no file or several files match.
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
    """Return the folder near a label file with most of the first pictures it names, preferably one of its own name.

    Args:
        file: the label file.
        names: names of pictures, relative to the folder.
        problems: list to which a problem is appended if another folder has as many.
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
        return best  # beside the folder of the labels, where many folders can be
    rivals = [each for each in roots if likelihood(each) == likelihood(best) and os.path.realpath(each) != place]
    rivals = [each for each in rivals if os.path.commonpath([home, os.path.realpath(each)]) == home]
    if rivals:
        what = f"its pictures may be in {best}, which is read, or in {rivals[0]}"
        problems.append(Problem(Kind.TWO_PLACES, str(file), what))
    return best


def is_neighbour(folder: Path, file: Path) -> bool:
    """Return whether a folder is beside that of a label file, although that is not named as a folder of labels."""
    home = os.path.realpath(file.parent)
    inside = os.path.commonpath([home, os.path.realpath(folder)]) == home
    return not inside and not LABEL_FOLDER.search(os.path.basename(home))


def picture_folders(file: Path) -> list[Path]:
    """Return the folders near a label file that may contain its pictures, existing or not, nearest first."""
    home = file.parent
    roots = [home, parent_folder(home)]
    splits = [folder for root in roots for folder in _folders(root)]
    roots += splits
    roots.append(parent_folder(parent_folder(home)) / "images")
    roots += [folder for root in roots if root.name == "images" for folder in _folders(root)]
    roots += [split / name for split in splits for name in INNER]
    return roots


def locate_pictures(folder: Path, names: Sequence[str], where: str, problems: list[Problem]) -> list[str]:
    """Return the paths of pictures that labels name, as texts, which take a quarter of the memory.

    If a picture is not at its name below the folder, the last parts of the name are tried, because it can be a path of
    another machine, a URL or percent-encoded. Names that differ only in case or Unicode normal form are tried too.

    Args:
        folder: folder of the pictures.
        names: names in the labels.
        where: label file, for problems.
        problems: list to which pictures that are found elsewhere are appended.

    Returns:
        A path for each name. If nothing is found, it is the path where the picture should be.
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
        if elsewhere.setdefault(found, name) == name:  # the first of two names for one picture gets it
            paths[place] = found
    for path, name in elsewhere.items():
        problems.append(Problem(Kind.FOUND_ELSEWHERE, where, f"{name!r} is not there, {path} is taken for it"))
    return paths


def path_tails(name: str) -> list[str]:
    """The relative paths that a name can mean, longest first: `C:\\a\\b%20c.jpg` -> a/b%20c.jpg, ..., b c.jpg."""
    path = name.replace("\\", "/")
    path = path.rpartition("?d=")[2]  # local files of Label Studio
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/", "", path)
    tails: list[str] = []
    for form in dict.fromkeys((path, unquote(path), unquote(path.partition("?")[0]))):
        parts = [
            part for part in form.split("/") if part not in ("", ".", "..") and not re.fullmatch("[A-Za-z]:", part)
        ]
        tails += ["/".join(parts[start:]) for start in range(max(0, len(parts) - DEEPEST), len(parts))]
    return list(dict.fromkeys(tails))


def index_pictures(folder: Path) -> dict[str, Path]:
    """Return the pictures in a folder and its subfolders by name, and by name without suffix."""
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(filter(is_picture, names)):
            picture = Path(place, name)
            found.setdefault(name, picture)
            found.setdefault(name.rpartition(".")[0], picture)
    return found


def without_labels(pictures: Iterable[Path], used: Iterable[Path]) -> Problem | None:
    """Report the pictures without a file of labels that lie beside others with one.

    Args:
        pictures: all that were found.
        used: those with a file of labels.

    Returns:
        One problem for all of them, or None.
    """
    known = {picture.with_suffix("") for picture in used}
    folders = {picture.parent for picture in known}
    left = sorted({each for each in pictures if each.parent in folders and each.with_suffix("") not in known})
    what = "has no file of labels and is not read"
    return Problem(Kind.PICTURE_WITHOUT_LABELS, str(left[0]), what, len(left)) if left else None


def is_picture(name: str) -> bool:
    """Return whether a name has the suffix of a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


class _Listings:
    """Listings of folders, each read once."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}
        self.alike: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> str | None:
        """Return the file at a path, or the only one that differs in case or Unicode normal form alone, or None."""
        folder, name = os.path.split(path)
        if folder not in self.names:
            try:
                self.names[folder] = set(os.listdir(folder))
            except (OSError, ValueError):  # a path with a zero byte
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
    """Return a form of a name that is equal for names that differ only in case or Unicode normal form."""
    return unicodedata.normalize("NFC", name).casefold()


def text_lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the non-blank lines of a file, stripped, each with its place as `file:number`."""
    # the error handler keeps other bytes of names
    with open_plain(file) as content, TextIOWrapper(content, "utf-8-sig", "surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{file}:{number}", line.strip()


def _folders(root: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in root.iterdir() if os.path.isdir(each))
    except OSError:  # an unreadable folder has no pictures
        return ()
