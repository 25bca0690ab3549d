"""A json of detections, of one of three forms -> what it says was found on the pictures of a run."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from centerx.data.coco import FLAGS, four_corners, placed_joints, read_joints
from centerx.data.dataset import Dataset, readable_hw
from centerx.data.store import check_names
from centerx.data.stored import StoredDetections, store_detections, under_a_pixel, usable_detections
from centerx.data.values import class_name, is_number, to_flag, to_hw
from centerx.errors import InputError
from centerx.evaluation.results import check_results, detections_of_rows, image_numbers, load_json, result_box
from centerx.fields import CORNERS
from centerx.files import json_text
from centerx.geometry import xywh_to_xyxy
from centerx.joints import Joints
from centerx.problems import Problem
from centerx.tasks import BOXES, CENTER, KEYPOINT_SCORES, POSE, QUADS, ROTATED, Task, task_of
from centerx.types import Detections

BY_NAME = "predict --json or a COCO data set with scores"
FORMS = f"{BY_NAME}, or COCO results"
WHOLE = 1 << 16  # parts that a path has in common with itself
NOTHING = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
logger = logging.getLogger(__name__)


class Listed(NamedTuple):
    """A picture of a file.

    Attributes:
        name: as the file has it, or its path.
        where: entry of the file, for messages.
        hw: height and width that the file states; None where it does not.
        found: on the picture, as it stands in the file.
        ignored: regions of the picture in which nothing is taught.
    """

    name: str
    where: str
    hw: tuple[int, int] | None
    found: Detections
    ignored: Detections = NOTHING


class Notes:
    """Counts what is told of a file, and tells a line a kind with its first example.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, what: str, example: str, times: int = 1) -> None:
        """Count what has happened so many times."""
        if times:
            self.counts[what] += times
            self.first.setdefault(what, example)

    def log(self) -> None:
        """Tell everything."""
        for what, count in self.counts.items():
            logger.warning(f"{self.path}: {count} {what}; the first: {self.first[what]}")


def read_detections(
    path: Path, datasets: Sequence[Dataset], images: Sequence[Path], quiet: bool = False
) -> StoredDetections:
    """Return what a json says was found on pictures.

    Pictures are matched by their paths; a path that leads to no file, unless `quiet`, by its longest end that leads to
    one picture alone. Results name pictures and classes by ids: those of the one labelled data set that has them. A
    picture that is listed without objects has an answer, one that is not listed has none; results cannot list a picture
    without objects.

    Args:
        path: the file, of one of `FORMS`.
        datasets: those of the run.
        images: the pictures.
        quiet: whether the file may be of other pictures, and an entry unusable; of its contents nothing is told then.

    Raises:
        InputError: the file is of none of the forms, has unusable detections or is of other pictures.
    """
    tree, notes = load_json(path), Notes(path)
    if isinstance(tree, list) and tree and isinstance(tree[0], dict) and "detections" in tree[0]:
        class_names, listed = predicted(tree, path, notes)
    elif isinstance(tree, dict) and all(isinstance(tree.get(key), list) for key in ("images", "categories")):
        class_names, listed = annotated(tree, path, notes)
    elif isinstance(tree, list) and tree:
        class_names, listed = results(check_results(tree, path), path, datasets, notes)
    else:
        raise InputError(f"{path}: holds no detections, a teacher's json is one of {FORMS}")
    check_names(class_names, str(path))
    for each in listed:
        require_path(each.name, f"{path}: {each.where}")
    chosen = match_pictures([each.name for each in listed], images, path, notes, by_end=not quiet)
    if images and not quiet and all(place is None for place in chosen):
        raise InputError(
            f"{path}: lists none of the {len(images)} pictures, such as {images[0]}, but {len(listed)} others, such as "
            f"{listed[0].name if listed else 'none'}; name the file that was made of them"
        )
    boxes = np.concatenate([NOTHING.boxes, *(each.found.boxes for each in listed)])
    names = {each.found.task for each in listed if len(each.found)} - {BOXES.name}
    if len(names) == 1 and all(each.found.task in names for each in listed if len(each.found)):
        task = next(task_of(each.found) for each in listed if len(each.found))
    else:
        task = CENTER if len(boxes) and (boxes[:, :2] == boxes[:, 2:]).all() else BOXES
    shown = {place: image for place, image in zip(chosen, images, strict=True) if place is not None}
    usable = {
        place: usable_part(listed[place], image, len(class_names), task, path, notes, quiet)
        for place, image in shown.items()
    }
    parts = [(None, None) if place is None else usable[place] for place in chosen]
    for image, (found, _) in zip(images, parts, strict=True):
        if found is None:
            notes.add("pictures have no entry, and this teacher teaches nothing there", str(image))
    if not quiet:
        notes.log()
    every, regions = [found for found, _ in parts], [ignored for _, ignored in parts]
    return store_detections(class_names, task.name, every, regions, task.joints)


