"""YOLO: one txt a picture, each line a class number and a box relative to the picture's size."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from centerx.data.dataset import Dataset, RecordBuilder, UnusableData, parent_folder
from centerx.errors import InputError, nearest
from centerx.images import SUFFIXES, image_hw, list_images
from centerx.problems import Kind, Problem

YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAME_FILES = ("classes.txt", "obj.names", "*.names")
SPLITS = ("train", "val", "valid", "test")
NO_SPLITS = ("path", "names", "download")
OTHER_NAME = {"val": "valid", "valid": "val"}
MOST_CLASSES = 10_000  # where classes are only numbered: a slip in one number must not make millions


class _Listing(NamedTuple):
    """What there is to read: class names by number, and pictures, each with the place of its label file."""

    names: dict[int, str]
    pictures: list[tuple[Path, Path]]
    has_keypoints: bool = False


class _Row(NamedTuple):
    where: str
    number: int
    values: list[float]


def recognises(path: Path) -> bool:
    """Whether this is a data.yaml, a folder with one, or a folder of label files with class names or `labels`."""
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    return _first(path, YAML_FILES) is not None or _has_names(path) or _is_bare(path)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a split of a `data.yaml`, or a folder of pictures and label files.

    Polygons become the box around them. A picture without a label file has no objects. Without class names the
    classes are called by their numbers.
    """
    file = path if path.is_file() else _first(path, YAML_FILES)
    problems: list[Problem] = []
    listing = _from_yaml(file, split, images, problems) if file else _from_folder(path, split, images)
    if listing.pictures and not any(label_file.is_file() for _, label_file in listing.pictures):
        first = listing.pictures[0]
        raise UnusableData(path, f"none of the pictures has a label file, {first[0]} should have {first[1]}")
    problems += _strays(listing.pictures)
    listed = Counter(listing.pictures)
    for (picture, _), count in listed.items():
        if count > 1:
            problems.append(Problem(Kind.REPEATED_PICTURE, str(picture), f"listed {count} times, used once"))
    rows = [_rows(label_file, problems) for _, label_file in listed]
    names = listing.names
    if not names:
        numbers = (row.number for some in rows for row in some)
        count = 1 + max((number for number in numbers if number < MOST_CLASSES), default=-1)
        names = {number: str(number) for number in range(count)}
        problems.append(
            Problem(Kind.NUMBERED_CLASSES, str(path), f"no class names: the {count} classes are called by number")
        )
    class_names = tuple(dict.fromkeys(names.values()))
    label_of = {number: class_names.index(name) for number, name in names.items()}
    ids = {name: number for number, name in reversed(names.items())}  # of numbers that share a name, the first
    home = path.parent if path.is_file() else path
    records = []
    for (picture, label_file), some in zip(listed, rows, strict=True):
        image_id = picture.relative_to(home).as_posix() if picture.is_relative_to(home) else str(picture)
        builder = RecordBuilder(picture, image_id, problems)
        if some:
            _add_rows(builder, label_file, some, label_of, listing.has_keypoints)
        records.append(builder.build())
    return Dataset(path, "yolo", class_names, tuple(ids[name] for name in class_names), records, problems)


def load_yaml(file: Path) -> dict[Any, Any]:
    """Read a data.yaml as it stands.

    Raises:
        UnusableData: it is not YAML, or not a mapping.
    """
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnusableData(file, f"malformed YAML ({' '.join(str(error).split())})") from None
    if not isinstance(tree, dict):
        raise UnusableData(file, "not a YOLO data set, a mapping with `names` and splits is needed")
    return tree


def _rows(file: Path, problems: list[Problem]) -> list[_Row]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    except UnicodeDecodeError:
        problems.append(Problem(Kind.UNREADABLE_LABELS, str(file), "not a text file"))
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"not numbers: {line.strip()}"))
            continue
        if values and values[0].is_integer():
            rows.append(_Row(where, int(values[0]), values[1:]))
        elif values:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"class {values[0]:g} is not a whole number"))
    return rows


