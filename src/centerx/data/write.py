"""Write a data set with its pictures in another format, which `read_dataset` reads back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
import yaml

from centerx.data import (
    boxes_csv,
    createml,
    cvat,
    dota,
    fiftyone,
    huggingface,
    kitti,
    labelme,
    labelstudio,
    openimages,
    via,
)
from centerx.data.attributes import count_attributes
from centerx.data.copies import (
    Copy,
    Written,
    boxed_objects,
    check_free,
    copy_pictures,
    partly_labelled,
    require_trimmed_names,
    require_xml_names,
)
from centerx.data.dataset import VISIBILITY, Dataset, Track, corners_or_boxes, readable_hw
from centerx.data.yolo_names import load_yaml
from centerx.errors import InputError
from centerx.fields import KEYPOINTS
from centerx.files import many_files, write_atomic, write_json
from centerx.geometry import box_area, clip_boxes, xyxy_to_xywh
from centerx.joints import Joints, mirror_of
from centerx.objects import Objects
from centerx.problems import Kind, Problem


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
        Copy(each, name, readable_hw(each.image) or each.declared_hw)
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
    check_free(split, file, folder / split)
    copies, problems = copy_pictures(dataset.records, folder / split, track, begin)
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
    return _write_yolo(dataset, folder, split, track, begin, "detect", _yolo_lines)


def write_yolo_obb(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the same with the four corners of each object, those of its box where it has none of its own.

    Corners are clipped to the picture.

    Args:
        dataset: as for `write_coco`.
        folder: as for `write_coco`.
        split: as for `write_coco`.
        track: as for `write_coco`.
        begin: as for `write_coco`.

    Raises:
        InputError: as for `write_yolo`.
    """
    return _write_yolo(dataset, folder, split, track, begin, "obb", _obb_lines)


def write_yolo_pose(
    dataset: Dataset, folder: Path, split: str, track: Track = iter, begin: Callable[[], object] = bool
) -> Written:
    """Write the same as `write_yolo` with the joints of each object behind its box.

    Every class has all joints there, those of other classes being not labelled. The skeleton is not written.

    Args:
        dataset: as for `write_coco`.
        folder: as for `write_coco`.
        split: as for `write_coco`.
        track: as for `write_coco`.
        begin: as for `write_coco`.

    Raises:
        InputError: the data set has no joints, or as for `write_yolo`.
    """
    joints = dataset.joints
    if not joints.names:
        raise InputError(f"{dataset.path}: has no joints, which yolo-pose is for, choose yolo")
    facts: dict[str, Any] = {"kpt_shape": [len(joints.names), 3]}
    flip = mirror_of(joints)
    facts |= {"flip_idx": list(flip)} if flip else {}
    facts |= (
        {"kpt_names": {label: list(joints.names) for label, _ in enumerate(dataset.class_names)}}
        if joints.named
        else {}
    )
    lines = partial(_pose_lines, count=len(joints.names))
    written = _write_yolo(dataset, folder, split, track, begin, "pose", lines, facts)
    return written._replace(problems=[*_unwritten_joints(dataset), *written.problems])


def _unwritten_joints(dataset: Dataset) -> list[Problem]:
    """What YOLO has no word for about the joints of a data set."""
    joints, texts = dataset.joints, []
    if joints.classes:
        texts.append(
            f"all classes get the {len(joints.names)} joints of all, those that a class lacks are not labelled"
        )
    if joints.skeleton:
        texts.append(f"the {len(joints.skeleton)} lines of the skeleton are left out")
    return [Problem(Kind.NOT_WRITTEN, str(dataset.path), what) for what in texts]


