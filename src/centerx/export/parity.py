"""An exported file against the detector it came from, on pictures with things on them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from centerx.detector import Detector
from centerx.runtime import open_session
from centerx.types import Detections

BATCHES = (1, 3)
BOX_TOLERANCE, SCORE_TOLERANCE = 0.05, 1e-3  # pixels, probability
MATTERS = 0.01  # scores below this are nobody's detection and may come in any order


class Difference(NamedTuple):
    """How far two sets of detections are apart.

    Attributes:
        box: largest difference of a coordinate of matched detections, in pixels.
        score: largest difference of their scores.
        unmatched: detections of either side without a partner.
        matched: how many pairs there are.
    """

    box: float
    score: float
    unmatched: int
    matched: int

    def or_worse(self, other: Difference) -> Difference:
        """Join with the difference of another picture."""
        return Difference(
            max(self.box, other.box),
            max(self.score, other.score),
            max(self.unmatched, other.unmatched),
            self.matched + other.matched,
        )

    @property
    def small(self) -> bool:
        """Whether the two are the same for all purposes."""
        return self.unmatched == 0 and self.box <= BOX_TOLERANCE and self.score <= SCORE_TOLERANCE


def difference(first: Detections, second: Detections, floor: float = MATTERS) -> Difference:
    """Compare one picture's detections, matched by class and nearest box.

    Detections that score under `floor` on both sides are left out, and so are those which the other side may have
    dropped because they score like its last one.
    """
    a, b = (_above(each, floor) for each in (first, second))
    if not len(a.scores) or not len(b.scores):
        return Difference(0.0, 0.0, len(a.scores) + len(b.scores), 0)
    cost = np.abs(a.boxes[:, None] - b.boxes[None]).max(axis=-1)
    cost = cost + np.abs(a.scores[:, None] - b.scores[None]) + 1e6 * (a.labels[:, None] != b.labels[None])
    partner = cost.argmin(axis=1)
    mutual = cost.argmin(axis=0)[partner] == np.arange(len(partner))
    same = mutual & (cost[np.arange(len(partner)), partner] < 1e6)
    boxes = np.abs(a.boxes[same] - b.boxes[partner[same]]).max(initial=0.0)
    scores = np.abs(a.scores[same] - b.scores[partner[same]]).max(initial=0.0)
    pairs = int(same.sum())
    edge = SCORE_TOLERANCE + max(floor, min(a.scores.min(), b.scores.min()))
    lone_a = np.ones(len(a.scores), dtype=bool)
    lone_a[same] = False
    lone_b = np.ones(len(b.scores), dtype=bool)
    lone_b[partner[same]] = False
    lone = int((a.scores[lone_a] > edge).sum() + (b.scores[lone_b] > edge).sum())
    return Difference(float(boxes), float(scores), lone, pairs)


def verify(detector: Detector, path: Path) -> str:
    """Run an exported file and its origin on painted pictures; return a line that tells the difference.

    Raises:
        RuntimeError: they differ: a fault of the exporter, not of the input.
    """
    session = open_session(path)
    worst = Difference(0.0, 0.0, 0, 0)
    for batch in BATCHES:
        images = painted(batch, session.info.input_hw)
        with torch.inference_mode():
            ours = detector(torch.from_numpy(images))
        theirs = session(images)
        for row in range(batch):
            one = Detections(ours.boxes[row].numpy(), ours.scores[row].numpy(), ours.labels[row].numpy())
            other = Detections(theirs.boxes[row], theirs.scores[row], theirs.labels[row])
            worst = worst.or_worse(difference(one, other))
    told = f"{worst.matched} detections, boxes within {worst.box:.4f} pixels, scores within {worst.score:.1e} of torch"
    if not worst.small:
        raise RuntimeError(f"{path}: the exported file differs from the model: {told}, {worst.unmatched} unmatched")
    return told


def painted(batch: int, input_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(batch, 3, H, W) uint8 pictures of soft discs and bars on graded grounds; noise alone finds no objects."""
    rng = np.random.default_rng((seed, batch))
    height, width = input_hw
    y, x = np.mgrid[:height, :width]
    images = np.empty((batch, 3, height, width), dtype=np.uint8)
    for image in images:
        image[:] = (np.linspace(60, 200, width) * rng.uniform(0.6, 1, (3, 1, 1))).astype(np.uint8)
        for _ in range(12):
            centre = rng.uniform(0, 1, 2) * (height, width)
            radius = rng.uniform(0.03, 0.15, 2) * min(input_hw)
            power = rng.choice([1, 4])
            inside = np.abs((y - centre[0]) / radius[0]) ** power + np.abs((x - centre[1]) / radius[1]) ** power < 1
            image[:, inside] = rng.integers(0, 256, (3, 1))
    return images


def _above(detections: Detections, floor: float) -> Detections:
    keep = detections.scores >= floor
    return Detections(detections.boxes[keep], detections.scores[keep], detections.labels[keep])
