"""Values of more than 8 bits become grey levels by a stated range, and pictures that lose most of them are told."""

import numpy as np
import pytest

from centerx.levels import ValueRange, check_range, find_limits, flat_levels, lost_levels, range_text, to_levels

RAMP = np.arange(12_000).reshape(100, 120)  # all values, each once


def within(low: float, high: float, dtype: type = np.uint16) -> np.ndarray:
    """A picture whose values run from one to the other."""
    return np.linspace(low, high, RAMP.size).reshape(RAMP.shape).astype(dtype)


@pytest.mark.parametrize(
    ("values", "value_range", "limits"),
    [
        (within(7000, 9000), "auto", (0, 65535)),
        (within(0, 200), "auto", (0, 65535)),
        (within(0, 200, np.int32), "auto", (0, 255)),
        (within(0, 300, np.int32), "auto", (0, 65535)),
        (within(0, 1, np.float32), "auto", (0, 1)),
        (within(-1, 1, np.float32), "auto", (0, 255)),
        (within(0, 200, np.float32), "auto", (0, 255)),
        (within(0, 300, np.float32), "auto", (0, 65535)),
        (within(0, 300, np.float32), (270.0, 310.0), (270, 310)),
        (np.arange(5000, 7001, dtype=np.uint16).reshape(3, 667), "stretch", (5002, 6998)),  # a thousandth off each end
    ],
)
def test_limits(values: np.ndarray, value_range: ValueRange, limits: tuple[float, float]) -> None:
    assert find_limits(values, value_range) == pytest.approx(limits)


def test_a_range_is_linear_and_clips() -> None:
    values = np.array([[6000, 7000, 7500, 8000, 9000, 65535]], np.uint16)
    assert to_levels(values, (7000, 9000)).tolist() == [[0, 0, 64, 128, 255, 255]]
    assert to_levels(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32), (0, 1)).tolist() == [0, 255, 0, 128]
    assert to_levels(values, (5, 5)).tolist() == [[0] * 6]  # of a blank picture, stretched


def test_sixteen_bits_are_divided_by_257() -> None:
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_levels(every, find_limits(every, "auto")), np.rint(every / 257).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (within(0, 250), "[0,255]"),
        (within(3, 1020), "[0,1023]"),
        (within(0, 4090), "[0,4095]"),
        (within(0, 2100), "[0,4095]"),
        (within(7012, 8990), "[7000,9000]"),
        (within(29001, 30984), "[29000,31000]"),
        (within(271.3, 309.6, np.float32), "[271,310]"),
        (within(-0.8, 0.8, np.float32), "[-0.8,0.8]"),
        (np.where(RAMP < 1000, 480, 3200).astype(np.uint16), "[0,4095]"),  # a drawing in 12 bits
    ],
)
def test_what_loses_its_levels_is_told_with_a_range_that_fits(values: np.ndarray, fits: str) -> None:
    said = lost_levels(values, find_limits(values, "auto"))
    assert f"data.range={fits} " in said
    assert f"{values.min():g} to {values.max():g}" in said
    low, high = map(float, fits.strip("[]").split(","))
    assert lost_levels(values, (low, high)) == ""


def test_hot_pixels_hide_nothing() -> None:
    values = within(0, 1000)
    values[::20, ::20] = 65535
    assert lost_levels(values, (0, 65535))
    assert lost_levels(values, find_limits(np.where(values > 2000, 500, values), "stretch")) == ""


@pytest.mark.parametrize(
    "values",
    [
        within(0, 65535),
        within(0, 16383),
        np.full((20, 20), 300, np.uint16),  # blank
        np.where(RAMP % 7 == 0, 65535, 0).astype(np.uint16),  # a mask
        (RAMP // 3000 * 16384).astype(np.uint16),  # a drawing of four colours
        np.where(RAMP % 200 == 0, RAMP * 5, 65535).astype(np.uint16),  # a white page with a little on it
        within(0, 1, np.float32),
        np.full((20, 20), np.nan, np.float32),
    ],
)
def test_what_has_few_levels_or_keeps_them_is_not_told(values: np.ndarray) -> None:
    assert lost_levels(values, find_limits(values, "auto")) == ""


def test_flat_pictures_of_8_bits() -> None:
    def picture(*levels: int) -> np.ndarray:
        return np.resize(np.array(levels, np.uint8), (8, 8, 3))

    assert "from 0 to 12" in flat_levels(picture(0, 5, 12))
    assert [flat_levels(picture(*levels)) for levels in ((0,), (77,), (0, 255), (30, 120, 200), (100, 116))] == [""] * 5


@pytest.mark.parametrize("value", ["full", [1], [1, 2, 3], [2, 1], [1, 1], [0, float("inf")], ["a", "b"], None, 3, {}])
def test_other_ranges_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be auto, stretch or"):
        check_range(value)


def test_ranges_are_written_as_they_are_read() -> None:
    assert [range_text(check_range(value)) for value in ("auto", "stretch", [0, 4095], (0.5, 1))] == [
        "auto",
        "stretch",
        "[0,4095]",
        "[0.5,1]",
    ]
