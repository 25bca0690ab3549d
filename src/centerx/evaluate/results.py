"""A COCO results json -> detections of a data set's pictures, matched by image and category id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from centerx.data.dataset import Dataset
from centerx.errors import InputError
from centerx.geometry import xywh_to_xyxy
from centerx.types import Detections


def read_results(path: Path, dataset: Dataset) -> list[Detections]:
    """Read results, one `Detections` a record of `dataset`, best first.

    Raises:
        InputError: the file is no results json, or names an image that the data set lacks.
    """
    rows = _load(path)
    image_of = {record.image_id: index for index, record in enumerate(dataset.records)}
    label_of = {category: label for label, category in enumerate(dataset.category_ids)}
    rows = [row for row in rows if row["category_id"] in label_of]
    try:
        image = np.array([image_of[row["image_id"]] for row in rows], dtype=np.int64)
    except KeyError as error:
        raise InputError(
            f"{path}: image id {error} is not in {dataset.path}, evaluate the data it was made on"
        ) from None
    boxes = xywh_to_xyxy(np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4))
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    labels = np.array([label_of[row["category_id"]] for row in rows], dtype=np.int64)
    order = np.argsort(-scores, kind="stable")
    groups = [order[image[order] == index] for index in range(len(dataset.records))]
    return [Detections(boxes[some], scores[some], labels[some]) for some in groups]


def _load(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: malformed JSON ({error})") from None
    wanted = {"image_id", "category_id", "bbox", "score"}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and wanted <= row.keys() for row in rows):
        raise InputError(f"{path}: not COCO results, a list of {', '.join(sorted(wanted))} is needed")
    return rows
