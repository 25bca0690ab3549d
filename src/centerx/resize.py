"""How a picture is brought to the input of a network: our rule, and those of other detectors."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from centerx.geometry import PAD_VALUE, Letterbox, warp_image

FILTERS = {
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
}
PILLOW_FILTERS = {
    "antialias": Image.Resampling.BILINEAR,
    "antialias-bicubic": Image.Resampling.BICUBIC,
}


class Letterboxed(NamedTuple):
    """A picture that is brought to the size of a network's input.

    Attributes:
        image: (H, W, 3) uint8 RGB of the input's size.
        letterbox: where the picture lies in it, to convert boxes back.
    """

    image: np.ndarray
    letterbox: Letterbox


class Resize(NamedTuple):
    """A rule that brings a picture to the size of an input.

    Attributes:
        keep_ratio: whether a picture keeps its shape; otherwise it is stretched to the input.
        centred: whether it is placed in the middle of the input rather than in the top-left corner.
        pad_value: grey level of the rest of the input, 0 to 255.
        filter: a key of FILTERS or of PILLOW_FILTERS, for the resizing of OpenCV or Pillow to whole pixels; `warp` is
            our own, to fractions of pixels. Pillow averages all the pixels that become one, as torchvision; OpenCV,
            but for `area`, looks at those next to it alone.
        rounding: how the sides of the resized picture become whole: `round` or `floor`; `exact`: they are rounded, but
            pixels are sampled at the exact scale, as OpenCV does where it is given factors instead of sides (with
            FILTERS alone).
        frame: `input`: the size is that of the input; else it follows from the picture: `picture`: from its own size;
            `inside`: as large as the input has room for; `longest`: its longest side becomes that of the input;
            `shortest`: its shortest side becomes that of the input, and its longest that of the input at most.
        multiple: pixels of which the sides are multiples where the size follows from the picture.
    """

    keep_ratio: bool = True
    centred: bool = False
    pad_value: int = PAD_VALUE
    filter: str = "warp"
    rounding: str = "round"
    frame: str = "input"
    multiple: int = 1

    @property
    def varies(self) -> bool:
        """Whether pictures of different sizes become inputs of different sizes."""
        return self.frame != "input"

    def __call__(self, image: np.ndarray, input_hw: tuple[int, int]) -> Letterboxed:
        """Resize and pad a picture.

        Args:
            image: (H, W, 3) uint8.
            input_hw: height and width of the input in pixels.
        """
        source_hw = image.shape[0], image.shape[1]
        if self.filter == "warp":
            letterbox = Letterbox.fit(source_hw, input_hw)
            return Letterboxed(warp_image(image, letterbox.matrix, input_hw), letterbox)
        scale = self._scale(source_hw, input_hw)
        inside = self._rounded(source_hw[0] * scale), self._rounded(source_hw[1] * scale)
        frame = input_hw if not self.varies else tuple(-(-side // self.multiple) * self.multiple for side in inside)
        if not self.keep_ratio:
            inside = frame[0], frame[1]
        if self.keep_ratio and self.rounding == "exact":
            placed = cv2.resize(image, None, fx=scale, fy=scale, interpolation=FILTERS[self.filter])
            inside = placed.shape[0], placed.shape[1]
        else:
            placed = self._resized(image, inside)
        top, left = ((side - inner) // 2 if self.centred else 0 for side, inner in zip(frame, inside, strict=True))
        below, right = frame[0] - inside[0] - top, frame[1] - inside[1] - left
        if top or left or below or right:
            grey = (self.pad_value,) * 3
            placed = cv2.copyMakeBorder(placed, top, below, left, right, cv2.BORDER_CONSTANT, value=grey)
        scales = inside[1] / source_hw[1], inside[0] / source_hw[0]  # of whole pixels, as the picture lies there
        return Letterboxed(placed, Letterbox(scales, (float(left), float(top)), source_hw))

    def _resized(self, image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        if self.filter in PILLOW_FILTERS:
            return np.array(Image.fromarray(image).resize(size_hw[::-1], PILLOW_FILTERS[self.filter]))
        return cv2.resize(image, size_hw[::-1], interpolation=FILTERS[self.filter])

    def _scale(self, source_hw: tuple[int, int], input_hw: tuple[int, int]) -> float:
        if self.frame == "picture":
            return 1.0
        if self.frame == "longest":
            return max(input_hw) / max(source_hw)
        if self.frame == "shortest":
            return min(min(input_hw) / min(source_hw), max(input_hw) / max(source_hw))
        return min(input_hw[0] / source_hw[0], input_hw[1] / source_hw[1])

    def _rounded(self, side: float) -> int:
        return max(int(side + 1e-6) if self.rounding == "floor" else round(side), 1)


OWN_RESIZE = Resize()
