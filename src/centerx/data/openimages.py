"""Read OpenImages: a csv file of boxes and, beside it, csv files of class names and image-level labels.

    ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
    000002b66c9c498e,xclick,/m/01g317,1,0.0125,0.195312,0.148438,0.5875,0,1,0,0,0

Each picture has its own exhaustively labelled classes: those with boxes, and those that people found to be absent.
Nothing is known about other classes, including those that people confirmed on the picture but that have no box.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from centerx.data.copies import Copy, Written, boxed_objects, check_free, copy_pictures, require_trimmed_names
from centerx.data.dataset import Dataset, RecordBuilder, Track, UnusableData, parent_folder
from centerx.data.places import PROBE, choose_file, index_pictures, is_picture, picture_folders
from centerx.data.points import tell_length
from centerx.data.records import Records
from centerx.data.text import read_text
from centerx.data.values import to_flag, to_number, to_numbers
from centerx.errors import InputError
from centerx.files import write_atomic
from centerx.geometry import clip_boxes
from centerx.images import image_hw
from centerx.problems import Kind, Problem

BOX = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
COLUMNS = (
    "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
    "IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside",
)  # fmt: skip
GROUP = "IsGroupOf"  # one box around five or more objects
IMAGE_LABEL = ("ImageID", "LabelName", "Confidence")  # confidence is 1 or 0 from a person, a probability from a model
SOURCE = "Source"
MACHINE = "machine"
DESCRIPTIONS = "*class[-_e]*.csv"  # class-descriptions-boxable.csv, classes.csv
CODE = re.compile(r"/\w+/\w+")  # of a class, such as /m/01g317
SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
HEADER = 4096  # characters of the first line


class _Box(NamedTuple):
    """A box of a csv file, with relative coordinates."""

    where: str
    class_id: str
    xyxy: list[float]  # relative
    group: bool


class _Row(NamedTuple):
    where: str
    needed: Sequence[str]
    optional: str


def recognises(path: Path) -> bool:
    """Return whether a path is a csv file with the columns of OpenImages boxes, or a folder with one."""
    return _has_columns(path, BOX) if path.is_file() else bool(_files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a csv file of boxes, or that of a split in a folder.

    The classes are those with a box on an existing picture. Groups are ignored objects. Without a csv file of
    image-level labels beside it, each picture labels the classes of its own boxes.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    problems: list[Problem] = []
    named = dict.fromkeys(row.needed[0] for row in _rows(file, BOX, GROUP, []))
    folder = images or _choose_folder(file, set(map(_file_name, named)))
    places = index_pictures(folder)
    missing = [own_id for own_id in named if _file_name(own_id) not in places]
    if missing:
        kind = Kind.NO_READABLE_PICTURE if len(missing) == len(named) else Kind.UNREADABLE_PICTURE
        what = f"{missing[0]}: no such picture in {folder}, {len(missing)} of {len(named)} are missing"
        problems.append(Problem(kind, str(file), f"{what}; name their folder with images", len(missing)))
    boxes: dict[str, list[_Box]] = {own_id: [] for own_id in named if _file_name(own_id) in places}
    _read_boxes(file, boxes, problems)
    absent = _absent_classes(file, places, problems)
    class_names, label_of = _classes(file, {box.class_id for some in boxes.values() for box in some}, problems)
    records = Records()
    for own_id in dict.fromkeys([*boxes, *absent]):
        negative = {label_of[class_id] for class_id in absent.get(own_id, ()) if class_id in label_of}
        if own_id in boxes or negative:
            builder = RecordBuilder(places[_file_name(own_id)], own_id, problems)
            _add_boxes(builder, boxes.get(own_id, ()), label_of)
            record = builder.build()
            records.append(record._replace(labelled=frozenset(negative.union(record.objects.labels.tolist()))))
    return Dataset(path, "openimages", class_names, tuple(range(1, len(class_names) + 1)), records, problems)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write a split's boxes and image-level labels as csv files, the names of classes, and the pictures in `<split>`.

    Ignored objects become groups. Classes that a picture labels without a box are labels of people that call them
    absent. Class names are their own ids. Coordinates are relative, with eight decimals, within the picture.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, or its folder has other classes, or no picture can be read.
    """
    file = folder / f"{split}-annotations-bbox.csv"
    require_trimmed_names(dataset, "OpenImages")
    check_free(split, file, folder / split)
    described = folder / "class-descriptions-boxable.csv"
    descriptions = _csv_text([(name, name) for name in dataset.class_names])
    if described.exists() and described.read_bytes() != descriptions.encode():
        raise InputError(f"{described}: its classes differ from those of {dataset.path}, choose another folder")
    copies, problems = copy_pictures(dataset.records, folder / split, track, begin)
    problems += _unwritten_classes(dataset)
    boxes: list[Sequence[object]] = [COLUMNS]
    labels: list[Sequence[object]] = [("ImageID", SOURCE, "LabelName", "Confidence")]
    for copy in copies:
        own_id, record = Path(copy.name).stem, copy.record
        boxes += _box_rows(own_id, copy, dataset.class_names, problems)
        present = set(record.labels.tolist())
        labelled = range(len(dataset.class_names)) if record.labelled is None else sorted(record.labelled)
        labels += [
            (own_id, "verification", dataset.class_names[label], int(label in present))
            for label in sorted(present.union(labelled))
        ]
    write_atomic(described, descriptions.encode())
    write_atomic(folder / f"{split}-annotations-human-imagelabels-boxable.csv", _csv_text(labels).encode())
    write_atomic(file, _csv_text(boxes).encode())
    return Written(len(copies), problems)


