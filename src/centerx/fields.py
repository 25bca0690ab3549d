"""Fields: what an object carries beside the place of its centre. Four kinds own the geometry.

Values of a field are arrays (N, D) with D channels, in pixels; maps of a network have their channels on axis 1 too,
(B, D, h, w). `encode` and `decode` work in cells of the output grid and use operators alone, so that the same lines run
in NumPy, in torch and in a traced graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from centerx.geometry import transform_points

Array = Any  # of NumPy or torch


class Scalar:
    """A number that no move of the picture changes, such as the logarithm of a depth.

    Attributes:
        channels: of one value.
        mirror: factor and summand of each channel of one value, for the mirror image of a map.
        alike: other orders of the channels of all values that mean the same; the loss is that of the nearest.
    """

    channels = 1
    alike: tuple[tuple[int, ...], ...] = ()
    mirror: tuple[tuple[float, float], ...] = ((1.0, 0.0),)

    @staticmethod
    def scale(values: Array, factor: float) -> Array:
        """Return the values (N, D) in a picture of `factor` times the size."""
        return values

    @staticmethod
    def normal(values: np.ndarray) -> np.ndarray:
        """Return the values (N, D) in the one form that this kind has for what looks alike."""
        return values

    @staticmethod
    def warp(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the values (N, D), in pixels, after a move of the picture by `matrix` (3, 3)."""
        return values

    @staticmethod
    def encode(values: Array, cell: Array) -> Array:
        """Return what a network is to say at a cell.

        Args:
            values: (P, D) in cells.
            cell: (P, 2) column and row; of dense values (B, D, h, w) it is (2, h, w).
        """
        return values

    @staticmethod
    def decode(raw: Array, cell: Array) -> Array:
        """Return the values in cells: the reverse of `encode`.

        Args:
            raw: what the network says, with its channels on axis 1, such as (B, D, h, w).
            cell: (2, h, w) column and row; of (P, D) it is (P, 2).
        """
        return raw


class Peaks(Scalar):
    """Logits of a heatmap, a channel for each of the things whose peaks it has."""


