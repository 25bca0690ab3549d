"""Read Pascal VOC: one xml file per picture, with lists of names as splits.

Corners are read as continuous coordinates, as current tools write them, and not as pixel numbers from 1, as in VOC2007.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from centerx.data.dataset import Dataset, RecordBuilder, join_records, parent_folder, span, turned_corners
from centerx.data.places import letters_of, without_labels
from centerx.data.records import Records
from centerx.data.text import read_text
from centerx.data.values import to_flag, to_hw, to_number
from centerx.errors import InputError, nearest
from centerx.images import list_images
from centerx.problems import Kind, Problem

CORNERS = ("xmin", "ymin", "xmax", "ymax")
LABEL_MAP = "labelmap.txt"  # list of classes of CVAT: `name:colour:parts:actions`
BACKGROUND = "background"
ANNOTATIONS = "annotations"  # name of the folder in lower case


class _Object(NamedTuple):
    name: str
    xyxy: list[float] | None
    difficult: bool | None  # None where it is no flag
    corners: list[float] | None  # of a rotated box


class _Annotation(NamedTuple):
    file: Path
    picture: str
    hw: tuple[int, int] | None
    objects: list[_Object]


def recognises(path: Path) -> bool:
    """Return whether a folder or one of its subfolders contains xml files."""
    return path.is_dir() and bool(_annotation_folders(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read the xml files of `Annotations` or of another folder: all, or those of `ImageSets/Main/<split>.txt`.

    Difficult objects are ignored ones. The classes are those of `labelmap.txt`, followed by those found in all xml
    files, also of other splits.
    """
    folder = _choose_folder(path, split)
    root = parent_folder(path) if path.name.lower() == ANNOTATIONS else path  # other files beside the xml files
    problems: list[Problem] = []
    files: dict[str, Path] = {}
    for file in _xml_files(folder):
        first = files.setdefault(file.relative_to(folder).with_suffix("").as_posix(), file)
        if first != file:
            what = f"is of the same picture as {first.name}, which is read"
            problems.append(Problem(Kind.REPEATED_ID, str(file), what))
    parsed = {name: _parse(file, problems) for name, file in files.items()}
    annotations = {name: annotation for name, annotation in parsed.items() if annotation}
    names = _class_names(root, annotations.values(), problems)
    whole = split is None or folder == path / split
    chosen = list(annotations) if whole else _split_names(path, str(split), folder, files, problems)
    for name, count in Counter(chosen).items():
        if count > 1:
            what = f"{name}: listed {count} times, used once"
            problems.append(Problem(Kind.REPEATED_PICTURE, f"{path}: split {split}", what))
    pictures, own_names = _Pictures(root, folder, images), {Path(name).name for name in files}
    records = Records()
    for name in dict.fromkeys(chosen):
        annotation = annotations.get(name)
        if not annotation:
            if name not in files:  # otherwise a fatal problem is reported already
                what = f"{name}: no such xml file"
                problems.append(Problem(Kind.UNKNOWN_REFERENCE, f"{path}: split {split}", what))
            continue
        picture = pictures.find(annotation, name, own_names, problems)
        builder = RecordBuilder(picture, name, problems, annotation.hw)
        for number, each in enumerate(annotation.objects, start=1):
            where = f"{annotation.file}: object {number}"
            if not each.name:
                problems.append(Problem(Kind.MALFORMED_ENTRY, where, "has no name"))
            elif each.xyxy is None:
                problems.append(Problem(Kind.MALFORMED_ENTRY, where, "has no bndbox of four numbers"))
            elif each.difficult is None:
                problems.append(Problem(Kind.MALFORMED_ENTRY, where, "difficult must be 0 or 1"))
            else:
                builder.add(where, each.xyxy, names.index(each.name), each.difficult, corners=each.corners)
                if each.corners:
                    what = "is turned (robndbox): tasks without corners use the upright box around it"
                    problems.append(Problem(Kind.ROTATED_BOX, where, what))
        records.append(builder.build())
    if split is None and images is None:
        found = without_labels(pictures.index.values(), [record.image for record in records])
        problems.extend(filter(None, [found]))
    ids = tuple(range(1, len(names) + 1))
    return Dataset(path, "voc", names, ids, join_records(records, problems), problems)