def _box_rows(
    own_id: str, copy: Copy, class_names: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[object, ...]]:
    objects = boxed_objects(copy, problems)
    height, width = copy.known_hw
    relative = clip_boxes(objects.boxes, copy.known_hw) / (width, height, width, height)
    rows = zip(relative.tolist(), objects.labels.tolist(), objects.ignore.tolist(), strict=True)
    for (left, top, right, bottom), label, ignore in rows:
        corners = (f"{value:.8f}" for value in (left, right, top, bottom))
        yield (own_id, "xclick", class_names[label], 1, *corners, 0, 0, int(ignore), 0, 0)


def _unwritten_classes(dataset: Dataset) -> Iterator[Problem]:
    used = {label for record in dataset.records for label in record.labels.tolist()}
    for label, name in enumerate(dataset.class_names):
        if label not in used:
            yield Problem(Kind.NOT_WRITTEN, str(dataset.path), f"the class {name!r} has no box, and reads back as none")


def _csv_text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read_boxes(file: Path, boxes: Mapping[str, list[_Box]], problems: list[Problem]) -> None:
    """Add the rows of a csv file to the lists of their pictures. Rows of other pictures are left out."""
    for where, (own_id, class_id, *corners), group in _rows(file, BOX, GROUP, problems):
        some = boxes.get(own_id)
        if some is None:
            continue
        xyxy, grouped = to_numbers([corner.replace(",", ".") for corner in corners]), _flag(group)
        if xyxy is None:
            what = f"not four numbers: {' '.join(corners)}"
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, what))
            continue
        if grouped is None:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"{GROUP} must be 0 or 1, not {group!r}"))
        elif class_id:
            some.append(_Box(where, class_id, xyxy, grouped))
        else:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, "has no LabelName"))


def _add_boxes(builder: RecordBuilder, boxes: Iterable[_Box], label_of: Mapping[str, int]) -> None:
    try:
        height, width = builder.declared_hw = image_hw(builder.image)
    except InputError as error:
        what = f"its size is unknown, its boxes are left out ({error})"
        builder.problems.append(Problem(Kind.UNREADABLE_PICTURE, str(builder.image), what))
        return
    for where, class_id, (x0, y0, x1, y1), group in boxes:
        builder.add(where, [x0 * width, y0 * height, x1 * width, y1 * height], label_of[class_id], group)


def _absent_classes(file: Path, places: Container[str], problems: list[Problem]) -> dict[str, set[str]]:
    """Return, for each existing picture with image-level labels, the classes that people found to be absent."""
    splits = _splits(file)
    files = [
        each
        for each in sorted(file.parent.glob("*.csv"))
        if MACHINE not in each.name and len(splits | _splits(each)) < 2 and _has_columns(each, IMAGE_LABEL, BOX[2:])
    ]
    if not files:
        what = "no csv of image-level labels beside it: a picture labels the classes that have boxes on it, no others"
        problems.append(Problem(Kind.NO_IMAGE_LABELS, str(file), what))
    absent: dict[str, set[str]] = {}
    for each in files:
        for where, (own_id, class_id, confidence), source in _rows(each, IMAGE_LABEL, SOURCE, problems):
            if _file_name(own_id) not in places or source.lower().startswith(MACHINE):
                continue
            certain = to_number(confidence.replace(",", "."))
            if certain is None:
                problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"not a number: {confidence!r}"))
                continue
            if certain == 0:
                absent.setdefault(own_id, set()).add(class_id)
    return absent


