"""Pascal VOC: one xml a picture, splits as lists of names.

Corners are taken as they stand: the tools that write these files today, and the data at hand, mean continuous
corners, not VOC2007's counting from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from centerx.data.dataset import Dataset, Problem, RecordBuilder
from centerx.errors import InputError, nearest
from centerx.images import SUFFIXES

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def recognises(path: Path) -> bool:
    """Whether the folder, or a folder in it, holds xml files."""
    return path.is_dir() and _annotations(path) is not None


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read `Annotations` (or whichever folder holds the xml files), all or those of `ImageSets/Main/<split>.txt`.

    Difficult objects become ignored ones. The classes are those found in all files, not only in the split's.
    """
    folder = _annotations(path)
    assert folder is not None
    problems: list[Problem] = []
    files = sorted(folder.glob("*.xml"))
    chosen = None if split is None else _split_names(path, split)
    found = {}
    for file in files:
        try:
            found[file.stem] = (file, parse(file).getroot())
        except (ParseError, DefusedXmlException, ValueError) as error:
            problems.append(Problem(str(file), f"malformed XML ({error})", "fatal"))
    objects = [(name, node) for name, (_, root) in found.items() for node in root.iter("object")]
    names = tuple(sorted({_text(node, "name") for _, node in objects} - {""}))
    folders = [images] if images else [path / "JPEGImages", path / "images", folder, folder.parent, path / "Images",
                                       folder.parent / "images", folder.parent.parent / "images"]  # fmt: skip
    index = _index([each for each in folders if each.is_dir()])
    records = []
    for name in found if chosen is None else chosen:
        if name not in found:
            if not (folder / f"{name}.xml").is_file():
                problems.append(Problem(f"{path}: split {split}", f"{name}: no such xml file", "skipped"))
            continue
        file, root = found[name]
        builder = RecordBuilder(_picture(index, folders[0], _text(root, "filename"), name), name, problems)
        for number, node in enumerate(root.iter("object"), start=1):
            _add(builder, f"{file}: object {number}", node, names)
        records.append(builder.build())
    return Dataset(path, "voc", names, tuple(range(1, len(names) + 1)), records, problems)


def _add(builder: RecordBuilder, where: str, node: Any, names: tuple[str, ...]) -> None:
    name, box = _text(node, "name"), node.find("bndbox")
    try:
        xyxy = [float(_text(box, corner)) for corner in CORNERS]
    except ValueError:
        builder.problems.append(Problem(where, "has no bndbox of four numbers", "skipped"))
        return
    if not name:
        builder.problems.append(Problem(where, "has no name", "skipped"))
        return
    builder.add(where, xyxy, names.index(name), ignore=_text(node, "difficult") == "1")


def _annotations(path: Path) -> Path | None:
    candidates = [path / "Annotations", path, *sorted(p for p in path.iterdir() if p.is_dir())] if path.is_dir() else []
    return next((folder for folder in candidates if any(folder.glob("*.xml"))), None)


def _split_names(path: Path, split: str) -> list[str]:
    folder = path / "ImageSets" / "Main"
    file = folder / f"{split}.txt"
    if not file.is_file():
        known = sorted(each.stem for each in folder.glob("*.txt"))
        raise InputError(f"{path}: no split {split!r}{nearest(split, known)}, there are: {', '.join(known) or 'none'}")
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _index(folders: list[Path]) -> dict[str, Path]:
    """Pictures by file name and by stem, the first folder's first."""
    index: dict[str, Path] = {}
    for folder in folders:
        for picture in sorted(folder.iterdir()):
            if picture.suffix.lower() in SUFFIXES:
                index.setdefault(picture.name, picture)
                index.setdefault(picture.stem, picture)
    return index


def _picture(index: dict[str, Path], folder: Path, file_name: str, stem: str) -> Path:
    named = Path(file_name.replace("\\", "/")).name
    return index.get(named) or index.get(stem) or folder / (named or f"{stem}.jpg")


def _text(node: Any, tag: str) -> str:
    child = node.find(tag) if node is not None else None
    return (child.text or "").strip() if child is not None else ""
