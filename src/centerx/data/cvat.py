"""CVAT for images 1.1: one xml of pictures, with boxes and other shapes on them.

    <annotations>
      <version>1.1</version>
      <image id="0" name="a.jpg" width="640" height="480">
        <box label="car" occluded="0" xtl="10.00" ytl="20.00" xbr="110.50" ybr="80.25" z_order="0"/>

A check box of CVAT that is called `ignore`, `difficult` or `iscrowd` makes an object an ignored one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from centerx.data.copies import (
    Written,
    boxed_objects,
    check_free,
    copy_pictures,
    partly_labelled,
    require_xml_names,
    rows_of,
)
from centerx.data.dataset import Dataset, Track, UnusableData, span, turned_corners
from centerx.data.places import choose_file
from centerx.data.shapes import IGNORE, Labelled, Shape, Source, around, four_corners, is_ignored, make_dataset
from centerx.data.signs import every, label_files, says
from centerx.data.values import to_hw, to_number
from centerx.files import write_atomic
from centerx.problems import Kind

SIGNS = every(says("<annotations>"), says(r"<(?:image|track|version)\b"))
CORNERS = ("xtl", "ytl", "xbr", "ybr")
MASK = ("left", "top", "width", "height")
ELLIPSE = ("cx", "cy", "rx", "ry")


def recognises(path: Path) -> bool:
    """Return whether a path is an xml file of CVAT, or a folder with one in it or in its subfolders."""
    return any(True for _ in label_files(path, ".xml", SIGNS))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or that of a split in a folder.

    Rotated boxes, polygons, masks and ellipses become the boxes around them. Shapes without an area are left out.

    Raises:
        UnusableData: the file is malformed, or is CVAT for video.
    """
    file = path if path.is_file() else choose_file(path, label_files(path, ".xml", SIGNS), split)
    source = Source(path, file, "cvat", images, [])
    try:
        root = parse(file).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UnusableData(file, f"malformed XML ({error})") from None
    if root.tag != "annotations" or (root.find("image") is None and root.find("track") is not None):
        raise UnusableData(file, "CVAT for video, whose pictures are frames; export it as `CVAT for images 1.1`")
    pictures = []
    for place, node in enumerate(root.iter("image")):
        name = node.get("name", "")
        if not name:
            source.report(Kind.MALFORMED_ENTRY, f"{file}: image number {place}", "has no name")
            continue
        shapes = [_shape(each, f"{file}: {name}: shape {n}", source) for n, each in enumerate(node, start=1)]
        hw = to_hw(to_number(node.get("height")), to_number(node.get("width")))
        pictures.append(Labelled(name, [shape for shape in shapes if shape], hw))
    labels = [node.findtext("name") or "" for node in root.findall("meta//labels/label")]
    return make_dataset(source, pictures, declared=filter(None, labels))