class _Pictures:
    """The pictures of the xml files. The first folder that has a picture is used."""

    def __init__(self, path: Path, folder: Path, images: Path | None) -> None:
        above = parent_folder(path)
        near = [path / "JPEGImages", path / "images", path / "Images", folder, parent_folder(folder)]
        near += [each / name for each in (above, parent_folder(above)) for name in ("JPEGImages", "images")]
        self.folders = [images] if images else near
        deep = {images, folder, *near[:3]}  # folders above may contain anything
        self.index: dict[str, Path] = {}
        self.twins: dict[Path, Path] = {}  # picture found by its stem -> another one of the same stem
        for place in self.folders:
            for picture in list_images(place, deep=place in deep) if place.is_dir() else ():
                nested = picture.relative_to(place) if picture.parent != place else None
                paths = (str(nested), str(nested.with_suffix(""))) if nested else ()
                for key in (*paths, picture.name):
                    self.index.setdefault(key, picture)
                first = self.index.setdefault(picture.stem, picture)
                if first != picture and place in deep:
                    self.twins.setdefault(first, picture)

    @cached_property
    def by_letters(self) -> dict[str, Path]:
        """The pictures by their names, regardless of case and Unicode normal form."""
        return {letters_of(key): picture for key, picture in reversed(self.index.items())}

    def find(self, annotation: _Annotation, name: str, own_names: Container[str], problems: list[Problem]) -> Path:
        """Return the picture with the name of the xml file or, if there is none, the one that the file names.

        Copied or renamed xml files often keep the name of another picture. The picture with the xml file's own name is
        therefore preferred, and a picture that has its own xml file is not used for another.

        Args:
            annotation: content of the xml file.
            name: path of the xml file without suffix, relative to the folder of all.
            own_names: names of all xml files, without folders and suffixes.
            problems: list to which contradictions are appended.

        Returns:
            The path of the picture. If nothing is found, it is the path where the picture should be.
        """
        named = Path(annotation.picture.replace("\\", "/")).name
        stem = Path(name).name
        by_name = self.index.get(named) or self.by_letters.get(letters_of(named))
        exact = self.index.get(name)
        own = exact or self.index.get(stem) or self.by_letters.get(letters_of(stem))
        if own is None and by_name is not None and by_name.stem != stem and by_name.stem in own_names:
            what = f"has no picture of its name, and {named!r}, which it names, is another xml's; it is left without"
            problems.append(Problem(Kind.CONTRADICTING_NAME, str(annotation.file), what))
            return self.folders[0] / f"{stem}.jpg"
        if own is None:
            return by_name or self.folders[0] / (named or f"{stem}.jpg")
        if by_name is not None and by_name.stem == own.stem and named == by_name.name != own.name:
            return by_name  # of pictures with the same stem, that with the suffix in the xml file
        where = str(annotation.file)
        if named and letters_of(Path(named).stem) != letters_of(own.stem):
            what = f"names the picture {named!r}, but {own} has its name and is used"
            problems.append(Problem(Kind.CONTRADICTING_NAME, where, what))
        elif (
            own in self.twins
            and not ("/" in name and exact)
            and (named != own.name or self.twins[own].name == own.name)
        ):
            what = f"its picture may be {own}, which is used, or {self.twins[own]}"
            problems.append(Problem(Kind.TWO_PLACES, where, what))
        return own


def _parse(file: Path, problems: list[Problem]) -> _Annotation | None:
    if not file.is_file():  # a pipe, of which reading would wait for ever
        problems.append(Problem(Kind.UNREADABLE_LABELS, str(file), "no ordinary file"))
        return None
    try:
        root = parse(file).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        problems.append(Problem(Kind.UNREADABLE_LABELS, str(file), f"malformed XML ({error})"))
        return None
    if root.tag != "annotation":
        problems.append(
            Problem(Kind.UNREADABLE_LABELS, str(file), f"not Pascal VOC: <annotation> is needed, not <{root.tag}>")
        )
        return None
    objects = [_object(node) for node in root.findall("object")]
    size = root.find("size")
    hw = to_hw(_number(size, "height"), _number(size, "width"))
    return _Annotation(file, _text(root, "filename"), hw, objects)


