"""A COCO results json -> detections of a data set's pictures, matched by image and category id."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from centerx.data.dataset import Dataset
from centerx.errors import InputError
from centerx.geometry import xywh_to_xyxy
from centerx.types import Detections

IDS = ("image_id", "category_id")
WANTED = "image_id, category_id, bbox (four numbers) or keypoints (of one point), and score (a number)"


def read_results(path: Path, dataset: Dataset) -> list[Detections]:
    """Read results, one `Detections` a record of `dataset`, best first.

    Raises:
        InputError: the file is no results json, or names an image that the data set lacks.
    """
    rows = _load(path)
    image_of = {own: index for index, each in enumerate(dataset.records) for own in (each.image_id, *each.aliases)}
    label_of = {category: label for label, category in enumerate(dataset.category_ids)}
    rows = [row for row in rows if row["category_id"] in label_of]
    try:
        image = np.array([image_of[row["image_id"]] for row in rows], dtype=np.int64)
    except KeyError as error:
        raise InputError(
            f"{path}: image id {error} is not in {dataset.path}, evaluate the data it was made on"
        ) from None
    boxes = xywh_to_xyxy(np.array([_box(row) for row in rows], dtype=np.float64).reshape(-1, 4))
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    labels = np.array([label_of[row["category_id"]] for row in rows], dtype=np.int64)
    order = np.argsort(-scores, kind="stable")
    groups = [order[image[order] == index] for index in range(len(dataset.records))]
    return [Detections(boxes[some], scores[some], labels[some]) for some in groups]


def _load(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, check the path") from None
    except ValueError as error:
        raise InputError(f"{path}: malformed JSON ({error})") from None
    if not isinstance(rows, list):
        raise InputError(f"{path}: not COCO results, a list of {WANTED} is needed")
    wrong = next((number for number, row in enumerate(rows) if not _is_result(row)), None)
    if wrong is not None:
        raise InputError(f"{path}: not COCO results, entry {wrong} counted from 0 lacks one of {WANTED}: repair it")
    return rows


def _is_result(row: Any) -> bool:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), int | float | str) for key in IDS):
        return False
    box = _box(row)
    return isinstance(box, list) and len(box) == 4 and all(map(_is_number, [*box, row.get("score")]))


def _box(row: dict[str, Any]) -> Any:
    """Left, top, width and height; of one keypoint its place without sides."""
    points = row.get("keypoints")
    return [*points[:2], 0, 0] if isinstance(points, list) and len(points) == 3 else row.get("bbox")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