def require_path(name: str, where: str) -> None:
    """Check that a text can be the path of a file.

    Raises:
        InputError: it cannot.
    """
    try:
        fit = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        fit = False
    if not fit:
        raise InputError(f"{where}: {name!r} cannot be the path of a picture, repair it")


def usable_part(
    listed: Listed, image: Path, num_classes: int, task: Task, path: Path, notes: Notes, lenient: bool
) -> tuple[Detections, Detections] | tuple[None, None]:
    """Return what can be used of an entry, found and ignored; None where its picture cannot be read.

    Args:
        listed: the entry.
        image: its picture.
        num_classes: of the file.
        task: of the file.
        path: the file.
        notes: takes what is left out.
        lenient: whether an entry that cannot be used is told and None as well.

    Raises:
        InputError: the picture has another size than the entry says, or a detection cannot be used.
    """
    hw = readable_hw(image)
    if hw is None:
        return None, None
    where = f"{path}: {listed.where}"
    try:
        if listed.hw is not None and listed.hw != hw:
            raise InputError(
                f"{where}: says that {image} has {listed.hw[1]} x {listed.hw[0]} pixels, as shown it has {hw[1]} x "
                f"{hw[0]}; make the file of the pictures as they are"
            )
        found, ignored = (
            usable_detections(some, num_classes, hw, where, task.has_area) for some in (listed.found, listed.ignored)
        )
    except InputError as error:
        if not lenient:
            raise
        logger.warning(f"left out: {error}")
        return None, None
    for some in (found, ignored):
        notes.add("boxes reach outside their picture, clipped", listed.where, some.clipped)
        notes.add("boxes have no area inside their picture, left out", listed.where, some.empty)
    tiny = int(under_a_pixel(found.found.boxes).sum()) if task.has_area else 0
    notes.add("boxes under one pixel, where nothing is taught: they must be in pixels", listed.where, tiny)
    return found.found, ignored.found