def _write_yolo(
    dataset: Dataset,
    folder: Path,
    split: str,
    track: Track,
    begin: Callable[[], object],
    task: str,
    lines: Callable[[Copy, list[Problem]], list[str]],
    facts: Mapping[str, Any] = {},
) -> Written:
    pictures, labels = (folder / kind / split for kind in ("images", "labels"))
    check_free(split, pictures)
    file = folder / "data.yaml"
    names = dict(enumerate(dataset.class_names))
    own = {"names": names} | ({} if task == "detect" else {"task": task}) | dict(facts)
    tree = load_yaml(file, []) if file.exists() else own
    alike = tree.get("task", "detect") == task and all(tree.get(key) == facts.get(key) for key in JOINT_KEYS)
    if tree.get("names") != names or not alike:
        what = "classes differ" if tree.get("names") != names else "task differs or its joints do"
        raise InputError(f"{file}: its {what} from those of {dataset.path}, choose another folder")
    copies, problems = copy_pictures(dataset.records, pictures, track, begin)
    problems += partly_labelled(dataset)
    with many_files(labels) as new_file:
        for copy in copies:
            with new_file(Path(copy.name).with_suffix(".txt").name) as made:
                made.write_bytes("".join(f"{line}\n" for line in lines(copy, problems)).encode())
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
    require_xml_names(dataset, "VOC")
    require_trimmed_names(dataset, "VOC")
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    check_free(split, listed)
    file = folder / "labelmap.txt"
    label_map = "".join(
        f"{line}\n" for line in ("# label:color_rgb:parts:actions", *map("{}:::".format, dataset.class_names))
    )
    if file.exists() and file.read_bytes() != label_map.encode():
        raise InputError(f"{file}: its classes differ from those of {dataset.path}, choose another folder")
    copies, problems = copy_pictures(dataset.records, folder / "JPEGImages", track, begin)
    problems += partly_labelled(dataset)
    with many_files(folder / "Annotations") as new_file:
        for copy in copies:
            tree = _voc(copy, dataset.class_names, problems)
            indent(tree)
            with new_file(f"{Path(copy.name).stem}.xml") as made:
                made.write_bytes(tostring(tree, encoding="unicode").encode())
    write_atomic(file, label_map.encode())
    write_atomic(listed, "".join(f"{Path(copy.name).stem}\n" for copy in copies).encode())
    return Written(len(copies), problems)


JOINT_KEYS = "kpt_shape", "flip_idx", "kpt_names"  # of a data.yaml
WITH_JOINTS = "coco", "yolo-pose"  # formats that hold joints
WITH_CORNERS = "coco", "yolo-obb", "dota"  # formats that hold corners
WRITERS: dict[str, Callable[[Dataset, Path, str, Track, Callable[[], object]], Written]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "yolo-obb": write_yolo_obb,
    "yolo-pose": write_yolo_pose,
    "dota": dota.write,
    "voc": write_voc,
    "cvat": cvat.write,
    "labelstudio": labelstudio.write,
    "createml": createml.write,
    "labelme": labelme.write,
    "via": via.write,
    "csv": boxes_csv.write,
    "kitti": kitti.write,
    "openimages": openimages.write,
    "huggingface": huggingface.write,
    "fiftyone": fiftyone.write,
}


def lost_attributes(dataset: Dataset, to: str) -> Iterator[str]:
    """Yield what the objects of a data set carry and a format has no word for, a line each.

    Args:
        dataset: the data set.
        to: name of the format.
    """
    if dataset.joints.names and to not in WITH_JOINTS:
        yield f"its joints are not written as {to}, which has none; choose {' or '.join(WITH_JOINTS)}"
    turned = count_attributes(dataset).turned if to not in WITH_CORNERS else 0
    if turned:
        others = " or ".join(WITH_CORNERS)
        yield f"the corners of its turned objects ({turned}) are not written as {to}, which has none; choose {others}"


def _coco(dataset: Dataset, copies: Sequence[Copy]) -> dict[str, Any]:
    ids = [copy.record.image_id for copy in copies]
    if len(set(ids)) < len(ids):
        ids = list(range(1, len(ids) + 1))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    whole = range(len(dataset.class_names)) if any(copy.record.labelled is not None for copy in copies) else None
    for image_id, (record, name, hw) in zip(ids, copies, strict=True):
        images.append({"id": image_id, "file_name": name})
        if hw is not None:
            images[-1] |= {"width": hw[1], "height": hw[0]}
        labelled = whole if record.labelled is None else record.labelled
        if labelled is not None:  # in LVIS's words; a file that has them for one picture has them for all
            negative = sorted(set(labelled) - set(record.labels.tolist()))
            images[-1] |= {"neg_category_ids": [dataset.category_ids[label] for label in negative]}
        objects = record.objects
        boxes, areas = xyxy_to_xywh(objects.boxes).tolist(), objects.values["area"].tolist()
        polygons = zip(corners_or_boxes(objects).tolist(), objects.outlined, strict=True)
        corners = [[row] if known else None for row, known in polygons]
        joints = flagged_joints(objects, len(dataset.joints.names))
        rows = zip(boxes, objects.labels, objects.ignore, areas, objects.is_point, corners, strict=True)
        for row, (box, label, ignore, area, is_point, polygon) in enumerate(rows):
            point = {"keypoints": [*box[:2], 2], "num_keypoints": 1} if is_point else {}
            if dataset.joints.names and not is_point:  # COCO's own judge needs the number of every object
                own = joints[row, list(dataset.joints.of_class(label))]
                point = {"num_keypoints": int((own[:, 2] > 0).sum())}
                point |= {"keypoints": own.ravel().tolist()} if len(own) else {}
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
                | ({"segmentation": polygon} if polygon else {})
            )
    points = {"keypoints": ["center"], "skeleton": []} if any("keypoints" in each for each in annotations) else {}
    names = zip(dataset.category_ids, dataset.class_names, strict=True)
    categories = [
        {"id": own_id, "name": name} | (_coco_joints(dataset.joints, label) if dataset.joints.names else points)
        for label, (own_id, name) in enumerate(names)
    ]
    return {"images": images, "categories": categories, "annotations": annotations}


