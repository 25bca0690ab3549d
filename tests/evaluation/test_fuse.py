"""Detections of several scales become one set: what they agree on, and what only one of them saw."""

import numpy as np
import pytest

from centerx.data.dataset import turned_corners
from centerx.evaluation.fuse import fuse
from centerx.geometry import spanned_boxes
from centerx.types import Detections


def found(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score, label."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def same(first: Detections, second: Detections) -> None:
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-6)


def test_what_every_scale_says_stays_as_it_is():
    once = found((0, 0, 10, 10, 0.9, 1), (1, 0, 11, 10, 0.8, 1), (50, 50, 60, 90, 0.3, 0))
    same(fuse([once, once, once]), once)


def test_by_hand():
    small = found((0, 0, 10, 10, 0.6, 0), (70, 70, 80, 80, 0.4, 1))
    large = found((0, 0, 12, 10, 0.2, 0), (0, 0, 10, 10, 0.5, 1))
    # 0.6 of width 10 and 0.2 of width 12; the others stand alone, at half their score
    same(
        fuse([small, large]),
        found((0, 0, 10.5, 10, 0.4, 0), (0, 0, 10, 10, 0.25, 1), (70, 70, 80, 80, 0.2, 1)),
    )


def test_a_crowd_of_one_scale_is_not_thinned():
    crowd = found(*((x, 0, x + 20, 20, 0.9 - x / 100, 0) for x in range(6)))
    assert len(fuse([crowd]).scores) == len(fuse([crowd, crowd]).scores) == 6


@pytest.mark.parametrize("parts", [1, 3])
def test_places_without_a_peak_are_nothing(parts: int):
    empty = found((0, 0, 0, 0, 0.0, 0))
    assert len(fuse([empty] * parts).scores) == 0
    same(fuse([empty, found((0, 0, 10, 10, 0.8, 2))]), found((0, 0, 10, 10, 0.4, 2)))


def test_an_object_takes_one_box_of_a_scale():
    one, two = found((0, 0, 10, 10, 0.8, 0)), found((0, 0, 10, 10, 0.6, 0), (1, 0, 11, 10, 0.4, 0))
    same(fuse([one, two]), found((0, 0, 10, 10, 0.7, 0), (1, 0, 11, 10, 0.2, 0)))


def test_a_part_counts_by_its_weight():
    """3/4 of 0.8 and 1/4 of 0.4: widths 10 and 12 weighted 0.6 to 0.1."""
    first, second = found((0, 0, 10, 10, 0.8, 0)), found((0, 0, 12, 10, 0.4, 0), (50, 50, 60, 60, 0.4, 0))
    joined = fuse([first, second], [3, 1])
    same(joined, found((0, 0, 10 + 2 / 7, 10, 0.7, 0), (50, 50, 60, 60, 0.1, 0)))
    same(joined, fuse([first, second], [0.75, 0.25]))


def test_a_part_of_no_weight_says_nothing():
    first = found((0, 0, 10, 10, 0.8, 0))
    same(fuse([first, found((50, 50, 60, 60, 0.4, 0))], [1, 0]), first)


def quads(*rows: tuple[list[float], float], angles: bool = False) -> Detections:
    """Rows of four corners and a score."""
    corners = np.array([row for row, _ in rows], dtype=np.float32).reshape(-1, 8)
    values = {"corners": corners.reshape(-1, 4, 2)} | ({"angles": np.zeros(len(rows))} if angles else {})
    scores, labels = np.array([score for _, score in rows]), np.zeros(len(rows), dtype=np.int64)
    return Detections(spanned_boxes(corners), scores, labels, values=values, task="rotated" if angles else "quads")


def test_corners_are_joined_wherever_they_begin():
    first = [0.0, 2, 10, 0, 12, 10, 2, 12]
    other = [14.0, 10, 4, 12, 2, 2, 12, 0]  # 2 to the right, beginning with the third
    joined = fuse([quads((first, 0.6)), quads((other, 0.2), ([50, 50, 60, 50, 60, 60, 50, 60], 0.4))])
    # 0.6 of the first and 0.2 of one 2 to the right: 0.5 to the right
    due = [[0.5, 2, 10.5, 0, 12.5, 10, 2.5, 12], [50, 50, 60, 50, 60, 60, 50, 60]]
    np.testing.assert_allclose(joined.values["corners"].reshape(-1, 8), due, rtol=1e-6)
    np.testing.assert_allclose(joined.scores, [0.4, 0.2])
    np.testing.assert_allclose(joined.boxes[0], [0.5, 0, 12.5, 12], rtol=1e-6)
    assert joined.task == "quads"


def test_an_angle_is_that_of_the_joined_corners():
    """A bar that points to 89 and one to -89 degrees, which begins at the other end."""
    up, down = (turned_corners((20, 20), (20, 4), np.radians(degrees)) for degrees in (89, -89))
    joined = fuse([quads((up, 0.5), angles=True), quads((down, 0.5), angles=True)])
    assert abs(joined.values["angles"][0]) == pytest.approx(90, abs=1e-3)
    assert joined.boxes[0, 3] - joined.boxes[0, 1] == pytest.approx(20, abs=0.2)
    assert joined.values["corners"][0].min(axis=0)[1] < 11  # the bar has not shrunk to its middle


@pytest.mark.parametrize("parts", [1, 3])
def test_corners_without_a_peak_are_nothing(parts: int):
    joined = fuse([quads(([0.0] * 8, 0.0))] * parts)
    assert joined.values["corners"].shape == (0, 4, 2)
