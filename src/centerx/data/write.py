"""Write a data set with its pictures in another format, which `read_dataset` reads back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
import yaml

from centerx.data.dataset import Dataset, Record, Track, readable_hw
from centerx.data.yolo_names import load_yaml
from centerx.errors import InputError
from centerx.files import many_files, quoted, write_atomic, write_json
from centerx.geometry import box_area, clip_boxes, xyxy_to_xywh
from centerx.images import image_hw
from centerx.problems import Kind, Problem

UNFIT_FOR_XML = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in a line of text

MOST_BYTES = 255  # largest length of a file name in bytes


class Written(NamedTuple):
    """Result of writing.

    Attributes:
        pictures: number of copied pictures.
        problems: what could not be written.
    """

    pictures: int
    problems: list[Problem]


class _Copy(NamedTuple):
    """A record with the name of its picture in the written data set, and the picture's height and width if known."""

    record: Record
    name: str
    hw: tuple[int, int] | None


def coco_tree(dataset: Dataset, home: Path | None = None) -> dict[str, Any]:
    """Return a data set as a COCO mapping of images, categories and annotations. Pictures are not copied.

    Ignored objects become crowds. Width and height are those of the picture, or the declared ones if it is missing.

    Args:
        dataset: the data set.
        home: folder of the file to write; `file_name` is relative to it. Default: the common folder of all pictures,
            which must then be given as `images` when the file is read.
    """
    paths = [record.image.absolute() for record in dataset.records]
    start = home or os.path.commonpath([str(path.parent) for path in paths] or ["."])
    names = [Path(os.path.relpath(path, start)).as_posix() for path in paths]
    copies = [
        _Copy(each, name, readable_hw(each.image) or each.declared_hw)
        for each, name in zip(dataset.records, names, strict=True)
    ]
    return _coco(dataset, copies)


