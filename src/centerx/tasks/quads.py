"""Quadrilaterals: a centre with four corners, such as those of a plate, a card or a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centerx.draw import draw_objects
from centerx.fields import CORNERS, ORDERED_CORNERS, Array
from centerx.tasks.boxes import empty
from centerx.tasks.task import ArrayFunctions, Arrays, Output, Task

if TYPE_CHECKING:
    from centerx.types import Detections

CORNER_OUTPUT = Output("corners", clipped=False, shape=(4, 2))


def spanned(corners: Array, functions: ArrayFunctions) -> Array:
    """Return xyxy (B, 4, ...) around corners (B, 8, ...)."""
    x, y = corners[:, ::2], corners[:, 1::2]
    low, high = (functions.least(x), functions.least(y)), (-functions.least(-x), -functions.least(-y))
    return functions.join([*low, *high])


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `boxes`, xyxy around the corners, and the corners."""
    corners = values[CORNERS.name]
    return {"boxes": spanned(corners, functions), "corners": corners}


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `box` of each detection, xyxy, and its `corners`, both in pixels."""
    rows = zip(detections.boxes.tolist(), detections.values["corners"].tolist(), strict=True)
    return [{"box": box, "corners": corners} for box, corners in rows]


CANONICAL, LABELLED = "canonical", "labelled"  # orders of corners
QUADS = Task(
    name="quads",
    fields=(ORDERED_CORNERS,),
    outputs=(Output("boxes"), CORNER_OUTPUT),
    has_area=True,
    assemble=assemble,
    empty=empty,
    to_dict=to_dict,
    draw=draw_objects,
    metrics="centerx.evaluation.polygons:polygon_metrics",
    curves="centerx.evaluation.polygons:curves",
    overlap="centerx.evaluation.polygons:polygon_overlap",
    cover="centerx.evaluation.polygons:polygon_cover",
)
QUADS_AS_LABELLED = QUADS._replace(fields=(CORNERS,), metrics="centerx.evaluation.polygons:labelled_polygon_metrics")
