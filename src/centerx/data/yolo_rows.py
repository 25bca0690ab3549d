"""Interpret the values after the class in rows of YOLO label files: a box, a box with further values, or a polygon.

The files do not say which, so the rows of the whole data set decide. The values are relative to the picture's size:
`x y w h`, optionally followed by a confidence, a track id or keypoints, or `x y x y x y ...`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from centerx.data.dataset import crosses_itself
from centerx.data.values import DECIMAL
from centerx.problems import Kind

OUTSIDE = 0.05  # tolerance of relative coordinates outside 0 to 1, for rounding and augmentation
OVERHANG = 0.02  # tolerance of boxes outside the picture, to recognise boxes
FITS = 0.8  # least share of the rows that an interpretation must fit
JUDGED = 1000  # largest number of rows that are looked at
MOST_POINTS = 200  # largest number of points of an outline that are looked at
MANY = 10  # rows; so many polygons all fit as boxes only if each object is centred in its picture
SOME = 5  # keypoints; so many are around the centre of their box
LONG = 10  # points; so many keypoints, joined by a line, cross it
TASKS = ("detect", "pose", "segment", "obb")

Holds = Literal["box", "polygon", "unclear"]


class Row(NamedTuple):
    """A row: its line number, its class and its further values."""

    line: int
    number: int
    values: list[float]


class Reading(NamedTuple):
    """Interpretation of rows with more than four values.

    Attributes:
        holds: a box with further values, the points of a polygon, or either if it cannot be decided.
        tail: number of values after the points.
        four: whether the polygons are the four corners of rotated boxes.
        five: whether rows of five values are a box with one further value.
        usual: the numbers of values that most rows have; empty if rows differ in it.
        tagged: whether the boxes are followed by a confidence and a track id, or by keypoints with a visibility.
        turned: whether four points are the corners of a rectangle, or of a parallelogram in other units.
    """

    holds: Holds
    tail: int = 0
    four: bool = False
    five: bool = True
    usual: frozenset[int] = frozenset()
    tagged: bool = False
    turned: bool = False

    def repair(self, values: Sequence[float]) -> tuple[Kind, str]:
        """Return the kind and the description of the problem that is reported for a row with `corners`."""
        if len(values) == 5 or self.holds == "box":
            return Kind.EXTRA_VALUES, f"{len(values)} values behind the class, the first four are read as x y w h"
        if self.four and len(values) - self.tail == 8:
            return Kind.ROTATED_BOX, "four points: tasks without corners use the upright box around them"
        return Kind.POLYGON, f"{(len(values) - self.tail) // 2} points, the box around them is used"

    def quadrilateral(self, values: Sequence[float]) -> Sequence[float] | None:
        """Return x and y of the four corners in a row of which `corners` finds the box; None if it has no four."""
        held = self.holds == "polygon" and len(values) - self.tail == 8
        return values[:8] if held else None

    def corners(self, values: Sequence[float]) -> list[float] | str:
        """Return the relative box (x0, y0, x1, y1) of the values of a row, or a text that says why there is none."""
        num = len(values)
        if num < 4:
            return f"{num} values behind the class, 4 are needed"
        if num == 4 or (num == 5 and self.five) or (num > 5 and self.holds == "box"):
            if num > 5 and (self.usual and num not in self.usual):
                return (
                    f"{num} values behind the class, where most boxes have {' or '.join(map(str, sorted(self.usual)))}"
                )
            if num > 5 and self._may_be_outline(values):
                return f"{num} values behind the class may be a polygon, where most rows are boxes"
            x, y, width, height = values[:4]
            if not _relative(values[:4]):
                return _not_relative(values[:4])
            return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        if num == 5:
            return "5 values behind the class, and they are no box with a confidence or a track id"
        if self.holds == "unclear":
            if not _relative(values[:4]):
                return _not_relative(values)
            return (
                f"{num} values behind the class may be a box with more or a polygon; name `task: detect`, `pose`, "
                "`segment` or `obb` in a data.yaml"
            )
        points = values[: num - self.tail]
        if len(points) % 2 or len(points) < 6:
            return f"{num} values behind the class are no box and no pairs of x and y"
        if not _relative(points):
            return _not_relative(points)
        if self._may_be_box(values, points):
            return f"{num} values behind the class may be a box with keypoints, where most rows are polygons"
        return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]

    def _may_be_outline(self, values: Sequence[float]) -> bool:
        """Return whether a row among boxes may be a polygon: without further values, or not a box in its picture."""
        if self.tagged:
            return not (_is_tagged(values, 0) or _is_tagged(values, 1))
        if not _is_polygon(values) or _is_tangled(values):
            return False
        return not _is_box(values) or (
            len(values) >= 4 + 2 * SOME and not _is_centred(values) and not _has_jump(values)
        )

    def _may_be_box(self, values: Sequence[float], points: Sequence[float]) -> bool:
        """Return whether a row among polygons may be a box with keypoints: they are in the box and not a plain outline.

        If most rows have one number of values and this row another, a first point in the centre is sufficient.
        """
        unusual = bool(self.usual) and len(values) not in self.usual
        if not _is_box(values) or not (unusual or _has_jump(points)):
            return False
        if unusual and _is_tagged(values, 0):
            return True
        if self.turned and len(points) == 8:
            return not _is_parallelogram(np.reshape(points, (1, 4, 2)))[0]
        return _in_box(points) and (_is_centred(points) or (unusual and not _is_polygon(points)) or _is_tangled(points))


def parse_rows(text: str) -> tuple[list[Row], list[tuple[int, str]]]:
    """Parse the rows of a file; return them, and the invalid lines with a description of each."""
    # Without these characters, `float` accepts decimal numbers only.
    plain = text.isascii() and "_" not in text and "n" not in text and "N" not in text
    rows, wrong = [], []
    for line, content in enumerate(text.splitlines(), start=1):
        words = content.split()
        if not words:
            continue
        try:
            if not plain and not all(map(DECIMAL.fullmatch, words)):
                raise ValueError
            first, *values = map(float, words)
        except ValueError:
            wrong.append((line, f"not numbers: {content.strip()[:100]}"))
            continue
        if first.is_integer():
            rows.append(Row(line, int(first), values))
        else:
            wrong.append((line, f"class {first:g} is not a whole number"))
    return rows, wrong


def looks_like_rows(text: str) -> bool:
    """Return whether a text starts with a row: a class number and relative coordinates."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    rows, _ = parse_rows(first)
    values = rows[0].values if rows else []
    return len(values) >= 4 and rows[0].number >= 0 and _relative(values[:4]) and any(0 < v < 1 for v in values[:4])


