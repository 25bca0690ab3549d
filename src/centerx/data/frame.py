"""Convert boxes and points of pictures as stored to those of upright pictures, with the EXIF orientation applied."""

from __future__ import annotations

import numpy as np

from centerx.data.dataset import Dataset, frame_hw, readable_header
from centerx.data.records import Record, Records, in_columns
from centerx.fields import CORNERS, KEYPOINTS, SIZE
from centerx.images import Header
from centerx.problems import Kind, Problem

RELATIVE = (
    "yolo",
    "openimages",
    "labelstudio",
    "fiftyone",
    "wpod",
)  # formats with boxes relative to the picture's sides


def turn_boxes(dataset: Dataset) -> Dataset:
    """Convert the boxes of every picture that has an EXIF orientation, and report them."""
    records, problems = Records(), list(dataset.problems)
    for record in dataset.records:
        header = readable_header(record.image)
        if header is None or header.orientation == 1:
            records.append(record)
            continue
        turned = _turned(record, header, dataset.format in RELATIVE)
        records.append(turned)
        if len(record.objects.boxes):
            what = f"its boxes are turned with it, by EXIF orientation {header.orientation}"
            problems.append(Problem(Kind.TURNED_BOXES, str(record.image), what, len(record.objects.boxes)))
    return dataset._replace(records=records, problems=problems)


def drop_turned_points(dataset: Dataset) -> Dataset:
    """Leave out, and report, points that lie in a picture as stored but outside the upright one."""
    if all(SIZE.name not in objects.known for objects in in_columns(dataset.records)):
        return dataset
    records, problems = Records(), []
    for record in dataset.records:
        hw = record.declared_hw
        if SIZE.name in record.objects.known and (hw is None or _outside(record, hw).any()):
            hw = frame_hw(readable_header(record.image), hw)
            if hw is not None and (outside := _outside(record, hw)).any():
                what = (
                    f"points lie outside the {hw[1]} x {hw[0]} picture, but inside it as stored, before its EXIF "
                    "orientation is applied; if they are of that, read the data with frame: stored"
                )
                problems.append(Problem(Kind.BOX_OUTSIDE, str(record.image), what, int(outside.sum())))
                record = record._replace(objects=record.objects.where(~outside))
        records.append(record)
    return dataset._replace(records=records, problems=[*dataset.problems, *problems])


def upright_boxes(boxes: np.ndarray, header: Header) -> np.ndarray:
    """Convert boxes to the upright picture.

    Args:
        boxes: (N, 4) xyxy pixels of the stored picture.
        header: header of the picture.

    Returns:
        (N, 4) xyxy pixels of the upright picture.
    """
    turned = upright_points(boxes, header)
    first, second = turned[:, :2], turned[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def upright_points(points: np.ndarray, header: Header) -> np.ndarray:
    """Convert positions (N, D) in pairs of x and y, in pixels of the stored picture, to the upright one."""
    height, width = header.stored_hw
    x, y = points[:, ::2], points[:, 1::2]
    if header.orientation in (2, 3, 7, 8):
        x = width - x
    if header.orientation in (3, 4, 6, 7):
        y = height - y
    if header.orientation in (5, 6, 7, 8):
        x, y = y, x
    return np.stack([x, y], axis=2).reshape(points.shape)


def _outside(record: Record, hw: tuple[int, int]) -> np.ndarray:
    """(N,) bool: points outside a picture of some height and width."""
    objects = record.objects
    centers = objects.centers
    inside = ((centers >= 0) & (centers <= (hw[1], hw[0]))).all(axis=1)
    return np.asarray(objects.is_point & ~inside)


def _turned(record: Record, header: Header, relative: bool) -> Record:
    scale = np.ones(2)
    if relative:  # the reader took the shares of the upright picture's sides
        (height, width), (stored_height, stored_width) = header.hw, header.stored_hw
        scale = np.array([stored_width / width, stored_height / height])
    values = dict(record.objects.values)
    for name in (CORNERS.name, KEYPOINTS.name):
        if name in values:
            count = values[name].shape[1] // 2
            values[name] = upright_points(values[name] * np.tile(scale, count), header)
    boxes = upright_boxes(record.objects.boxes * np.tile(scale, 2), header)
    objects = record.objects._replace(boxes=boxes, values=values)
    return record._replace(objects=objects, declared_hw=header.hw)
