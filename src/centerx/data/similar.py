"""Pictures that are nearly the same: stored twice, resized, compressed again, brighter, or neighbouring frames.

Each picture becomes a vector of its low frequencies, and the cosine of two vectors says how similar they are. Mirrored,
turned and largely cropped copies are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from centerx.data.dataset import Track
from centerx.data.records import Record
from centerx.errors import InputError
from centerx.images import read_image
from centerx.levels import AUTO, ValueRange

SIDE = 32  # pixels to which a picture is brought, whatever its shape
FREQUENCIES = 12  # of the cosine transform, in each direction
# Similarity from which on two pictures count as nearly the same. Copies at a quarter of the size, or of quality 25,
# have 0.99, and of most data sets no two pictures more than 0.8; docs/audit.md has the table.
LEAST = 0.9
BLOCK = 256  # pictures compared with all others at once


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


def describe_pictures(records: Sequence[Record], value_range: ValueRange = AUTO, track: Track = iter) -> np.ndarray:
    """Return (N, D) float32, `describe_picture` of each record's picture; 0 where it cannot be read.

    Args:
        records: N pictures.
        value_range: how they are read, see `images.read_image`.
        track: iterator that shows progress.
    """
    vectors = np.zeros((len(records), FREQUENCIES**2), dtype=np.float32)
    for number, record in enumerate(track(records)):
        try:
            vectors[number] = describe_picture(read_image(record.image, value_range))
        except InputError:
            continue  # readers and `log_dataset_problems` tell it
    return vectors


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


def group_similar(pairs: Sequence[SimilarPair], count: int) -> np.ndarray:
    """Return (N,) int64, the number of the group of each picture: the first picture that pairs join it with.

    Args:
        pairs: of N pictures. Chains of them are one group; a picture of no pair is a group of its own.
        count: N.
    """
    first = np.array([pair.first for pair in pairs], dtype=np.int64)
    second = np.array([pair.second for pair in pairs], dtype=np.int64)
    group = np.arange(count)
    while True:
        least = np.minimum(group[first], group[second])
        joined = group.copy()
        np.minimum.at(joined, first, least)
        np.minimum.at(joined, second, least)
        joined = joined[joined]
        if (joined == group).all():
            return group
        group = joined
