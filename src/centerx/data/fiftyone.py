"""FiftyOne: the json files of an image detection data set and of a whole data set.

    labels.json   {"classes": ["cat"], "labels": {"a": [{"label": 0, "bounding_box": [0.1, 0.2, 0.5, 0.25]}]}}
    samples.json  {"samples": [{"filepath": "data/a.jpg", "ground_truth": {"_cls": "Detections", "detections": [
                    {"label": "cat", "bounding_box": [0.1, 0.2, 0.5, 0.25]}]}}]}

Boxes are left, top, width and height in shares of the picture's sides. The attributes `ignore`, `difficult` and
`iscrowd` make an object an ignored one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from centerx.data.copies import (
    Written,
    boxed_objects,
    check_free,
    copy_pictures,
    partly_labelled,
    rows_of,
)
from centerx.data.dataset import Dataset, Track, UnusableData
from centerx.data.places import choose_file, index_pictures
from centerx.data.shapes import Labelled, Shape, Source, is_ignored, make_dataset, numbers, read_json
from centerx.data.signs import every, keys, label_files, lacks, says
from centerx.data.values import class_name, to_hw
from centerx.files import write_json
from centerx.problems import Kind

LABELS = every(says(r'"labels"\s*:\s*\{'), says(r'\A\s*\{\s*"(?:classes|labels)"'), lacks("category_id"))
SAMPLES = every(says(r'\A\s*\{\s*"samples"\s*:\s*\['), keys("filepath"))
FIELD = "ground_truth"
FILE = "labels.json"


def recognises(path: Path) -> bool:
    """Return whether a path is a json file of FiftyOne, or a folder with one in it or in its subfolders."""
    return any(True for _ in _files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder.

    Of several fields of detections in a `samples.json`, `ground_truth` is read. A picture whose field is null is not
    labelled and is left out.

    Raises:
        UnusableData: the file is malformed, or several fields may be the labels.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    source = Source(path, file, "fiftyone", images, [])
    tree = read_json(file)
    classes = tree.get("classes") if isinstance(tree, dict) else None
    names = list(map(class_name, classes)) if isinstance(classes, list) else []
    for place, name in enumerate(names):
        if not name:
            source.report(Kind.MALFORMED_ENTRY, f"{file}: class {place}", "has no name")
    if isinstance(tree, dict) and isinstance(tree.get("labels"), dict):
        entries: list[tuple[str, Any, Any]] = [(own_id, some, None) for own_id, some in tree["labels"].items()]
        places = _by_stem([own_id for own_id, _, _ in entries], source)
    elif isinstance(tree, dict) and isinstance(tree.get("samples"), list):
        entries, places = list(_samples(tree["samples"], source)), None
    else:
        raise UnusableData(file, "not of FiftyOne: a mapping with labels or a list of samples is needed")
    pictures = [
        Labelled(name, list(_shapes(some, names, f"{file}: {name}", source)), _size(metadata))
        for name, some, metadata in entries
    ]
    return make_dataset(source, pictures, declared=filter(None, names), relative=True, places=places)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `<split>/labels.json` and the pictures in `<split>/data`, for `FiftyOneImageDetectionDataset`.

    Ignored objects have the attribute `iscrowd`.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, or no picture can be read.
    """
    home = folder / split
    check_free(split, home)
    copies, problems = copy_pictures(dataset.records, home / "data", track, begin)
    problems += partly_labelled(dataset)
    labels = {}
    label_of = {name: label for label, name in enumerate(dataset.class_names)}
    for copy in copies:
        height, width = copy.known_hw
        labels[Path(copy.name).stem] = [
            {
                "label": label_of[name],
                "bounding_box": [left / width, top / height, (right - left) / width, (bottom - top) / height],
            }
            | ({"attributes": {"iscrowd": 1}} if ignore else {})
            for name, (left, top, right, bottom), ignore in rows_of(boxed_objects(copy, problems), dataset.class_names)
        ]
    write_json(home / FILE, {"classes": list(dataset.class_names), "labels": labels})
    return Written(len(copies), problems)


def _files(path: Path) -> Iterator[Path]:
    return label_files(path, ".json", lambda text: LABELS(text) or SAMPLES(text))


def _by_stem(own_ids: Sequence[str], source: Source) -> list[Path]:
    """Return the pictures of ids, which are their names without suffix."""
    near = [source.file.parent / "data", source.file.parent]
    folder = source.images or next(place for place in near if place.is_dir())
    index = index_pictures(folder)
    return [index.get(own_id.replace("\\", "/").rpartition("/")[2], folder / own_id) for own_id in own_ids]


def _samples(samples: Sequence[Any], source: Source) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path, the detections and the metadata of each labelled sample.

    Raises:
        UnusableData: several fields may be the labels.
    """
    mappings = [sample for sample in samples if isinstance(sample, dict)]
    fields = dict.fromkeys(key for sample in mappings for key, value in sample.items() if _is_detections(value))
    if len(fields) > 1 and FIELD not in fields:
        there = ", ".join(fields)
        raise UnusableData(source.file, f"which field has the labels, {there}? rename it to {FIELD}")
    field = FIELD if FIELD in fields else next(iter(fields), FIELD)
    for place, sample in enumerate(samples):
        where = f"{source.file}: sample {place}"
        name = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(name, str) or not name:
            source.report(Kind.MALFORMED_ENTRY, where, "has no filepath")
        elif not _is_detections(sample.get(field)):
            source.report(Kind.MALFORMED_ENTRY, where, f"{name}: has no detections in {field}, and is left out")
        else:
            yield name, sample[field]["detections"], sample.get("metadata")


def _is_detections(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("detections"), list)


def _shapes(detections: Any, names: Sequence[str], where: str, source: Source) -> Iterator[Shape]:
    if detections is not None and not isinstance(detections, list):
        source.report(Kind.MALFORMED_ENTRY, where, "its labels are not a list")
        return
    for place, each in enumerate(detections or (), start=1):
        here = f"{where}: detection {place}"
        box = numbers(each.get("bounding_box"), 4) if isinstance(each, dict) else None
        label: Any = each.get("label") if isinstance(each, dict) else None
        if box is None:
            source.report(Kind.MALFORMED_ENTRY, here, "has no bounding_box of four numbers")
            continue
        is_index = isinstance(label, int) and not isinstance(label, bool) and bool(names)
        name = (names[label] if 0 <= label < len(names) else "") if is_index else class_name(label)
        if not name:
            kind = Kind.UNKNOWN_REFERENCE if is_index else Kind.MALFORMED_ENTRY
            source.report(kind, here, f"the label {label!r} is no class")
            continue
        left, top, width, height = box
        said = (is_ignored(each), is_ignored(each.get("attributes")))
        ignore = True if True in said else None if None in said else False
        yield Shape(here, name, [left, top, left + width, top + height], ignore)


def _size(metadata: Any) -> tuple[int, int] | None:
    return to_hw(metadata.get("height"), metadata.get("width")) if isinstance(metadata, dict) else None
