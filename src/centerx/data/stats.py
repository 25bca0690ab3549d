"""Figures of a data set: its classes, the sizes, shapes and places of its objects, the sizes of its pictures."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from centerx.data.check import ClassCount, count_classes
from centerx.data.dataset import Dataset, Track, readable_hw
from centerx.data.records import all_objects

QUANTILES = (0, 5, 25, 50, 75, 95, 100)  # per cent
SMALL, LARGE = 32.0, 96.0  # pixels: COCO's limits for the side of a square of an object's area
CELLS = 32  # of the map of places, along each side


class Quantiles(NamedTuple):
    """Least, 5 %, 25 %, median, 75 %, 95 % and largest value."""

    least: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    most: float


class Stats(NamedTuple):
    """Figures of a data set. Ignored objects count in `classes` alone; objects without a box have no size and shape.

    Attributes:
        pictures: number of pictures.
        empty: number of pictures without an object.
        classes: numbers of each class.
        sides: (N,) root of the area of each object's box in pixels.
        shares: (N,) root of the area of each object's box over that of its picture; NaN where its size is unknown.
        shapes: (N,) width over height of each object's box.
        labels: (N,) class of each object that has a box.
        per_picture: (P,) number of objects of each picture.
        hw: (P, 2) height and width of each picture; 0 where unknown.
        places: (CELLS, CELLS) number of objects by the place of their centre, rows from the top.
        class_names: names of the classes.
    """

    pictures: int
    empty: int
    classes: list[ClassCount]
    sides: np.ndarray
    shares: np.ndarray
    shapes: np.ndarray
    labels: np.ndarray
    per_picture: np.ndarray
    hw: np.ndarray
    places: np.ndarray
    class_names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values: distributions as quantiles, the map of places as rows."""
        small, large = int((self.sides < SMALL).sum()), int((self.sides >= LARGE).sum())
        sizes = Counter(map(tuple, self.hw.tolist()))
        return {
            "pictures": self.pictures,
            "pictures_without_objects": self.empty,
            "objects": int(self.per_picture.sum()),
            "classes": [self._of_class(label, count) for label, count in enumerate(self.classes)],
            "sizes": {"small": small, "medium": len(self.sides) - small - large, "large": large},
            "side": _named(self.sides),
            "relative_side": _named(self.shares[np.isfinite(self.shares)]),
            "aspect_ratio": _named(self.shapes),
            "objects_per_picture": _named(self.per_picture),
            "picture_sizes": [
                {"width": width, "height": height, "pictures": count} for (height, width), count in sizes.most_common()
            ],
            "places": self.places.tolist(),
        }

    def _of_class(self, label: int, count: ClassCount) -> dict[str, Any]:
        rows = self.labels == label
        return {
            "class": count.name,
            "objects": count.boxes,
            "ignored": count.ignored,
            "pictures": count.images,
            "side": _named(self.sides[rows]),
            "aspect_ratio": _named(self.shapes[rows]),
        }


def dataset_stats(dataset: Dataset, track: Track = iter) -> Stats:
    """Return the figures of a data set; the sizes of pictures come from their headers, or as they are declared."""
    hw = np.array(
        [readable_hw(record.image) or record.declared_hw or (0, 0) for record in track(dataset.records)], dtype=np.int64
    ).reshape(-1, 2)
    every = all_objects(dataset.records)
    picture, labels, _, boxes, *_ = every.where(~every.ignore)
    per_picture = np.bincount(picture, minlength=len(hw))
    across, down = (boxes[:, 2:] - boxes[:, :2]).T
    boxed = (across > 0) & (down > 0)
    sides, area = np.sqrt(across * down)[boxed], hw.prod(axis=1)[picture][boxed]
    shares = np.divide(sides, np.sqrt(area), out=np.full(len(sides), np.nan), where=area > 0)
    known = hw.prod(axis=1)[picture] > 0
    centres = (boxes[known, :2] + boxes[known, 2:]) / 2 / hw[picture[known]][:, ::-1]
    places = np.zeros((CELLS, CELLS), dtype=np.int64)
    cell = np.clip((centres * CELLS).astype(np.int64), 0, CELLS - 1)
    np.add.at(places, (cell[:, 1], cell[:, 0]), 1)
    return Stats(
        len(hw),
        len(hw) - len(np.unique(every.image)),
        count_classes(dataset),
        sides,
        shares,
        across[boxed] / down[boxed],
        labels[boxed],
        per_picture,
        hw,
        places,
        dataset.class_names,
    )


def quantiles(values: np.ndarray) -> Quantiles | None:
    """Return the quantiles of some values; None without values."""
    return Quantiles(*np.percentile(values, QUANTILES).tolist()) if len(values) else None


def _named(values: np.ndarray) -> dict[str, float] | None:
    found = quantiles(values)
    return None if found is None else {name: round(value, 4) for name, value in found._asdict().items()}
