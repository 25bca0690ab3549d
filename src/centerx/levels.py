"""Values of more than 8 bits -> 256 grey levels, and whether so few of these are used that little is left to see."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Any, Literal

import numpy as np

ValueRange = Literal["auto", "stretch"] | tuple[float, float]
AUTO: Literal["auto"] = "auto"
STRETCHED = 0.1, 99.9  # percentiles; beyond them lie dead and hot pixels
BULK = 1, 99  # percentiles, for judging
FEW = 32  # grey levels of 256: of 12 bits in a file of 16 there remain 17, of 14 bits 65
FLAT = 16  # levels from the least to the greatest; of 2,228 real pictures none has under 48
SAMPLE = 250_000  # pixels to judge by


def check_range(value: Any) -> ValueRange:
    """Return `auto`, `stretch` or (LOW, HIGH) from a configuration or from metadata.

    Raises:
        ValueError: it is none of them.
    """
    if value in ("auto", "stretch"):
        return value
    numbers = isinstance(value, (list, tuple)) and all(
        isinstance(each, (int, float)) and not isinstance(each, bool) and isfinite(each) for each in value
    )
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise ValueError("must be auto, stretch or [LOW, HIGH], two numbers of which the second is greater")
    return float(value[0]), float(value[1])


def range_text(value_range: ValueRange) -> str:
    """As it is written in a configuration."""
    return value_range if isinstance(value_range, str) else f"[{value_range[0]:g},{value_range[1]:g}]"


def find_limits(values: np.ndarray, value_range: ValueRange) -> tuple[float, float]:
    """The values that become black and white.

    `auto` takes them from the type of the values, never from a picture's darkest and brightest spot: 0 and 65535 for
    uint16, for other integers above 255 and for floats above 255; 0 and 1 for floats that all lie between these; 0 and
    255 for the rest. `stretch` takes the picture's own percentiles 0.1 and 99.9.

    Args:
        values: (H, W) or (H, W, 3) uint16, int32 or float32, as in the file. value_range: how to read them.
    """
    if isinstance(value_range, tuple):
        return value_range
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if value_range == "stretch":
        low, high = np.percentile(known, STRETCHED) if known.size else (0, 0)
        return float(low), float(high)
    if values.dtype.kind == "u" or known.max(initial=0) > 255:
        return 0, 65535
    if values.dtype.kind == "f" and known.min(initial=0) >= 0 and known.max(initial=0) <= 1:
        return 0, 1
    return 0, 255


def to_levels(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Map values linearly to uint8, `limits` to 0 and 255; what lies beyond is clipped, and what is no number is 0."""
    low, high = limits
    if not low < high:
        return np.zeros(values.shape, np.uint8)
    if values.dtype.kind == "u":  # 16 bits: look each of few values up
        every = np.arange(65536, dtype=np.float64)
        return _to_uint8(every, low, high)[values]
    return _to_uint8(np.nan_to_num(values, nan=low), low, high)


def lost_levels(values: np.ndarray, limits: tuple[float, float]) -> str:
    """Say so where few grey levels are left of many values, or all lie close together; '' elsewhere.

    How many are left is asked of the bulk of a picture, not of single hot pixels, and matters where the file has more:
    a drawing of five colours has five before and after.
    """
    sample = _sample(values)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return ""
    low, high = np.percentile(sample, BULK)
    bulk = np.unique(sample[(sample >= low) & (sample <= high)])
    left = len(np.unique(to_levels(bulk, limits)))
    low, high = float(sample.min()), float(sample.max())
    darkest, brightest = to_levels(np.array([low, high]), limits).tolist()
    lost = left < FEW and len(bulk) > 2 * left
    if not lost and (low == high or brightest - darkest >= FLAT):
        return ""
    fits = range_text(_round_range(*map(float, np.percentile(sample, STRETCHED))))
    return (
        f"its values from {low:g} to {high:g} become the grey levels {darkest} to {brightest} of 256; "
        f"data.range={fits} or stretch would keep more of them"
    )


def flat_levels(image: np.ndarray) -> str:
    """Say so where the grey levels of (H, W, 3) uint8 lie close together; '' elsewhere, and for one colour alone."""
    sample = _sample(image)
    low, high = int(sample.min()), int(sample.max())
    return f"uses the grey levels from {low} to {high} of 256 alone" if 0 < high - low < FLAT else ""


def _to_uint8(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint((values.astype(np.float64) - low) / ((high - low) / 255)), 0, 255).astype(np.uint8)


def _sample(values: np.ndarray) -> np.ndarray:
    step = max(1, int((values.shape[0] * values.shape[1] / SAMPLE) ** 0.5))
    return values[::step, ::step]


def _round_range(low: float, high: float) -> tuple[float, float]:
    """A range that holds the values and is worth to be written down: that of 8, 10, 12 or 14 bits, or round numbers."""
    if 0 <= low < high / 4:
        for bits in (8, 10, 12, 14):
            if (1 << bits) / 4 <= high < 1 << bits:
                return 0, (1 << bits) - 1
    step = 10.0 ** (floor(log10(max(high - low, 1e-9))) - 1)
    return floor(low / step) * step, -floor(-high / step) * step
