"""COCO: one json of images, categories and annotations."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from centerx.data.dataset import Dataset, RecordBuilder, join_records, keep_classes, span, turned_corners
from centerx.data.json_parts import JsonList, parse_parts
from centerx.data.places import PROBE, choose_file, find_pictures, is_neighbour, locate_pictures
from centerx.data.records import Record, Records, in_columns
from centerx.data.values import class_name, is_number, to_flag, to_hw
from centerx.joints import Joints, is_mirror, numbered_joints
from centerx.problems import Kind, Problem

# Where a folder keeps its json files: COCO itself, Roboflow one split, Roboflow all splits.
PLACES = ("annotations/*.json", "*.json", "*/_annotations.coco.json")
FLOATS = {float}
FLAGS = ("iscrowd", "ignore", "difficult")
MOST_ID = 2**63
HALF_TURN = 3.1416  # radians, rounded up as files write it
PER_IMAGE = (
    "neg_category_ids",
    "not_exhaustive_category_ids",
)  # LVIS: what is not there, or labelled in part


class _Pictures(NamedTuple):
    """The images of a file.

    Attributes:
        numbers: of each id, its place in the other two.
        paths: where the pictures are.
        hw: their heights and widths as they are declared.
    """

    numbers: dict[int | str, int]
    paths: list[str]
    hw: list[tuple[int, int] | None]


class _Facts:
    """What all annotations of a file tell before they are read one by one.

    Attributes:
        images: every id of an image that they name, once.
        image_of: of each annotation, which of these; -1 of one without a usable id.
        angles: the fifth number of every bbox that has five.
    """

    def __init__(self) -> None:
        self.images: dict[int | str, int] = {}
        self.image_of, self.angles = array("q"), array("d")
        self._ids = array("q")  # of the annotations
        self._others: Counter[int | str] = Counter()  # those that are texts or have more than 64 bits

    def add(self, annotation: Any) -> None:
        """Add an annotation, which may be no mapping."""
        if not isinstance(annotation, dict):
            self.image_of.append(-1)
            return
        own_id, image, box = annotation.get("id"), annotation.get("image_id"), annotation.get("bbox")
        self.image_of.append(self.images.setdefault(image, len(self.images)) if _is_id(image) else -1)
        if isinstance(box, list) and len(box) == 5 and all(map(is_number, box)):
            self.angles.append(box[4])
        if type(own_id) is int and abs(own_id) < MOST_ID:
            self._ids.append(own_id)
        elif _is_id(own_id):
            self._others[own_id] += 1

    def repeated(self) -> tuple[int, int | str | None]:
        """Return how many annotations repeat the id of an earlier one, and the first such id."""
        ids = np.array(self._ids, dtype=np.int64)
        again = np.ones(len(ids), dtype=bool)
        again[np.unique(ids, return_index=True)[1]] = False
        others = [own_id for own_id, count in self._others.items() if count > 1]
        firsts = [*ids[again][:1].tolist(), *others]
        count = int(again.sum()) + sum(self._others[own_id] - 1 for own_id in others)
        return count, firsts[0] if firsts else None


def recognises(path: Path) -> bool:
    """Whether this is a json file, or a folder that holds COCO's."""
    return path.suffix.lower() == ".json" if path.is_file() else bool(_files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or the file of `split` in a folder.

    Crowds and annotations with `ignore` or `difficult` become ignored objects; the object's own area is kept. Boxes
    without area are skipped. A bbox of five numbers is one of roLabelImg: centre, width, height and an angle in radians
    from 0 to pi, clockwise on a screen; a file with other angles is not read. An image without annotations is a picture
    without objects. Images that name one picture become one record.

    LVIS: an image without a file_name is named by its coco_url. Where images have `neg_category_ids` or
    `not_exhaustive_category_ids`, each labels only the classes that are annotated on it or are its negative ones, but
    for those that are not exhaustive.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    problems: list[Problem] = []
    facts = _Facts()
    try:
        tree = parse_parts(file, {"images": lambda image: None, "annotations": facts.add})
        unlike = _unlike_coco(tree) or _unlike_radians(facts.angles)
    except ValueError as error:
        unlike = f"malformed JSON ({error})"
    if unlike:
        return Dataset(path, "coco", (), (), [], [Problem(Kind.UNREADABLE_LABELS, str(file), unlike)])
    class_names, category_ids, label_of = _categories(tree["categories"], file, problems)
    joints, names_of = read_joints(tree["categories"], label_of, len(class_names), file, problems)
    place_of = {label: joints.places(names) for label, names in names_of.items()}
    folder = images or find_pictures(file, list(islice(filter(None, map(_file_name, tree["images"])), PROBE)), problems)
    pictures = _pictures(tree["images"], file, folder, problems)
    lists = _listed_classes(tree["images"], label_of)
    annotations = tree.get("annotations", [])
    records = Records()
    groups = _by_picture(annotations, facts, pictures.numbers, file, problems)
    for own_id, picture, hw, some in zip(*pictures, groups, strict=True):
        builder = RecordBuilder(Path(picture), own_id, problems, hw)
        for number in some.tolist():
            annotation = annotations[number]
            where = _place(file, number, annotation)
            _add(annotation, where, builder, label_of, problems, place_of, len(joints.names))
        record = builder.build()
        records.append(_supervised(record, lists, str(file), problems) if lists else record)
    if facts.angles:
        count = len(facts.angles)
        what = f"{count} boxes of five numbers are read as centre, sides, and radians clockwise on a screen"
        problems.append(Problem(Kind.FIVE_NUMBER_BOX, str(file), what, count))
    neighbour = folder if images is None and is_neighbour(folder, file) else None
    records = join_records(records, problems)
    dataset = Dataset(path, "coco", class_names, category_ids, records, problems, neighbour=neighbour, joints=joints)
    return _without_empty_roots(dataset, tree["categories"], file)


def _unlike_coco(tree: Any) -> str:
    """What makes this json another thing than a COCO data set, or nothing."""
    if isinstance(tree, list):
        results = bool(tree) and isinstance(tree[0], dict) and "score" in tree[0]
        return "a list of detections, not a data set" if results else "not a COCO data set but a list"
    if isinstance(tree, dict) and all(isinstance(tree.get(key), list | JsonList) for key in ("images", "categories")):
        if tree["images"] and not any(map(_file_name, tree["images"])):
            keys = ", ".join(map(str, tree["images"][0])) if isinstance(tree["images"][0], dict) else "no keys"
            return f"none of its images has a file_name (or filename), which names the picture, the first has {keys}"
        return "" if isinstance(tree.get("annotations", []), list | JsonList) else "its annotations are not a list"
    return "not a COCO data set: a mapping with lists of images, annotations and categories is needed"


def _unlike_radians(angles: Sequence[float]) -> str:
    """What makes these other angles than those of roLabelImg, or nothing."""
    other = next((angle for angle in angles if not 0 <= angle <= HALF_TURN), None)
    if other is None:
        return ""
    return (
        f"a bbox of five numbers has the angle {other:g}; those read are radians from 0 to pi, clockwise on a screen: "
        "write the four corners of each object as segmentation instead"
    )


def _categories(
    categories: list[Any], file: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[int, ...], dict[int | str, int]]:
    """Names, their first ids, and the label of every id; ids that share a name are one class."""
    ids: dict[str, int] = {}
    label_of: dict[int | str, int] = {}
    for category in categories:
        name = class_name(category.get("name")) if isinstance(category, dict) else ""
        if not name or not _is_id(category.get("id")):
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: category {category!r}", "has no id or no name"))
            continue
        own_id = category["id"]
        where = f"{file}: category {own_id}"
        if own_id in label_of:
            problems.append(Problem(Kind.REPEATED_ID, where, f"{name!r}: its id is taken by an earlier category"))
            continue
        if name in ids:
            problems.append(Problem(Kind.REPEATED_CLASS, where, f"repeats the name {name!r}, merged"))
        ids.setdefault(name, own_id)
        label_of[own_id] = list(ids).index(name)
    return tuple(ids), tuple(ids.values()), label_of


def _pictures(images: Sequence[Any], file: Path, folder: Path, problems: list[Problem]) -> _Pictures:
    numbers: dict[int | str, int] = {}
    names: list[str] = []
    sizes: list[tuple[int, int] | None] = []
    once: dict[tuple[int, int] | None, tuple[int, int] | None] = {}  # equal sizes are one in memory
    for image in images:
        name = _file_name(image)
        if not name or not _is_id(image.get("id")):
            own_id = image.get("id") if isinstance(image, dict) else image
            what = "has no id, or neither file_name nor coco_url"
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: image {own_id!r}", what))
        elif image["id"] in numbers:
            what = f"{name}: its id is taken by an earlier image"
            problems.append(Problem(Kind.REPEATED_ID, f"{file}: image {image['id']}", what))
        else:
            hw = to_hw(image.get("height"), image.get("width"))
            numbers[image["id"]] = len(names)
            names.append(name)
            sizes.append(once.setdefault(hw, hw))
    return _Pictures(numbers, locate_pictures(folder, names, str(file), problems), sizes)


def _by_picture(
    annotations: Sequence[Any], facts: _Facts, numbers: dict[int | str, int], file: Path, problems: list[Problem]
) -> Iterator[np.ndarray]:
    """Yield the numbers of the annotations of each picture, and report those of none."""
    place_of = np.array([numbers.get(image, -1) for image in facts.images] + [-1])  # the last of no usable id
    picture_of = place_of[np.array(facts.image_of, dtype=np.int64)]
    for number in np.flatnonzero(picture_of < 0).tolist():
        annotation = annotations[number]
        if isinstance(annotation, dict):
            what = f"names the image {annotation.get('image_id')!r}, which is not there"
            problems.append(Problem(Kind.UNKNOWN_REFERENCE, _place(file, number, annotation), what))
        else:
            problems.append(Problem(Kind.MALFORMED_ENTRY, f"{file}: annotation number {number}", "is not a mapping"))
    count, first = facts.repeated()
    if count:
        what = f"{count} annotations repeat the id of another (the first is {first!r}), all are used"
        problems.append(Problem(Kind.REPEATED_ANNOTATION_ID, str(file), what, count))
    order = np.argsort(picture_of, kind="stable")
    ends = np.searchsorted(picture_of[order], np.arange(len(numbers) + 1))
    for start, end in pairwise(ends.tolist()):
        yield order[start:end]


def _place(file: Path, number: int, annotation: dict[str, Any]) -> str:
    own_id = annotation.get("id")
    return f"{file}: annotation {f'number {number}' if own_id is None else own_id}"


def _file_name(image: Any) -> str:
    """An image's file_name or filename, or the end of its coco_url; nothing where it has none of them."""
    if not isinstance(image, dict):
        return ""
    name, url = image.get("file_name", image.get("filename")), image.get("coco_url")
    if _is_name(name):
        return str(name)
    return "/".join(str(url).split("/")[-2:]) if _is_name(url) else ""


def _add(
    annotation: dict[str, Any],
    where: str,
    builder: RecordBuilder,
    label_of: dict[int | str, int],
    problems: list[Problem],
    place_of: dict[int, list[int]],
    num_joints: int,
) -> None:
    category, box = annotation.get("category_id"), annotation.get("bbox")
    radians: float | None = None
    if isinstance(box, list) and len(box) == 5 and all(map(is_number, box)):
        x, y, width, height, radians = box
        box = [x - width / 2, y - height / 2, width, height]
    point = None if _has_area(box) else _point(annotation)
    flags = {name: to_flag(annotation[name], words=False) for name in FLAGS if name in annotation}
    if not _is_id(category) or category not in label_of:
        problems.append(Problem(Kind.UNKNOWN_REFERENCE, where, f"names the category {category!r}, which is not there"))
    elif None in flags.values():
        given = ", ".join(f"{name} {annotation[name]!r}" for name, flag in flags.items() if flag is None)
        problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"flags must be 0 or 1, not {given}"))
    elif point is not None:
        builder.add_point(where, point, label_of[category], any(flags.values()))
    elif not isinstance(box, list) or len(box) != 4 or not (set(map(type, box)) == FLOATS or all(map(is_number, box))):
        problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"bbox must be four numbers, not {box!r}"))
    else:
        x, y, width, height = map(float, box)
        xyxy, corners = [x, y, x + width, y + height], four_corners(annotation.get("segmentation"))
        if "attributes" in annotation and (turn := _rotation(annotation)) and width > 0 and height > 0:
            corners = turned_corners((x + width / 2, y + height / 2), (width, height), math.radians(turn))
            xyxy = span(corners)
            what = f"is turned by {turn:g} degrees: tasks without corners use the upright box around it"
            problems.append(Problem(Kind.ROTATED_BOX, where, what))
        if radians is not None and width > 0 and height > 0:
            corners = turned_corners((x + width / 2, y + height / 2), (width, height), radians)
            xyxy = span(corners)
        if radians:
            what = f"is turned by {radians:g} radians: tasks without corners use the upright box around it"
            problems.append(Problem(Kind.ROTATED_BOX, where, what))
        area = annotation.get("area")
        own_area = float(area) if is_number(area) else None
        own_joints = placed_joints(
            annotation.get("keypoints"), where, place_of.get(label_of[category], []), num_joints, problems
        )
        builder.add(where, xyxy, label_of[category], any(flags.values()), own_area, corners, own_joints)