def judge(rows: Sequence[Sequence[float]], task: str | None) -> Reading:
    """Decide what the rows of a data set contain.

    Args:
        rows: the values of rows with more than four values.
        task: task that the data set declares, one of TASKS, or None.
    """
    fives = [row for row in rows if len(row) == 5]
    longer = [row for row in rows if len(row) > 5]
    longer = longer[:: max(1, len(longer) // JUDGED)]
    tail = _tail(longer)
    four = bool(longer) and _share([len(row) - tail == 8 for row in longer]) >= FITS
    holds: Holds = "box"
    if task == "segment" or (task == "obb" and four):
        holds = "polygon"
    elif task == "obb" and longer:
        holds = "unclear"
    elif task is None and longer:
        holds = _told_apart(longer, tail)
    five = task in (None, "detect", "pose") and (holds != "polygon" or not tail)
    five = five and _share([_is_box(row) for row in fives]) >= FITS and _is_tag([row[4] for row in fives])
    tagged = holds == "box" and bool(longer) and _has_tags(longer)
    quadrilaterals = np.reshape([row[:8] for row in longer if len(row) - tail == 8], (-1, 4, 2))
    turned = four and bool(np.mean(_is_parallelogram(quadrilaterals)) >= FITS)
    return Reading(holds, tail, four, five, _usual(longer, holds), tagged, turned)


def _told_apart(rows: Sequence[Sequence[float]], tail: int) -> Holds:
    """Decide whether rows of at least six values are boxes or polygons.

    A box lies inside its picture; half of all polygons would not if they were read as boxes. The second point of a
    polygon is near its other points; the width and height of a box, read as a point, mostly are not.
    """
    boxes = _share([_is_box(row) for row in rows])
    polygons = _share([_is_polygon(row[: len(row) - tail]) for row in rows])
    if boxes >= FITS and (polygons < FITS or _has_tags(rows)):
        return "box"
    if boxes < FITS:
        return "polygon" if polygons >= FITS else "unclear"
    length, count = Counter(map(len, rows)).most_common(1)[0]
    alike = [row[: length - tail] for row in rows if len(row) == length][:MANY]
    points = np.array([row[: len(row) // 2 * 2] for row in alike]).reshape(len(alike), -1, 2)
    tangled = np.mean(crosses_itself(_thinned(points))) > 1 - FITS
    if count < FITS * len(rows):  # outlines have different numbers of points
        return "polygon" if count < len(rows) / 2 or not tangled else "unclear"
    num = points.shape[1]
    if num == 4 and np.mean(_is_parallelogram(points)) >= FITS:
        return "polygon"
    if tangled:
        return "box"
    if num >= LONG:
        return "polygon"
    return "box" if num != 4 and boxes == 1 and count >= MANY else "unclear"


def _is_box(values: Sequence[float]) -> bool:
    x, y, width, height = values[:4]
    return (
        0 < width <= 1 + OUTSIDE
        and 0 < height <= 1 + OUTSIDE
        and x - width / 2 >= -OVERHANG
        and x + width / 2 <= 1 + OVERHANG
        and y - height / 2 >= -OVERHANG
        and y + height / 2 <= 1 + OVERHANG
    )


def _in_box(values: Sequence[float]) -> bool:
    """Return whether the points after a box are inside it. Points at (0, 0) are invisible and do not count."""
    x, y, width, height = values[:4]
    return all(
        (abs(px - x) <= width / 2 + OVERHANG and abs(py - y) <= height / 2 + OVERHANG) or px == py == 0
        for px, py in zip(values[4::2], values[5::2], strict=True)
    )


def _is_centred(points: Sequence[float]) -> bool:
    """Return whether the first point is in the middle of the points from the third on, like the centre of a box."""
    return all(
        abs(point - (min(others) + max(others)) / 2) <= (max(others) - min(others)) / 4
        for point, others in ((points[0], points[4::2]), (points[1], points[5::2]))
    )


def _has_jump(points: Sequence[float]) -> bool:
    """Return whether the second point is far from both its neighbours: half the size of the outline without it."""
    x, y = [points[0], *points[4::2]], [points[1], *points[5::2]]
    half = max(max(x) - min(x), max(y) - min(y)) / 2
    return all(max(abs(points[2] - x[i]), abs(points[3] - y[i])) > half for i in (0, 1))


def _is_polygon(points: Sequence[float]) -> bool:
    if len(points) < 6 or len(points) % 2 or not _relative(points):
        return False
    x, y = [points[0], *points[4::2]], [points[1], *points[5::2]]
    left, right, top, bottom = min(x), max(x), min(y), max(y)
    reach = max(right - left, bottom - top)
    return left - reach <= points[2] <= right + reach and top - reach <= points[3] <= bottom + reach


def _tail(rows: Sequence[Sequence[float]]) -> int:
    """Return the number of values after the points if the rows are polygons: a confidence, a track id or both."""
    if rows and _share([len(row) % 2 == 1 for row in rows]) >= FITS:
        return 1
    ids = [row[-1] for row in rows]
    both = len(ids) > 2 or any(number > 1 for number in ids)
    if both and all(len(row) >= 8 and row[-1].is_integer() and 0 <= row[-2] <= 1 for row in rows):
        return 2 if _share([all(map(float.is_integer, row)) for row in rows]) < FITS else 0
    return 0


def _usual(rows: Sequence[Sequence[float]], holds: Holds) -> frozenset[int]:
    """Return the numbers of values that more than a few rows have, for boxes, or if they are those of most rows."""
    counts = Counter(map(len, rows))
    usual = frozenset(length for length, count in counts.items() if count > (1 - FITS) * len(rows))
    if holds == "box":
        return frozenset(each for each in usual if _share([_is_box(row) for row in rows if len(row) == each]) >= FITS)
    return usual if sum(counts[length] for length in usual) >= FITS * len(rows) else frozenset()


def _has_tags(rows: Sequence[Sequence[float]]) -> bool:
    """Return whether a confidence and a track id follow boxes, or keypoints with a visibility of 0, 1 or 2."""
    return any(_share([_is_tagged(row, which) for row in rows]) >= FITS for which in (0, 1))


def _is_tagged(row: Sequence[float], which: int) -> bool:
    """Return whether a row has a confidence and a track id; `which` of the two is the confidence."""
    if len(row) == 6:
        return 0 <= row[4 + which] <= 1 and float(row[5 - which]).is_integer()
    return len(row) >= 7 and (len(row) - 4) % 3 == 0 and set(row[6::3]) <= {0.0, 1.0, 2.0}


def _is_tag(values: Sequence[float]) -> bool:
    """Return whether values are confidences or track ids, rather than angles."""
    return all(0 <= value <= 1 for value in values) or all(value.is_integer() and value >= -1 for value in values)


def _is_parallelogram(points: np.ndarray) -> np.ndarray:
    """Return (N,) bool for quadrilaterals (N, 4, 2). Corners of a rotated box are a parallelogram in any units."""
    gap = np.abs(points[:, 0] - points[:, 1] + points[:, 2] - points[:, 3]).max(axis=1)
    return np.asarray(gap <= 0.05 * np.ptp(points, axis=1).max(axis=1))


def _is_tangled(points: Sequence[float]) -> bool:
    return bool(crosses_itself(_thinned(np.reshape(points, (1, -1, 2))))[0])


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[:, :: -(-points.shape[1] // MOST_POINTS)]


def _share(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers) if answers else 1.0


def _relative(values: Sequence[float]) -> bool:
    return min(values) >= -OUTSIDE and max(values) <= 1 + OUTSIDE


def _not_relative(values: Sequence[float]) -> str:
    shown = " ".join(f"{value:g}" for value in values[:4])
    return f"{shown}{' ...' * (len(values) > 4)} is not relative to the picture, from 0 to 1; is it in pixels?"
