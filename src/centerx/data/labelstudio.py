"""Label Studio's json of tasks, as `JSON` and as `JSON-MIN` exports; places are per cent of the picture's sides.

[{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [{"result": [
   {"type": "rectanglelabels", "from_name": "label", "to_name": "image", "original_width": 640,
    "original_height": 480, "image_rotation": 0, "value": {"x": 1.5, "y": 4, "width": 16, "height": 12.5,
    "rotation": 0, "rectanglelabels": ["cat"]}}]}]}]

[{"id": 1, "image": "/data/upload/1/0a1b2c3d-a.jpg", "label": [
   {"x": 1.5, "y": 4, "width": 16, "height": 12.5, "rotation": 0, "rectanglelabels": ["cat"],
    "original_width": 640, "original_height": 480}]}]
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

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
from centerx.data.places import choose_file, find_pictures, is_picture, locate_pictures, path_tails
from centerx.data.shapes import Labelled, Shape, Source, around, four_corners, make_dataset, pairs, read_json
from centerx.data.signs import every, keys, label_files, lacks, says
from centerx.data.values import class_name, is_number, to_hw
from centerx.files import write_json
from centerx.problems import Kind

FULL = every(
    says(r'"(?:annotations|completions)"\s*:'), says(r'"(?:from_name|was_cancelled|result)"\s*:'), keys("data")
)
MIN = says(r'"(?:rectangle|polygon|ellipse|keypoint|brush)labels"\s*:')
LIST = every(says(r"\A\s*\["), lacks("category_id"))
SIDES = ("x", "y", "width", "height")
ELLIPSE = ("x", "y", "radiusX", "radiusY")
URL = re.compile(r"^(?:https?://[^/]*)?/?data/(?:upload/(?:\d+/)?|local-files/\?d=)")  # before the path of a picture
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded picture
FILE = "tasks.json"


class _Task(NamedTuple):
    where: str
    picture: str
    regions: list[Any]


def recognises(path: Path) -> bool:
    """Return whether a path is a json file of tasks, or a folder with one in it or in its subfolders."""
    return any(True for _ in _files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder.

    Of several annotations of a task, the ground truth or the first is read; cancelled ones are not, and predictions
    are not. Turned rectangles, polygons and ellipses become the boxes around them. Regions on a picture that was turned
    in the tool are left out. A region of several labels is an object of each.

    Raises:
        UnusableData: the file is malformed.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    source = Source(path, file, "labelstudio", images, [])
    tree = read_json(file)
    if not isinstance(tree, list):
        raise UnusableData(file, "not of Label Studio: a list of tasks is needed")
    pictures = []
    for task in _tasks(tree, source):
        shapes = [
            shape
            for place, region in enumerate(task.regions, start=1)
            for shape in _shapes(region, f"{task.where}: region {place}", source)
        ]
        hw = next((each for each in map(_size, task.regions) if each), None)
        pictures.append(Labelled(task.picture, shapes, hw))
    return make_dataset(source, pictures, relative=True, places=_places([each.name for each in pictures], source))


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `<split>/tasks.json`, tasks with annotations, and the pictures in `<split>/images`.

    Ignored objects are left out, because the format cannot express them. Tasks name pictures as local files
    (`/data/local-files/?d=images/a.jpg`), for a local storage at the folder of the split.

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
    copies, problems = copy_pictures(dataset.records, home / "images", track, begin)
    problems += [*partly_labelled(dataset), *lost_classes(dataset)]
    tasks = []
    for number, copy in enumerate(copies, start=1):
        height, width = copy.known_hw
        result: list[dict[str, Any]] = []
        for name, (left, top, right, bottom), _ in rows_of(boxed_objects(copy, problems, False), dataset.class_names):
            corner = (100 * left / width, 100 * top / height)
            values = (*corner, 100 * (right - left) / width, 100 * (bottom - top) / height)
            result.append(
                {
                    "id": f"{number}-{len(result) + 1}",
                    "type": "rectanglelabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": dict(zip(SIDES, values, strict=True)) | {"rotation": 0, "rectanglelabels": [name]},
                }
            )
        data = {"image": f"/data/local-files/?d=images/{quote(copy.name)}"}
        tasks.append({"id": number, "data": data, "annotations": [{"result": result, "was_cancelled": False}]})
    write_json(home / FILE, tasks)
    return Written(len(copies), problems)


def _files(path: Path) -> Iterator[Path]:
    return label_files(path, ".json", lambda text: LIST(text) and (FULL(text) or MIN(text)))


def _tasks(tree: list[Any], source: Source) -> Iterator[_Task]:
    for place, entry in enumerate(tree):
        where = f"{source.file}: task {entry.get('id', place) if isinstance(entry, dict) else place}"
        data = entry.get("data", entry) if isinstance(entry, dict) else None
        picture = _picture(data) if isinstance(data, dict) else None
        if picture is None:
            source.report(Kind.MALFORMED_ENTRY, where, "names no picture")
        elif "data" in entry and not isinstance(entry.get("annotations", entry.get("completions")), list):
            source.report(Kind.MALFORMED_ENTRY, where, "has no list of annotations, and is left out")
        elif "data" in entry:
            yield _Task(where, _path(picture), _annotation(entry, where, source))
        else:
            lists = [value for value in entry.values() if isinstance(value, list)]
            yield _Task(where, _path(picture), [each for some in lists for each in some if isinstance(each, dict)])


def _picture(data: dict[str, Any]) -> str | None:
    """Return the picture of a task: the value called image, or the only text that ends like a picture."""
    if isinstance(data.get("image"), str) and data["image"]:
        return str(data["image"])
    found = [value for value in data.values() if isinstance(value, str) and any(map(is_picture, path_tails(value)))]
    return found[0] if len(found) == 1 else None


def _path(picture: str) -> str:
    """Return the path that Label Studio's own address of a picture contains; others are returned as they are."""
    return unquote(URL.sub("", picture)) if URL.match(picture) else picture


