"""Object detection data of Hugging Face `datasets`: a folder of pictures with a `metadata.jsonl`.

    {"file_name": "a.jpg", "objects": {"bbox": [[10, 20, 100, 60]], "categories": ["cat"]}}

Boxes are left, top, width and height in pixels. Lists of `ignore`, `difficult` or `iscrowd` among the objects make them
ignored ones. Saved data sets and Parquet files have their pictures inside: `unpack` writes such a folder of one.
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
    lost_classes,
    partly_labelled,
    rows_of,
)
from centerx.data.dataset import Dataset, Track, UnusableData
from centerx.data.packed import is_packed
from centerx.data.places import choose_file, text_lines
from centerx.data.shapes import Labelled, Shape, Source, is_ignored, make_dataset, numbers
from centerx.data.signs import every, keys, label_files
from centerx.data.text import parse_json
from centerx.data.values import class_name
from centerx.files import json_text, write_atomic
from centerx.problems import Kind

SIGNS = every(keys("file_name", "objects"))
CATEGORIES = ("categories", "category", "label", "labels", "category_id", "class")
FILE = "metadata.jsonl"


def recognises(path: Path) -> bool:
    """Return whether a path is such a file, a folder with one in it or in its subfolders, or a saved data set."""
    return any(True for _ in _files(path)) or is_packed(path)


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder. Categories that are numbers are classes called by their numbers.

    Raises:
        UnusableData: the pictures are inside the files.
    """
    if is_packed(path):
        what = (
            "its pictures are inside its files, write them out with `centerx data convert PATH FOLDER --to huggingface`"
        )
        raise UnusableData(path, what)
    file = path if path.is_file() else choose_file(path, _files(path), split)
    source = Source(path, file, "huggingface", images, [])
    pictures, numbered = [], False
    for where, line in text_lines(file):
        try:
            entry = parse_json(line)
        except ValueError as error:
            source.report(Kind.MALFORMED_ENTRY, where, f"malformed JSON ({error})")
            continue
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            source.report(Kind.MALFORMED_ENTRY, where, "has no file_name")
            continue
        rows = list(object_rows(entry.get("objects"), where, source))
        numbered = numbered or any(isinstance(category, int) for _, _, category, _ in rows)
        pictures.append(Labelled(name, [Shape(at, class_name(own), box, ignore) for at, box, own, ignore in rows]))
    if numbered:
        source.report(
            Kind.NUMBERED_CLASSES, str(file), "its categories are numbers without names: classes are called by them"
        )
    return make_dataset(source, pictures, declared=_declared(pictures))


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>`, with `metadata.jsonl` beside them, for `load_dataset("imagefolder")`.

    Categories are names. There are lists `iscrowd` if any object is ignored.

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
    copies, problems = copy_pictures(dataset.records, home, track, begin)
    problems += [*partly_labelled(dataset), *lost_classes(dataset)]
    ignores = any(copy.record.ignore.any() for copy in copies)
    lines = []
    for copy in copies:
        rows = list(rows_of(boxed_objects(copy, problems), dataset.class_names))
        boxes = [[left, top, right - left, bottom - top] for _, (left, top, right, bottom), _ in rows]
        objects: dict[str, list[Any]] = {"bbox": boxes, "categories": [name for name, _, _ in rows]}
        if ignores:
            objects["iscrowd"] = [int(ignore) for _, _, ignore in rows]
        lines.append(json_text({"file_name": copy.name, "objects": objects}) + "\n")
    write_atomic(home / FILE, "".join(lines).encode())
    return Written(len(copies), problems)


def object_rows(objects: Any, where: str, source: Source) -> Iterator[tuple[str, list[float], Any, bool | None]]:
    """Yield the place in the file, the corners in pixels, the category and whether it is ignored of each object.

    Args:
        objects: a mapping of lists, or a list of mappings.
        where: file and line.
        source: for problems.
    """
    if isinstance(objects, dict):
        lists = {key: value for key, value in objects.items() if isinstance(value, list)}
        count = len(lists.get("bbox", ()))
        uneven = next((key for key, value in lists.items() if len(value) != count), None)
        if uneven is not None:
            source.report(
                Kind.MALFORMED_ENTRY, where, f"objects: {uneven!r} has another length than 'bbox', all are left out"
            )
            return
        objects = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    if not isinstance(objects, list):
        if objects is not None:
            source.report(Kind.MALFORMED_ENTRY, where, "its objects are neither a mapping of lists nor a list")
        return
    for place, each in enumerate(objects, start=1):
        here = f"{where}: object {place}"
        box = numbers(each.get("bbox"), 4) if isinstance(each, dict) else None
        category = next((each[key] for key in CATEGORIES if key in each), None) if box else None
        if box is None:
            source.report(Kind.MALFORMED_ENTRY, here, "has no bbox of four numbers")
        elif not class_name(category):
            source.report(Kind.MALFORMED_ENTRY, here, f"its category is none: {category!r}")
        else:
            left, top, width, height = box
            yield here, [left, top, left + width, top + height], category, is_ignored(each)


def _declared(pictures: Sequence[Labelled]) -> list[str]:
    """Return the names of classes in order, those that are numbers by their value."""
    names = {shape.name for picture in pictures for shape in picture.shapes}
    return sorted(names, key=lambda name: (0, int(name), name) if name.isdecimal() and name.isascii() else (1, 0, name))


def _files(path: Path) -> Iterator[Path]:
    return label_files(path, ".jsonl", SIGNS)
