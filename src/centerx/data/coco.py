"""COCO: one json of images, categories and annotations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeGuard

from centerx.data.dataset import Dataset, RecordBuilder, is_number
from centerx.data.places import choose_file, find_pictures
from centerx.problems import Kind, Problem

# Where a folder keeps its json files: COCO itself, Roboflow one split, Roboflow all splits.
PLACES = ("annotations/*.json", "*.json", "*/_annotations.coco.json")


def recognises(path: Path) -> bool:
    """Whether this is a json file, or a folder that holds COCO's."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(_files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or the file of `split` in a folder.

    Crowds and annotations with `ignore` become ignored objects; the object's own area is kept. Boxes without area are
    skipped. An image without annotations is a picture without objects.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    problems: list[Problem] = []
    try:
        tree = json.loads(file.read_bytes())
        unlike = _unlike_coco(tree)
    except (ValueError, RecursionError) as error:
        unlike = f"malformed JSON ({error})"
    if unlike:
        return Dataset(path, "coco", (), (), [], [Problem(Kind.UNREADABLE_LABELS, str(file), unlike)])
    names, category_ids, label_of = _categories(tree["categories"], file, problems)
    builders = _pictures(tree["images"], file, images, problems)
    seen: set[int | str] = set()
    repeated = []
    for number, annotation in enumerate(tree.get("annotations", [])):
        if not isinstance(annotation, dict):
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: annotation number {number}", "is not a mapping"))
            continue
        own_id = annotation.get("id")
        where = f"{file}: annotation {f'number {number}' if own_id is None else own_id}"
        if _is_id(own_id):
            if own_id in seen:
                repeated.append(own_id)
            seen.add(own_id)
        _add(annotation, where, builders, label_of, problems)
    if repeated:
        what = f"{len(repeated)} annotations repeat the id of another (the first is {repeated[0]!r}), all are used"
        problems.append(Problem(Kind.REPEATED_ANNOTATION_ID, str(file), what))
    return Dataset(path, "coco", names, category_ids, [builder.build() for builder in builders.values()], problems)


def _unlike_coco(tree: Any) -> str:
    """What makes this json another thing than a COCO data set, or nothing."""
    if isinstance(tree, list):
        results = bool(tree) and isinstance(tree[0], dict) and "score" in tree[0]
        return "a list of detections, not a data set" if results else "not a COCO data set but a list"
    if isinstance(tree, dict) and all(isinstance(tree.get(key), list) for key in ("images", "categories")):
        return "" if isinstance(tree.get("annotations", []), list) else "its annotations are not a list"
    return "not a COCO data set: a mapping with lists of images, annotations and categories is needed"


def _categories(
    categories: list[Any], file: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[int, ...], dict[int | str, int]]:
    """Names, their first ids, and the label of every id; ids that share a name are one class."""
    ids: dict[str, int] = {}
    label_of: dict[int | str, int] = {}
    for category in categories:
        if not isinstance(category, dict) or not _is_id(category.get("id")) or "name" not in category:
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: category {category!r}", "has no id or no name"))
            continue
        own_id, name = category["id"], str(category["name"])
        where = f"{file}: category {own_id}"
        if own_id in label_of:
            problems.append(Problem(Kind.REPEATED_ID, where, f"{name!r}: its id is taken by an earlier category"))
            continue
        if name in ids:
            problems.append(Problem(Kind.REPEATED_CLASS, where, f"repeats the name {name!r}, merged"))
        ids.setdefault(name, own_id)
        label_of[own_id] = list(ids).index(name)
    return tuple(ids), tuple(ids.values()), label_of


def _pictures(
    images: list[Any], file: Path, folder: Path | None, problems: list[Problem]
) -> dict[int | str, RecordBuilder]:
    names = [image["file_name"] for image in images if isinstance(image, dict) and _is_name(image.get("file_name"))]
    folder = folder or find_pictures(file, names)
    builders: dict[int | str, RecordBuilder] = {}
    for image in images:
        if not isinstance(image, dict) or not _is_id(image.get("id")) or not _is_name(image.get("file_name")):
            own_id = image.get("id") if isinstance(image, dict) else image
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: image {own_id!r}", "has no id or no file_name"))
        elif image["id"] in builders:
            what = f"{image['file_name']}: its id is taken by an earlier image"
            problems.append(Problem(Kind.REPEATED_ID, f"{file}: image {image['id']}", what))
        else:
            picture = folder / image["file_name"].replace("\\", "/")
            builders[image["id"]] = RecordBuilder(picture, image["id"], problems, _declared_hw(image))
    return builders


def _declared_hw(image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None


def _add(
    annotation: dict[str, Any],
    where: str,
    builders: dict[int | str, RecordBuilder],
    label_of: dict[int | str, int],
    problems: list[Problem],
) -> None:
    image, category, box = annotation.get("image_id"), annotation.get("category_id"), annotation.get("bbox")
    if not _is_id(image) or image not in builders:
        problems.append(Problem(Kind.UNKNOWN_REFERENCE, where, f"names the image {image!r}, which is not there"))
    elif not _is_id(category) or category not in label_of:
        problems.append(Problem(Kind.UNKNOWN_REFERENCE, where, f"names the category {category!r}, which is not there"))
    elif not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"bbox must be four numbers, not {box!r}"))
    else:
        x, y, width, height = map(float, box)
        ignore = bool(annotation.get("iscrowd")) or bool(annotation.get("ignore"))
        area = annotation.get("area")
        own_area = float(area) if is_number(area) else None
        builders[image].add(where, [x, y, x + width, y + height], label_of[category], ignore, own_area)


def _files(folder: Path) -> list[Path]:
    """COCO's json files of a folder, those of boxes if there are others."""
    for place in PLACES:
        files = [file for file in sorted(folder.glob(place)) if place != "*.json" or _mentions_coco(file)]
        if files:
            return [file for file in files if not re.search("keypoints|captions", file.name)] or files
    return []


def _mentions_coco(file: Path) -> bool:
    """Whether a json beside other files is likely meant to be COCO, without reading it as JSON."""
    content = file.read_bytes()
    return "coco" in file.name or all(key in content for key in (b'"images"', b'"annotations"', b'"categories"'))


def _is_id(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, int | str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
