"""Heatmaps of a network in the pixels of its picture, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

import cv2
import numpy as np

from centerx.draw import class_colour, contact_sheet
from centerx.geometry import Letterbox, scale_matrix, shift_matrix

MOST_CLASSES = 12  # shown on a sheet
CELL = 480  # pixels of the longer side of a picture on a sheet
MOST_COLUMNS = 4
DIMMED = 0.5  # brightness of the grey picture below a heatmap


class Heatmaps(NamedTuple):
    """What a network says of the centres of each class on one picture.

    Attributes:
        model: what to call the network.
        image: (H, W, 3) uint8 RGB, the picture.
        cells: (C, h, w) float32 probabilities at the cells of the network's output.
        class_names: of the C classes.
        letterbox: where the picture lies in the input.
        stride: pixels of the input a cell.
    """

    model: str
    image: np.ndarray
    cells: np.ndarray
    class_names: tuple[str, ...]
    letterbox: Letterbox
    stride: int

    @property
    def values(self) -> np.ndarray:
        """(C, H, W) float32 probabilities at the pixels of the picture."""
        return np.stack([self.resized(name, self.letterbox.source_hw) for name in self.class_names])

    def resized(self, name: str, hw: tuple[int, int]) -> np.ndarray:
        """Return the probabilities (H, W) of a class over the picture, scaled to a height and width.

        The picture's place in the input is undone exactly: a cell covers `stride` pixels of the input, its value is
        that of its middle, and values between are bilinear.

        Args:
            name: of the class.
            hw: height and width in pixels.
        """
        height, width = self.letterbox.source_hw
        to_picture = np.linalg.inv(self.letterbox.matrix) @ scale_matrix(self.stride, self.stride)
        matrix = scale_matrix(hw[1] / width, hw[0] / height) @ to_picture
        on_indices = shift_matrix(-0.5, -0.5) @ matrix @ shift_matrix(0.5, 0.5)  # OpenCV counts the middles of pixels
        cells = self.cells[self.class_names.index(name)]
        flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        return cv2.warpAffine(cells, on_indices[:2], hw[::-1], flags=flags, borderMode=border)

    def highest(self, name: str) -> float:
        """Return the highest probability of a class in [0, 1]; 0 of a class that the network lacks."""
        return float(self.cells[self.class_names.index(name)].max()) if name in self.class_names else 0.0


def draw_heatmaps(several: Sequence[Heatmaps]) -> np.ndarray:
    """Draw heatmaps over their picture, (H, W, 3) uint8 RGB.

    A probability of 0 leaves the picture, in dim grey, and 1 is the full colour of the class, whatever the network. One
    network of one class is drawn in the picture's own size. Else it is a sheet: all classes together, then each class;
    of several networks a column each. Of many classes those with the highest probabilities are shown.

    Args:
        several: of one picture, a network each.
    """
    names = tuple(dict.fromkeys(name for each in several for name in each.class_names))
    height, width = several[0].letterbox.source_hw
    if len(several) == len(names) == 1:
        return blend(several[0], names, names, (height, width))
    best = sorted(names, key=lambda name: -max(each.highest(name) for each in several))[:MOST_CLASSES]
    shown = [name for name in names if name in best]
    scale = min(CELL / max(height, width), 1.0)
    hw = max(round(height * scale), 1), max(round(width * scale), 1)
    groups = [names, *([name] for name in shown)] if len(names) > 1 else [names]
    cells, captions = [], []
    for some in groups:
        for each in several:
            cells.append(blend(each, some, names, hw))
            captions.append(_caption(each, some, len(shown), len(names), alone=len(several) == 1))
    columns = len(several) if len(several) > 1 else min(ceil(sqrt(len(groups))), MOST_COLUMNS)
    return contact_sheet(cells, columns, hw, captions)


def blend(heatmaps: Heatmaps, some: Sequence[str], names: Sequence[str], hw: tuple[int, int]) -> np.ndarray:
    """Return the picture in dim grey under the heatmaps of some classes, (H, W, 3) uint8 RGB; the highest one shows.

    Args:
        heatmaps: of the picture.
        some: the classes to show; those that the network lacks are left out.
        names: all classes, whose order gives the colours.
        hw: height and width of the result in pixels.
    """
    small = cv2.resize(heatmaps.image, hw[::-1], interpolation=cv2.INTER_AREA)
    ground = DIMMED * cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    strength, colours = np.zeros((*hw, 1), dtype=np.float32), np.zeros((*hw, 3), dtype=np.float32)
    for name in (name for name in some if name in heatmaps.class_names):
        values = heatmaps.resized(name, hw)[..., None]
        colours = np.where(values > strength, np.array(class_colour(names.index(name)), dtype=np.float32), colours)
        strength = np.maximum(strength, values)
    return np.rint(ground + strength * (colours - ground)).astype(np.uint8)


def _caption(heatmaps: Heatmaps, some: Sequence[str], shown: int, total: int, alone: bool) -> str:
    if len(some) == total:
        text = some[0] if total == 1 else "all classes"
        text += f", of {total} the {shown} highest follow" if shown < total else ""
    elif some[0] in heatmaps.class_names:
        text = f"{some[0]}, highest {heatmaps.highest(some[0]):.2f}"
    else:
        text = f"no {some[0]}"
    return text if alone else f"{text}: {heatmaps.model}"