def _classes(file: Path, class_ids: set[str], problems: list[Problem]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return class names, in the order of the description files and then by id, and the label of each id."""
    described = _descriptions(file, problems)
    ids = [class_id for class_id in described if class_id in class_ids]
    nameless = sorted(class_ids - described.keys())
    codes = [class_id for class_id in nameless if CODE.fullmatch(class_id)]
    if codes:
        what = f"no class descriptions name {codes[0]!r}: such classes are called by their ids"
        problems.append(Problem(Kind.NUMBERED_CLASSES, str(file), what, len(codes)))
    names: dict[str, int] = {}
    label_of = {}
    for class_id in [*ids, *nameless]:
        name = described.get(class_id, class_id)
        if name in names:
            what = f"{name!r} is the name of {class_id!r} and of another, they are one class"
            problems.append(Problem(Kind.REPEATED_CLASS, str(file), what))
        label_of[class_id] = names.setdefault(name, len(names))
    return tuple(names), label_of


def _descriptions(file: Path, problems: list[Problem]) -> dict[str, str]:
    """Return class names by id from the description files near a csv file of boxes."""
    names: dict[str, str] = {}
    home, above = file.parent, parent_folder(file.parent)
    places = (home.glob(DESCRIPTIONS), above.glob(DESCRIPTIONS), above.glob(f"*/{DESCRIPTIONS}"))
    for each in dict.fromkeys(found for files in places for found in sorted(files)):
        for _, row in _lines(each, read_text(each, problems)):
            if len(row) > 1 and row[1].strip():
                names.setdefault(row[0].strip(), row[1].strip())
    return names


def _choose_folder(file: Path, named: Container[str]) -> Path:
    """Return the folder near a csv file with the largest share of pictures that the file names."""

    def likelihood(folder: Path) -> tuple[int, bool]:
        there = (each for each in os.scandir(folder) if is_picture(each.name)) if folder.is_dir() else ()
        count = sum(each.name in named or _stem(each.name) in named for each in islice(there, PROBE))
        return count, bool(folder.name) and folder.name in file.stem

    return max(picture_folders(file), key=likelihood)


def _rows(file: Path, needed: Sequence[str], optional: str, problems: list[Problem]) -> Iterator[_Row]:
    """Yield the rows of a csv file by the names of its columns.

    Args:
        file: the file.
        needed: names of the columns that must exist.
        optional: name of a column that may be missing, with an empty value then.
        problems: list to which problems are appended.
    """
    lines = _lines(file)
    _, header = next(lines, ("", []))
    place = {name.strip(): number for number, name in enumerate(header)}
    if not place.keys() >= set(needed):
        raise UnusableData(file, f"not a csv of OpenImages, columns {', '.join(needed)} are needed")
    pick = itemgetter(*(place[name] for name in needed))
    extra = place.get(optional)
    for where, row in lines:
        try:
            yield _Row(where, pick(row), row[extra] if extra is not None else "")
            tell_length(row, header, where, problems)
        except IndexError:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"has {len(row)} values for {len(header)} columns"))


def _lines(file: Path, text: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield the non-blank lines of a csv file, or of its text, each with its place as `file:number`."""
    whole = io.StringIO(text, newline="") if text is not None else None
    with whole or file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as content:
        header = content.readline(HEADER)
        content.seek(0)
        name = str(file)
        reader = csv.reader(content, delimiter=max(",;\t", key=header.count))
        try:
            for row in reader:
                if row:
                    yield f"{name}:{reader.line_num}", row
        except csv.Error as error:
            raise UnusableData(file, f"malformed csv, line {reader.line_num} ({error})") from None


def _has_columns(file: Path, wanted: Iterable[str], unwanted: Iterable[str] = ()) -> bool:
    if file.suffix.lower() != ".csv" or not file.is_file():
        return False
    with file.open(encoding="utf-8-sig", errors="replace") as content:
        names = {name.strip(' "') for name in re.split("[,;\t]", content.readline(HEADER).strip())}
    return names.issuperset(wanted) and names.isdisjoint(unwanted)


def _files(folder: Path) -> list[Path]:
    """Return the csv files of boxes in a folder or, if there are none, in its subfolders."""
    for pattern in ("*.csv", "*/*.csv"):
        files = [file for file in islice(sorted(folder.glob(pattern)), PROBE) if _has_columns(file, BOX)]
        if files:
            return files
    return []


def _splits(file: Path) -> set[str]:
    return {SPLITS[word] for word in re.split("[-_.]", file.stem.lower()) if word in SPLITS}


def _file_name(image_id: str) -> str:
    return image_id.replace("\\", "/").rpartition("/")[2]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _flag(value: str) -> bool | None:
    """Return what a cell says; -1 is what people were not asked."""
    number = to_number(value)
    return to_flag(value) if number is None else to_flag(max(number, 0.0) if number == -1 else number)