def _has_area(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) > 0


def _point(annotation: dict[str, Any]) -> list[float] | None:
    """The place of an object that has one labelled keypoint."""
    match annotation.get("keypoints"):
        case [x, y, visible] if is_number(x) and is_number(y) and visible:
            return [float(x), float(y)]
    return None


def read_joints(
    categories: list[Any], label_of: dict[int | str, int], num_classes: int, file: Path, problems: list[Problem]
) -> tuple[Joints, dict[int, tuple[str, ...]]]:
    """Return the joints of all categories together, those of one name being one, and the names of each class's own.

    Args:
        categories: of a COCO file.
        label_of: class of each id.
        num_classes: how many classes there are.
        file: the file, for problems.
        problems: where to report.
    """
    names_of: dict[int, tuple[str, ...]] = {}
    lines: dict[tuple[str, str], None] = {}
    mirrored: dict[str, str] = {}
    for category in categories:
        own_id, names = (category.get("id"), category.get("keypoints")) if isinstance(category, dict) else (None, None)
        if not _is_id(own_id) or own_id not in label_of or not names:
            continue
        where = f"{file}: category {own_id}"
        if not isinstance(names, list) or not all(map(_is_name, names)) or len(set(names)) < len(names):
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, "its keypoints are no list of different names"))
            continue
        if names_of.setdefault(label_of[own_id], tuple(names)) != tuple(names):
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, "other keypoints than before for the same class name"))
            continue
        for pair in _list(category.get("skeleton")):
            if isinstance(pair, list) and len(pair) == 2 and all(_is_place(each, len(names)) for each in pair):
                lines[names[pair[0] - 1], names[pair[1] - 1]] = None
            else:
                what = f"skeleton: {pair!r} is no pair of its {len(names)} keypoints, counted from 1; not drawn"
                problems.append(Problem(Kind.MALFORMED_ENTRY, where, what))
        flip = category.get("flip_idx")
        if flip is None:
            continue
        others = {}
        if isinstance(flip, list) and all(type(each) is int for each in flip) and is_mirror(flip, len(names)):
            others = {name: names[place] for name, place in zip(names, flip, strict=True)}
        if not others or any(mirrored.get(name, other) != other for name, other in others.items()):
            what = f"flip_idx must say of each keypoint which it changes places with, not {flip!r}; it is not used"
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, what))
        else:
            mirrored |= others
    names = tuple(dict.fromkeys(name for some in names_of.values() for name in some))
    skeleton = tuple((names.index(first), names.index(second)) for first, second in lines)
    own = [tuple(sorted(map(names.index, names_of.get(label, ())))) for label in range(num_classes)]
    differ = any(len(each) < len(names) for each in own)
    flip = tuple(names.index(mirrored[name]) for name in names) if mirrored.keys() == {*names} else ()
    named = not names or names != numbered_joints(len(names))
    return Joints(names, flip, skeleton, classes=tuple(own) if differ else (), named=named), names_of