def _annotation(entry: dict[str, Any], where: str, source: Source) -> list[Any]:
    """Return the regions of the annotation that counts."""
    given: list[Any] = entry.get("annotations", entry.get("completions")) or []
    some = [each for each in given if isinstance(each, dict) and isinstance(each.get("result"), list)]
    if len(some) < len(given):
        what = f"{len(given) - len(some)} of its annotations have no list result"
        source.report(Kind.MALFORMED_ENTRY, where, what, len(given) - len(some))
    some = [each for each in some if not each.get("was_cancelled")]
    if len(some) > 1:
        what = f"has {len(some)} annotations, of which the ground truth or the first is read"
        source.report(Kind.OTHER_ANNOTATION, where, what, len(some) - 1)
    best = next((each for each in some if each.get("ground_truth")), some[0] if some else {"result": []})
    return list(best["result"])


def _shapes(region: Any, where: str, source: Source) -> Iterator[Shape]:
    if not isinstance(region, dict):
        source.report(Kind.MALFORMED_ENTRY, where, "is not a mapping")
        return
    value = region["value"] if isinstance(region.get("value"), dict) else region
    names = next((value[key] for key in value if key == "labels" or key.endswith("labels")), None)
    if names is None:
        if region.get("type") in (None, "rectangle", "polygon", "ellipse"):
            source.report(Kind.MALFORMED_ENTRY, where, "has no label")
        else:
            source.report(Kind.OTHER_SHAPE, where, f"is of the type {region['type']}, which has no box")
        return
    called = [class_name(name) for name in names] if isinstance(names, list) else []
    if not called or not all(called):
        source.report(Kind.MALFORMED_ENTRY, where, f"its labels are not names: {names!r}")
        return
    turned = region.get("image_rotation")
    if turned:
        what = f"is drawn on its picture turned by {turned} degrees in Label Studio, and is left out"
        source.report(Kind.OTHER_SHAPE, where, what)
        return
    xyxy, corners = _place(value, region, where, source)
    for name in called if xyxy else ():
        yield Shape(where, name, xyxy, corners=corners)


