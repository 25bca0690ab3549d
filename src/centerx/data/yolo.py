"""Read YOLO: one txt file per picture; each line has a class number and a box relative to the size of the picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from centerx.data.dataset import Dataset, RecordBuilder, UnusableData, parent_folder
from centerx.data.records import Records
from centerx.data.text import decode
from centerx.data.yolo_joints import JointRows, joint_rows, read_joints
from centerx.data.yolo_names import (
    MOST_CLASSES,
    NAME_FILES,
    Names,
    data_yamls,
    files_like,
    load_yaml,
    names_near,
    numbered,
    other_names,
)
from centerx.data.yolo_places import (
    LABEL_SUFFIXES,
    SPLITS,
    beside_picture,
    label_file,
    lines_of,
    pictures_of,
    places,
    splits,
    stem,
    tails,
    tell_elsewhere,
    with_alike_labels,
)
from centerx.data.yolo_rows import TASKS, Reading, Row, judge, looks_like_rows, parse_rows
from centerx.errors import InputError
from centerx.images import SUFFIXES, image_hw, list_files, list_images, list_names
from centerx.problems import Kind, Problem

PROBE = 20  # text files that are read to recognise a folder of label files


class _Listing(NamedTuple):
    """Paths of the pictures to read, each with that of its label file, and facts of the data.yaml.

    The facts are the class names, or the number of classes without names, the task of the rows, and what the data.yaml
    says beside.
    """

    pictures: list[tuple[str, str]]
    names: Names | None = None
    num_classes: int = 0
    task: str | None = None
    tree: Mapping[Any, Any] = {}


class _Tally:
    """Counts problems that can be in every row, grouped by what they have in common. The first stands for its group."""

    def __init__(self) -> None:
        self.found: dict[Hashable, Problem] = {}

    def add(self, kind: Kind, where: str, what: str, common: Hashable) -> None:
        before = self.found.get((kind, common))
        self.found[kind, common] = before._replace(times=before.times + 1) if before else Problem(kind, where, what)


def recognises(path: Path) -> bool:
    """Return whether a path is a data.yaml, a folder with one, or a folder of label files."""
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    return bool(data_yamls(path)) or _has_names(path) or _is_bare(path)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a split of a `data.yaml`, or a folder of pictures and label files.

    Polygons become the boxes around them. Further values after a box are ignored. A picture without a label file has no
    objects. If there are no class names, in the data.yaml or a file near the labels, classes are named by their
    numbers.
    """
    problems: list[Problem] = []
    listing = _list(path, split, images, problems)
    listing = listing._replace(pictures=with_alike_labels(listing.pictures, problems))
    if listing.pictures and not any(os.path.lexists(file) for _, file in listing.pictures):
        picture, file = listing.pictures[0]
        raise UnusableData(path, f"none of the pictures has a label file, {picture} should have {file}")
    problems += _strays(listing.pictures)
    listed = list(dict.fromkeys(listing.pictures))
    if len(listed) < len(listing.pictures):
        for (picture, _), count in Counter(listing.pictures).items():
            if count > 1:
                problems.append(Problem(Kind.REPEATED_PICTURE, picture, f"listed {count} times, used once"))
    tally = _Tally()
    texts: list[str] = []  # parsed again below: rows take ten times the memory
    used: set[int] = set()
    longer: list[list[float]] = []
    for picture, file in listed:
        texts.append(_text(Path(file), problems, tally))
        rows, wrong = parse_rows(texts[-1])
        for line, what in wrong:
            tally.add(Kind.MALFORMED_ENTRY, f"{file}:{line}", what, file)
        used.update(row.number for row in rows)
        longer += [row.values for row in rows if len(row.values) > 4]
        _tell_beside(picture, file, rows, tally)
    folders = list(dict.fromkeys(Path(file).parent for _, file in listed))
    problems += _broken_folders(folders)
    names = _names(path, listing, folders, used, problems)
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    if repeated:
        numbers = " and ".join(str(number) for number, name in names.items() if name == repeated[0])
        what = f"{repeated[0]!r} is the name of {numbers}, which are one class"
        problems.append(Problem(Kind.REPEATED_CLASS, str(path), what, len(repeated)))
    class_names = tuple(dict.fromkeys(names.values()))
    label_of = {number: class_names.index(name) for number, name in names.items()}
    ids = {name: number for number, name in reversed(names.items())}  # the first of several numbers with one name
    reading = judge(longer, listing.task)
    jointed = joint_rows(listing.tree, reading, path, problems)
    joints = read_joints(listing.tree, jointed, class_names, path, problems)
    home = path.parent if path.is_file() else path
    records = Records()
    for (picture, file), text in zip(listed, texts, strict=True):
        image = Path(picture)
        image_id = image.relative_to(home).as_posix() if image.is_relative_to(home) else str(image)
        builder = RecordBuilder(image, image_id, problems)
        rows, _ = parse_rows(text)
        if rows:
            _add_rows(builder, file, rows, label_of, reading, jointed, tally)
        records.append(builder.build())
    problems += tally.found.values()
    category_ids = tuple(ids[name] for name in class_names)
    return Dataset(path, "yolo", class_names, category_ids, records, problems, joints=joints)


