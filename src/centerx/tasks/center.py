"""Centres alone: points without boxes, for counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centerx.draw import draw_objects
from centerx.fields import Array
from centerx.tasks.task import ArrayFunctions, Arrays, Output, Task

if TYPE_CHECKING:
    from centerx.types import Detections

MARGIN = 4.0  # pixels, one cell: a centre at the edge may be found a little beside it


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `points`, x and y of the centre."""
    return {"points": center}


def empty(outputs: Arrays, corner: Array | None, functions: ArrayFunctions) -> Array:
    """Return where a point lies more than a cell beside its picture."""
    points = outputs["points"]
    return functions.least(points if corner is None else corner - points) < -MARGIN


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `point` of each detection, x and y in pixels."""
    return [{"point": point} for point in detections.centers.tolist()]


CENTER = Task(
    name="center",
    fields=(),
    outputs=(Output("points"),),
    has_area=False,
    assemble=assemble,
    empty=empty,
    to_dict=to_dict,
    draw=draw_objects,
    metrics="centerx.evaluation.points:point_metrics",
    curves="centerx.evaluation.points:curves",
    overlap="centerx.evaluation.points:point_overlap",
)
