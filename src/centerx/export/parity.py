"""An exported file against the detector it came from, on pictures with things on them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from centerx.detector import Detector
from centerx.runtime import open_session
from centerx.types import Detections

BATCHES = (1, 3, 8)
BOX_TOLERANCE, SCORE_TOLERANCE = 0.05, 1e-3  # pixels, probability
SAME_CELL = 1.0  # pixels; boxes further apart do not come from one cell
FLIPS = 0.01  # share of detections that rounding may move to a neighbouring cell of equal score


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

    def __or__(self, other: Difference) -> Difference:
        """Join with the difference of another picture."""
        worse = max(self.box, other.box), max(self.score, other.score)
        return Difference(*worse, self.unmatched + other.unmatched, self.matched + other.matched)

    @property
    def small(self) -> bool:
        """Whether the two are the same for all purposes."""
        same = self.box <= BOX_TOLERANCE and self.score <= SCORE_TOLERANCE
        return same and self.matched > 0 and self.unmatched <= FLIPS * self.matched


def difference(first: Detections, second: Detections) -> Difference:
    """Compare two detectors' answers for one picture, paired by class and nearest box.

    A detection without a partner does not count where it scores like the other side's last one: there may have been
    no place left for its partner.
    """
    if not len(first.scores) or not len(second.scores):
        return Difference(0.0, 0.0, len(first.scores) + len(second.scores), 0)
    apart = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=-1)
    score = np.abs(first.scores[:, None] - second.scores[None])
    fitting = (first.labels[:, None] == second.labels[None]) & (apart < SAME_CELL)
    cost = np.where(fitting, apart + score, np.inf)
    rows, partner = np.arange(len(cost)), cost.argmin(axis=1)
    paired = fitting[rows, partner] & (cost.argmin(axis=0)[partner] == rows)
    left, right = rows[paired], partner[paired]
    return Difference(
        box=float(apart[left, right].max(initial=0.0)),
        score=float(score[left, right].max(initial=0.0)),
        unmatched=_alone(first.scores, left, second.scores) + _alone(second.scores, right, first.scores),
        matched=len(left),
    )


def verify(detector: Detector, path: Path) -> str:
    """Run an exported file and its origin on painted pictures; return a line that tells the difference.

    Raises:
        RuntimeError: they differ: a fault of the exporter, not of the input.
    """
    session = open_session(path)
    total = Difference(0.0, 0.0, 0, 0)
    for batch in BATCHES:
        images = painted(batch, session.info.input_hw)
        with torch.inference_mode():
            ours = Detections(*(each.numpy() for each in detector(torch.from_numpy(images))[:3]))
        theirs = session(images)
        for row in range(batch):
            total |= difference(one(ours, row), one(theirs, row))
    told = f"{total.matched} detections, boxes within {total.box:.4f} pixels, scores within {total.score:.1e} of torch"
    if not total.small:
        raise RuntimeError(f"{path}: the exported file differs from the model: {told}, {total.unmatched} unmatched")
    return told


def one(batch: Detections, row: int) -> Detections:
    """The detections of one picture of a batch."""
    return Detections(batch.boxes[row], batch.scores[row], batch.labels[row])


def painted(batch: int, input_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(batch, 3, H, W) uint8 pictures of rhombs and rounded boxes on graded, grainy grounds.

    On noise alone a detector finds nothing; without grain whole areas would score alike.
    """
    rng = np.random.default_rng((seed, batch))
    height, width = input_hw
    y, x = np.mgrid[:height, :width]
    images = np.empty((batch, 3, height, width), dtype=np.uint8)
    for image in images:
        canvas = rng.normal(0, 6, (3, height, width))
        canvas += np.linspace(60, 200, width) * rng.uniform(0.6, 1, (3, 1, 1))
        for _ in range(12):
            centre = rng.uniform(0, 1, 2) * (height, width)
            radius = rng.uniform(0.03, 0.15, 2) * min(input_hw)
            power = rng.choice([1, 4])
            inside = np.abs((y - centre[0]) / radius[0]) ** power + np.abs((x - centre[1]) / radius[1]) ** power < 1
            canvas[:, inside] += rng.uniform(-150, 150, (3, 1))
        image[:] = canvas.clip(0, 255)
    return images


def _alone(scores: np.ndarray, paired: np.ndarray, others: np.ndarray) -> int:
    """How many have no partner, though they score above the other side's last."""
    alone = scores > others.min() * (1 + SCORE_TOLERANCE)
    alone[paired] = False
    return int(alone.sum())