def _coco_joints(joints: Joints, label: int) -> dict[str, Any]:
    """Names of the joints of a class, its lines, which count joints from 1, and YOLO's word of the mirror image."""
    own = joints.of_class(label)
    lines = [
        [own.index(first) + 1, own.index(second) + 1] for first, second in joints.skeleton if {first, second} <= {*own}
    ]
    if not own:
        return {}
    told = {"keypoints": [joints.names[place] for place in own], "skeleton": lines}
    flip = [joints.flip[place] for place in own] if joints.flip else []
    return told | ({"flip_idx": [own.index(place) for place in flip]} if flip and set(flip) == {*own} else {})


def flagged_joints(objects: Objects, count: int) -> np.ndarray:
    """Return x, y and COCO's flag of each joint of objects, (N, J, 3), 0 where not labelled.

    Args:
        objects: of a record.
        count: J, of the data set.
    """
    flags = objects.values.get(VISIBILITY, np.zeros((len(objects.labels), count)))
    points = objects.values.get(KEYPOINTS.name, np.zeros((len(objects.labels), 2 * count)))
    points = points.reshape(len(objects.labels), count, 2)
    return np.concatenate([points * (flags > 0)[..., None], flags[..., None]], axis=2)


def _yolo_lines(copy: Copy, problems: list[Problem]) -> list[str]:
    record, hw = copy.record, copy.known_hw
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


def _pose_lines(copy: Copy, problems: list[Problem], count: int) -> list[str]:
    """Rows of boxes, with `count` joints behind each."""
    record, (height, width) = copy.record, copy.known_hw
    kept = record.objects.where(~record.ignore & (box_area(clip_boxes(record.boxes, copy.known_hw)) > 0))
    joints = flagged_joints(kept, count) / np.array([width, height, 1])
    tails = [" ".join(f"{x:.8f} {y:.8f} {flag:.0f}" for x, y, flag in own) for own in joints.tolist()]
    return [f"{line} {tail}" for line, tail in zip(_yolo_lines(copy, problems), tails, strict=True)]


def _obb_lines(copy: Copy, problems: list[Problem]) -> list[str]:
    objects, (height, width) = boxed_objects(copy, problems, ignored=False), copy.known_hw
    relative = corners_or_boxes(objects) / np.array([width, height] * 4)
    inside = clip_boxes(relative, (1, 1))
    leaving = int((inside != relative).any(axis=1).sum())
    if leaving:
        what = f"corners that lie outside the picture are clipped (objects: {leaving})"
        problems.append(Problem(Kind.NOT_WRITTEN, str(copy.record.image), what, leaving))
    rows = zip(objects.labels.tolist(), inside.tolist(), strict=True)
    return [f"{label} " + " ".join(f"{value:.8f}" for value in row) for label, row in rows]


def _voc(copy: Copy, class_names: Sequence[str], problems: list[Problem]) -> Element:
    height, width = copy.known_hw
    root = Element("annotation")
    _add(root, {"folder": "JPEGImages", "filename": copy.name})
    _add(SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    objects = boxed_objects(copy, problems)
    for box, label, ignore in zip(objects.boxes.tolist(), objects.labels, objects.ignore, strict=True):
        node = SubElement(root, "object")
        _add(node, {"name": class_names[label], "difficult": int(ignore)})
        corners = (int(value) if value.is_integer() else value for value in box)
        _add(SubElement(node, "bndbox"), dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)))
    return root


def _add(node: Element, texts: dict[str, Any]) -> None:
    for tag, text in texts.items():
        SubElement(node, tag).text = str(text)