def _list(path: Path, split: str | None, images: Path | None, problems: list[Problem]) -> _Listing:
    if path.is_file():
        return _from_yaml(path, split, images, problems)
    files = data_yamls(path)
    if len(files) > 1:
        raise InputError(f"{path}: which of {', '.join(file.name for file in files)}? give the path of one")
    if not files:
        return _from_folder(path, split, images, problems)
    return _from_yaml(files[0], split, images, problems, path)


def _text(file: Path, problems: list[Problem], tally: _Tally) -> str:
    if not file.is_file():
        if os.path.lexists(file):
            problems.append(Problem(Kind.UNREADABLE_LABELS, str(file), "a link to nothing, or no ordinary file"))
        return ""
    try:
        text, encoding = decode(file)
    except UnusableData as error:
        problems.append(error.problem)
        return ""
    except OSError as error:
        problems.append(Problem(Kind.UNREADABLE_LABELS, str(file), str(error.strerror)))
        return ""
    if encoding != "UTF-8":
        tally.add(Kind.DECODED_TEXT, str(file), f"not UTF-8, read as {encoding}", encoding)
    return text


def _tell_beside(picture: str, file: str, rows: Sequence[Row], tally: _Tally) -> None:
    """Report labels beside a picture that contradict those that are read."""
    beside = Path(beside_picture(picture))
    if str(beside) == file or not os.path.isfile(file) or not _looks_like_labels(beside) or beside.samefile(file):
        return
    others, _ = parse_rows(decode(beside)[0])
    if sorted(row[1:] for row in others) != sorted(row[1:] for row in rows):
        tally.add(Kind.TWO_PLACES, str(beside), f"other labels than those of {file}, which are read", beside.parent)


def _add_rows(
    builder: RecordBuilder,
    file: str,
    rows: Sequence[Row],
    label_of: dict[int, int],
    reading: Reading,
    jointed: JointRows,
    tally: _Tally,
) -> None:
    try:
        height, width = builder.declared_hw = image_hw(builder.image)
    except InputError as error:
        builder.problems.append(Problem(Kind.UNREADABLE_PICTURE, str(file), f"its picture's size is unknown ({error})"))
        return
    for line, number, values in rows:
        where = f"{file}:{line}"
        box = reading.corners(values)
        if number not in label_of:
            tally.add(Kind.UNKNOWN_REFERENCE, where, f"class {number} is none of the {len(label_of)} classes", number)
        elif isinstance(box, str):
            tally.add(Kind.MALFORMED_ENTRY, where, box, file)
        else:
            own_joints = jointed.joints(values, width, height)
            if len(values) > 4 and own_joints is None:
                kind, what = reading.repair(values)
                tally.add(kind, where, what, reading)
            xyxy = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
            corners = reading.quadrilateral(values)
            scaled = corners and [value * (height if place % 2 else width) for place, value in enumerate(corners)]
            builder.add(where, xyxy, label_of[number], corners=scaled, joints=own_joints)


