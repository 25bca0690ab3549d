"""Any data set by its path: the formats, how each is recognised, and what is an error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from centerx.data.dataset import Dataset
from centerx.errors import InputError, nearest

# Asked in this order; each module has `recognises(path)` and `read(path, split, images)`.
FORMATS = {
    "coco": "centerx.data.coco",
    "yolo": "centerx.data.yolo",
    "voc": "centerx.data.voc",
    "folder": "centerx.data.folder",
}


def read_dataset(
    path: Path | str,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    images: Path | str | None = None,
    format: str | None = None,
) -> Dataset:
    """Read a data set.

    Args:
        path: file or folder.
        split: which part of it.
        classes: read only these; only these count as annotated. Without it, all that the data declares.
        images: folder of the pictures, where it cannot be found from the path.
        format: name of the format, where it cannot be recognised.

    Raises:
        InputError: nothing there, a fatal problem (the first is named), no pictures, or a class the data lacks.
    """
    dataset = scan_dataset(path, split=split, images=images, format=format)
    fatal = [problem for problem in dataset.problems if problem.fate == "fatal"]
    if fatal:
        more = f" (and {len(fatal) - 1} more, see `centerx data check`)" if len(fatal) > 1 else ""
        raise InputError(f"{fatal[0].where}: {fatal[0].what}, repair or remove it{more}")
    if not dataset.records:
        raise InputError(f"{path}: no pictures there, check the path{' and the split' if split else ''}")
    return dataset if classes is None else select_classes(dataset, classes)


def scan_dataset(
    path: Path | str, *, split: str | None = None, images: Path | str | None = None, format: str | None = None
) -> Dataset:
    """Read a data set and return every problem in it instead of raising.

    Raises:
        InputError: the path, the format or the split does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, check the path (relative ones start where the command runs)")
    if images is not None and not Path(images).is_dir():
        raise InputError(f"{images}: no such folder of images")
    name = format or next((name for name, module in FORMATS.items() if import_module(module).recognises(path)), None)
    if name is None:
        raise InputError(f"{path}: not a data set of a known format ({', '.join(FORMATS)}), name it with format")
    if name not in FORMATS:
        raise InputError(f"format: unknown data format {name!r}{nearest(name, FORMATS)}, known: {', '.join(FORMATS)}")
    reader = import_module(FORMATS[name])
    if not reader.recognises(path):
        raise InputError(f"{path}: not a data set in the format {name!r}")
    dataset: Dataset = reader.read(path, split, Path(images) if images is not None else None)
    return dataset


def select_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """Keep only some classes, in the order given; pictures without them stay.

    Raises:
        InputError: a class that the data lacks.
    """
    known = dataset.class_names
    for name in classes:
        if name not in known:
            raise InputError(
                f"{dataset.path}: no class {name!r}{nearest(name, known)}, there are: {', '.join(known) or 'none'}"
            )
    new_label = np.array([classes.index(name) if name in classes else -1 for name in known], dtype=np.int64)
    records = []
    for record in dataset.records:
        labels = new_label[record.labels]
        keep = labels >= 0
        records.append(
            record._replace(
                boxes=record.boxes[keep], labels=labels[keep], ignore=record.ignore[keep], area=record.area[keep]
            )
        )
    ids = tuple(dataset.category_ids[known.index(name)] for name in classes)
    return dataset._replace(class_names=tuple(classes), category_ids=ids, records=records)