def _is_place(value: Any, count: int) -> bool:
    return type(value) is int and 1 <= value <= count


def placed_joints(
    keypoints: Any, where: str, places: list[int], num_joints: int, problems: list[Problem]
) -> list[float] | None:
    """Return x, y and flag of each joint of the data set; None where an object has none that can be read.

    Args:
        keypoints: of an annotation.
        where: file and annotation, for problems.
        places: of each joint of the object's class, which of the data set it is.
        num_joints: of the data set.
        problems: where to report.
    """
    if not keypoints or not places:
        return None
    if not isinstance(keypoints, list) or len(keypoints) != 3 * len(places) or not all(map(is_number, keypoints)):
        right = isinstance(keypoints, list) and len(keypoints) == 3 * len(places)
        given = "numbers alone" if right else f"not {len(keypoints) if isinstance(keypoints, list) else 0} values"
        what = f"keypoints must be x, y and a flag of each of {len(places)}, {given}; its box alone is used"
        problems.append(Problem(Kind.UNUSABLE_JOINT, where, what))
        return None
    told = [0.0] * (3 * num_joints)
    for number, place in enumerate(places):
        told[3 * place : 3 * place + 3] = map(float, keypoints[3 * number : 3 * number + 3])
    return told


def four_corners(segmentation: Any) -> list[float] | None:
    """Return x and y of the corners of a mask that is one polygon of four points; None of another."""
    match segmentation:
        case [[*values]] if len(values) in (8, 10) and all(map(is_number, values)) and all(map(math.isfinite, values)):
            closed = len(values) == 10 and values[8:] == values[:2]
            return list(map(float, values[:8])) if closed or len(values) == 8 else None
    return None


