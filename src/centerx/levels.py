"""Convert values of more than 8 bits to 256 grey levels, and detect pictures that use few of these levels."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import Any, Literal

import numpy as np

ValueRange = Literal["auto", "stretch"] | tuple[float, float]
AUTO: Literal["auto"] = "auto"
STRETCHED = 0.1, 99.9  # percentiles; dead and hot pixels are outside
BULK = 1, 99  # percentiles between which grey levels are counted
FEW = 32  # grey levels; 12-bit values in a 16-bit file have 17 of 256 levels, 14-bit values have 65
FLAT = 16  # grey levels between darkest and brightest; all of 2,228 real pictures have at least 48
SAMPLE = 250_000  # number of pixels that are looked at


def check_range(value: Any) -> ValueRange:
    """Validate a value range of a configuration or of metadata.

    Args:
        value: `auto`, `stretch`, or two numbers (LOW, HIGH).

    Raises:
        ValueError: it is none of these.
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
    """Return a value range as it is written in a configuration."""
    return value_range if isinstance(value_range, str) else f"[{value_range[0]:g},{value_range[1]:g}]"


def find_limits(values: np.ndarray, value_range: ValueRange) -> tuple[float, float]:
    """Return the values that become black and white.

    With `auto` they depend on the type of the values: 0 and 65535 for uint16, and for other types with values above
    255; 0 and 1 for floats that are all between 0 and 1; 0 and 255 otherwise. With `stretch` they are the percentiles
    0.1 and 99.9 of the picture.

    Args:
        values: (H, W) or (H, W, 3) uint16, int32 or float32, as in the file.
        value_range: `auto`, `stretch`, or the two values themselves.
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
    """Map values linearly to grey levels.

    Args:
        values: array of any shape.
        limits: the values that become 0 and 255; values outside are clipped. NaN becomes 0.

    Returns:
        uint8 of the same shape.
    """
    low, high = limits
    if not low < high:
        return np.zeros(values.shape, np.uint8)
    if values.dtype.kind == "u":  # 16 bits: a table of all values is faster
        every = np.arange(65536, dtype=np.float64)
        return _to_uint8(every, low, high)[values]
    return _to_uint8(np.nan_to_num(values, nan=low), low, high)


def lost_levels(values: np.ndarray, limits: tuple[float, float]) -> str:
    """Describe the loss if many values become few grey levels, or if all levels are close together.

    Levels are counted between percentiles, so that single hot pixels do not matter. A drawing with five values in the
    file loses nothing and is not reported.

    Args:
        values: (H, W) or (H, W, 3), as in the file.
        limits: the values that become black and white.

    Returns:
        The description, empty if there is no such loss.
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
    """Describe an 8-bit picture whose grey levels are close together.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        The description, empty for other pictures and for those of a single colour.
    """
    sample = _sample(image)
    low, high = int(sample.min()), int(sample.max())
    return f"uses the grey levels from {low} to {high} of 256 alone" if 0 < high - low < FLAT else ""


def _to_uint8(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint((values.astype(np.float64) - low) / ((high - low) / 255)), 0, 255).astype(np.uint8)


def _sample(values: np.ndarray) -> np.ndarray:
    step = max(1, int((values.shape[0] * values.shape[1] / SAMPLE) ** 0.5))
    return values[::step, ::step]


def _round_range(low: float, high: float) -> tuple[float, float]:
    """Return a simple range that contains the values: that of 8, 10, 12 or 14 bits, or one of round numbers."""
    if 0 <= low < high / 4:
        for bits in (8, 10, 12, 14):
            if (1 << bits) / 4 <= high < 1 << bits:
                return 0, (1 << bits) - 1
    step = 10.0 ** (floor(log10(max(high - low, 1e-9))) - 1)
    return floor(low / step) * step, -floor(-high / step) * step