def _from_yaml(
    file: Path, split: str | None, images: Path | None, problems: list[Problem], folder: Path | None = None
) -> _Listing:
    """List pictures as a data.yaml names them; if it names none, those of the folder that was asked for."""
    tree = load_yaml(file, problems)
    names, count = _declared(file, tree, problems)
    if folder and not splits(file, tree) and not tree.keys() & set(SPLITS):
        labelled = _from_folder(folder, split, images, problems).pictures
    elif images:
        labelled = _with_labels(file.parent, images, _split_pictures(file.parent, images, split, problems))
    else:
        found = places(file, tree, split, problems)
        pictures = [picture for place in found for picture in pictures_of(file, tree, place, problems)]
        labelled = [(picture, label_file(picture)) for picture in pictures]
    return _Listing(labelled, names, count, _task(tree), tree)


def _task(tree: dict[Any, Any]) -> str | None:
    """Return the task of the rows in a data.yaml, None if it has none."""
    return "pose" if "kpt_shape" in tree else next((task for task in TASKS if tree.get("task") == task), None)


def _declared(file: Path, tree: dict[Any, Any], problems: list[Problem]) -> tuple[Names | None, int]:
    """Return the class names of a data.yaml and the number of classes that it declares."""
    names, count = tree.get("names"), tree.get("nc")
    counted = count if isinstance(count, int) and 0 < count <= MOST_CLASSES else 0
    if not names:
        if not counted:
            raise UnusableData(file, "not a YOLO data set, `names` must list the classes")
        return None, counted
    if count is not None and count != len(names):
        what = f"nc is {counted or 'no such number'}, but there are {len(names)} names; the names count"
        problems.append(Problem(Kind.CLASS_COUNT, str(file), what))
    return Names(file, names), 0


def _names(
    path: Path, listing: _Listing, folders: Sequence[Path], used: Collection[int], problems: list[Problem]
) -> dict[int, str]:
    """Return class names: those of the data.yaml, else of a file near the labels, else numbers."""
    home = path.parent if path.is_file() else path
    if listing.names:
        other_names(listing.names, dict.fromkeys([home, *folders]), problems)
        return listing.names.by_number
    count = listing.num_classes or 1 + max((number for number in used if number < MOST_CLASSES), default=-1)
    names = names_near(home, folders, [number for number in used if 0 <= number < count], problems)
    if not names:
        names = numbered(count)
        called = ", ".join(names.values()) if count < 6 else f"0, 1, ... {count - 1}"
        problems.append(
            Problem(Kind.NUMBERED_CLASSES, str(path), f"no class names: the {count} classes are called {called}")
        )
    return names


def _broken_folders(folders: Sequence[Path]) -> list[Problem]:
    """Report folders of label files that are broken links."""
    every = dict.fromkeys(above for folder in folders for above in (folder, *folder.parents))
    broken = [folder for folder in every if os.path.islink(folder) and not os.path.exists(folder)]
    return [Problem(Kind.UNREADABLE_LABELS, str(folder), "a link to nothing") for folder in broken]


def _from_folder(path: Path, split: str | None, images: Path | None, problems: list[Problem]) -> _Listing:
    """List pictures and label files with the same relative path or, if there is none, the same name."""
    above = parent_folder(path)
    near = [path / "images", path, above / "images", parent_folder(above) / "images"]
    root = images or next((folder for folder in near if list_images(folder)), path)
    return _Listing(_with_labels(path, root, _split_pictures(path, root, split, problems)))