def write_coco(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `annotations/instances_<split>.json` and the pictures in `<split>`.

    Args:
        dataset: the data set.
        folder: where to write; created if missing.
        split: name of the split.
        track: iterator that shows progress.
        begin: called after all checks and before pictures are copied.

    Raises:
        InputError: the folder already has this split, or no picture can be read.
    """
    file = folder / "annotations" / f"instances_{split}.json"
    _check_free(split, file, folder / split)
    copies, problems = _copy_pictures(dataset.records, folder / split, track, begin)
    tree = _coco(dataset, [copy._replace(name=f"{split}/{copy.name}") for copy in copies])
    write_json(file, tree)
    return Written(len(copies), problems)


def write_yolo(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `images/<split>`, `labels/<split>` and an entry in `data.yaml`.

    Ignored objects are left out, because the format cannot express them. Boxes are clipped to the picture.

    Args:
        dataset: as for `write_coco`.
        folder: as for `write_coco`.
        split: as for `write_coco`.
        track: as for `write_coco`.
        begin: as for `write_coco`.

    Raises:
        InputError: the folder already has this split, or splits with other classes.
    """
    pictures, labels = (folder / kind / split for kind in ("images", "labels"))
    _check_free(split, pictures)
    file = folder / "data.yaml"
    names = dict(enumerate(dataset.class_names))
    tree = load_yaml(file, []) if file.exists() else {"names": names}
    if tree.get("names") != names:
        raise InputError(f"{file}: its classes differ from those of {dataset.path}, choose another folder")
    copies, problems = _copy_pictures(dataset.records, pictures, track, begin)
    problems += _partly_labelled(dataset)
    with many_files(labels) as new_file:
        for copy in copies:
            with new_file(Path(copy.name).with_suffix(".txt").name) as made:
                made.write_bytes("".join(f"{line}\n" for line in _yolo_lines(copy, problems)).encode())
    tree[split] = f"images/{split}"
    write_atomic(file, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode())
    return Written(len(copies), problems)


def write_voc(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write `Annotations`, `JPEGImages`, `ImageSets/Main/<split>.txt` and the classes in order as `labelmap.txt`.

    Ignored objects become difficult ones.

    Args:
        dataset: as for `write_coco`.
        folder: as for `write_coco`.
        split: as for `write_coco`.
        track: as for `write_coco`.
        begin: as for `write_coco`.

    Raises:
        InputError: the folder already has this split, or splits with other classes, or XML cannot represent a class
            name.
    """
    unfit = next((name for name in dataset.class_names if UNFIT_FOR_XML.search(name)), None)
    if unfit is not None:
        raise InputError(f"{dataset.path}: VOC cannot hold the class name {unfit!r}, rename it with --classes")
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    _check_free(split, listed)
    file = folder / "labelmap.txt"
    label_map = "".join(
        f"{line}\n" for line in ("# label:color_rgb:parts:actions", *map("{}:::".format, dataset.class_names))
    )
    if file.exists() and file.read_bytes() != label_map.encode():
        raise InputError(f"{file}: its classes differ from those of {dataset.path}, choose another folder")
    copies, problems = _copy_pictures(dataset.records, folder / "JPEGImages", track, begin)
    problems += _partly_labelled(dataset)
    with many_files(folder / "Annotations") as new_file:
        for copy in copies:
            tree = _voc(copy, dataset.class_names, problems)
            indent(tree)
            with new_file(f"{Path(copy.name).stem}.xml") as made:
                made.write_bytes(tostring(tree, encoding="unicode").encode())
    write_atomic(file, label_map.encode())
    write_atomic(listed, "".join(f"{Path(copy.name).stem}\n" for copy in copies).encode())
    return Written(len(copies), problems)


WRITERS: dict[str, Callable[[Dataset, Path, str, Track, Callable[[], object]], Written]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
}


def _check_free(split: str, *places: Path) -> None:
    if Path(split).name != split:
        raise InputError(f"split: {split!r} cannot be part of a file name, choose another name")
    for place in places:
        if place.exists():
            raise InputError(f"{place}: is there already, choose another folder or split, or remove it")


def _copy_pictures(
    records: Sequence[Record], folder: Path, track: Track, begin: Callable[[], object]
) -> tuple[list[_Copy], list[Problem]]:
    """Copy pictures into one folder. Their names are unique there even without suffixes."""
    folder.mkdir(parents=True, exist_ok=True)
    begin()
    taken = {file.stem.casefold() for file in folder.iterdir()}
    copies, problems = [], []
    with many_files(folder) as new_file:
        for record in track(records):
            try:
                hw = image_hw(record.image)
            except InputError as error:
                what = str(error).removeprefix(f"{record.image}: ")
                problems.append(Problem(Kind.UNREADABLE_PICTURE, str(record.image), f"{what}; left out"))
                continue
            name = _free_name(record.image, taken)
            if quoted(record.image.name) != record.image.name:
                what = f"not a name in UTF-8 on one line; copied as {name}"
                problems.append(Problem(Kind.RENAMED_PICTURE, str(record.image), what))
            taken.add(Path(name).stem.casefold())
            with new_file(name) as made:
                shutil.copyfile(record.image, made)
            copies.append(_Copy(record, name, hw))
    if not copies:
        raise InputError(f"{folder}: nothing to write, none of the {len(problems)} pictures can be read")
    return copies, problems


def _partly_labelled(dataset: Dataset) -> list[Problem]:
    """Report pictures that label only some of the classes, which neither YOLO nor VOC can express."""
    what = "labels some of the classes only; the others will pass for labelled"
    return [
        Problem(Kind.NOT_WRITTEN, str(record.image), what) for record in dataset.records if record.labelled is not None
    ]


def _free_name(image: Path, taken: set[str]) -> str:
    """Return the picture's own name, quoted, or one with the name of its folder or a number."""
    suffix = quoted(image.suffix)
    room = MOST_BYTES - max(len(suffix.encode()), len(".txt"))  # its label file may have that suffix
    own, number = quoted(image.stem), 1
    if _cut(own, room).casefold() in taken and image.parent.name:
        own = f"{quoted(image.parent.name)}_{own}"
    stem = _cut(own, room)
    while stem.casefold() in taken:
        number += 1
        end = f"_{number}"
        stem = _cut(own, room - len(end)) + end
    return stem + suffix


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _coco(dataset: Dataset, copies: Sequence[_Copy]) -> dict[str, Any]:
    ids = [copy.record.image_id for copy in copies]
    if len(set(ids)) < len(ids):
        ids = list(range(1, len(ids) + 1))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (record, name, hw) in zip(ids, copies, strict=True):
        images.append({"id": image_id, "file_name": name})
        if hw is not None:
            images[-1] |= {"width": hw[1], "height": hw[0]}
        if record.labelled is not None:  # in LVIS's words
            negative = sorted(record.labelled - set(record.labels.tolist()))
            images[-1] |= {"neg_category_ids": [dataset.category_ids[label] for label in negative]}
        objects = record.objects
        boxes, areas = xyxy_to_xywh(objects.boxes).tolist(), objects.values["area"].tolist()
        rows = zip(boxes, objects.labels, objects.ignore, areas, objects.is_point, strict=True)
        for box, label, ignore, area, is_point in rows:
            point = {"keypoints": [*box[:2], 2], "num_keypoints": 1} if is_point else {}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": dataset.category_ids[label],
                    "bbox": box,
                    "area": area,
                    "iscrowd": int(ignore),
                }
                | point
            )
    points = {"keypoints": ["center"], "skeleton": []} if any("keypoints" in each for each in annotations) else {}
    names = zip(dataset.category_ids, dataset.class_names, strict=True)
    categories = [{"id": own_id, "name": name} | points for own_id, name in names]
    return {"images": images, "categories": categories, "annotations": annotations}


