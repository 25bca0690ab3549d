"""COCO: one json of images, categories and annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from centerx.data.dataset import Dataset, Problem, Record, RecordBuilder
from centerx.errors import InputError, nearest

PROBE = 50  # file names by which the folder of the pictures is recognised


def recognises(path: Path) -> bool:
    """Whether this is a json file, or a folder with `annotations/*.json`."""
    return path.suffix == ".json" or any((path / "annotations").glob("*.json"))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or the file of `split` in a folder's `annotations`.

    Crowds and annotations with `ignore` become ignored objects; the object's own area is kept. Boxes without area are
    skipped. An image without annotations is a picture without objects.
    """
    file = path if path.suffix == ".json" else _choose(path, split)
    problems: list[Problem] = []
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return _fatal(path, f"{file}", f"malformed JSON ({error})")
    if not isinstance(tree, dict) or not all(isinstance(tree.get(k), list) for k in ("images", "categories")):
        return _fatal(
            path, f"{file}", "not a COCO data set: a mapping with images, annotations and categories is needed"
        )
    names, category_ids, label_of = _categories(tree["categories"], file, problems)
    builders: dict[int | str, RecordBuilder] = {}
    folder = images or _find_pictures(file, tree["images"])
    for image in tree["images"]:
        where = f"{file}: image {image.get('id') if isinstance(image, dict) else image!r}"
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str) or not _is_id(image.get("id")):
            problems.append(Problem(where, "has no id or no file_name", "skipped"))
        elif image["id"] in builders:
            problems.append(Problem(where, "its id is taken by an earlier image", "skipped"))
        else:
            builders[image["id"]] = RecordBuilder(folder / image["file_name"], image["id"], problems)
    for number, annotation in enumerate(tree.get("annotations") or []):
        _add(annotation, f"{file}: annotation {_id_of(annotation, number)}", builders, label_of, problems)
    return Dataset(path, "coco", names, category_ids, [builder.build() for builder in builders.values()], problems)


def _add(
    annotation: Any,
    where: str,
    builders: dict[int | str, RecordBuilder],
    label_of: dict[int | str, int],
    problems: list[Problem],
) -> None:
    if not isinstance(annotation, dict):
        problems.append(Problem(where, "is not a mapping", "skipped"))
        return
    builder = builders.get(annotation.get("image_id"))  # type: ignore[arg-type]
    label = label_of.get(annotation.get("category_id"))  # type: ignore[arg-type]
    box = annotation.get("bbox")
    if builder is None:
        problems.append(
            Problem(where, f"names the image {annotation.get('image_id')!r}, which is not there", "skipped")
        )
    elif label is None:
        what = f"names the category {annotation.get('category_id')!r}, which is not there"
        problems.append(Problem(where, what, "skipped"))
    elif not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        problems.append(Problem(where, f"bbox must be four numbers, not {box!r}", "skipped"))
    else:
        x, y, width, height = map(float, box)
        ignore = bool(annotation.get("iscrowd")) or bool(annotation.get("ignore"))
        area = annotation.get("area")
        area = float(area) if isinstance(area, int | float) else None
        builder.add(where, [x, y, x + width, y + height], label, ignore, area)


def _categories(
    categories: list[Any], file: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[int, ...], dict[int | str, int]]:
    """Names, their first ids, and the label of every id; ids that share a name are one class."""
    names: list[str] = []
    ids: list[int] = []
    label_of: dict[int | str, int] = {}
    for category in categories:
        if not isinstance(category, dict) or not _is_id(category.get("id")) or "name" not in category:
            problems.append(Problem(f"{file}: category {category!r}", "has no id or no name", "skipped"))
            continue
        name = str(category["name"])
        if name in names:
            problems.append(
                Problem(f"{file}: category {category['id']}", f"repeats the name {name!r}, merged", "fixed")
            )
        else:
            names.append(name)
            ids.append(category["id"])
        label_of[category["id"]] = names.index(name)
    return tuple(names), tuple(ids), label_of


def _choose(folder: Path, split: str | None) -> Path:
    files = sorted((folder / "annotations").glob("*.json"))
    files = [file for file in files if "keypoints" not in file.name and "captions" not in file.name] or files
    if split is not None:
        chosen = [file for file in files if split in _words(file)] or [file for file in files if split in file.stem]
    else:
        chosen = files
    if len(chosen) == 1:
        return chosen[0]
    known = [file.stem for file in files]
    if not chosen:
        raise InputError(f"{folder}: no split {split!r}{nearest(split or '', known)}, there are {', '.join(known)}")
    raise InputError(f"{folder}: which of {', '.join(file.stem for file in chosen)}? name one with split, or its file")


def _words(file: Path) -> list[str]:
    return file.stem.replace("-", "_").split("_")


def _find_pictures(file: Path, images: Sequence[Any]) -> Path:
    """The folder near the json that holds most of the first pictures named in it."""
    names = [image["file_name"] for image in images[:PROBE] if isinstance(image, dict) and "file_name" in image]
    roots = [file.parent, file.parent.parent]
    roots += [folder for root in roots for folder in sorted(root.iterdir()) if folder.is_dir()]
    roots += [folder for root in roots[2:] if root.name == "images" for folder in sorted(root.iterdir())]
    return max(roots, key=lambda root: sum((root / name).is_file() for name in names))


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _id_of(annotation: Any, number: int) -> str:
    return str(annotation["id"]) if isinstance(annotation, dict) and "id" in annotation else f"number {number}"


def _fatal(path: Path, where: str, what: str) -> Dataset:
    records: list[Record] = []
    return Dataset(path, "coco", (), (), records, [Problem(where, what, "fatal")])
