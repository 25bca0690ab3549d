"""A COCO results json -> detections of a data set's pictures, matched by image and category id."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from centerx.data.dataset import Dataset
from centerx.data.text import parse_json
from centerx.data.values import is_number
from centerx.errors import InputError
from centerx.geometry import xywh_to_xyxy
from centerx.joints import Joints
from centerx.tasks import KEYPOINT_SCORES, POSE
from centerx.types import Detections

logger = logging.getLogger(__name__)
IDS = ("image_id", "category_id")
WANTED = "image_id, category_id, bbox (four numbers) or keypoints (of one point), and score (a number)"


def read_results(path: Path, dataset: Dataset) -> list[Detections]:
    """Read results, one `Detections` a record of `dataset`, best first.

    Raises:
        InputError: the file is no results json, or names an image that the data set lacks.
    """
    known, categories = image_numbers(dataset), set(dataset.category_ids)
    rows = [row for row in check_results(load_json(path), path) if row["category_id"] in categories]
    outlined = sum("segmentation" in row for row in rows)
    posed = sum(isinstance(row.get("keypoints"), list) and len(row["keypoints"]) > 3 for row in rows)
    label_of = {own: label for label, own in enumerate(dataset.category_ids)}
    unlike = next((row for row in rows if _row_joints(row, dataset.joints, label_of) is None), None)
    if posed and not dataset.joints.names:
        logger.warning(f"{path}: {posed} rows have keypoints, but {dataset.path} has no joints: boxes are judged")
    elif posed and unlike is not None:
        due = 3 * len(dataset.joints.of_class(label_of[unlike["category_id"]]))
        logger.warning(
            f"{path}: boxes are judged, as a row of category {unlike['category_id']!r} has "
            f"{len(unlike.get('keypoints') or ())} values of keypoints, not {due}"
        )
    if outlined:
        logger.warning(f"{path}: {outlined} rows have a segmentation, which is not read: boxes are judged")
    lost = next((row["image_id"] for row in rows if row["image_id"] not in known), None)
    if lost is not None:
        raise InputError(f"{path}: image id {lost!r} is not in {dataset.path}, evaluate the data it was made on")
    return detections_of_rows(rows, dataset)


def detections_of_rows(rows: Sequence[dict[str, Any]], dataset: Dataset) -> list[Detections]:
    """Return the detections of each record of a data set, best first.

    Args:
        rows: results whose image and category ids the data set has.
        dataset: says which picture and class an id is.
    """
    known, label_of = image_numbers(dataset), {own: label for label, own in enumerate(dataset.category_ids)}
    image = np.array([known[row["image_id"]] for row in rows], dtype=np.int64)
    boxes = xywh_to_xyxy(np.array([result_box(row) for row in rows], dtype=np.float64).reshape(-1, 4))
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    labels = np.array([label_of[row["category_id"]] for row in rows], dtype=np.int64)
    order = np.lexsort((-scores, image))
    ends = np.cumsum(np.bincount(image, minlength=len(dataset.records)))[:-1]
    found = [Detections(boxes[some], scores[some], labels[some]) for some in np.split(order, ends)]
    joints = dataset.joints
    told = [_row_joints(row, joints, label_of) for row in rows]
    if not joints.names or not told or any(each is None for each in told):
        return found
    points = np.array(told)
    return [
        replace(each, values={"keypoints": points[some, :, :2], KEYPOINT_SCORES: points[some, :, 2]}, task=POSE.name,
                joints=joints)
        for each, some in zip(found, np.split(order, ends), strict=True)
    ]  # fmt: skip


def _row_joints(row: dict[str, Any], joints: Joints, label_of: Mapping[int, int]) -> np.ndarray | None:
    """x, y and score (J, 3) of the joints of a result; the third value of COCO's is taken as a score, at most 1."""
    own, values = joints.of_class(label_of[row["category_id"]]), row.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * len(own) or not all(map(_is_number, values)):
        return None
    told = np.zeros((len(joints.names), 3))
    told[list(own)] = np.reshape(values, (-1, 3))
    told[:, 2] = told[:, 2].clip(0, 1)
    return told


def image_numbers(dataset: Dataset) -> dict[int | str, int]:
    """Return the place of a picture's record by each of its ids."""
    return {own: index for index, each in enumerate(dataset.records) for own in (each.image_id, *each.aliases)}


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: it is missing or malformed.
    """
    try:
        return parse_json(path)
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path}: {problem}, check the path") from None
    except ValueError as error:
        raise InputError(f"{path}: malformed JSON ({error})") from None


def check_results(rows: Any, path: Path) -> list[dict[str, Any]]:
    """Return the rows of a results json.

    Args:
        rows: content of the file.
        path: the file, for the error.

    Raises:
        InputError: it is not of results.
    """
    if not isinstance(rows, list):
        raise InputError(f"{path}: not COCO results, a list of {WANTED} is needed")
    wrong = next((number for number, row in enumerate(rows) if not _is_result(row)), None)
    if wrong is not None:
        raise InputError(f"{path}: not COCO results, entry {wrong} counted from 0 lacks one of {WANTED}: repair it")
    return rows


def _is_result(row: Any) -> bool:
    if not isinstance(row, dict) or not all(type(row.get(key)) in (int, float, str) for key in IDS):
        return False
    box = result_box(row)
    return isinstance(box, list) and len(box) == 4 and all(map(_is_number, [*box, row.get("score")]))


def result_box(row: dict[str, Any]) -> Any:
    """Return left, top, width and height; of one keypoint its place without sides, of several what they span."""
    points = row.get("keypoints")
    if not isinstance(points, list) or not points or len(points) % 3 or not all(map(is_number, points)):
        return row.get("bbox")
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) > 0:
        return box
    x, y = points[::3], points[1::3]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def _is_number(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
