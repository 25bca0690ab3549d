"""Boxes: a centre with a width and a height."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centerx.draw import draw_objects
from centerx.fields import SIZE, Array
from centerx.tasks.task import ArrayFunctions, Arrays, Output, Task

if TYPE_CHECKING:
    from centerx.types import Detections


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `boxes`, xyxy around the centre."""
    half = values[SIZE.name] / 2
    return {"boxes": functions.join([center - half, center + half])}


def empty(outputs: Arrays, corner: Array | None, functions: ArrayFunctions) -> Array:
    """Return where a box has no width or no height inside its picture."""
    low, high = functions.halves(outputs["boxes"])
    if corner is not None:
        high = functions.minimum(high, corner)
    return functions.least(high - low) <= 0


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `box` of each detection, xyxy in pixels."""
    return [{"box": box} for box in detections.boxes.tolist()]


BOXES = Task(
    name="boxes",
    fields=(SIZE,),
    outputs=(Output("boxes"),),
    has_area=True,
    assemble=assemble,
    empty=empty,
    to_dict=to_dict,
    draw=draw_objects,
    metrics="centerx.evaluation.coco:coco_metrics",
    curves="centerx.evaluation.coco:accumulate",
    overlap="centerx.evaluation.coco:box_overlap",
    cover="centerx.evaluation.coco:box_cover",
)
