"""Find the pictures of a `data.yaml`, whose paths are often those of another machine, and their label files."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from centerx.data.dataset import UnusableData
from centerx.data.text import read_text
from centerx.errors import InputError, nearest
from centerx.images import SUFFIXES, list_names
from centerx.problems import Kind, Problem

SPLITS = ("train", "val", "valid", "test")
LABEL_SUFFIXES = (".txt",)  # in lower case
NO_SPLITS = ("path", "names", "download")
OTHER_NAME = {"val": "valid", "valid": "val"}


def splits(file: Path, tree: dict[Any, Any]) -> dict[str, list[str]]:
    """Return the folders and lists of each split. A split with an unusual name is recognised by existing paths."""
    known: dict[str, list[str]] = {}
    for key, value in tree.items():
        sources = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if key in NO_SPLITS or not sources or not all(isinstance(each, str) for each in sources):
            continue
        if key in SPLITS or _as_written(sources[0], _roots(file, tree)) or _within(file, tree, sources[0]):
            known[str(key)] = sources
    return known


def places(file: Path, tree: dict[Any, Any], split: str | None, problems: list[Problem]) -> list[Path]:
    """Return the folders and lists of a split of a data.yaml.

    Args:
        file: the data.yaml.
        tree: its content.
        split: name of the split; None if there is one only.
        problems: list to which problems are appended.

    Raises:
        InputError: there is no such split, or there are several and none is named.
        UnusableData: a folder or list does not exist.
    """
    known = splits(file, tree)
    if not known:
        raise UnusableData(file, "not a YOLO data set, it names no folder or list of pictures that is there")
    there = ", ".join(known)
    if split is None and len(known) != 1:
        raise InputError(f"{file}: which split of {there}? name one with split")
    wanted = next(iter(known)) if split is None else split if split in known else OTHER_NAME.get(split, split)
    if wanted not in known:
        raise InputError(f"{file}: no split {split!r}{nearest(wanted, known)}, there are: {there}")
    others = [source for sources in known.values() for source in sources]
    return [_place(file, tree, source, others, problems) for source in known[wanted]]


def found_places(file: Path, tree: dict[Any, Any]) -> list[Path]:
    """Return the existing folders and lists among those that a data.yaml names."""
    sources = (source for each in splits(file, tree).values() for source in each)
    found = (_within(file, tree, source) or _as_written(source, _roots(file, tree)) for source in sources)
    return [place for place in found if place]


def pictures_of(file: Path, tree: dict[Any, Any], place: Path, problems: list[Problem]) -> list[str]:
    """Return the paths of the pictures in a folder, or of those in a list file."""
    if place.is_dir():
        return [os.path.join(place, name) for name in list_names(place, SUFFIXES)]
    roots = [place.parent, *_roots(file, tree)]
    pictures, elsewhere = [], []
    for name in lines_of(place, problems):
        picture = _as_written(name, roots)
        if picture is None:
            picture = next(_found(tails(name, least=1), roots), None)
            if picture:
                elsewhere.append((name, picture))
        pictures.append(str(picture or place.parent / name))
    tell_elsewhere(place, elsewhere, problems)
    return pictures


def tell_elsewhere(file: Path | str, found: Sequence[tuple[str, Path | str]], problems: list[Problem]) -> None:
    """Report pictures that are not where a list says."""
    if found:
        what = f"{found[0][0]} is not there, {found[0][1]} is read"
        problems.append(Problem(Kind.FOUND_ELSEWHERE, str(file), what, len(found)))


def label_file(picture: str) -> str:
    """Return the path of a label file: `.../images/.../a.jpg` -> `.../labels/.../a.txt`, or beside the picture."""
    beside = beside_picture(picture)
    *folders, name = beside.split(os.sep)
    if "images" not in folders:
        return beside
    at = len(folders) - 1 - folders[::-1].index("images")
    apart = os.sep.join([*folders[:at], "labels", *folders[at + 1 :], name])
    return beside if os.path.lexists(beside) and not os.path.lexists(apart) else apart


def beside_picture(picture: str) -> str:
    """Return the path of the label file beside a picture."""
    return os.path.splitext(picture)[0] + ".txt"


def stem(path: str) -> str:
    """Return the name of a file without its suffix."""
    return os.path.splitext(os.path.basename(path))[0]


def with_alike_labels(pictures: list[tuple[str, str]], problems: list[Problem]) -> list[tuple[str, str]]:
    """Give pictures without a label file the one whose name differs only in case or Unicode normal form, and report it.

    There must be only one such file, and it must match one picture only.
    """
    missing = {picture: file for picture, file in pictures if not os.path.lexists(file)}
    if not missing:
        return pictures
    taken = {file for _, file in pictures}
    alike: dict[str, dict[str, list[str]]] = {}
    for folder in dict.fromkeys(os.path.dirname(each) for picture, file in missing.items() for each in (file, picture)):
        known = alike.setdefault(folder, {})
        for name in list_names(Path(folder), LABEL_SUFFIXES, deep=False) if os.path.isdir(folder or ".") else ():
            file = os.path.join(folder, name)
            if file not in taken:
                known.setdefault(_folded(stem(name)), []).append(file)
    found: dict[str, str] = {}
    for picture, file in missing.items():
        fits = (alike[os.path.dirname(each)].get(_folded(stem(picture)), []) for each in (file, picture))
        some = next((each for each in fits if each), [])
        if len(some) == 1:
            found[picture] = some[0]
    wanted = Counter(found.values())
    found = {picture: file for picture, file in found.items() if wanted[file] == 1}
    told: dict[str, list[tuple[str, Path | str]]] = {}
    for picture, file in found.items():
        told.setdefault(os.path.dirname(file), []).append((os.path.basename(missing[picture]), file))
    for folder, names in told.items():
        tell_elsewhere(folder, names, problems)
    return [(picture, found.get(picture, file)) for picture, file in pictures]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def tails(name: str, least: int) -> list[str]:
    """Return the last parts of a path, longest first: `../a/b/c` -> a/b/c, b/c, c.

    Args:
        name: the path.
        least: least number of parts, because `images` alone can be any folder of that name.
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return ["/".join(parts[start:]) for start in range(max(1, len(parts) - least + 1))]