def _place(
    value: dict[str, Any], region: dict[str, Any], where: str, source: Source
) -> tuple[list[float], list[float] | None]:
    """Return the box of a region in shares of the sides, empty, and a problem, if it has none; and its four corners."""
    turn = value.get("rotation") or 0
    turn = float(turn) % 360 if is_number(turn) and math.isfinite(turn) else math.nan
    box, ellipse = _numbers(value, SIDES), _numbers(value, ELLIPSE)
    points = pairs(value.get("points"))
    hw = _size(region) or (1, 1)
    if math.isnan(turn):
        source.report(Kind.MALFORMED_ENTRY, where, f"its rotation is no number: {value.get('rotation')!r}")
        return [], None
    corners = None
    if points:
        xyxy, corners = around(points), four_corners(points)
        source.report_outline(where, "a polygon", corners)
    elif box and region.get("type") not in ("keypointlabels", "keypoint"):
        left, top, width, height = box
        xyxy = [left, top, left + width, top + height]
        if turn:
            turned = _turned(box, turn, hw)
            xyxy, corners = around(turned), four_corners(turned)
            what = f"is turned by {turn:g} degrees: tasks without corners use the upright box around it"
            source.report(Kind.ROTATED_BOX, where, what)
    elif ellipse:
        x, y, across, down = ellipse
        (height, width), angle = hw, math.radians(turn)
        half = math.hypot(across * width * math.cos(angle), down * height * math.sin(angle)) / width
        tall = math.hypot(across * width * math.sin(angle), down * height * math.cos(angle)) / height
        source.report(Kind.POLYGON, where, "is an ellipse, the box around it is used")
        xyxy = [x - half, y - tall, x + half, y + tall]
    else:
        source.report(Kind.OTHER_SHAPE, where, f"is of the type {region.get('type', 'unknown')}, which has no box")
        return [], None
    return [each / 100 for each in xyxy], corners and [each / 100 for each in corners]


def _turned(box: list[float], degrees: float, hw: tuple[int, int]) -> list[tuple[float, float]]:
    """Return the corners, in per cent, of a box that is turned clockwise about its upper left corner."""
    left, top, width, height = box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    tall, wide = hw
    corners = [(x * wide, y * tall) for x, y in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))]
    return [(left + (x * cos - y * sin) / wide, top + (x * sin + y * cos) / tall) for x, y in corners]


def _places(names: list[str], source: Source) -> list[str]:
    """Return the pictures of the tasks. Without the names that Label Studio made, those of before the upload count."""
    folder = source.images or find_pictures(source.file, names, source.problems)
    places = locate_pictures(folder, names, str(source.file), source.problems)
    if any(map(os.path.isfile, places)):
        return places
    plain = [UPLOADED.sub("", path_tails(name)[-1]) if path_tails(name) else name for name in names]
    folder = source.images or find_pictures(source.file, plain, source.problems)
    before = locate_pictures(folder, plain, str(source.file), source.problems)
    found = list(map(os.path.isfile, before))
    if any(found):
        what = f"{names[found.index(True)]!r} is not there, {before[found.index(True)]} is taken for it"
        source.report(Kind.FOUND_ELSEWHERE, str(source.file), what, sum(found))
        return before
    return places


def _size(region: Any) -> tuple[int, int] | None:
    return to_hw(region.get("original_height"), region.get("original_width")) if isinstance(region, dict) else None


def _numbers(value: dict[str, Any], names: tuple[str, ...]) -> list[float] | None:
    values = [value.get(name) for name in names]
    return list(map(float, values)) if all(map(is_number, values)) else None  # type: ignore[arg-type]
