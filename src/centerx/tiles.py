"""Cut large pictures into overlapping windows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from centerx.errors import InputError

OVERLAP = 0.2
MOST = 100_000  # windows of a picture


class Tiles(NamedTuple):
    """Windows of one size over a picture.

    Attributes:
        size: height and width of a window in pixels of the picture.
        overlap: least share of its sides that a window has in common with the next one.
        whole: whether the picture is looked at as a whole too, for objects that are larger than an overlap.
    """

    size: tuple[int, int]
    overlap: float = OVERLAP
    whole: bool = False

    @classmethod
    def of(cls, size: int | tuple[int, int], overlap: float = OVERLAP, whole: bool = False) -> Tiles:
        """Return the value after checking it.

        Args:
            size: side of a square, or height and width, in pixels.
            overlap: in [0, 1).
            whole: as the attribute.

        Raises:
            InputError: a side is below 1, or the overlap is not below 1.
        """
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise InputError(f"--tiles: {height}x{width} has no pixels, give a side such as 1024")
        if not 0 <= overlap < 1:
            raise InputError(f"--overlap: {overlap:g} is not a share below 1, give one such as {OVERLAP}")
        return cls((height, width), overlap, whole)

    def windows(self, image_hw: tuple[int, int]) -> np.ndarray:
        """Return the windows of a picture, row by row, evenly spaced from border to border.

        Args:
            image_hw: height and width of the picture in pixels.

        Returns:
            (T, 4) int64 xyxy pixels. A side of the picture that is shorter than the window's is one window.

        Raises:
            InputError: they are more than MOST.
        """
        rows, columns = (self._count(side, size) for side, size in zip(image_hw, self.size, strict=True))
        if rows * columns > MOST:
            raise InputError(
                f"{rows * columns} tiles of a picture of {image_hw[1]} x {image_hw[0]} pixels, {MOST} are the most: "
                "choose larger ones, or a smaller overlap"
            )
        (height, width) = (min(side, size) for side, size in zip(image_hw, self.size, strict=True))
        tops, lefts = (
            np.linspace(0, side - kept, count).round().astype(np.int64)
            for side, kept, count in zip(image_hw, (height, width), (rows, columns), strict=True)
        )
        corners = np.stack(np.meshgrid(lefts, tops), axis=-1).reshape(-1, 2)
        return np.concatenate([corners, corners + np.array([width, height])], axis=1)

    def _count(self, side: int, size: int) -> int:
        step = max(size * (1 - self.overlap), 1.0)
        return max(math.ceil((side - size) / step - 1e-9), 0) + 1
