"""What a row of a YOLO label file holds behind its class: a box, a box with more, or the points of a polygon.

No word in the files says which, so the rows of the whole data set decide. The values behind a class are relative to the
picture's size: `x y w h`, perhaps followed by a confidence, a track id or keypoints; or `x y x y x y ...`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from centerx.problems import Kind

DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
OUTSIDE = 0.05  # how far relative coordinates may leave 0 to 1, by rounding or augmentation
OVERHANG = 0.02  # how far boxes leave the picture where they are boxes
FITS = 0.8  # share of the rows to which a reading must apply
JUDGED = 1000  # rows by which a data set is judged
MOST_POINTS = 200  # of an outline, by which it is judged
MANY = 10  # rows; so many polygons are all boxes only where each object is in the middle of its picture
LONG = 10  # points; so many keypoints, joined in a line, cross it
TASKS = ("detect", "pose", "segment", "obb")

Holds = Literal["box", "polygon", "unclear"]


class Row(NamedTuple):
    """A row: its line in the file, its class and what follows."""

    line: int
    number: int
    values: list[float]


class Reading(NamedTuple):
    """What rows of more than four values hold.

    Attributes:
        holds: a box with more behind it, the points of a polygon, or either for all that can be told.
        tail: how many values follow the points.
        four: whether the polygons are the four points of turned boxes.
        five: whether rows of five values are a box with one value behind it.
    """

    holds: Holds
    tail: int = 0
    four: bool = False
    five: bool = True

    def repair(self, values: Sequence[float]) -> tuple[Kind, str]:
        """What becomes of a row of more than four values that has `corners`."""
        if len(values) == 5 or self.holds == "box":
            return Kind.EXTRA_VALUES, f"{len(values)} values behind the class, the first four are read as x y w h"
        if self.four:
            return Kind.ROTATED_BOX, "four points, the upright box around them is used"
        return Kind.POLYGON, f"{(len(values) - self.tail) // 2} points, the box around them is used"

    def corners(self, values: Sequence[float]) -> list[float] | str:
        """The box (x0, y0, x1, y1), relative, of the values of a row, or what keeps them from being one."""
        num = len(values)
        if num < 4:
            return f"{num} values behind the class, 4 are needed"
        if num == 4 or (num == 5 and self.five) or (num > 5 and self.holds == "box"):
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
        return [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]


def parse_rows(text: str) -> tuple[list[Row], list[tuple[int, str]]]:
    """Read the rows of a file, and the lines that are none with what is wrong with each."""
    # Of a text without these, float takes nothing but decimal numbers.
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
    """Whether a text begins with a row: a class number and relative coordinates."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    rows, _ = parse_rows(first)
    values = rows[0].values if rows else []
    return len(values) >= 4 and rows[0].number >= 0 and _relative(values[:4]) and any(0 < v < 1 for v in values[:4])