def predicted(tree: list[Any], path: Path, notes: Notes) -> tuple[tuple[str, ...], list[Listed]]:
    """Return class names, in order of appearance, and pictures of `predict --json`; frames of videos are left out."""
    label_of: dict[str, int] = {}
    listed = []
    for number, entry in enumerate(tree):
        where = f"entry {number} counted from 0"
        match entry:
            case {"image": str(name), "width": int(width), "height": int(height), "detections": list(rows)}:
                boxes = [_predicted_box(row) for row in rows]
            case _:
                raise InputError(f"{path}: {where}: lacks one of image, width, height and detections, repair it")
        if "frame" in entry:
            notes.add("frames of videos are left out", f"{where}, {name}")
            continue
        if None in boxes:
            wrong = rows[boxes.index(None)]
            raise InputError(f"{path}: {where}: a detection needs label, score and box or point, not {wrong!r}")
        corners = [_flat_corners(row.get("corners")) for row in rows]
        lacking = next((row for row, own in zip(rows, corners, strict=True) if own is None and "corners" in row), None)
        if lacking is not None:
            raise InputError(f"{path}: {where}: corners must be four pairs of numbers, not {lacking['corners']!r}")
        labels = [label_of.setdefault(row["label"], len(label_of)) for row in rows]
        found = as_detections(boxes, [row["score"] for row in rows], labels)
        task = ROTATED if all("angle" in row for row in rows) else QUADS
        found = with_corners(found, corners, task)
        if "joints" in entry:
            found = _with_joints(found, rows, entry["joints"], f"{path}: {where}")
        listed.append(Listed(name, where, (height, width), found))
    if len({each.found.joints for each in listed if len(each.found)}) > 1:
        raise InputError(f"{path}: its entries have different joints, name a file that one model wrote")
    bare = next((each for each in listed if len(each.found) and each.found.task == BOXES.name), None)
    if bare is not None and any(each.found.task != BOXES.name for each in listed):
        raise InputError(
            f"{path}: {bare.where}: has detections without corners, where others have them; give them to all or none"
        )
    if not label_of:
        raise InputError(f"{path}: has no detection and so no class to teach, leave it out")
    return tuple(label_of), listed


def annotated(tree: dict[str, Any], path: Path, notes: Notes) -> tuple[tuple[str, ...], list[Listed]]:
    """Return class names and pictures of a COCO data set; names of pictures are relative to its folder.

    An annotation without a score has score 1; nothing is taught in crowds; both are told.
    """
    names = {each["id"]: class_name(each["name"]) for each in tree["categories"] if _has(each, "id", "name")}
    class_names = tuple(dict.fromkeys(names.values()))
    rows: defaultdict[Any, list[tuple[Any, float, int]]] = defaultdict(list)
    crowds: defaultdict[Any, list[tuple[Any, float, int]]] = defaultdict(list)
    corners: defaultdict[Any, list[list[float] | None]] = defaultdict(list)
    flagged: defaultdict[Any, list[list[float] | None]] = defaultdict(list)
    lost: list[Problem] = []
    label_of: dict[int | str, int] = {own: class_names.index(name) for own, name in names.items()}
    joints, names_of = read_joints(tree["categories"], label_of, len(class_names), path, lost)
    place_of = {label: joints.places(own) for label, own in names_of.items()}
    pictures = [each for each in tree["images"] if _has(each, "id", "file_name") and isinstance(each["file_name"], str)]
    ids = {each["id"] for each in pictures}
    unlike = len(names) < len(tree["categories"]) or len(ids) < len(pictures)
    if not class_names or len(pictures) < len(tree["images"]) or unlike:
        raise InputError(f"{path}: its images need different ids and file names, its categories ids and names")
    if not isinstance(tree.get("annotations"), list):
        raise InputError(f"{path}: has no list of annotations and so nothing to teach, repair it or leave it out")
    for number, row in enumerate(tree["annotations"]):
        where = f"annotation {row.get('id', number) if isinstance(row, dict) else number}"
        box = result_box(row) if _has(row, "image_id", "category_id") else None
        score: Any = row.get("score", 1.0) if isinstance(row, dict) else None
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, [*box, score]))):
            raise InputError(
                f"{path}: {where}: needs image_id, category_id, bbox (four numbers) and a score, repair it"
            )
        if row["image_id"] not in ids or row["category_id"] not in names:
            notes.add("annotations of an image or category that is not there are left out", where)
            continue
        label = class_names.index(names[row["category_id"]])
        flags = [to_flag(row.get(name), words=False) for name in FLAGS]
        if None in flags:
            raise InputError(f"{path}: {where}: {', '.join(FLAGS)} must be 0 or 1, repair it")
        if any(flags):
            notes.add("crowds and ignored annotations, in whose boxes nothing is taught of their class", where)
            crowds[row["image_id"]].append((box, 1.0, label))
        else:
            notes.add("annotations without a score have score 1", where, "score" not in row)
            rows[row["image_id"]].append((box, score, label))
            corners[row["image_id"]].append(four_corners(row.get("segmentation")))
            own = placed_joints(row.get("keypoints"), where, place_of.get(label, []), len(joints.names), lost)
            flagged[row["image_id"]].append(own)
    listed = []
    for each in pictures:
        sides = each.get("height"), each.get("width")
        hw = to_hw(*sides)
        if hw is None and sides != (None, None):
            raise InputError(
                f"{path}: image {each['id']!r}: height and width must be its pixels, not {sides}, repair it"
            )
        found, ignored = (_of_rows(some[each["id"]]) for some in (rows, crowds))
        found = with_corners(found, corners[each["id"]], QUADS)
        if joints.names and len(found):
            found = with_flagged(found, flagged[each["id"]], joints)
        name = os.path.join(path.parent, each["file_name"].replace("\\", "/"))
        listed.append(Listed(name, f"image {each['id']!r}", hw, found, ignored))
    for problem in lost:
        notes.add("keypoints cannot be read, boxes alone teach", problem.where)
    return class_names, listed


