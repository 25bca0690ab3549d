"""CreateML, as labelImg and Roboflow write it: one json of pictures, with boxes by their centres.

[{"image": "a.jpg", "annotations": [
  {"label": "cat", "coordinates": {"x": 60.5, "y": 40, "width": 100, "height": 60}}]}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from centerx.data.places import choose_file
from centerx.data.shapes import Labelled, Shape, Source, make_dataset, read_json
from centerx.data.signs import every, label_files, lacks, says
from centerx.data.values import class_name, is_number
from centerx.files import write_json
from centerx.problems import Kind

# Pictures alone, without one box, have no coordinates.
SIGNS = every(
    says(r"\A\s*\["),
    says(r'"image(?:filename)?"\s*:\s*"'),
    says(r'"annotations?"\s*:\s*\[\s*(?:\]|\{[^{}]*"(?:label|coordinates)"\s*:)'),
    lacks("from_name"),
)
KEYS = (("image", "imagefilename"), ("annotations", "annotation"))  # the latter are of older versions
PLACE = ("x", "y", "width", "height")
FILE = "_annotations.createml.json"


def recognises(path: Path) -> bool:
    """Return whether a path is a json file of CreateML, or a folder with one in it or in its subfolders."""
    return any(True for _ in label_files(path, ".json", SIGNS))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder. Boxes are given by centre and sides, in pixels.

    Raises:
        UnusableData: the file is malformed.
    """
    file = path if path.is_file() else choose_file(path, label_files(path, ".json", SIGNS), split)
    source = Source(path, file, "createml", images, [])
    tree = read_json(file)
    if not isinstance(tree, list):
        raise UnusableData(file, "not CreateML: a list of pictures is needed")
    pictures = []
    for place, entry in enumerate(tree):
        image, annotations = (_first(entry, names) for names in KEYS)
        where = f"{file}: entry {place}"
        told = isinstance(entry, dict) and any(name in entry for name in KEYS[1])
        if not isinstance(image, str) or not image or not told or not isinstance(annotations, list | None):
            source.report(Kind.MALFORMED_ENTRY, where, "has no image, or its annotations are missing or not a list")
            continue
        pictures.append(Labelled(image, list(_shapes(annotations or [], f"{file}: {image}", source))))
    return make_dataset(source, pictures)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>`, with `_annotations.createml.json` beside them, as Roboflow exports them.

    Ignored objects are left out, because the format cannot express them.

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
    tree = []
    for copy in copies:
        annotations = []
        for name, (left, top, right, bottom), _ in rows_of(boxed_objects(copy, problems, False), dataset.class_names):
            values = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            annotations.append({"label": name, "coordinates": dict(zip(PLACE, values, strict=True))})
        tree.append({"image": copy.name, "annotations": annotations})
    write_json(home / FILE, tree)
    return Written(len(copies), problems)


def _shapes(annotations: list[Any], where: str, source: Source) -> Iterator[Shape]:
    for place, each in enumerate(annotations, start=1):
        here = f"{where}: annotation {place}"
        coordinates = each.get("coordinates") if isinstance(each, dict) else None
        values: list[Any] = [coordinates.get(key) for key in PLACE] if isinstance(coordinates, dict) else []
        name = class_name(each.get("label")) if isinstance(each, dict) else ""
        if not name:
            source.report(Kind.MALFORMED_ENTRY, here, "has no label")
        elif not values or not all(map(is_number, values)):
            source.report(Kind.MALFORMED_ENTRY, here, "has no coordinates x, y, width and height")
        else:
            x, y, width, height = map(float, values)
            yield Shape(here, name, [x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def _first(entry: Any, names: tuple[str, ...]) -> Any:
    return next((entry[name] for name in names if name in entry), None) if isinstance(entry, dict) else None
