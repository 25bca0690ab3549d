"""Rows of more than four values: what a data set of them holds."""

import math

import numpy as np
import pytest

from centerx.data.yolo_rows import judge, looks_like_rows
from centerx.problems import Kind

RNG = np.random.default_rng(0)
BOXES = [  # x y w h, small and large
    [*(RNG.uniform(size / 2, 1 - size / 2)), *size] for size in RNG.uniform(0.05, 0.9, size=(12, 2))
]
FIXED = [0.5, 0.5, 0.6, 0.6, 0.4, 0.4]


def points_in(box: list[float], count: int) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y]) + (RNG.random((count, 2)) - 0.5) * [width, height]


def around(box: list[float], count: int, start: float = 0.0) -> list[float]:
    """An outline of points on the ellipse in a box."""
    x, y, width, height = box
    turns = [start + 2 * math.pi * each / count for each in range(count)]
    return [value for turn in turns for value in (x + width / 2 * math.cos(turn), y + height / 2 * math.sin(turn))]


def with_more(*more: float) -> list[list[float]]:
    return [[*box, *more] for box in BOXES]


@pytest.mark.parametrize(
    "rows",
    [
        with_more(0.87),
        with_more(7.0),
        with_more(1.0),
        with_more(0.87, 12.0),
        with_more(12.0, 0.87),
        with_more(0.87, 1.0),  # track ids below 2 are coordinates of a triangle as well
        with_more(0.87, 0.91),
        with_more(*FIXED),
        with_more(0.5, 0.5, 1.0, 0.6, 0.6, 1.0),
        with_more(0.5, 0.5, 2.0, 0.0, 0.0, 0.0),
        [[*box, *points_in(box, 1).ravel()] for box in BOXES],
        [[*box, *points_in(box, 2).ravel()] for box in BOXES],
        [[*box, *points_in(box, 5).ravel()] for box in BOXES],
        [[*box, *np.hstack([points_in(box, 5), RNG.random((5, 1))]).ravel()] for box in BOXES],
        [[*box, *np.hstack([points_in(box, 17), RNG.integers(0, 3, (17, 1))]).ravel()] for box in BOXES],
        [[*box, *points_in(box, 17).ravel(), 0.9, 3.0] for box in BOXES],
    ],
)
def test_boxes_with_more_behind_them(rows: list[list[float]]) -> None:
    reading = judge([[float(value) for value in row] for row in rows], None)
    for row in rows:
        x, y, width, height = row[:4]
        assert reading.corners(row) == [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        assert reading.repair(row)[0] is Kind.EXTRA_VALUES


@pytest.mark.parametrize("tail", [[], [0.9], [0.9, 5.0]])
@pytest.mark.parametrize(
    ("counts", "kind"), [([4], Kind.ROTATED_BOX), ([5], Kind.POLYGON), ([40], Kind.POLYGON), ([3, 9, 30], Kind.POLYGON)]
)
def test_points(counts: list[int], kind: Kind, tail: list[float]) -> None:
    outlines = [around(box, counts[i % len(counts)], start=0.5) for i, box in enumerate(BOXES)]
    reading = judge([outline + tail for outline in outlines], None)
    for outline in outlines:
        x, y = outline[::2], outline[1::2]
        assert reading.corners(outline + tail) == [min(x), min(y), max(x), max(y)]
        assert reading.repair(outline + tail)[0] is kind


KEYPOINTS = [[*box, *points_in(box, 5).ravel()] for box in BOXES * 2]
POSES = [[*box, *np.hstack([points_in(box, 17), RNG.integers(0, 3, (17, 1))]).ravel()] for box in BOXES * 2]
TRACKED = [[*box, 0.87, float(number % 3)] for number, box in enumerate(BOXES * 2)]
OUTLINES = [around(box, 12, start) for start in (0.5, 2.5) for box in BOXES]
# A box with its corners as keypoints: joined in a line, they seldom cross it.
CORNERS = [
    [x, y, w, h, x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
    for x, y, w, h in BOXES
]


@pytest.mark.parametrize(
    ("most", "other"),
    [
        (TRACKED, [around([0.3, 0.3, 0.2, 0.2], 5)]),
        (TRACKED, [around([0.3, 0.3, 0.2, 0.2], 3, start=0.5)]),
        (POSES, [around(box, 9) for box in BOXES[:3]]),
        (KEYPOINTS, [around(box, 4, start=0.5) for box in BOXES[:4]]),
        (KEYPOINTS, [around([0.3, 0.3, 0.2, 0.2], 7)]),
        (OUTLINES, CORNERS[:3]),
        (OUTLINES, POSES[:3]),
        (OUTLINES, TRACKED[:3]),
    ],
)
def test_rows_that_are_no_such_thing_as_the_others_are_refused(
    most: list[list[float]], other: list[list[float]]
) -> None:
    reading = judge(most + other, None)
    assert not any(isinstance(reading.corners(row), str) for row in most)
    assert all(isinstance(reading.corners(row), str) for row in other)


def test_boxes_with_a_confidence_among_polygons_are_used() -> None:
    scored = with_more(0.87)
    outlines = [around(box, 7 + number) for number, box in enumerate(BOXES[:5])]
    for reading in (judge(scored + outlines, None), judge(scored[:2] + outlines, None)):
        for x, y, width, height, score in scored:
            corners = reading.corners([x, y, width, height, score])
            assert corners == [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        assert reading.corners(outlines[0]) == [
            *(min(outlines[0][axis::2]) for axis in (0, 1)),
            *(max(outlines[0][axis::2]) for axis in (0, 1)),
        ]


def test_one_row_in_the_middle_of_its_picture() -> None:
    box = [0.5, 0.5, 0.2, 0.2]
    assert judge([around(box, 4)], None).holds == "polygon"
    assert judge([around(box, 30)], None).holds == "polygon"
    assert judge([[*box, 0.45, 0.45, 0.55, 0.5]], None).holds == "box"
    large = [0.5, 0.5, 0.7, 0.8, 0.3, 0.7]  # a triangle, or a box with a keypoint
    assert isinstance(judge([large], None).corners(large), str)
    assert judge([large], "segment").corners(large) == [0.3, 0.5, 0.7, 0.8]
    assert judge([large], "pose").corners(large) == pytest.approx([0.15, 0.1, 0.85, 0.9])
    assert isinstance(judge([large], "obb").corners(large), str)


def test_angles_are_no_confidences() -> None:
    for angles in ([0.3, 1.4], [0.3, -0.2], [12.5, 40.0]):
        rows = [[0.5, 0.5, 0.2, 0.1, angle] for angle in angles]
        assert isinstance(judge(rows, None).corners(rows[0]), str)
    assert isinstance(judge([[0.5, 0.5, 0.2, 0.1, 0.3]], "obb").corners([0.5, 0.5, 0.2, 0.1, 0.3]), str)


def test_a_confidence_before_the_box_is_refused() -> None:
    rows = [[0.9, *box] for box in BOXES]
    assert all(isinstance(judge(rows, None).corners(row), str) for row in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n0 0.5 0.5 0.1 0.1\n", True),
        ("3 .1 .1 .2 .1 .2 .2", True),
        ("", False),
        ("1 2 3 4 5", False),
        ("1 0 1 0 1", False),
        ("-1 0.5 0.5 0.1 0.1", False),
        ("Car 0.5 0.5 0.1 0.1", False),
        ("0,0.5,0.5,0.1,0.1", False),
    ],
)
def test_rows_are_recognised(text: str, expected: bool) -> None:
    assert looks_like_rows(text) is expected