def _add_rows(
    builder: RecordBuilder, file: Path, rows: Sequence[_Row], label_of: dict[int, int], has_keypoints: bool
) -> None:
    try:
        height, width = builder.declared_hw = image_hw(builder.image)
    except InputError as error:
        builder.problems.append(Problem(Kind.UNREADABLE_PICTURE, str(file), f"its picture's size is unknown ({error})"))
        return
    for where, number, values in rows:
        box = _relative_box(values[:4] if has_keypoints else values)
        if number not in label_of:
            what = f"class {number} is none of the {len(label_of)} classes"
            builder.problems.append(Problem(Kind.UNKNOWN_REFERENCE, where, what))
        elif box is None:
            builder.problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"{len(values)} coordinates, 4 are needed"))
        else:
            xyxy = [value * side for value, side in zip(box, (width, height) * 2, strict=True)]
            builder.add(where, xyxy, label_of[number])


def _relative_box(values: Sequence[float]) -> list[float] | None:
    """Corners of a centre and a size, or of the points of a polygon."""
    if len(values) == 4:
        x, y, width, height = values
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(values) >= 6 and len(values) % 2 == 0:
        return [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    return None


def _from_yaml(file: Path, split: str | None, images: Path | None, problems: list[Problem]) -> _Listing:
    tree = load_yaml(file)
    roots = [file.parent / str(tree.get("path") or ""), file.parent]
    if images:
        labelled = _with_labels(file.parent, images, _split_pictures(file.parent, images, split))
    else:
        places = [_place(file, source, roots) for source in _sources(file, tree, roots, split)]
        pictures = [picture for place in places for picture in _pictures(place, roots)]
        labelled = [(picture, _label_file(picture)) for picture in pictures]
    names = _names(file, tree)
    if tree.get("nc") not in (None, len(names)):
        what = f"nc is {tree['nc']}, but there are {len(names)} names; the names count"
        problems.append(Problem(Kind.CLASS_COUNT, str(file), what))
    return _Listing(names, labelled, has_keypoints="kpt_shape" in tree)


def _names(file: Path, tree: dict[Any, Any]) -> dict[int, str]:
    names: Any = tree.get("names")
    count = tree.get("nc")
    if names is None and isinstance(count, int) and count <= MOST_CLASSES:
        names = list(range(count))
    if isinstance(names, list):
        names = dict(enumerate(names))
    try:
        return {int(number): str(names[number]) for number in sorted(names)}
    except (TypeError, ValueError):
        raise UnusableData(file, f"not a YOLO data set, `names` must list the classes, not {names!r}") from None


def _sources(file: Path, tree: dict[Any, Any], roots: Sequence[Path], split: str | None) -> list[str]:
    """The folders and lists of a split; other splits than the usual ones are known by what is there."""
    known: dict[str, list[str]] = {}
    for key, value in tree.items():
        sources = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        if key in NO_SPLITS or not sources or not all(isinstance(each, str) for each in sources):
            continue
        if key in SPLITS or _locate(sources[0], roots, least=2):
            known[str(key)] = sources
    if not known:
        raise UnusableData(file, "not a YOLO data set, it names no folder or list of pictures that is there")
    there = ", ".join(known)
    if split is None and len(known) != 1:
        raise InputError(f"{file}: which split of {there}? name one with split")
    wanted = next(iter(known)) if split is None else split if split in known else OTHER_NAME.get(split, split)
    if wanted not in known:
        raise InputError(f"{file}: no split {split!r}{nearest(wanted, known)}, there are: {there}")
    return known[wanted]


def _place(file: Path, source: str, roots: Sequence[Path]) -> Path:
    found = _locate(source, roots, least=2)
    if found is None:
        raise UnusableData(file, f"{source}: no such file or folder")
    return found


def _pictures(place: Path, roots: Sequence[Path]) -> list[Path]:
    if place.is_dir():
        return list_images(place)
    return [_locate(name, [place.parent, *roots], least=1) or place.parent / name for name in _lines(place)]


def _locate(name: str, roots: Sequence[Path], least: int) -> Path | None:
    """Find what a data set names by a path of the machine it was made on: leading parts may have to go.

    Args:
        name: as written. roots: where it may lie.
        least: of its last parts to keep, so that `train/images` is not taken for any other `images`.
    """
    tails = [name, *_tails(name, least)]
    return next((root / tail for tail in tails for root in roots if os.path.exists(root / tail)), None)


def _tails(name: str, least: int) -> list[str]:
    """`a/b/c` -> a/b/c, b/c, c, but no shorter than `least` parts."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return ["/".join(parts[start:]) for start in range(max(1, len(parts) - least + 1))]


def _label_file(picture: Path) -> Path:
    """`.../images/.../a.jpg` -> `.../labels/.../a.txt`, or beside the picture."""
    beside = picture.with_suffix(".txt")
    folders = picture.parent.parts
    if "images" not in folders:
        return beside
    at = len(folders) - 1 - folders[::-1].index("images")
    apart = Path(*folders[:at], "labels", *folders[at + 1 :], beside.name)
    return beside if beside.is_file() and not apart.is_file() else apart


def _from_folder(path: Path, split: str | None, images: Path | None) -> _Listing:
    """Pictures and label files by equal relative path or, failing that, equal name."""
    above = parent_folder(path)
    near = [path / "images", path, above / "images", parent_folder(above) / "images"]
    root = images or next((folder for folder in near if list_images(folder)), path)
    names_file = _first(path, NAME_FILES)
    lines = _text(names_file).splitlines() if names_file else []
    names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return _Listing(names, _with_labels(path, root, _split_pictures(path, root, split)))


def _split_pictures(path: Path, root: Path, split: str | None) -> list[Path]:
    if split is None or (root / split).is_dir():
        return list_images(root / (split or ""))
    listed = path / f"{split}.txt"
    if not listed.is_file():
        raise InputError(f"{path}: no split {split!r}, there is neither a folder {root / split} nor a list {listed}")
    found: dict[str, Path] = {}
    for picture in list_images(root):
        found[picture.relative_to(root).as_posix()] = picture
        found.setdefault(picture.name, picture)
    return [
        next((found[tail] for tail in _tails(name, least=1) if tail in found), root / name) for name in _lines(listed)
    ]


def _with_labels(path: Path, root: Path, pictures: Sequence[Path]) -> list[tuple[Path, Path]]:
    base = path / "labels" if (path / "labels").is_dir() else path
    named: dict[str, list[Path]] = {}
    for file in sorted(base.rglob("*.txt")):
        named.setdefault(file.stem, []).append(file)
    labelled = []
    for picture in pictures:
        places = [_label_file(picture)]
        if picture.is_relative_to(root):
            places.append((base / picture.relative_to(root)).with_suffix(".txt"))
        choice = next((place for place in places if place.is_file()), None)
        if choice is None:
            choice, *others = named.get(picture.stem, places[:1])
            if others:
                raise UnusableData(path, f"{choice} and {others[0]} may both belong to {picture}")
        labelled.append((picture, choice))
    return labelled


def _strays(pictures: Sequence[tuple[Path, Path]]) -> list[Problem]:
    """Label files in the folders `labels` that are in use to which no picture belongs."""
    homes: dict[Path, set[Path]] = {}
    for picture, file in pictures:
        if "labels" in file.parent.parts and file.parent != picture.parent:
            homes.setdefault(file.parent, set()).add(picture.parent)
    problems = []
    for labels, folders in homes.items():
        beside = (each for folder in folders if folder.is_dir() for each in folder.iterdir())
        stems = {each.stem for each in beside if each.suffix.lower() in SUFFIXES}
        stems |= {picture.stem for picture, file in pictures if file.parent == labels}
        for file in sorted(labels.glob("*.txt")):
            if file.stem not in stems and not any(map(file.match, NAME_FILES)):
                problems.append(Problem(Kind.LABELS_WITHOUT_PICTURE, str(file), "there is no picture of this name"))
    return problems


def _has_names(path: Path) -> bool:
    names_file = _first(path, NAME_FILES)
    return names_file is not None and any(file != names_file for file in path.rglob("*.txt"))


def _is_bare(path: Path) -> bool:
    folders = path / "images", path / "labels"
    return (
        all(folder.is_dir() for folder in folders)
        and any(folders[1].rglob("*.txt"))
        and not (path / "Annotations").is_dir()
    )


def _first(folder: Path, patterns: Sequence[str]) -> Path | None:
    return next((file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()), None)


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="replace")
