"""VGG Image Annotator, version 1 and 2: regions by picture, in a json or a csv.

    {"a.jpg61234": {"filename": "a.jpg", "size": 61234, "file_attributes": {}, "regions": [
       {"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 100, "height": 60},
        "region_attributes": {"class": "cat"}}]}}

A project file has the same below `_via_img_metadata`. The attribute of regions that is called `ignore`, `difficult` or
`iscrowd` makes an object an ignored one; the other attribute, or the one with a name of CLASS, is the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from centerx.data.points import header_of, read_cells
from centerx.data.shapes import IGNORE, Labelled, Shape, Source, around, is_ignored, make_dataset, read_json
from centerx.data.signs import columns, every, keys, label_files, lacks
from centerx.data.text import parse_json, read_text
from centerx.data.values import class_name, is_number
from centerx.errors import nearest
from centerx.files import write_json
from centerx.problems import Kind

JSON = every(keys("filename", "regions"), lacks("category_id"))
CSV = columns("#?filename", "region_shape_attributes", "region_attributes")
PROJECT = "_via_img_metadata"
FILE = "via_region_data.json"
CLASS = ("class", "label", "name", "category", "type", "object", "class_name")
RECT = ("x", "y", "width", "height")


class _Region(NamedTuple):
    where: str
    xyxy: list[float]
    attributes: dict[str, Any]


def recognises(path: Path) -> bool:
    """Return whether a path is a json or csv of VIA, or a folder with one in it or in its subfolders."""
    return any(True for _ in _files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder.

    Polygons, circles and ellipses become the boxes around them; lines and points are left out.

    Raises:
        UnusableData: the file is malformed, or several attributes may be the class.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    source = Source(path, file, "via", images, [])
    entries = _csv_entries(file, source) if file.suffix.lower() == ".csv" else _json_entries(file, source)
    regions = {name: list(_regions(name, of_picture, source)) for name, of_picture in entries.items()}
    key = _class_attribute(file, [region for some in regions.values() for region in some])
    pictures = []
    for name, some in regions.items():
        shapes = []
        for where, xyxy, attributes in some:
            of_class = _chosen(attributes.get(key))
            if of_class:
                shapes.append(Shape(where, of_class, xyxy, _ignored(attributes)))
            else:
                source.report(Kind.MALFORMED_ENTRY, where, f"has no {key or 'class'} among its attributes")
        pictures.append(Labelled(name, shapes))
    return make_dataset(source, pictures)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>`, with `via_region_data.json` beside them, for VIA to import.

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
    tree = {}
    for copy in copies:
        regions = []
        for name, (left, top, right, bottom), ignore in rows_of(boxed_objects(copy, problems), dataset.class_names):
            place = dict(zip(RECT, (left, top, right - left, bottom - top), strict=True))
            attributes = {"class": name} | ({IGNORE[0]: "1"} if ignore else {})
            regions.append({"shape_attributes": {"name": "rect", **place}, "region_attributes": attributes})
        size = (home / copy.name).stat().st_size
        tree[f"{copy.name}{size}"] = {"filename": copy.name, "size": size, "regions": regions, "file_attributes": {}}
    write_json(home / FILE, tree)
    return Written(len(copies), problems)


def _files(path: Path) -> Iterator[Path]:
    yield from label_files(path, ".json", JSON)
    yield from label_files(path, ".csv", CSV)


def _json_entries(file: Path, source: Source) -> dict[str, list[Any]]:
    """Return the regions of each picture of a json."""
    tree = read_json(file)
    entries = tree.get(PROJECT, tree) if isinstance(tree, dict) else None
    if not isinstance(entries, dict):
        raise UnusableData(file, "not of VIA: a mapping of pictures is needed")
    found: dict[str, list[Any]] = {}
    for key, entry in entries.items():
        name = entry.get("filename") if isinstance(entry, dict) else None
        regions = entry.get("regions") if isinstance(entry, dict) else None
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # a mapping in version 1
        if not isinstance(name, str) or not name or not isinstance(regions, list):
            source.report(Kind.MALFORMED_ENTRY, f"{file}: {key!r}", "has no filename, or no list of regions")
            continue
        found.setdefault(name, []).extend(regions)
    return found


def _csv_entries(file: Path, source: Source) -> dict[str, list[Any]]:
    """Return the regions of each picture of a csv, in the form of a json."""
    text = read_text(file, source.problems)
    header, delimiter = header_of(text)
    cells_of = {name.lstrip("#"): place for place, name in enumerate(header)}
    needed = [cells_of.get(name, -1) for name in ("filename", "region_shape_attributes", "region_attributes")]
    if min(needed) < 0:
        raise UnusableData(
            file, "not of VIA: columns filename, region_shape_attributes and region_attributes are needed"
        )
    found: dict[str, list[Any]] = {}
    for line, cells in read_cells(text, delimiter, file, source.problems):
        where = f"{file}:{line}"
        try:
            name, shape, attributes = (cells[place] for place in needed)
            region = {"shape_attributes": parse_json(shape), "region_attributes": parse_json(attributes)}
        except (IndexError, ValueError) as error:
            if any(cells):
                source.report(Kind.MALFORMED_ENTRY, where, f"has too few columns or malformed JSON ({error})")
            continue
        if not name:
            source.report(Kind.MALFORMED_ENTRY, where, "names no picture")
            continue
        regions = found.setdefault(name, [])
        if region["shape_attributes"]:  # empty for a picture without regions
            regions.append(region)
    return found


def _regions(name: str, regions: Sequence[Any], source: Source) -> Iterator[_Region]:
    for place, each in enumerate(regions, start=1):
        where = f"{source.file}: {name}: region {place}"
        parts = [each.get(f"{part}_attributes") if isinstance(each, dict) else None for part in ("shape", "region")]
        if not all(isinstance(part, dict) for part in parts):
            source.report(Kind.MALFORMED_ENTRY, where, "has no shape_attributes and region_attributes")
            continue
        shape, attributes = (dict(part or {}) for part in parts)
        kind = shape.get("name")
        if kind not in SHAPES:
            source.report(Kind.OTHER_SHAPE, where, f"is a {kind}, which has no box")
            continue
        xyxy = SHAPES[kind](shape)
        if xyxy is None:
            source.report(Kind.MALFORMED_ENTRY, where, f"the {kind} lacks the numbers of its place")
            continue
        if kind != "rect":
            source.report(Kind.POLYGON, where, f"is a {kind}, the box around it is used")
        yield _Region(where, xyxy, attributes)


def _class_attribute(file: Path, regions: Sequence[_Region]) -> str:
    """Return the name of the attribute that is the class.

    Raises:
        UnusableData: several may be it.
    """
    names = Counter(name for region in regions for name in region.attributes if name not in IGNORE)
    if len(names) < 2:
        return next(iter(names), "")
    called = [name for name in CLASS for each in names if each.lower() == name]
    exact = [each for name in called[:1] for each in names if each.lower() == name]
    if not exact:
        known = ", ".join(names)
        raise UnusableData(
            file, f"which attribute of regions is the class, {known}? rename it to class{nearest('class', names)}"
        )
    return exact[0]


def _chosen(value: Any) -> str:
    """Return the value of an attribute: a text, or the one box that is checked."""
    if isinstance(value, dict):
        checked = [name for name, state in value.items() if state]
        return class_name(checked[0]) if len(checked) == 1 else ""
    return class_name(value)


def _ignored(attributes: dict[str, Any]) -> bool | None:
    boxes = {name: any(value.values()) if isinstance(value, dict) else value for name, value in attributes.items()}
    return is_ignored(boxes)


def _rect(shape: dict[str, Any]) -> list[float] | None:
    values = _numbers(shape, RECT)
    return values and [values[0], values[1], values[0] + values[2], values[1] + values[3]]


def _polygon(shape: dict[str, Any]) -> list[float] | None:
    across, down = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(across, list) or not isinstance(down, list) or len(across) != len(down) or not across:
        return None
    return (
        around(list(zip(map(float, across), map(float, down), strict=True)))
        if all(map(is_number, across + down))
        else None
    )


def _circle(shape: dict[str, Any]) -> list[float] | None:
    values = _numbers(shape, ("cx", "cy", "r"))
    return values and [values[0] - values[2], values[1] - values[2], values[0] + values[2], values[1] + values[2]]


def _ellipse(shape: dict[str, Any]) -> list[float] | None:
    values = _numbers(shape, ("cx", "cy", "rx", "ry"))
    if values is None or shape.get("theta") not in (None, 0):
        return None
    x, y, across, down = values
    return [x - across, y - down, x + across, y + down]


def _numbers(shape: dict[str, Any], names: Sequence[str]) -> list[float] | None:
    values = [shape.get(name) for name in names]
    return list(map(float, values)) if all(map(is_number, values)) else None  # type: ignore[arg-type]


SHAPES: dict[Any, Callable[[dict[str, Any]], list[float] | None]] = {
    "rect": _rect,
    "polygon": _polygon,
    "circle": _circle,
    "ellipse": _ellipse,
}