def with_flagged(found: Detections, told: Sequence[Sequence[float] | None], joints: Joints) -> Detections:
    """Return detections with x, y and flag of each joint, where they have them: what is labelled is sure."""
    nothing = [0.0] * (3 * len(joints.names))
    points = np.array([own or nothing for own in told]).reshape(len(told), len(joints.names), 3)
    values = {"keypoints": points[..., :2], KEYPOINT_SCORES: (points[..., 2] > 0) * 1.0}
    return replace(found, values=values, task=POSE.name, joints=joints)


def results(
    rows: list[dict[str, Any]], path: Path, datasets: Sequence[Dataset], notes: Notes
) -> tuple[tuple[str, ...], list[Listed]]:
    """Return class names and pictures of COCO results, by the ids of the labelled data set that has them."""
    labelled = [dataset for dataset in datasets if dataset.class_names]
    if not labelled:
        raise InputError(f"{path}: names pictures by ids, and no training data has labels and so ids; use {BY_NAME}")
    images = {row["image_id"] for row in rows}
    fitting = [dataset for dataset in labelled if not images.isdisjoint(image_numbers(dataset))]
    if len(fitting) != 1:
        places = ", ".join(str(dataset.path) for dataset in labelled)
        raise InputError(
            f"{path}: its image ids, such as {next(iter(images))!r}, are in {'several' if fitting else 'none'} of "
            f"{places}; name pictures by their files, as in {BY_NAME}"
        )
    (dataset,) = fitting
    known, categories = image_numbers(dataset), set(dataset.category_ids)
    for number, row in enumerate(rows):
        where = f"entry {number} counted from 0"
        notes.add("detections on pictures that are not in the data", where, row["image_id"] not in known)
        notes.add("detections of a category that the data lacks", where, row["category_id"] not in categories)
    used = [row for row in rows if row["image_id"] in known and row["category_id"] in categories]
    if not used:
        raise InputError(f"{path}: none of its category ids is in {dataset.path}, name the file that was made of it")
    return dataset.class_names, [
        Listed(str(record.image), f"image {record.image_id!r}", None, found)
        for record, found in zip(dataset.records, detections_of_rows(used, dataset), strict=True)
        if len(found)
    ]