def _rotation(annotation: dict[str, Any]) -> float:
    """Degrees by which CVAT turned a box about its centre, clockwise on a screen; 0 without."""
    attributes = annotation.get("attributes")
    degrees = attributes.get("rotation") if isinstance(attributes, dict) else None
    return float(degrees) % 360 if is_number(degrees) and math.isfinite(degrees) else 0.0


def _listed_classes(
    images: Sequence[Any], label_of: dict[int | str, int]
) -> dict[int | str, tuple[set[int], set[int]]]:
    """Return by id which classes are not on a picture and which are labelled in part, where images have such lists."""
    lists: dict[int | str, tuple[set[int], set[int]]] = {}
    for image in images:
        if isinstance(image, dict) and not image.keys().isdisjoint(PER_IMAGE) and _is_id(image.get("id")):
            negative, partial = (
                {label_of[each] for each in _list(image.get(key)) if _is_id(each) and each in label_of}
                for key in PER_IMAGE
            )
            lists.setdefault(image["id"], (negative, partial))
    return lists


def _supervised(
    record: Record, lists: dict[int | str, tuple[set[int], set[int]]], where: str, problems: list[Problem]
) -> Record:
    """Say of a picture which classes it labels, by LVIS's lists."""
    negative, partial = lists.get(record.image_id, (set(), set()))
    present = set(record.objects.labels.tolist())
    keep = ~np.isin(record.objects.labels, list(partial))
    if not keep.all():
        count = int((~keep).sum())
        what = f"{count} boxes of classes that it does not label exhaustively"
        problems.append(Problem(Kind.NOT_EXHAUSTIVE, f"{where}: image {record.image_id}", what, count))
    return record._replace(objects=record.objects.where(keep), labelled=frozenset((present | negative) - partial))


