"""Sizes of the input as typed."""

from __future__ import annotations

import re

from centerx.errors import InputError


def parse_size(text: str) -> tuple[int, int]:
    """'320x416' -> (320, 416): height, width.

    Raises:
        InputError: not of this form, or not multiples of 32.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size: {text!r} is not HxW, such as 320x416")
    height, width = int(match[1]), int(match[2])
    if not height or not width or height % 32 or width % 32:
        close = "x".join(str(max(32, round(side / 32) * 32)) for side in (height, width))
        raise InputError(f"--size: {text} must be multiples of 32, such as {close}")
    return height, width