def match_pictures(
    names: Sequence[str], images: Sequence[Path], path: Path, notes: Notes, by_end: bool
) -> list[int | None]:
    """Return the place in `names` of each picture; None where it is not there.

    A name is a path, relative ones start where the program runs. One that leads to no file may be that of the picture
    with which it shares most parts of its path from the end on, if there is one such picture and no better name for it.

    Args:
        names: to match.
        images: the pictures.
        path: the file, for the error.
        notes: takes what is told.
        by_end: whether the end of a path may tell.

    Raises:
        InputError: a picture is listed twice.
    """
    real = [os.path.realpath(image) for image in images]
    known = set(real)
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for place in known:
        by_name[os.path.basename(place)].add(place)
    claims: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # of a picture: common parts, place of the name
    for number, name in enumerate(names):
        place = os.path.realpath(name)
        parts = PurePosixPath(name.replace("\\", "/")).parts
        lost = by_end and bool(parts) and not os.path.isfile(place)
        near = by_name.get(parts[-1], set()) if lost else set()
        shared = {each: common_end(parts, PurePosixPath(each).parts) for each in near}
        shared = {place: WHOLE} if place in known else shared
        most = max(shared.values(), default=0)
        best = [each for each, count in shared.items() if count == most]
        if len(best) == 1:
            claims[best[0]].append((most, number))
    owner: dict[str, int] = {}
    for place, some in claims.items():
        most = max(some)[0]
        rivals = [number for count, number in some if count == most]
        if len(rivals) == 1:
            owner[place] = rivals[0]
            notes.add("pictures are found by the end of their path", f"{names[rivals[0]]} is {place}", most < WHOLE)
        elif most == WHOLE:
            raise InputError(f"{path}: lists {names[rivals[0]]} twice, leave one of the entries out")
    used = set(owner.values())
    for number, name in enumerate(names):
        notes.add("pictures of it are not in the data, or which is not clear", name, number not in used)
    return [owner.get(place) for place in real]


def common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """How many parts two paths have in common, from the end on."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def as_detections(boxes: Any, scores: Sequence[float], labels: Sequence[int]) -> Detections:
    """Return xyxy boxes with their scores and labels."""
    rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    return Detections(rows, np.array(scores, dtype=np.float64), np.array(labels, dtype=np.int64))


def with_corners(found: Detections, corners: Sequence[Sequence[float] | None], task: Task) -> Detections:
    """Return detections with their corners, x and y of four each, where all have some; of `task` then."""
    if not corners or None in corners:
        return found
    return replace(found, values={CORNERS.name: np.array(corners, dtype=np.float64)}, task=task.name)


def _with_joints(found: Detections, rows: Sequence[dict[str, Any]], names: Any, where: str) -> Detections:
    """Return detections of `predict --json` with their joints."""
    try:
        joints = Joints.from_json(json_text({"names": names}))
        told = np.array([row.get("keypoints") for row in rows], dtype=np.float64).reshape(len(rows), len(names), 3)
    except (ValueError, TypeError):
        raise InputError(
            f"{where}: joints must be names, keypoints of each detection x, y and a score of each, repair it"
        ) from None
    if not (np.isfinite(told).all() and ((told[..., 2] >= 0) & (told[..., 2] <= 1)).all()):
        raise InputError(f"{where}: keypoints must be finite and their scores in [0, 1], repair it")
    values = {"keypoints": told[..., :2], KEYPOINT_SCORES: told[..., 2]}
    return replace(found, values=values, task=POSE.name, joints=joints)


def _flat_corners(value: Any) -> list[float] | None:
    if not (isinstance(value, list) and len(value) == 4 and all(isinstance(each, list) for each in value)):
        return None
    numbers = [number for each in value for number in each]
    return numbers if all(len(each) == 2 for each in value) and all(map(is_number, numbers)) else None


def _of_rows(rows: Sequence[tuple[Any, float, int]]) -> Detections:
    """Return detections of left, top, width and height, with scores and labels."""
    boxes = np.array([box for box, _, _ in rows], dtype=np.float64).reshape(-1, 4)
    return as_detections(xywh_to_xyxy(boxes), [score for _, score, _ in rows], [label for _, _, label in rows])


def _predicted_box(row: Any) -> list[float] | None:
    """Return xyxy of a detection of `predict --json`, of a point twice the same; None where it is none."""
    if not isinstance(row, dict) or not isinstance(row.get("label"), str) or not is_number(row.get("score")):
        return None
    point = row.get("point")
    box = point + point if isinstance(point, list) else row.get("box")
    return box if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) else None


def _has(row: Any, *keys: str) -> bool:
    return isinstance(row, dict) and all(type(row.get(key)) in (int, str) for key in keys)