def write(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `<split>/annotations.xml` and the pictures in `<split>/images`, as CVAT exports them.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the split is there already, no picture can be read, or XML cannot represent a class name.
    """
    require_xml_names(dataset, "CVAT")
    home = folder / split
    check_free(split, home)
    copies, problems = copy_pictures(dataset.records, home / "images", track, begin)
    problems += partly_labelled(dataset)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    root.append(_meta(dataset, len(copies), split))
    for place, copy in enumerate(copies):
        height, width = copy.known_hw
        image = SubElement(
            root, "image", {"id": str(place), "name": copy.name, "width": str(width), "height": str(height)}
        )
        for name, box, ignore in rows_of(boxed_objects(copy, problems), dataset.class_names):
            corners = dict(zip(CORNERS, map(repr, box), strict=True))
            node = SubElement(image, "box", {"label": name, "occluded": "0", **corners, "z_order": "0"})
            SubElement(node, "attribute", {"name": IGNORE[0]}).text = str(ignore).lower()
    indent(root)
    write_atomic(home / "annotations.xml", tostring(root, encoding="utf-8", xml_declaration=True))
    return Written(len(copies), problems)


def _meta(dataset: Dataset, pictures: int, split: str) -> Element:
    """Return the description of a task: its classes, each with a check box for ignored objects."""
    meta = Element("meta")
    task = SubElement(meta, "task")
    for tag, text in (("name", split), ("size", str(pictures)), ("mode", "annotation")):
        SubElement(task, tag).text = text
    labels = SubElement(task, "labels")
    for name in dataset.class_names:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "rectangle"
        attribute = SubElement(SubElement(label, "attributes"), "attribute")
        texts = (("name", IGNORE[0]), ("mutable", "False"), ("input_type", "checkbox"), ("default_value", "false"))
        for tag, text in (*texts, ("values", "false")):
            SubElement(attribute, tag).text = text
    return meta


def _shape(node: Any, where: str, source: Source) -> Shape | None:
    """Return the shape of an element; None, and a problem, if it has no box."""
    name = node.get("label", "")
    if node.tag not in SHAPES:
        source.report(Kind.OTHER_SHAPE, where, f"is a {node.tag}, which has no box")
        return None
    if not name.strip():
        source.report(Kind.MALFORMED_ENTRY, where, f"the {node.tag} has no label")
        return None
    xyxy = SHAPES[node.tag](node)
    if xyxy is None:
        source.report(Kind.MALFORMED_ENTRY, where, f"the {node.tag} lacks the numbers of its place")
        return None
    turn, corners = to_number(node.get("rotation", "0")), None
    if turn is None or not math.isfinite(turn):
        source.report(Kind.MALFORMED_ENTRY, where, f"its rotation is no number: {node.get('rotation')!r}")
        return None
    turn %= 360
    if node.tag == "polygon":
        corners = four_corners(_points(node) or [])
    if node.tag != "box":
        source.report_outline(where, f"a {node.tag}", corners)
    elif turn:
        left, top, right, bottom = xyxy
        centre, sides = ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)
        if min(sides) > 0:
            corners = turned_corners(centre, sides, math.radians(turn))
            xyxy = span(corners)
        what = f"is turned by {turn:g} degrees: tasks without corners use the upright box around it"
        source.report(Kind.ROTATED_BOX, where, what)
    flags = {each.get("name"): (each.text or "").strip().lower() for each in node.findall("attribute")}
    return Shape(where, name, xyxy, is_ignored(flags), corners)


def _box(node: Any) -> list[float] | None:
    return _numbers(node, CORNERS)


def _polygon(node: Any) -> list[float] | None:
    points = _points(node)
    return around(points) if points else None


def _points(node: Any) -> list[tuple[float, float]] | None:
    points = [[to_number(text) for text in point.split(",")] for point in node.get("points", "").split(";")]
    if any(len(point) != 2 or None in point for point in points):
        return None
    return [(x, y) for x, y in points]  # type: ignore[misc]


def _mask(node: Any) -> list[float] | None:
    values = _numbers(node, MASK)
    return values and [values[0], values[1], values[0] + values[2], values[1] + values[3]]


def _ellipse(node: Any) -> list[float] | None:
    values = _numbers(node, ELLIPSE)
    if values is None:
        return None
    turn = math.radians(to_number(node.get("rotation")) or 0.0)
    if not math.isfinite(turn):
        return None
    x, y, across, down = values
    width = math.hypot(across * math.cos(turn), down * math.sin(turn))
    height = math.hypot(across * math.sin(turn), down * math.cos(turn))
    return [x - width, y - height, x + width, y + height]


def _numbers(node: Any, names: tuple[str, ...]) -> list[float] | None:
    values = [to_number(node.get(name)) for name in names]
    return None if None in values else values  # type: ignore[return-value]


SHAPES: dict[str, Callable[[Any], list[float] | None]] = {
    "box": _box,
    "polygon": _polygon,
    "mask": _mask,
    "ellipse": _ellipse,
}
