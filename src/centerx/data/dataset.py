"""What a reader makes of files: pictures by path, boxes by class, and every problem met on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

Fate = Literal["fixed", "skipped", "fatal"]


class Problem(NamedTuple):
    """One thing wrong in a data set.

    Attributes:
        where: file, with line or record id where known.
        what: what is wrong there.
        fate: fixed (used after repair), skipped (the record is left out) or fatal (nothing can be read).
    """

    where: str
    what: str
    fate: Fate


class Record(NamedTuple):
    """One picture of a data set, not yet read.

    Attributes:
        image: the picture's file.
        image_id: the data set's own id.
        boxes: (N, 4) float64 xyxy pixels of the upright picture.
        labels: (N,) int64 into `Dataset.class_names`.
        ignore: (N,) bool; crowds and difficult objects.
        area: (N,) float64 square pixels; the object's own where the format gives it (COCO), else the box's.
    """

    image: Path
    image_id: int | str
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    area: np.ndarray


class Dataset(NamedTuple):
    """The outcome of reading.

    Attributes:
        path: what was read.
        format: the reader's name.
        class_names: the classes labelled exhaustively on every picture; empty for a bare folder of images.
        category_ids: the format's own id of each class.
        records: one a picture, in the format's order.
        problems: everything that was wrong.
    """

    path: Path
    format: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    records: list[Record]
    problems: list[Problem]


class RecordBuilder:
    """Collects one picture's boxes while a reader goes through its file, setting the unusable ones aside.

    Args:
        image: the picture's file. image_id: its id.
        problems: where to report.
    """

    def __init__(self, image: Path, image_id: int | str, problems: list[Problem]) -> None:
        self.image, self.image_id, self.problems = image, image_id, problems
        self.rows: list[tuple[list[float], int, bool, float]] = []

    def add(self, where: str, xyxy: list[float], label: int, ignore: bool = False, area: float | None = None) -> None:
        """Add a box, unless it is not finite or has no area; that is a problem of the record at `where`."""
        width, height = xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]
        if not all(map(math.isfinite, xyxy)):
            self.problems.append(Problem(where, f"box {xyxy} is not finite", "skipped"))
        elif width <= 0 or height <= 0:
            self.problems.append(Problem(where, f"box of {width:g} x {height:g} pixels has no area", "skipped"))
        else:
            self.rows.append((xyxy, label, ignore, width * height if area is None else area))

    def build(self) -> Record:
        """Return the record."""
        boxes, labels, ignore, area = zip(*self.rows, strict=True) if self.rows else ((), (), (), ())
        return Record(
            self.image,
            self.image_id,
            np.array(boxes, dtype=np.float64).reshape(-1, 4),
            np.array(labels, dtype=np.int64),
            np.array(ignore, dtype=bool),
            np.array(area, dtype=np.float64),
        )
