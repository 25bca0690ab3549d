"""Pictures of any size in, boxes in their own pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.errors import InputError
from centerx.geometry import Letterbox, warp_image
from centerx.images import read_image
from centerx.runtime.session import Session
from centerx.types import Detections

LEAST = float(np.finfo(np.float32).tiny)  # a score of 0 marks a place that the network had no peak for
Picture = str | Path | np.ndarray


class Placed(NamedTuple):
    """A picture as the network takes it.

    Attributes:
        image: (H, W, 3) uint8 RGB of the model's input size. letterbox: how the picture lies in it.
    """

    image: np.ndarray
    letterbox: Letterbox


class Predictor:
    """A detector for pictures.

    Args:
        session: the loaded model.
        input_hw: height and width to bring pictures to, where the model takes any; its own without it.

    Raises:
        InputError: the model takes one size, and this is another.
    """

    def __init__(self, session: Session, input_hw: tuple[int, int] | None = None) -> None:
        own = session.info.input_hw
        if input_hw not in (None, own) and not session.any_size:
            raise InputError(f"the model takes {own[0]}x{own[1]} alone, export it with --size any")
        self.session, self.input_hw = session, input_hw or own
        self.class_names = session.info.class_names

    def __call__(self, picture: Picture) -> Detections:
        """Find the objects of one picture.

        Args:
            picture: a file, or (H, W, 3) uint8 RGB.

        Returns:
            Boxes in the picture's pixels, clipped to it, best first.

        Raises:
            InputError: the picture cannot be read or is of another shape or type.
        """
        return self.predict_batch([picture])[0]

    def predict_batch(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Find the objects of several pictures, of any sizes, in one call of the network."""
        return self.detect([self.place(picture) for picture in pictures])

    def place(self, picture: Picture) -> Placed:
        """The first half of a call: read a picture and fit it into the input.

        Raises:
            InputError: as a call.
        """
        image = picture if isinstance(picture, np.ndarray) else read_image(Path(picture), self.session.info.value_range)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise InputError(f"a picture must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        letterbox = Letterbox.fit((image.shape[0], image.shape[1]), self.input_hw)
        return Placed(warp_image(image, letterbox.matrix, self.input_hw), letterbox)

    def detect(self, placed: Sequence[Placed]) -> list[Detections]:
        """The second half: one call of the network; boxes in pixels of each picture."""
        if not placed:
            return []
        images, letterboxes = zip(*placed, strict=True)
        found = self.session(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))
        return [
            Detections(letterbox.to_source(boxes), scores, labels, self.class_names).above(LEAST)
            for letterbox, boxes, scores, labels in zip(letterboxes, *found[:3], strict=True)
        ]
