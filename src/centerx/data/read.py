"""Read a data set of any known format, recognised by its path and content."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from centerx.data.dataset import Dataset, UnusableData, keep_classes, relabel
from centerx.data.foreign import foreign_labels
from centerx.data.frame import drop_turned_points, turn_boxes
from centerx.data.records import Records
from centerx.data.text import uncollected
from centerx.errors import InputError, nearest
from centerx.files import is_line
from centerx.images import left_out
from centerx.joints import renamed_joints
from centerx.problems import Kind, Problem

logger = logging.getLogger(__name__)

# The formats are tried in this order. Each module has `recognises(path)` and `read(path, split, images)`.
FORMATS = {
    "cvat": "centerx.data.cvat",
    "labelstudio": "centerx.data.labelstudio",
    "createml": "centerx.data.createml",
    "labelme": "centerx.data.labelme",
    "via": "centerx.data.via",
    "fiftyone": "centerx.data.fiftyone",
    "huggingface": "centerx.data.huggingface",
    "kitti": "centerx.data.kitti",
    "dota": "centerx.data.dota",
    "wpod": "centerx.data.wpod",
    "icdar": "centerx.data.icdar",
    "coco": "centerx.data.coco",
    "yolo": "centerx.data.yolo",
    "voc": "centerx.data.voc",
    "crowdhuman": "centerx.data.crowdhuman",
    "wider": "centerx.data.wider",
    "pseudo": "centerx.data.pseudo",
    "openimages": "centerx.data.openimages",
    "csv": "centerx.data.boxes_csv",
    "points": "centerx.data.points",
    "folder": "centerx.data.folder",
}
ADVISED = (Kind.UNREAD_LABELS, Kind.ONLY_IGNORED_BOXES)  # problems whose text contains the advice
LABELS_BESIDE = (Kind.UNREAD_LABELS, Kind.TWO_PLACES)  # problems of a folder that are irrelevant if labels are not used
FRAMES = UPRIGHT, STORED = "upright", "stored"  # orientation of the pictures that boxes refer to


def read_dataset(
    path: Path | str,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    images: Path | str | None = None,
    format: str | None = None,
    frame: str = UPRIGHT,
) -> Dataset:
    """Read a data set.

    Args:
        path: file or folder.
        split: name of the split; needed if there are several.
        classes: names of the classes to read; only these count as labelled. `theirs=ours` renames a class. Default:
            all classes but the optional ones.
        images: folder of the pictures, if it cannot be found from the path.
        format: name of the format, if it cannot be recognised.
        frame: orientation of the pictures that boxes refer to: `upright`, as a viewer shows them, or `stored`, before
            the EXIF orientation is applied. Boxes of the latter are converted.

    Raises:
        InputError: the path does not exist, the data has a fatal problem (the first is named) or no pictures, or it
            lacks a class.
    """
    dataset = scan_dataset(path, split=split, images=images, format=format, frame=frame)
    check_usable(dataset, split)
    return select_classes(dataset, classes)


def read_pictures(path: Path | str, split: str | None = None) -> Dataset:
    """Read a data set whose labels are not used. Unread labels beside a folder of pictures are no problem.

    Args:
        path: file or folder.
        split: name of the split; needed if there are several.

    Raises:
        InputError: as for `read_dataset`.
    """
    dataset = scan_dataset(path, split=split)
    if dataset.format == "folder":
        dataset = dataset._replace(problems=[each for each in dataset.problems if each.kind not in LABELS_BESIDE])
    check_usable(dataset, split)
    return select_classes(dataset, None)


def scan_dataset(
    path: Path | str,
    *,
    split: str | None = None,
    images: Path | str | None = None,
    format: str | None = None,
    frame: str = UPRIGHT,
) -> Dataset:
    """Read a data set, and return every problem in it instead of raising.

    Args:
        path: as for `read_dataset`.
        split: as for `read_dataset`.
        images: as for `read_dataset`.
        format: as for `read_dataset`.
        frame: as for `read_dataset`.

    Raises:
        InputError: the path, the format, the orientation or the split does not exist.
    """
    path, chosen = Path(path), format or ""
    if frame not in FRAMES:
        raise InputError(f"--frame: no orientation {frame!r}{nearest(frame, FRAMES)}, there are: {', '.join(FRAMES)}")
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, check it (relative ones start where the command runs)")
        if images is not None and not Path(images).is_dir():
            raise InputError(f"{images}: no such folder of images")
        chosen = _choose_format(path, format)
        reader = import_module(FORMATS[chosen])
        with uncollected():
            dataset: Dataset = reader.read(path, split, Path(images) if images is not None else None)
        if chosen == "folder":
            root = Path(images or path) / (split or "")
            found = [left_out(root)]
            if format is None:  # with the format given, unread labels are intended
                found.append(foreign_labels(root, (record.image for record in dataset.records)))
            dataset.problems.extend(problem for problem in found if problem)
    except UnusableData as error:
        return Dataset(path, chosen, (), (), [], [error.problem])
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}, check what it is and its permissions") from None
    dataset = _with_names(dataset)
    numbers = f"{len(dataset.records)} pictures, {len(dataset.class_names)} classes"
    logger.debug(f"{path}: read as {chosen}: {numbers}, {len(dataset.problems)} problems")
    return turn_boxes(dataset) if frame == STORED else drop_turned_points(dataset)


def _with_names(dataset: Dataset) -> Dataset:
    """Leave out, and report, classes whose names are no line of text, which no file, terminal or picture can show."""
    unfit = [label for label, name in enumerate(dataset.class_names) if not is_line(name)]
    if not unfit:
        return dataset
    for label in unfit:
        times = sum(int((record.labels == label).sum()) for record in dataset.records)
        what = (
            f"the class name {dataset.class_names[label]!a} is no line of text; it and its {times} boxes are left out"
        )
        dataset.problems.append(Problem(Kind.MALFORMED_ENTRY, str(dataset.path), what, times + 1))
    return keep_classes(dataset, [label for label in range(len(dataset.class_names)) if label not in unfit])


def check_usable(dataset: Dataset, split: str | None) -> None:
    """Raise if a data set cannot be used.

    Args:
        dataset: the data set.
        split: the split that was read, for the message.

    Raises:
        InputError: there is a fatal problem (the first is named), or there are no pictures.
    """
    fatal = [problem for problem in dataset.problems if problem.action == "fatal"]
    if fatal:
        more = f" (and {len(fatal) - 1} more, listed by `centerx data check`)" if len(fatal) > 1 else ""
        advice = "" if fatal[0].kind in ADVISED else ", repair or remove it"
        raise InputError(f"{fatal[0].where}: {fatal[0].what}{advice} ({fatal[0].kind.code}){more}")
    if not dataset.records:
        check = "the path and the split" if split else "the path"
        raise InputError(f"{dataset.path}: no pictures there, check {check} ({Kind.NO_PICTURES.code})")


def require_pictures(dataset: Dataset) -> None:
    """Raise if none of the pictures exists, for example because the labels were copied without them.

    Raises:
        InputError: none exists; the first is named.
    """
    if not any(os.path.isfile(record.image) for record in dataset.records):
        raise InputError(
            f"{dataset.path}: none of its {len(dataset.records)} pictures is there, the first would be "
            f"{dataset.records[0].image}; check where they are, or name their folder with images"
        )


def select_classes(dataset: Dataset, classes: Sequence[str] | None) -> Dataset:
    """Return a data set with some of its classes, in the given order. Pictures without them stay.

    Args:
        dataset: the data set.
        classes: names. `theirs=ours` renames a class, and classes with the same new name become one. Default: all but
            the optional ones.

    Raises:
        InputError: the data lacks a class, a class has two new names, a new name is no line of text, or the list is
            empty.
    """
    known = dataset.class_names
    if classes is None:
        if not dataset.optional_classes:
            return dataset
        classes = [name for name in known if name not in dataset.optional_classes]
    if not classes:
        raise InputError(f"{dataset.path}: classes names none, leave it out to read all")
    ours: dict[str, str] = {}
    for each in classes:
        theirs, equals, renamed = (each, "", "") if each in known else each.partition("=")
        if theirs not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"{dataset.path}: no class {theirs!r}{nearest(theirs, known)}, there are: {there}")
        name = renamed if equals else theirs
        if not name or ours.setdefault(theirs, name) != name:
            raise InputError(f"{dataset.path}: classes: {each!r} must give one new name to a class, as in theirs=ours")
    return _chosen(dataset, ours)


def rename_classes(dataset: Dataset, names: Mapping[str, str]) -> Dataset:
    """Return a data set with other names for some of its classes; classes with the same new name become one.

    Args:
        dataset: the data set.
        names: new name of each class by its old one.

    Raises:
        InputError: the data lacks a class, or a new name is no line of text.
    """
    known = dataset.class_names
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        there = ", ".join(known) or "none"
        raise InputError(f"{dataset.path}: no class {unknown!r}{nearest(unknown, known)}, there are: {there}")
    return _chosen(dataset, {name: names.get(name, name) for name in known})


def _chosen(dataset: Dataset, ours: Mapping[str, str]) -> Dataset:
    """Return the classes that have a new name, under it."""
    known = dataset.class_names
    unfit = next((name for name in ours.values() if not is_line(name)), None)
    if unfit is not None:
        raise InputError(f"{dataset.path}: the new class name {unfit!a} is no line of text, choose another")
    names = tuple(dict.fromkeys(ours.values()))  # without repeated names, which would be classes without objects
    new_label = np.array([names.index(ours[name]) if name in ours else -1 for name in known], dtype=np.int64)
    records = Records(relabel(record, new_label) for record in dataset.records)
    first = {name: known.index(theirs) for theirs, name in reversed(list(ours.items()))}
    ids = tuple(dataset.category_ids[first[name]] for name in names)
    joints = renamed_joints(dataset.joints, new_label.tolist(), len(names))
    return dataset._replace(class_names=names, category_ids=ids, records=records, optional_classes=(), joints=joints)


def _choose_format(path: Path, format: str | None) -> str:
    if format is None:
        found = next((name for name in FORMATS if _recognised(path, name)), None)
        if found is None:
            raise InputError(f"{path}: not a data set of a known format ({', '.join(FORMATS)})")
        return found
    if format not in FORMATS:
        raise InputError(
            f"format: unknown data format {format!r}{nearest(format, FORMATS)}, known: {', '.join(FORMATS)}"
        )
    if not _recognised(path, format):
        raise InputError(f"{path}: not a data set in the format {format!r}, leave the format out or check the path")
    return format


def _recognised(path: Path, format: str) -> bool:
    return bool(import_module(FORMATS[format]).recognises(path))
