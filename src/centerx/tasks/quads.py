"""Quadrilaterals: a centre with four corners, such as those of a plate, a card or a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centerx.draw import draw_objects
from centerx.fields import CORNERS, ORDERED_CORNERS, Array
from centerx.tasks.boxes import empty
from centerx.tasks.task import ArrayFunctions, Arrays, Output, Task

if TYPE_CHECKING:
    from centerx.types import Detections


def spanned(corners: Array, functions: ArrayFunctions) -> Array:
    """Return xyxy (B, 4, ...) around corners (B, 8, ...)."""
    x, y = corners[:, ::2], corners[:, 1::2]
    low, high = (functions.least(x), functions.least(y)), (-functions.least(-x), -functions.least(-y))
    return functions.join([*low, *high])


def in_order(corners: Array, functions: ArrayFunctions) -> Array:
    """Return corners (B, 8, ...) from the one with the smallest sum of x and y on; they go around already."""
    total = corners[:, ::2] + corners[:, 1::2]
    first = 1 - functions.sign(total - functions.least(total))  # 1 at that corner, 0 at the others
    turned = [functions.join([corners[:, 2 * begin :], corners[:, : 2 * begin]]) for begin in range(1, 4)]
    parts = [first[:, begin : begin + 1] * each for begin, each in enumerate([corners, *turned])]
    return sum(parts[1:], parts[0])


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `boxes`, xyxy around the corners, and the corners, in order."""
    corners = values[CORNERS.name]
    return {"boxes": spanned(corners, functions), "corners": in_order(corners, functions)}


def assemble_as_labelled(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return the same with the corners in the order that the network says."""
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
    outputs=(Output("boxes"), Output("corners", clipped=False, shape=(4, 2))),
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
QUADS_AS_LABELLED = QUADS._replace(
    fields=(CORNERS,),
    assemble=assemble_as_labelled,
    metrics="centerx.evaluation.polygons:labelled_polygon_metrics",
)