def _without_empty_roots(dataset: Dataset, categories: list[Any], file: Path) -> Dataset:
    """Leave out classes without boxes that only name the others' supercategory, as Roboflow writes them."""
    mappings = [each for each in categories if isinstance(each, dict)]
    parents = {str(each.get("supercategory")) for each in mappings if each.get("name") != each.get("supercategory")}
    tops = {str(each.get("name")) for each in mappings if each.get("supercategory") in (None, "", "none")}
    roots = {label for label, name in enumerate(dataset.class_names) if name in parents and name in tops}
    if not roots:
        return dataset
    empty = sorted(roots.difference(*(np.unique(each.labels).tolist() for each in in_columns(dataset.records))))
    if not empty:
        return dataset
    for label in empty:
        what = f"{dataset.class_names[label]!r} has no boxes and is the supercategory of others"
        where = f"{file}: category {dataset.category_ids[label]}"
        dataset.problems.append(Problem(Kind.EMPTY_ROOT_CATEGORY, where, what))
    return keep_classes(dataset, [label for label in range(len(dataset.class_names)) if label not in empty])


def _files(folder: Path) -> list[Path]:
    """COCO's json files of a folder, those of boxes if there are others."""
    for place in PLACES:
        files = [file for file in sorted(folder.glob(place)) if place != "*.json" or _mentions_coco(file)]
        if files:
            return [file for file in files if not re.search("keypoints|captions", file.name)] or files
    return []


def _mentions_coco(file: Path) -> bool:
    """Whether a json beside other files is likely meant to be COCO, without reading it as JSON."""
    content = file.read_bytes() if file.is_file() else b""
    return "coco" in file.name or all(key in content for key in (b'"images"', b'"annotations"', b'"categories"'))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_id(value: Any) -> TypeGuard[int | str]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
