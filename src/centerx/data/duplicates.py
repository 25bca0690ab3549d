"""Find pictures that are equal by their bytes, or look alike: copies of another size or quality, frames of a video.

Two pictures look alike where at most MOST_BITS of the 256 bits of their difference hashes differ (signs of horizontal
differences in a grey picture of 17 x 16 pixels), and the correlation of their grey pictures of 16 x 16 pixels is at
least CORRELATION. Mirrored, cropped and turned copies are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.data.dataset import Record, Track
from centerx.errors import InputError
from centerx.images import read_image

SIDE = 16  # pixels of the grey pictures that are compared
# Of 256. On bccd, facemask, coco_mini and plates (300 pictures each at most), copies at 70 % of the size and quality 60
# differ by up to 16 bits, and no two pictures by fewer than 27.
MOST_BITS = 24
CORRELATION = 0.98
BLOCK = 64  # pictures that are compared with all others at a time


class Look(NamedTuple):
    """What pictures are compared by.

    Attributes:
        bits: (N, 4) uint64, the difference hashes.
        grey: (N, 256) float32 of mean 0 and length 1.
        known: (N,) bool; False where a picture cannot be read, which is then like no other.
    """

    bits: np.ndarray
    grey: np.ndarray
    known: np.ndarray


def content_hash(picture: Path) -> bytes | None:
    """Return a hash of the bytes of a file; None if it cannot be read."""
    if not picture.is_file():
        return None
    try:
        with picture.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def look_at(records: Sequence[Record], track: Track = iter) -> Look:
    """Return what the pictures of records are compared by."""
    bits, grey, known = [], [], []
    for record in track(records):
        look = _look(record.image)
        known.append(look is not None)
        hashed, values = look or (np.zeros(4, dtype=np.uint64), np.zeros(SIDE * SIDE, dtype=np.float32))
        bits.append(hashed)
        grey.append(values)
    return Look(np.array(bits).reshape(-1, 4), np.array(grey).reshape(-1, SIDE * SIDE), np.array(known, dtype=bool))


def alike_pairs(look: Look) -> np.ndarray:
    """Return (M, 2) int64 pairs of pictures that look alike, the earlier first, in order."""
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(look.bits), BLOCK):
        block = slice(start, start + BLOCK)
        differing = np.bitwise_count(look.bits[block, None] ^ look.bits[None, start:]).sum(axis=2, dtype=np.int64)
        first, second = np.nonzero(differing <= MOST_BITS)
        first, second = first[second > first] + start, second[second > first] + start
        same = (look.grey[first] * look.grey[second]).sum(axis=1) >= CORRELATION
        same &= look.known[first] & look.known[second]
        pairs.append(np.column_stack([first[same], second[same]]))
    return np.concatenate(pairs)


def alike_groups(look: Look) -> np.ndarray:
    """Return (N,) int64: the number of the group of each picture; chains of pictures that look alike are one."""
    pairs = alike_pairs(look)
    group = np.arange(len(look.bits))
    while True:
        least = np.minimum(group[pairs[:, 0]], group[pairs[:, 1]])
        joined = group.copy()
        np.minimum.at(joined, pairs[:, 0], least)
        np.minimum.at(joined, pairs[:, 1], least)
        joined = joined[joined]
        if (joined == group).all():
            return group
        group = joined


def _look(picture: Path) -> tuple[np.ndarray, np.ndarray] | None:
    import cv2

    try:
        grey = read_image(picture).mean(axis=2, dtype=np.float32)
    except InputError:
        return None
    rows = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    hashed = np.packbits(rows[:, 1:] > rows[:, :-1]).view(np.uint64)
    values = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    values -= values.mean()
    length = float(np.linalg.norm(values))
    return hashed, values / length if length > 0 else np.full_like(values, 1 / SIDE)
