"""Boxes, and the one 3x3 matrix that moves a picture together with everything drawn on it.

Coordinates are continuous: pixel i covers [i, i + 1], its centre lies at i + 0.5. Torch-free, because the
runtime letterboxes with the very code that training and evaluation use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

LARGEST_SIDE, LARGEST_INPUT = 16_384, 1 << 23  # pixels of a side of a network's input, and of all of it
INPUT_MULTIPLE = 32  # pixels; height and width of a network's input are multiples of its coarsest stride
BOX_CORNERS = [0, 1, 2, 1, 2, 3, 0, 3]  # columns of xyxy: its corners, clockwise from the top left
PAD_VALUE = 114  # grey level of the pixels that a warp brings in from outside the picture


class Letterbox(NamedTuple):
    """Where a picture lies in the input of a network, scaled and moved; the rest of the input is padding.

    Attributes:
        scales: input pixels per source pixel, in x and in y.
        shift: left and top of the picture in input pixels.
        source_hw: height and width of the source picture in pixels.
        origin: left and top of that in a larger picture of which it is a tile; 0 and 0 otherwise.
    """

    scales: tuple[float, float]
    shift: tuple[float, float]
    source_hw: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    @classmethod
    def fit(cls, source_hw: tuple[int, int], input_hw: tuple[int, int]) -> Letterbox:
        """Return the largest placement of a `source_hw` picture in the top-left corner of an `input_hw` input."""
        scale = min(input_hw[0] / source_hw[0], input_hw[1] / source_hw[1])
        return cls((scale, scale), (0.0, 0.0), source_hw)

    @property
    def scale(self) -> float:
        """Input pixels per source pixel of a picture that keeps its shape."""
        return self.scales[0]

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64: source pixels, of the larger picture if there is one -> input pixels."""
        return shift_matrix(*self.shift) @ scale_matrix(*self.scales) @ shift_matrix(-self.origin[0], -self.origin[1])

    @property
    def placed_hw(self) -> tuple[float, float]:
        """Height and width of the picture in input pixels."""
        return self.scales[1] * self.source_hw[0], self.scales[0] * self.source_hw[1]

    def to_source(self, boxes: np.ndarray) -> np.ndarray:
        """Input-pixel xyxy (..., 4), or other pairs of x and y -> source pixels, clipped to the picture or its tile."""
        pairs = boxes.shape[-1] // 2
        moved = (boxes - np.float32(self.shift * pairs)) / np.float32(self.scales * pairs)
        return clip_boxes(moved, self.source_hw) + np.float32(self.origin * pairs)


def placed_sizes(letterboxes: Sequence[Letterbox]) -> np.ndarray:
    """(B, 2) float32: height and width of each picture in input pixels."""
    return np.array([each.placed_hw for each in letterboxes], dtype=np.float32).reshape(-1, 2)


def scale_matrix(x: float, y: float) -> np.ndarray:
    """(3, 3) scaling about the origin."""
    return np.diag([x, y, 1.0])


def shift_matrix(x: float, y: float) -> np.ndarray:
    """(3, 3) translation."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def rotation_matrix(degrees: float) -> np.ndarray:
    """(3, 3) rotation about the origin; positive turns +x towards +y (clockwise on a screen)."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def perspective_matrix(moved: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """(3, 3) map that takes the corners of a picture, from the top left clockwise, to those `moved` (4, 2)."""
    height, width = image_hw
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    return cv2.getPerspectiveTransform(corners, moved.astype(np.float32))


def warp_image(image: np.ndarray, matrix: np.ndarray, output_hw: tuple[int, int]) -> np.ndarray:
    """Warp (H, W, 3) uint8 by `matrix` in pixels into `output_hw`, bilinear, padded with PAD_VALUE.

    A picture shrunk by 2 or more is first averaged over whole blocks of pixels: bilinear sampling alone would
    skip pixels and alias.
    """
    scale = float(np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])))
    factor = min(int(1 / max(scale, 1e-6) + 1e-6), min(image.shape[:2]))  # rounding must not make 8 into 7
    if factor >= 2:
        height, width = (max(1, side // factor) for side in image.shape[:2])
        matrix = matrix @ scale_matrix(image.shape[1] / width, image.shape[0] / height)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    on_indices = shift_matrix(-0.5, -0.5) @ matrix @ shift_matrix(0.5, 0.5)  # OpenCV counts pixel centres
    affine = matrix[2, 0] == matrix[2, 1] == 0
    return (cv2.warpAffine if affine else cv2.warpPerspective)(
        image,
        on_indices[:2] if affine else on_indices,
        (output_hw[1], output_hw[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(PAD_VALUE,) * 3,
    )


def rectify(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return a quadrilateral of a picture, seen from the front.

    Args:
        image: (H, W, 3) uint8.
        corners: (4, 2) x and y in pixels, clockwise from what becomes the top left.

    Returns:
        (h, w, 3) uint8, as wide as the longer of the upper and the lower side and as high as the longer of the others,
        at least a pixel and at most twice the longer side of the picture.
    """
    upper, right, lower, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    sides = np.array([max(upper, lower), max(left, right)])
    sides *= min(1.0, 2 * max(image.shape[:2]) / max(sides.max(), 1e-9))
    width, height = (max(round(float(side)), 1) for side in sides)
    front = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    return warp_image(image, cv2.getPerspectiveTransform(corners.astype(np.float32), front), (height, width))


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move positions (..., 2), x then y, by `matrix`; float64."""
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    if matrix[2, 0] or matrix[2, 1]:  # a perspective
        moved = moved / (points @ matrix[2, :2] + matrix[2, 2])[..., None]
    return moved


def transform_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move xyxy (N, 4) by `matrix`; a turned or bent box becomes the upright box around its four corners."""
    moved = transform_points(boxes[:, BOX_CORNERS].reshape(-1, 4, 2), matrix)
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(boxes.dtype)


def clip_boxes(boxes: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """Clip xyxy (..., 4), or other positions in pairs of x and y, to a picture of `image_hw`."""
    height, width = image_hw
    return np.clip(boxes, 0, np.array([width, height] * (boxes.shape[-1] // 2), dtype=boxes.dtype))


def spanned_boxes(points: np.ndarray) -> np.ndarray:
    """Return xyxy (..., 4) around positions (..., D) in pairs of x and y; of two, which are corners already, these."""
    if points.shape[-1] == 4:
        return points
    pairs = points.reshape(*points.shape[:-1], points.shape[-1] // 2, 2)
    return np.concatenate([pairs.min(axis=-2), pairs.max(axis=-2)], axis=-1)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Areas of xyxy (..., 4); 0 where a box is inverted."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Corners (..., 4) -> left, top, width, height."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Left, top, width, height (..., 4) -> corners."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def box_intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Areas that xyxy (N, 4) and (M, 4) have in common, (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=-1))


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of xyxy (N, 4) with (M, 4) -> (N, M); 0 where both are empty."""
    overlap = box_intersection(first, second)
    union = box_area(first)[:, None] + box_area(second)[None] - overlap
    return np.where(union > 0, overlap / np.maximum(union, 1e-12), 0.0)
