"""LabelMe: a json file for each picture, beside it, with shapes by their points.

    {"version": "5.4.1", "flags": {}, "shapes": [
       {"label": "cat", "points": [[10, 20], [110, 80]], "shape_type": "rectangle", "flags": {}}],
     "imagePath": "a.jpg", "imageData": null, "imageHeight": 480, "imageWidth": 640}

A flag of a shape that is called `ignore`, `difficult` or `iscrowd` makes it an ignored object.
"""

from __future__ import annotations

import math
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
from centerx.data.places import index_pictures, path_tails
from centerx.data.shapes import (
    IGNORE,
    Labelled,
    Shape,
    Source,
    around,
    four_corners,
    is_ignored,
    make_dataset,
    pairs,
    read_json,
)
from centerx.data.signs import every, keys, label_files, lacks, says
from centerx.data.values import class_name, to_hw
from centerx.errors import InputError
from centerx.files import json_text, many_files
from centerx.images import list_files, list_images
from centerx.problems import Kind

SIGNS = every(keys("shapes"), says(r'"image(?:Path|Height)"'), lacks("category_id"))
VERSION = "5.4.1"  # of the program whose files these are like
CORNERED = ("polygon", "rotation", "oriented_rectangle")  # of four points
BOXES = ("rectangle", "polygon", "mask")  # shapes whose points are those of an outline


def recognises(path: Path) -> bool:
    """Return whether a path is a json file of LabelMe, or a folder with some in it or in its subfolders."""
    return any(True for _ in label_files(path, ".json", SIGNS))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or all in a folder or in the subfolder of a split.

    A rectangle is read by its corners; polygons, masks, circles and turned rectangles become the boxes around them;
    shapes without an area are left out. Pictures without a json file are left out, and told.

    Raises:
        InputError: there is no such split.
    """
    source = Source(path, path, "labelme", images, [])
    root = path.parent if path.is_file() else _folder(path, split)
    files = [path] if path.is_file() else list_files(root, (".json",))
    index = index_pictures(images or root) if images or not path.is_file() else {}
    pictures, places = [], []
    for file in files:
        try:
            tree = read_json(file)
        except UnusableData as error:
            source.problems.append(error.problem)
            continue
        if not isinstance(tree, dict) or not isinstance(tree.get("shapes"), list):
            if files == [path]:
                raise UnusableData(file, "not LabelMe: a mapping with a list of shapes is needed")
            source.report(Kind.FILE_LEFT_OUT, str(file), "a json file that is not of LabelMe")
            continue
        place = _picture(file, tree.get("imagePath"), index, source)
        name = place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
        pictures.append(
            Labelled(
                name,
                list(_shapes(tree["shapes"], file, source)),
                to_hw(tree.get("imageHeight"), tree.get("imageWidth")),
            )
        )
        places.append(place)
    if not path.is_file():
        _tell_unlabelled(root, set(list_images(images or root)) - set(places), source)
    return make_dataset(source, pictures, places=places)


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the pictures into `<split>`, each with its json file beside it.

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
    with many_files(home) as new_file:
        for copy in copies:
            shapes = [
                {
                    "label": name,
                    "points": [box[:2], box[2:]],
                    "group_id": None,
                    "shape_type": "rectangle",
                    "flags": {IGNORE[0]: True} if ignore else {},
                }
                for name, box, ignore in rows_of(boxed_objects(copy, problems), dataset.class_names)
            ]
            height, width = copy.known_hw
            tree: dict[str, Any] = {
                "version": VERSION,
                "flags": {},
                "shapes": shapes,
                "imagePath": copy.name,
                "imageData": None,
            }
            tree |= {"imageHeight": height, "imageWidth": width}
            with new_file(f"{Path(copy.name).stem}.json") as made:
                made.write_bytes(json_text(tree, indent=2).encode())
    return Written(len(copies), problems)


def _shapes(shapes: list[Any], file: Path, source: Source) -> Iterator[Shape]:
    for place, each in enumerate(shapes, start=1):
        where = f"{file}: shape {place}"
        name, points = (
            (class_name(each.get("label")), pairs(each.get("points"))) if isinstance(each, dict) else ("", None)
        )
        if not name or points is None:
            source.report(Kind.MALFORMED_ENTRY, where, "has no label, or no points of two numbers")
            continue
        kind = each.get("shape_type") or "polygon"  # before version 3.0 all were polygons
        if kind == "circle" and len(points) == 2:
            (x, y), edge = points
            radius = math.dist((x, y), edge)
            xyxy = [x - radius, y - radius, x + radius, y + radius]
        elif (kind in BOXES or kind in ("rotation", "oriented_rectangle")) and len(points) > 1:
            xyxy = around(points)
        else:
            source.report(Kind.OTHER_SHAPE, where, f"is a {kind} of {len(points)} points, which has no box")
            continue
        corners = four_corners(points) if kind in CORNERED else None
        if kind in ("rotation", "oriented_rectangle"):
            what = "is a turned rectangle: tasks without corners use the upright box around it"
            source.report(Kind.ROTATED_BOX, where, what)
        elif kind != "rectangle":
            source.report_outline(where, f"a {kind}", corners)
        yield Shape(where, name, xyxy, is_ignored(each.get("flags")) or is_ignored(each), corners)


def _picture(file: Path, named: Any, index: dict[str, Path], source: Source) -> Path:
    """Return the picture that a file names, or else the one with its own name; the place it should be at if none is."""
    name = named if isinstance(named, str) and named else f"{file.stem}.jpg"
    beside = file.parent / name.replace("\\", "/")
    if beside.is_file():
        return beside
    for tail in path_tails(name):
        found = file.parent / tail if (file.parent / tail).is_file() else index.get(tail)
        if found is not None:
            source.report(Kind.FOUND_ELSEWHERE, str(file), f"{name!r} is not there, {found} is taken for it")
            return found
    own = index.get(file.stem)
    if own is None:
        return beside
    source.report(Kind.CONTRADICTING_NAME, str(file), f"names {name!r}, which is not there; {own} has its name")
    return own


def _tell_unlabelled(root: Path, pictures: set[Path], source: Source) -> None:
    if pictures:
        what = f"{len(pictures)} pictures have no json file and are left out, the first is {min(pictures)}"
        source.report(Kind.PICTURE_WITHOUT_LABELS, str(root), what, len(pictures))


def _folder(path: Path, split: str | None) -> Path:
    if split is None:
        return path
    if not (path / split).is_dir():
        raise InputError(f"{path}: no split {split!r}, there is no such folder in it")
    return path / split
