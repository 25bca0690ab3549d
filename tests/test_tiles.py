"""How large pictures are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.errors import InputError
from centerx.tiles import Tiles


def test_by_hand() -> None:
    windows = Tiles.of((4, 6), 0.5).windows((10, 6))
    assert windows.tolist() == [[0, 0, 6, 4], [0, 2, 6, 6], [0, 4, 6, 8], [0, 6, 6, 10]]
    assert Tiles.of(10, 0).windows((10, 25)).tolist() == [[0, 0, 10, 10], [8, 0, 18, 10], [15, 0, 25, 10]]
    assert Tiles.of(10).windows((7, 10)).tolist() == [[0, 0, 10, 7]]


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(9, 200), st.integers(9, 200)),
    st.floats(0, 0.9),
)
def test_windows_cover_the_picture_and_overlap(
    image_hw: tuple[int, int], size: tuple[int, int], overlap: float
) -> None:
    tiles = Tiles.of(size, overlap)
    windows = tiles.windows(image_hw)
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, 2:] <= image_hw[::-1]).all()
    assert (windows[:, 2:] - windows[:, :2] == np.minimum(size, image_hw)[::-1]).all()
    assert len(np.unique(windows, axis=0)) == len(windows)
    for axis, side in ((0, image_hw[1]), (1, image_hw[0])):
        starts, ends = np.unique(windows[:, axis]), np.unique(windows[:, axis + 2])
        assert (starts[0], ends[-1]) == (0, side)
        assert (ends[:-1] - starts[1:] >= overlap * size[1 - axis] - 1).all()


@pytest.mark.parametrize(("size", "overlap", "says"), [(0, 0.2, "--tiles"), (10, 1.0, "--overlap"), (9, -0.1, "--ov")])
def test_what_cannot_be_cut(size: int, overlap: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Tiles.of(size, overlap)


def test_too_many_windows_are_refused_before_they_are_made() -> None:
    with pytest.raises(InputError, match="100000000 tiles of a picture of 10000 x 10000"):
        Tiles.of(1, 0.0).windows((10_000, 10_000))
