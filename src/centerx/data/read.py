"""Any data set by its path: the formats, how each is recognised, and what is an error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from centerx.data.dataset import Dataset, UnusableData, relabel
from centerx.data.foreign import foreign_labels
from centerx.data.frame import turn_boxes
from centerx.errors import InputError, nearest
from centerx.images import left_out
from centerx.problems import Kind

# Asked in this order; each module has `recognises(path)` and `read(path, split, images)`.
FORMATS = {
    "coco": "centerx.data.coco",
    "yolo": "centerx.data.yolo",
    "voc": "centerx.data.voc",
    "crowdhuman": "centerx.data.crowdhuman",
    "wider": "centerx.data.wider",
    "pseudo": "centerx.data.pseudo",
    "openimages": "centerx.data.openimages",
    "folder": "centerx.data.folder",
}
ADVISED = (Kind.UNREAD_LABELS, Kind.ONLY_IGNORED_BOXES)  # problems that say themselves what to do
LABELS_BESIDE = (Kind.UNREAD_LABELS, Kind.TWO_PLACES)  # problems of a folder whose labels are not read
UPRIGHT, STORED = "upright", "stored"  # what the boxes of a data set are of


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
        split: which part of it.
        classes: read only these; only these count as annotated. `theirs=ours` reads a class under another name.
            Without it, all that the data declares, but for those on request.
        images: folder of the pictures, where it cannot be found from the path.
        format: name of the format, where it cannot be recognised.
        frame: what the boxes are of: the picture as a viewer shows it (`upright`), or as it is stored, before its EXIF
            orientation is applied (`stored`); such boxes are turned with it.

    Raises:
        InputError: nothing there, a fatal problem (the first is named), no pictures, or a class the data lacks.
    """
    dataset = scan_dataset(path, split=split, images=images, format=format, frame=frame)
    check_usable(dataset, split)
    return select_classes(dataset, classes)


def read_pictures(path: Path | str, split: str | None = None) -> Dataset:
    """Read a data set for its pictures: labels beside a folder that are not read do not matter.

    Raises:
        InputError: as `read_dataset`.
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
    """Read a data set and return every problem in it instead of raising.

    Raises:
        InputError: the path, the format or the split does not exist.
    """
    path, chosen = Path(path), format or ""
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, check it (relative ones start where the command runs)")
        if images is not None and not Path(images).is_dir():
            raise InputError(f"{images}: no such folder of images")
        chosen = _choose_format(path, format)
        reader = import_module(FORMATS[chosen])
        dataset: Dataset = reader.read(path, split, Path(images) if images is not None else None)
        if chosen == "folder":
            root = Path(images or path) / (split or "")
            found = [left_out(root)]
            if format is None:  # a folder that is asked for by name may have labels that nobody is to read
                found.append(foreign_labels(root, [record.image for record in dataset.records]))
            dataset.problems.extend(problem for problem in found if problem)
    except UnusableData as error:
        return Dataset(path, chosen, (), (), [], [error.problem])
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}, check what it is and its permissions") from None
    return turn_boxes(dataset) if frame == STORED else dataset


def check_usable(dataset: Dataset, split: str | None) -> None:
    """Raise where a data set, read from its `split`, cannot be used.

    Raises:
        InputError: a fatal problem (the first is named), or no pictures.
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
    """Raise where not one of the pictures is there: the labels have come without them, or to another place.

    Raises:
        InputError: names the first.
    """
    if not any(record.image.exists() for record in dataset.records):
        raise InputError(
            f"{dataset.path}: none of its {len(dataset.records)} pictures is there, the first would be "
            f"{dataset.records[0].image}; check where they are, or name their folder with images"
        )


def select_classes(dataset: Dataset, classes: Sequence[str] | None) -> Dataset:
    """Keep only some classes, in the order given; pictures without them stay.

    Args:
        dataset: to choose from.
        classes: names; `theirs=ours` gives another name, and classes of one name become one. Without it, all but
            those on request.

    Raises:
        InputError: a class that the data lacks, one under two names, or none is named.
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
    names = tuple(dict.fromkeys(ours.values()))  # one named twice would be a class without objects
    new_label = np.array([names.index(ours[name]) if name in ours else -1 for name in known], dtype=np.int64)
    records = [relabel(record, new_label) for record in dataset.records]
    first = {name: known.index(theirs) for theirs, name in reversed(ours.items())}
    ids = tuple(dataset.category_ids[first[name]] for name in names)
    return dataset._replace(class_names=names, category_ids=ids, records=records, optional_classes=())


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
