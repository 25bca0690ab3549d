"""Pictures of suspicions."""

from __future__ import annotations

import numpy as np
import pytest

from centerx.auditing.find import SPURIOUS, Suspicion
from centerx.auditing.report import CROP, LABEL, draw_suspicion


@pytest.mark.parametrize("corner", [(0, 0), (90, 0), (0, 70), (90, 70), (45, 35)])
def test_a_crop_shows_the_whole_box_and_nothing_beside_the_picture(corner: tuple[int, int]) -> None:
    box = np.array([*corner, corner[0] + 10, corner[1] + 10], dtype=np.float32)
    suspicion = Suspicion(SPURIOUS, 0, 1.0, 0, -1, 0, box, -1, None, 0.0, 0.0)
    crop = draw_suspicion(np.full((80, 100, 3), 255, dtype=np.uint8), suspicion, box[None])
    assert crop.shape == (CROP, CROP, 3)
    red = (crop == LABEL).all(axis=2)
    assert (red | (crop == 255).all(axis=2)).all()
    for axis in (0, 1):
        (shown,) = red.any(axis=axis).nonzero()
        assert shown[-1] - shown[0] + 1 == pytest.approx(10 * CROP / 48, abs=2)  # both ends are seen