def judge(rows: Sequence[Sequence[float]], task: str | None) -> Reading:
    """Tell what the rows of a data set hold.

    Args:
        rows: the values of those with more than four.
        task: what the data set itself says, one of TASKS.
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
    five = task in (None, "detect", "pose") and (holds != "polygon" or not longer)
    five = five and _share([_is_box(row) for row in fives]) >= FITS and _is_tag([row[4] for row in fives])
    return Reading(holds, tail, four, five)


def _told_apart(rows: Sequence[Sequence[float]], tail: int) -> Holds:
    """Whether rows of six and more values are boxes or polygons.

    A box lies inside its picture, which half of all polygons, read so, would not. The second point of a polygon is
    near the others, where the width and height of a box, read so, mostly aren't.
    """
    boxes = _share([_is_box(row) for row in rows])
    polygons = _share([_is_polygon(row[: len(row) - tail]) for row in rows])
    if boxes >= FITS and (polygons < FITS or _has_tags(rows)):
        return "box"
    if boxes < FITS:
        return "polygon" if polygons >= FITS else "unclear"
    length, count = Counter(map(len, rows)).most_common(1)[0]
    if count < FITS * len(rows):  # outlines differ in their number of points
        return "polygon"
    alike = [row[: length - tail] for row in rows if len(row) == length]
    points = np.array(alike).reshape(count, -1, 2)[:MANY]
    num = points.shape[1]
    if num == 4 and np.mean(_is_parallelogram(points)) >= FITS:
        return "polygon"
    if np.mean(_crosses_itself(points[:, :: -(-num // MOST_POINTS)])) > 1 - FITS:
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


def _is_polygon(points: Sequence[float]) -> bool:
    if len(points) < 6 or len(points) % 2 or not _relative(points):
        return False
    x, y = [points[0], *points[4::2]], [points[1], *points[5::2]]
    left, right, top, bottom = min(x), max(x), min(y), max(y)
    reach = max(right - left, bottom - top)
    return left - reach <= points[2] <= right + reach and top - reach <= points[3] <= bottom + reach


def _tail(rows: Sequence[Sequence[float]]) -> int:
    """How many values follow the points, if the rows are polygons: a confidence, a track id or both."""
    if rows and _share([len(row) % 2 == 1 for row in rows]) >= FITS:
        return 1
    ids = [row[-1] for row in rows]
    both = len(ids) > 2 or any(number > 1 for number in ids)
    if both and all(len(row) >= 8 and row[-1].is_integer() and 0 <= row[-2] <= 1 for row in rows):
        return 2 if _share([all(map(float.is_integer, row)) for row in rows]) < FITS else 0
    return 0


def _has_tags(rows: Sequence[Sequence[float]]) -> bool:
    """Whether all rows have a confidence and a track id behind a box, or keypoints with a visibility of 0, 1 or 2."""
    if all(len(row) == 6 for row in rows):
        pairs = [row[4:] for row in rows]
        return any(all(0 <= pair[which] <= 1 and pair[1 - which].is_integer() for pair in pairs) for which in (0, 1))
    return all(len(row) >= 7 and (len(row) - 4) % 3 == 0 and set(row[6::3]) <= {0.0, 1.0, 2.0} for row in rows)


def _is_tag(values: Sequence[float]) -> bool:
    """Whether these are confidences or track ids, rather than angles."""
    return all(0 <= value <= 1 for value in values) or all(value.is_integer() and value >= -1 for value in values)


def _is_parallelogram(points: np.ndarray) -> np.ndarray:
    """Of quadrilaterals (N, 4, 2): (N,) bool; the corners of a turned box are one in any units."""
    gap = np.abs(points[:, 0] - points[:, 1] + points[:, 2] - points[:, 3]).max(axis=1)
    return np.asarray(gap <= 0.05 * np.ptp(points, axis=1).max(axis=1))


def _crosses_itself(points: np.ndarray) -> np.ndarray:
    """Of polygons (N, M, 2): (N,) bool; an edge that turns back upon the one before it crosses it."""
    start, end = points[:, :, None], np.roll(points, -1, axis=1)[:, :, None]
    other_start, other_end = np.swapaxes(start, 1, 2), np.swapaxes(end, 1, 2)
    sides = _side(start, end, other_start) * _side(start, end, other_end)
    crossing = (sides < 0) & (np.swapaxes(sides, 1, 2) < 0)
    edge = (end - start)[:, :, 0]
    after = np.roll(edge, -1, axis=1)
    back = (np.abs(_cross(edge, after)) < 1e-9) & ((edge * after).sum(axis=-1) < 0)
    return np.asarray(crossing.any(axis=(1, 2)) | back.any(axis=1))


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    return _cross(end - start, point - start)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])


def _share(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers) if answers else 1.0


def _relative(values: Sequence[float]) -> bool:
    return min(values) >= -OUTSIDE and max(values) <= 1 + OUTSIDE


def _not_relative(values: Sequence[float]) -> str:
    shown = " ".join(f"{value:g}" for value in values[:4])
    return f"{shown}{' ...' * (len(values) > 4)} is not relative to the picture, from 0 to 1; is it in pixels?"
