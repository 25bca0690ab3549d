"""Pictures that are nearly the same: stored twice, resized, compressed again, brighter, or neighbouring frames.

Each picture becomes a vector of its low frequencies, and the cosine of two vectors says how similar they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 32  # pixels to which a picture is brought, whatever its shape
FREQUENCIES = 12  # of the cosine transform, in each direction
LEAST = 0.9  # similarity from which on two pictures count as nearly the same
BLOCK = 1024  # pictures compared with all others at once


class SimilarPair(NamedTuple):
    """Two pictures that are nearly the same.

    Attributes:
        first: number of a picture.
        second: number of a later one.
        similarity: in [-1, 1], 1 for the same picture.
    """

    first: int
    second: int
    similarity: float


def describe_picture(image: np.ndarray) -> np.ndarray:
    """Return a picture's low frequencies as a vector (FREQUENCIES ** 2,) float32 of length 1.

    The higher of them weigh more, because nearly all pictures have much of the lowest. Brightness does not count, and
    contrast neither. A picture of one colour has no frequencies: its vector is 0 and similar to none.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    steps = np.arange(FREQUENCIES, dtype=np.float32)
    vector = (cv2.dct(grey.astype(np.float32))[:FREQUENCIES, :FREQUENCIES] * np.add.outer(steps, steps)).ravel()
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1 else np.zeros_like(vector)


def find_similar(vectors: np.ndarray, least: float = LEAST) -> list[SimilarPair]:
    """Return the pairs of pictures that are nearly the same, the most similar first.

    Args:
        vectors: (N, D) of each picture, from `describe_picture`.
        least: similarity from which on two pictures count.
    """
    pairs: list[SimilarPair] = []
    for start in range(0, len(vectors), BLOCK):
        similarity = vectors[start : start + BLOCK] @ vectors[start:].T
        first, second = np.nonzero(np.triu(similarity >= least, 1))
        values = np.minimum(similarity[first, second], 1).round(5).tolist()  # rounding hides the order of sums
        pairs += map(SimilarPair, (first + start).tolist(), (second + start).tolist(), values)
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def group_similar(pairs: Sequence[SimilarPair]) -> list[list[int]]:
    """Return the groups into which pairs join pictures, each in ascending order; pictures of no pair are in none."""
    group_of: dict[int, list[int]] = {}
    for first, second, _ in pairs:
        joined = group_of.get(first, [first])
        other = group_of.get(second, [second])
        if joined is not other:
            joined = joined + other
            group_of.update(dict.fromkeys(joined, joined))
    groups = {id(group): sorted(group) for group in group_of.values()}
    return sorted(groups.values())
