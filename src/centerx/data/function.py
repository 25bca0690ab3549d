"""A function of Python as a teacher: any callable from a picture to boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centerx.data.store import Detect, TeacherInfo, check_names, read_info
from centerx.errors import InputError
from centerx.images import read_image
from centerx.joints import NO_JOINTS
from centerx.levels import ValueRange
from centerx.tasks import BOXES
from centerx.types import Detections

DIGEST = "a function"  # in place of that of a file's content: a function is known by its name alone


class Function(NamedTuple):
    """A function of Python that finds objects.

    Attributes:
        call: a picture (H, W, 3) uint8 RGB -> `Detections`, or boxes (K, 4) xyxy in pixels of the picture, scores (K,)
            in [0, 1] and labels (K,) into `class_names`.
        class_names: None: those of the `Detections`.
        name: for errors.
    """

    call: Callable[[np.ndarray], Any]
    class_names: tuple[str, ...] | None
    name: str

    def info(self, store: Path, images: Sequence[Path], value_range: ValueRange) -> TeacherInfo:
        """Return class names and task: of the file that keeps what it found, of the function, or of a first answer.

        Args:
            store: the file; it may be missing.
            images: the pictures, of which the first that can be read is asked about where nothing else tells.
            value_range: how pictures of more than 8 bits are read.

        Raises:
            InputError: nothing tells the class names, or the file has others.
        """
        names = self.class_names or getattr(self.call, "class_names", None)
        if store.is_file():
            kept = read_info(store)
            return kept._replace(digest=DIGEST, class_names=kept.class_names if names is None else tuple(names))
        own = getattr(self.call, "task", BOXES)
        task, joints = getattr(own, "name", BOXES.name), getattr(own, "joints", NO_JOINTS)
        if names is None:
            first = self.named(None)(first_picture(images, value_range))
            names, task, joints = first.class_names, first.task, first.joints
        if not names:
            raise InputError(f"{self.name}: gives no class names, name them with class_names")
        check_names(tuple(names), self.name)
        return TeacherInfo(DIGEST, tuple(names), task, joints)

    def named(self, class_names: tuple[str, ...] | None) -> Detect:
        """Return the function with checked results.

        Args:
            class_names: those that its results must have, where they have some; None: any.
        """

        def detect(image: np.ndarray) -> Detections:
            given = self.call(image)
            try:
                found = given if isinstance(given, Detections) else as_detections(*given)
            except (TypeError, ValueError):
                raise InputError(
                    f"{self.name}: must give Detections, or boxes (K, 4), scores (K,) and labels (K,), not "
                    f"{type(given).__name__}"
                ) from None
            if class_names is not None and found.class_names not in ((), class_names):
                raise InputError(
                    f"{self.name}: gives the classes {', '.join(found.class_names)}, not {', '.join(class_names)}; it "
                    "must give the same with every picture"
                )
            return found

        return detect


def as_detections(boxes: Any, scores: Any, labels: Any) -> Detections:
    """Return boxes (K, 4) xyxy, scores (K,) and labels (K,), whatever arrays they are in."""
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    return Detections(rows, np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64))


def first_picture(images: Sequence[Path], value_range: ValueRange) -> np.ndarray:
    """Return the first picture that can be read.

    Raises:
        InputError: none can.
    """
    for image in images:
        try:
            return read_image(image, value_range)
        except InputError:
            continue
    raise InputError(f"none of {len(images)} pictures can be read")
