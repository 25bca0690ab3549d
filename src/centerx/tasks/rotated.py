"""Rotated boxes: a centre with the sides of a box and the direction of the longer one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from centerx.fields import CORNERS, Angle, Array, Field, Lengths, Scalar
from centerx.tasks.quads import QUADS, spanned
from centerx.tasks.task import ArrayFunctions, Arrays, Output

if TYPE_CHECKING:
    from centerx.types import Detections

TINY = 1e-12
ANGLES = "angles"  # of the outputs


def longer_and_shorter(corners: Array) -> tuple[Array, Array, Array]:
    """Return the vector along the longer sides of quadrilaterals (N, 2), its length and the shorter one's (N, 1).

    Each is the mean of two opposite sides, so of a rectangle it is exact. The corners (N, 8) go around.
    """
    first, second, third, fourth = (corners[:, 2 * at : 2 * at + 2] for at in range(4))
    across, down = (second - first + third - fourth) / 2, (fourth - first + third - second) / 2
    width, height = length(across), length(down)
    wide = (width >= height) * 1.0
    return across * wide + down * (1 - wide), width * wide + height * (1 - wide), height * wide + width * (1 - wide)


def length(vectors: Array) -> Array:
    """Return the lengths (N, 1, ...) of vectors (N, 2, ...)."""
    x, y = vectors[:, :1], vectors[:, 1:]
    return (x * x + y * y + TINY) ** 0.5


def sides_of(corners: Array) -> Array:
    """Return the longer and the shorter side (N, 2) of quadrilaterals (N, 8)."""
    _, long, short = longer_and_shorter(corners)
    pair: Array = corners[:, :2] * 0
    pair[:, :1], pair[:, 1:] = long, short
    return pair


def angle_of(corners: Array) -> Array:
    """Return cosine and sine of twice the angle of the longer side (N, 2) of quadrilaterals (N, 8)."""
    along, long, _ = longer_and_shorter(corners)
    x, y = along[:, :1] / long, along[:, 1:] / long
    pair: Array = along * 0
    pair[:, :1], pair[:, 1:] = x * x - y * y, 2 * x * y
    return pair


SIDES = Field("sides", Lengths, 2, about="the sides, of task rotated", weight=0.1, origin=CORNERS, told=sides_of)
ANGLE = Field("angle", Angle, about="the angle, of task rotated", origin=CORNERS, told=angle_of)


def assemble(center: Array, values: Arrays, functions: ArrayFunctions) -> dict[str, Array]:
    """Return `boxes`, xyxy around the corners; the corners; and `angles`.

    The corners go around clockwise on a screen; the first two lie along the longer side. The angle of that side is in
    degrees, above -90 and up to 90, clockwise on a screen.
    """
    double, sides = values[ANGLE.name], values[SIDES.name]
    cosine, sine = double[:, :1] / length(double), double[:, 1:] / length(double)
    x = ((1 + cosine) / 2).clip(min=0) ** 0.5  # of half the angle, which is at most 90 degrees
    y = ((1 - cosine) / 2).clip(min=0) ** 0.5 * functions.sign(sine + TINY)
    long, short = sides[:, :1] / 2, sides[:, 1:] / 2
    along, aside = functions.join([x * long, y * long]), functions.join([-y * short, x * short])
    corners = functions.join(
        [center - along - aside, center + along - aside, center + along + aside, center - along + aside]
    )
    angles = functions.arctan(y / (1 + x)) * (360 / math.pi)
    return {"boxes": spanned(corners, functions), "corners": corners, ANGLES: angles}


def to_dict(detections: Detections) -> list[dict[str, Any]]:
    """Return `box` of each detection, xyxy, and its `corners`, both in pixels, and its `angle` in degrees."""
    values = (detections.values[name].tolist() for name in ("corners", ANGLES))
    rows = zip(detections.boxes.tolist(), *values, strict=True)
    return [{"box": box, "corners": corners, "angle": angle} for box, corners, angle in rows]


ROTATED = QUADS._replace(
    name="rotated",
    fields=(SIDES, ANGLE),
    outputs=(*QUADS.outputs, Output(ANGLES, Scalar, clipped=False, shape=())),
    assemble=assemble,
    to_dict=to_dict,
)
