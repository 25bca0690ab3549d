"""Detect objects on pictures of any size, with boxes in pixels of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.geometry import placed_sizes
from centerx.resize import Letterboxed
from centerx.runtime.outputs import detections_of, stack_rows
from centerx.runtime.picture import Picture, to_image, to_list
from centerx.runtime.session import Session, run_session
from centerx.types import Detections, RawDetections


class Predictor:
    """Detector for pictures of any size.

    It can be copied and pickled, for example for use in several processes. A deep or unpickled copy opens the model
    file again.

    Args:
        session: the loaded model.
        input_hw: height and width in pixels that pictures are resized to, if the model takes any size. Default: the
            size in the model file.
        reopen: function that opens the session again. Without it, copies and pickles contain the session itself.

    Raises:
        InputError: the model takes one size only, and `input_hw` is another.
    """

    def __init__(
        self,
        session: Session,
        input_hw: tuple[int, int] | None = None,
        reopen: Callable[[], Session] | None = None,
    ) -> None:
        own = session.info.input_hw
        if input_hw not in (None, own) and not session.any_size:
            raise InputError(f"the model takes {own[0]}x{own[1]} alone, export it with --size any")
        self.session, self.input_hw = session, input_hw or own
        self.class_names, self.task = session.info.class_names, session.info.made_task
        self.reopen = reopen

    def __call__(self, picture: Picture, bgr: bool = False) -> Detections:
        """Find the objects of one picture.

        Args:
            picture: a path, the bytes of an image file, a binary file, a PIL picture (its EXIF orientation is applied),
                a uint8 array: (H, W, 3) RGB, (H, W, 4) with an alpha channel that is dropped, (H, W) or (H, W, 1)
                grey; or a torch tensor on any device, its channels first or last, of uint8 or of floats in [0, 1].
            bgr: whether arrays and tensors have their channels in the order BGR, as OpenCV reads them.

        Returns:
            Detections with boxes in pixels of the picture, clipped to it, highest score first.

        Raises:
            InputError: the picture cannot be read, or its type or shape is not supported.
        """
        return self.detect([self.preprocess(picture, bgr)])[0]

    def predict_batch(self, pictures: Iterable[Picture], bgr: bool = False) -> list[Detections]:
        """Find the objects of several pictures, of any types and sizes, in one call of the network.

        Args:
            pictures: as `picture` of a call.
            bgr: as for a call.

        Returns:
            The detections of each picture.

        Raises:
            InputError: as for a call, with the index of the picture; `pictures` is a single picture.
        """
        letterboxed = []
        for index, picture in enumerate(to_list(pictures)):
            try:
                letterboxed.append(self.preprocess(picture, bgr))
            except InputError as error:
                raise InputError(f"pictures[{index}]: {error}") from None
        return self.detect(letterboxed)

    def preprocess(self, picture: Picture, bgr: bool = False) -> Letterboxed:
        """Read a picture and fit it into the model's input: the first half of a call.

        Args:
            picture: as for a call.
            bgr: as for a call.

        Raises:
            InputError: as for a call.
        """
        image = to_image(picture, bgr, self.session.info.value_range)
        try:
            return self.session.info.resize(image, self.input_hw)
        except cv2.error:
            raise InputError(f"a picture {image.shape} is too large to be resized, shrink or cut it") from None

    def detect(self, letterboxed: Sequence[Letterboxed]) -> list[Detections]:
        """Run the network on preprocessed pictures, once where their sizes are equal: the second half of a call.

        Returns:
            The detections of each picture, with boxes in its pixels.
        """
        found: dict[int, Detections] = {}
        shapes = [each.image.shape for each in letterboxed]
        for shape in dict.fromkeys(shapes):
            some = [number for number, each in enumerate(shapes) if each == shape]
            images, letterboxes = zip(*(letterboxed[number] for number in some), strict=True)
            stacked = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
            raw = run_session(self.session, stacked, placed_sizes(letterboxes))
            found |= dict(zip(some, detections_of(raw, letterboxes, self.task, self.class_names), strict=True))
        return [found[number] for number in range(len(letterboxed))]

    def detect_array(self, images: np.ndarray) -> RawDetections:
        """Run the network on pictures of any one size, each brought to its input by its own rule.

        Args:
            images: (B, 3, H, W) uint8 RGB.

        Returns:
            (B, K, ...) detections in pixels of `images`, best first.
        """
        resize = self.session.info.resize
        found = self.detect([resize(np.ascontiguousarray(image.transpose(1, 2, 0)), self.input_hw) for image in images])
        first = self.task.outputs[0].name
        return stack_rows([({first: each.boxes, **each.values}, each.scores, each.labels) for each in found])

    def __copy__(self) -> Predictor:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "session" or self.reopen is None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.reopen is not None:
            self.session = self.reopen()