def lines_of(file: Path, problems: list[Problem]) -> list[str]:
    """Return the non-blank lines of a text."""
    return [line.strip() for line in read_text(file, problems).splitlines() if line.strip()]


def _place(file: Path, tree: dict[Any, Any], source: str, others: Sequence[str], problems: list[Problem]) -> Path:
    """Find a path that a data.yaml names.

    Some exports write `../train/images` for a folder beside the data.yaml. A path that leads out of the folder of the
    data.yaml is therefore first looked for inside it.
    """
    written = _as_written(source, _roots(file, tree))
    if written and (_is_absolute(source, tree) or is_inside(written, file.parent)):
        return written
    within = _within(file, tree, source)
    if within is None:
        if written is None:
            raise UnusableData(file, f"{source}: no such file or folder")
        beside = next((each for each in others if each.startswith("..") and _within(file, tree, each)), None)
        if beside:
            what = f"{source} leads to {written}, but {beside} is beside this file: name its place, or leave it out"
            raise UnusableData(file, what)
        return written
    if written is None:
        problems.append(Problem(Kind.FOUND_ELSEWHERE, str(file), f"{source} is not there, {within} is read"))
    else:
        problems.append(Problem(Kind.TWO_PLACES, str(file), f"{source} may be {within}, which is read, or {written}"))
    return within


def _roots(file: Path, tree: dict[Any, Any]) -> list[Path]:
    return [file.parent / _root(tree), file.parent]


def _root(tree: dict[Any, Any]) -> str:
    root = tree.get("path")
    return root if isinstance(root, str) else ""


def _is_absolute(source: str, tree: dict[Any, Any]) -> bool:
    return os.path.isabs(source) or os.path.isabs(_root(tree))


def is_inside(place: Path, folder: Path) -> bool:
    """Return whether a path is a folder or below it, without resolving links."""
    return Path(os.path.abspath(place)).is_relative_to(os.path.abspath(folder))


def _as_written(name: str, roots: Sequence[Path]) -> Path | None:
    return next(_found([name, name.replace("\\", "/")], roots), None)


def _within(file: Path, tree: dict[Any, Any], source: str) -> Path | None:
    """Find a path below the folder of a data.yaml without its leading parts, which may be those of another machine."""
    roots = [file.parent / tail for tail in tails(_root(tree), least=1) if tail] + [file.parent]
    return next(_found([tail for tail in tails(source, least=2) if tail], roots), None)


def _found(names: Sequence[str], roots: Sequence[Path]) -> Iterator[Path]:
    return (root / name for name in names for root in roots if os.path.exists(root / name))