def _yolo_lines(copy: _Copy, problems: list[Problem]) -> list[str]:
    record, _, hw = copy
    assert hw is not None
    boxes = clip_boxes(record.boxes, hw)
    keep = ~record.ignore & (box_area(boxes) > 0)
    labels = record.labels[keep]
    if not keep.all():
        what = (
            f"{np.count_nonzero(~keep)} of {len(keep)} objects are left out: ignored, outside or points without a box"
        )
        problems.append(Problem(Kind.NOT_WRITTEN, str(record.image), what))
    relative = boxes[keep] / np.array([hw[1], hw[0], hw[1], hw[0]])
    centres, sizes = (relative[:, :2] + relative[:, 2:]) / 2, relative[:, 2:] - relative[:, :2]
    rows = np.concatenate([centres, sizes], axis=1).tolist()
    return [f"{label} " + " ".join(f"{v:.8f}" for v in row) for label, row in zip(labels, rows, strict=True)]


def _voc(copy: _Copy, class_names: Sequence[str], problems: list[Problem]) -> Element:
    record, name, hw = copy
    assert hw is not None
    root = Element("annotation")
    _add(root, {"folder": "JPEGImages", "filename": name})
    _add(SubElement(root, "size"), {"width": hw[1], "height": hw[0], "depth": 3})
    boxed = ~record.objects.is_point
    if not boxed.all():
        what = f"{np.count_nonzero(~boxed)} of {len(boxed)} objects are left out, points without a box"
        problems.append(Problem(Kind.NOT_WRITTEN, str(record.image), what))
    objects = record.objects.where(boxed)
    for box, label, ignore in zip(objects.boxes.tolist(), objects.labels, objects.ignore, strict=True):
        node = SubElement(root, "object")
        _add(node, {"name": class_names[label], "difficult": int(ignore)})
        corners = (int(value) if value.is_integer() else value for value in box)
        _add(SubElement(node, "bndbox"), dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)))
    return root


def _add(node: Element, texts: dict[str, Any]) -> None:
    for tag, text in texts.items():
        SubElement(node, tag).text = str(text)
