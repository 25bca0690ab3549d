"""Detections of several scales become one set: what they agree on, and what only one of them saw."""

import numpy as np
import pytest

from centerx.evaluation.fuse import fuse
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
