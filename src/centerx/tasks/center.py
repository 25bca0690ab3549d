"""Centres alone: points without boxes, for counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from centerx.draw import draw_boxes
from centerx.fields import Array
from centerx.tasks.task import ArrayFunctions, Arrays, Task

if TYPE_CHECKING:
    from centerx.detections import Detections


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `points`, x and y of the centre."""
    return {"points": center}


def empty(outputs: Arrays, corner: Array | None, functions: ArrayFunctions) -> Array:
    """Return where a point lies beside its picture."""
    points = outputs["points"]
    return functions.least(points if corner is None else corner - points) < 0


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `point` of each detection, x and y in pixels."""
    return [{"point": point} for point in detections.centers.tolist()]


CENTER = Task(
    name="center",
    fields=(),
    outputs=("points",),
    has_area=False,
    assemble=assemble,
    empty=empty,
    to_dict=to_dict,
    draw=draw_boxes,
    metrics="centerx.evaluation.points:point_metrics",
    curves="centerx.evaluation.points:curves",
)