def _split_pictures(path: Path, root: Path, split: str | None, problems: list[Problem]) -> list[str]:
    if split is None or (root / split).is_dir():
        folder = root / (split or "")
        return [os.path.join(folder, name) for name in list_names(folder, SUFFIXES)]
    listed = path / f"{split}.txt"
    if not listed.is_file():
        raise InputError(f"{path}: no split {split!r}, there is neither a folder {root / split} nor a list {listed}")
    found: dict[str, str] = {}
    for name in list_names(root, SUFFIXES):
        found[name] = os.path.join(root, name)
        found.setdefault(os.path.basename(name), found[name])
    pictures: list[str] = []
    elsewhere: list[tuple[str, Path | str]] = []
    for name in lines_of(listed, problems):
        whole, *ends = tails(name, least=1)
        end = next((each for each in ends if each in found), None)
        if whole not in found and end:
            elsewhere.append((name, found[end]))
        pictures.append(found.get(whole) or found.get(end or "") or str(root / name))
    tell_elsewhere(listed, elsewhere, problems)
    return pictures


def _with_labels(path: Path, root: Path, pictures: Sequence[str]) -> list[tuple[str, str]]:
    base = path / "labels" if (path / "labels").is_dir() else path
    named: dict[str, list[str]] = {}
    labelled = []
    for picture in pictures:
        candidates = [label_file(picture)]
        if Path(picture).is_relative_to(root):
            candidates.append(beside_picture(str(base / Path(picture).relative_to(root))))
        choice = next((file for file in candidates if os.path.lexists(file)), None)
        if choice is None:
            if not named:
                for file in sorted(base.rglob("*.txt")):
                    named.setdefault(file.stem, []).append(str(file))
            apart = "images" not in Path(picture).parent.parts and Path(candidates[-1]).parent.is_dir()
            choice, *others = named.get(stem(picture), [candidates[-1 if apart else 0]])
            if others:
                raise UnusableData(path, f"{choice} and {others[0]} may both belong to {picture}")
        labelled.append((picture, choice))
    return labelled


def _strays(pictures: Sequence[tuple[str, str]]) -> list[Problem]:
    """Report label files without a picture in the folders `labels` that are used."""
    homes: dict[str, set[str]] = {}
    for picture, file in pictures:
        home = os.path.dirname(file)
        if home != os.path.dirname(picture) and "labels" in home.split(os.sep):
            homes.setdefault(home, set()).add(os.path.dirname(picture))
    problems = []
    used = {file for _, file in pictures}
    for labels, folders in homes.items():
        others: dict[str, str] = {}
        stems = {stem(picture) for picture, file in pictures if os.path.dirname(file) == labels}
        for folder in filter(os.path.isdir, folders):
            for name in os.listdir(folder):
                own, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES:
                    stems.add(own)
                elif suffix.lower() != ".txt":
                    others[own] = os.path.join(folder, name)
        for name in list_names(Path(labels), LABEL_SUFFIXES, deep=False) if os.path.isdir(labels) else ():
            own, suffix = os.path.splitext(name)
            file = os.path.join(labels, name)
            belongs = file in used or (suffix == ".txt" and own in stems)
            if not belongs and not any(map(Path(name).match, NAME_FILES)):
                other = others.get(own)
                what = f"{other} is not read, of a kind unknown" if other else "there is no picture of this name"
                problems.append(Problem(Kind.LABELS_WITHOUT_PICTURE, file, what))
    return problems


def _has_names(path: Path) -> bool:
    names = files_like(path, NAME_FILES)
    return bool(names) and any(file != names[0] for file in path.rglob("*.txt"))


def _is_bare(path: Path) -> bool:
    """Return whether a folder has label files: in `labels` beside `images`, or files with rows of boxes."""
    if (path / "Annotations").is_dir():
        return False
    labels = [path / "labels", *path.glob("*/labels")]
    if any((folder.parent / "images").is_dir() and list_files(folder, LABEL_SUFFIXES) for folder in labels):
        return True
    return any(
        map(
            _looks_like_labels,
            islice((file for file in path.glob("*") if file.suffix.lower() in LABEL_SUFFIXES), PROBE),
        )
    )


def _looks_like_labels(file: Path) -> bool:
    try:
        return file.is_file() and looks_like_rows(decode(file)[0])
    except (UnusableData, OSError):
        return False
