"""Convert boxes of pictures as stored to boxes of upright pictures, with the EXIF orientation applied."""

from __future__ import annotations

import numpy as np

from centerx.data.dataset import Dataset, Record
from centerx.errors import InputError
from centerx.images import Header, image_header
from centerx.problems import Kind, Problem

RELATIVE = ("yolo", "openimages")  # formats with boxes relative to the picture's sides


def turn_boxes(dataset: Dataset) -> Dataset:
    """Convert the boxes of every picture that has an EXIF orientation, and report them."""
    records, problems = [], list(dataset.problems)
    for record in dataset.records:
        header = _header(record)
        if header is None or header.orientation == 1:
            records.append(record)
            continue
        turned = _turned(record, header, dataset.format in RELATIVE)
        records.append(turned)
        if len(record.objects.boxes):
            what = f"its boxes are turned with it, by EXIF orientation {header.orientation}"
            problems.append(Problem(Kind.TURNED_BOXES, str(record.image), what, len(record.objects.boxes)))
    return dataset._replace(records=records, problems=problems)


def upright_boxes(boxes: np.ndarray, header: Header) -> np.ndarray:
    """Convert boxes to the upright picture.

    Args:
        boxes: (N, 4) xyxy pixels of the stored picture.
        header: header of the picture.

    Returns:
        (N, 4) xyxy pixels of the upright picture.
    """
    height, width = header.stored_hw
    left, top, right, bottom = boxes.T
    if header.orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if header.orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    if header.orientation in (5, 6, 7, 8):
        left, top, right, bottom = top, left, bottom, right
    return np.stack([left, top, right, bottom], axis=1)


def _turned(record: Record, header: Header, relative: bool) -> Record:
    boxes = record.objects.boxes
    if relative:  # the reader took the shares of the upright picture's sides
        (height, width), (stored_height, stored_width) = header.hw, header.stored_hw
        boxes = boxes * np.array([stored_width / width, stored_height / height] * 2)
    objects = record.objects._replace(boxes=upright_boxes(boxes, header))
    return record._replace(objects=objects, declared_hw=header.hw)


def _header(record: Record) -> Header | None:
    try:
        return image_header(record.image)
    except InputError:
        return None