class Lengths(Scalar):
    """Lengths, such as width and height: never negative, and scaled with the picture."""

    @staticmethod
    def scale(values: Array, factor: float) -> Array:
        """Return the values (N, D) in a picture of `factor` times the size."""
        return values * factor

    @staticmethod
    def warp(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the values (N, D) times the square root of what `matrix` multiplies areas by."""
        return values * values.dtype.type(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))

    @staticmethod
    def decode(raw: Array, cell: Array) -> Array:
        """Return lengths of at least 0."""
        return raw.clip(min=0)


class Points(Scalar):
    """Positions, x then y, relative to the left and top edge of the cell."""

    channels = 2
    mirror = ((-1.0, 1.0), (1.0, 0.0))

    @staticmethod
    def scale(values: Array, factor: float) -> Array:
        """Return the values (N, D) in a picture of `factor` times the size."""
        return values * factor

    @staticmethod
    def warp(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the moved positions (N, D)."""
        moved = transform_points(values.reshape(len(values), values.shape[1] // 2, 2), matrix)
        return moved.reshape(values.shape).astype(values.dtype)

    @staticmethod
    def encode(values: Array, cell: Array) -> Array:
        """Return positions relative to the cell."""
        return _shift(values, -cell)

    @staticmethod
    def decode(raw: Array, cell: Array) -> Array:
        """Return positions on the grid."""
        return _shift(raw, cell)


class Outline(Points):
    """Corners of a quadrilateral in one order: clockwise on a screen, from the one nearest to the top left.

    Which one that is jumps as an object turns. A network may begin with any, as in the modulated loss of Qian et al.,
    Learning Modulated Loss for Rotated Object Detection, 2019; its detections are put in order.
    """

    alike = tuple(tuple((channel + 2 * begin) % 8 for channel in range(8)) for begin in range(1, 4))

    @staticmethod
    def normal(values: np.ndarray) -> np.ndarray:
        """Return the corners (N, 8) in that order: the first has the smallest sum of x and y."""
        corners = values.reshape(-1, 4, 2)
        x, y = corners[..., 0], corners[..., 1]
        twice_area = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
        corners = np.where((twice_area < 0)[:, None, None], corners[:, ::-1], corners)
        first = corners.sum(axis=2).argmin(axis=1)
        order = (first[:, None] + np.arange(4)) % 4
        return np.take_along_axis(corners, order[..., None], axis=1).reshape(values.shape)

    @staticmethod
    def warp(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the moved corners (N, 8), ordered anew."""
        return Outline.normal(Points.warp(values, matrix))


class Angle(Scalar):
    """Cosine and sine of twice an angle: what looks alike after half a turn has one value, without a jump."""

    channels = 2
    mirror = ((1.0, 0.0), (-1.0, 0.0))

    @staticmethod
    def warp(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the angles (N, D) of the moved directions."""
        angle = np.arctan2(values[:, 1::2], values[:, ::2]) / 2
        moved = np.stack([np.cos(angle), np.sin(angle)], axis=-1) @ matrix[:2, :2].T
        doubled = 2 * np.arctan2(moved[..., 1], moved[..., 0])
        return np.stack([np.cos(doubled), np.sin(doubled)], axis=-1).reshape(values.shape).astype(values.dtype)


class Field(NamedTuple):
    """A field of an object, and the branch of the network that answers for it.

    Attributes:
        name: of the field, its branch, its loss term and its map.
        kind: its geometry.
        num_values: of that kind.
        flip: the order of the values in a mirror image, such as right before left; as they are where empty.
        about: what it is, for the reader of a configuration.
        weight: of its loss term, unless the configuration says otherwise; of the mean over its channels, in cells.
        origin: the field that objects carry, where this one is told by its values; None where they carry this one.
        told: values (N, D) of the origin -> those of this field, by operators alone.
        apart: whether each of its values is known, or not, by itself, such as the joints of a body.
    """

    name: str
    kind: type[Scalar]
    num_values: int = 1
    flip: tuple[int, ...] = ()
    about: str = ""
    weight: float = 1.0
    origin: Field | None = None
    told: Callable[[Array], Array] | None = None
    apart: bool = False

    @property
    def parts(self) -> int:
        """How many parts of the field are known by themselves."""
        return self.num_values if self.apart else 1

    @property
    def channels(self) -> int:
        """D, the number of channels."""
        return self.num_values * self.kind.channels

    @property
    def carried(self) -> Field:
        """The field that objects carry and that tells this one."""
        return self.origin or self

    def warp(self, values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the values (N, D), in pixels, after a move of the picture by `matrix` (3, 3)."""
        if self.flip and np.linalg.det(matrix[:2, :2]) < 0:
            each = values.reshape(len(values), self.num_values, self.kind.channels)
            values = each[:, list(self.flip)].reshape(values.shape)
        return self.kind.warp(values, matrix)


OFFSET = Field("offset", Points, about="the centre offset")  # of the centre: part of every detector
SIZE = Field("size", Lengths, 2, about="width and height", weight=0.1)  # width and height of a box
CORNERS = Field("corners", Points, 4, (1, 0, 3, 2), "the corners, of task quads", weight=0.1)  # as they are labelled
ORDERED_CORNERS = CORNERS._replace(kind=Outline)  # the same in one order
# Of task pose, with as many values as there are joints: places relative to the centre; and peaks of their own.
KEYPOINTS = Field("keypoints", Points, 0, about="the joints, of task pose", apart=True)
JOINT_HEATMAP = Field("joint_heatmap", Peaks, 0, about="the heatmap of the joints, of task pose")
JOINT_OFFSET = Field("joint_offset", Points, about="the offset of each joint, of task pose")


def _shift(points: Array, by: Array) -> Array:
    if points.shape[1] == 2:
        return by + points
    pairs = points.reshape(points.shape[0], points.shape[1] // 2, 2, *points.shape[2:])
    of_pairs = by[:, None] if by.ndim == points.ndim else by  # (2, h, w) is broadcast as it is
    return (of_pairs + pairs).reshape(points.shape)