def _object(node: Any) -> _Object:
    turned = node.find("robndbox") if node.find("bndbox") is None else None
    corners = None if turned is None else _turned(turned)
    xyxy = _corners(node.find("bndbox")) if turned is None else corners and span(corners)
    return _Object(_text(node, "name"), xyxy, to_flag(_text(node, "difficult")), corners)


def _turned(box: Any) -> list[float] | None:
    """Return the corners of a rotated box of roLabelImg, given by centre, sides and angle in radians."""
    values = [_number(box, tag) for tag in ("cx", "cy", "w", "h", "angle")]
    if None in values:
        return None
    x, y, width, height, angle = values
    return turned_corners((x, y), (width, height), angle)  # type: ignore[arg-type]


def _corners(box: Any) -> list[float] | None:
    corners = [_number(box, corner) for corner in CORNERS]
    return None if None in corners else corners  # type: ignore[return-value]


def _number(node: Any, tag: str) -> float | None:
    return to_number(_text(node, tag))


def _text(node: Any, tag: str) -> str:
    child = node.find(tag) if node is not None else None
    return (child.text or "").strip() if child is not None else ""


def _class_names(path: Path, annotations: Iterable[_Annotation], problems: list[Problem]) -> tuple[str, ...]:
    found = {each.name for annotation in annotations for each in annotation.objects} - {""}
    file = path / LABEL_MAP
    lines = read_text(file, problems).splitlines() if file.is_file() else []
    declared = [line.rsplit(":", 3)[0] for line in lines if line.strip() and not line.startswith("# label:")]
    declared = [name for name in declared if name != BACKGROUND or name in found]
    return tuple(dict.fromkeys([*declared, *sorted(found)]))


def _xml_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() == ".xml")


def _annotation_folders(path: Path) -> list[Path]:
    """Return `Annotations` and its subfolders, or the folder of the xml files, or all subfolders with xml files."""
    inside = sorted(path.iterdir())
    for folder in (path, *inside):
        if folder.name.lower() == ANNOTATIONS and folder.is_dir() and _holds_xml(folder.rglob("*")):
            return [folder]
    if _holds_xml(inside):
        return [path]
    return [folder for folder in inside if folder.is_dir() and _holds_xml(folder.iterdir())]


def _holds_xml(files: Iterable[Path]) -> bool:
    return any(file.suffix.lower() == ".xml" for file in files)


def _choose_folder(path: Path, split: str | None) -> Path:
    folders = _annotation_folders(path)
    if len(folders) == 1:
        return folders[0]
    named = [folder for folder in folders if folder.name == split]
    if not named:
        raise InputError(f"{path}: which of {', '.join(folder.name for folder in folders)}? name one with split")
    return named[0]


def _split_names(
    path: Path, split: str, folder: Path, known_names: Collection[str], problems: list[Problem]
) -> list[str]:
    """Return the names in the list of a split. The list may have a second column for the presence of a class."""
    home = path if (path / "ImageSets").is_dir() else parent_folder(folder)
    lists = home / "ImageSets" / "Main"
    file = lists / f"{split}.txt"
    if not file.is_file():
        known = sorted(each.stem for each in lists.glob("*.txt"))
        raise InputError(f"{path}: no split {split!r}{nearest(split, known)}, there are: {', '.join(known) or 'none'}")
    lines = [line.strip() for line in read_text(file, problems).splitlines()]
    words = [line if line in known_names else line.split()[0] for line in lines if line]
    nested: dict[str, list[str]] = {}
    for name in known_names:
        nested.setdefault(Path(name).name, []).append(name)
    return [nested[word][0] if word not in known_names and len(nested.get(word, ())) == 1 else word for word in words]
