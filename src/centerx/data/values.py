"""What may stand in a file of labels: ASCII numbers, flags of 0 and 1, names of a line of text, sizes of pictures."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")  # matches in one way alone
NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)  # as Python, C and JavaScript write them
LARGEST_SIDE = 10**9  # pixels; a larger one is none of a picture
YES, NO = ("1", "true", "yes"), ("0", "false", "no", "")  # words of flags in lower case


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value of a JSON file is a number that a float can hold; true and false are none."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def to_number(text: str | None) -> float | None:
    """Return the number that a word is, which may not be finite, or None.

    Other than for `float`, digits outside ASCII and underscores make no number.
    """
    word = (text or "").strip()
    return float(word) if DECIMAL.fullmatch(word) or NOT_FINITE.fullmatch(word) else None


def to_numbers(words: list[str]) -> list[float] | None:
    """Return the numbers that words are, or None if one of them is none."""
    values = [to_number(word) for word in words]
    return None if None in values else values  # type: ignore[return-value]


def to_flag(value: Any, words: bool = True) -> bool | None:
    """Return what a flag says; None if it is neither 0 nor 1, a boolean, nor a word of YES or NO.

    Args:
        value: the flag; one that is missing, None, is not set.
        words: whether it may be a text.
    """
    if isinstance(value, str) and words:
        word = value.strip().lower()
        return True if word in YES else False if word in NO else None
    if value is None or isinstance(value, bool):
        return bool(value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def class_name(value: Any) -> str:
    """Return the name of a class in a JSON file as text, a whole number as its digits; empty if it cannot be a name."""
    text = str(value) if type(value) is int and is_number(value) else value
    return text if isinstance(text, str) and text.strip() else ""


def to_hw(height: Any, width: Any) -> tuple[int, int] | None:
    """Return height and width in pixels, or None if they are none of a picture."""
    if not (is_number(height) and is_number(width) and 1 <= height < LARGEST_SIDE and 1 <= width < LARGEST_SIDE):
        return None
    return int(height), int(width)
