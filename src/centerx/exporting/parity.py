"""Compare an exported file with the detector that it was exported from."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from centerx.detector import Detector, to_numpy
from centerx.fields import KEYPOINTS
from centerx.runtime import open_session
from centerx.runtime.outputs import SMALLEST_SCORE
from centerx.tasks import KEYPOINT_SCORES, Task
from centerx.tasks.rotated import ANGLES
from centerx.types import Detections, RawDetections

BATCHES = (1, 3, 8)
BOX_TOLERANCE, SCORE_TOLERANCE = 0.05, 1e-3  # pixels, probability
SAME_CELL = 1.0  # pixels; boxes further apart do not come from one cell
SAME_OBJECT = 16.0  # pixels; in lower precision, boxes further apart are of other objects
SURE = 0.3
OTHER_HW = (96, 160)  # further input size, if the file takes any
FLIPS = 0.01  # share of detections that rounding may move to a neighbouring cell of equal score


class Difference(NamedTuple):
    """Difference between two sets of detections.

    Attributes:
        box: largest difference of a coordinate of matched detections, of boxes, corners and joints, in pixels; and by
            how much their ends move where angles differ.
        score: largest difference of their scores, and of those of joints.
        unmatched: number of detections of either set without a partner.
        matched: number of pairs.
    """

    box: float
    score: float
    unmatched: int
    matched: int

    def __or__(self, other: Difference) -> Difference:
        """Return the difference over two pictures."""
        worse = max(self.box, other.box), max(self.score, other.score)
        return Difference(*worse, self.unmatched + other.unmatched, self.matched + other.matched)

    @property
    def small(self) -> bool:
        """Whether all differences are within the tolerances of float32."""
        same = self.box <= BOX_TOLERANCE and self.score <= SCORE_TOLERANCE
        return same and self.matched > 0 and self.unmatched <= FLIPS * self.matched


def difference(
    first: Detections, second: Detections, least: float = SMALLEST_SCORE, reach: float = SAME_CELL
) -> Difference:
    """Compare two detectors' answers for one picture, paired by class and nearest box.

    A detection without a partner does not count if its score is not above the lowest of the other set: the other set
    may have had no place left for the partner.

    Args:
        first: detections of one detector.
        second: detections of the other.
        least: score below which detections are left out.
        reach: largest difference of coordinates within a pair, in pixels.
    """
    last = min(first.scores, default=0.0), min(second.scores, default=0.0)
    first, second = first.above(least), second.above(least)
    if not len(first.scores) or not len(second.scores):
        return Difference(0.0, 0.0, len(first.scores) + len(second.scores), 0)
    apart = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=-1)
    score = np.abs(first.scores[:, None] - second.scores[None])
    fitting = (first.labels[:, None] == second.labels[None]) & (apart < reach)
    cost = np.where(fitting, apart + score, np.inf)
    rows, partner = np.arange(len(cost)), cost.argmin(axis=1)
    paired = fitting[rows, partner] & (cost.argmin(axis=0)[partner] == rows)
    left, right = rows[paired], partner[paired]
    positions, scores = [apart[left, right]], [score[left, right]]
    for name in first.values:
        ours, theirs = flat(first.values[name])[left], flat(second.values[name])[right]
        if name == KEYPOINT_SCORES:
            scores.append(apart_joints(ours, theirs))
        elif name == KEYPOINTS.name:
            positions.append(apart_joints(ours, theirs))
        elif name == ANGLES:
            positions.append(apart_turned(ours, theirs, first.boxes[left]))
        else:
            positions.append(apart_in_any_order(ours, theirs))
    return Difference(
        box=max(float(each.max(initial=0.0)) for each in positions),
        score=max(float(each.max(initial=0.0)) for each in scores),
        unmatched=_alone(first.scores, left, last[1]) + _alone(second.scores, right, last[0]),
        matched=len(left),
    )


def flat(values: np.ndarray) -> np.ndarray:
    """(K, ...) -> (K, D)."""
    return values.reshape(len(values), math.prod(values.shape[1:]))


def apart_joints(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the differences of coordinates or scores of joints (K, D), without the share that rounding may move.

    A joint moves to the nearest peak, and which one that is may be decided by rounding.
    """
    apart = np.sort(np.abs(first - second), axis=None)
    return np.asarray(apart[: len(apart) - int(FLIPS * len(apart))])


def apart_turned(first: np.ndarray, second: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return by how many pixels the ends of lines across boxes (K, 4) move where angles (K, 1), in degrees, differ."""
    turn = (first - second + 90) % 180 - 90
    half = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    return np.asarray(np.abs(np.radians(turn[:, 0])) * half)


def apart_in_any_order(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the largest difference of coordinates (K,) of positions (K, D), wherever their order begins.

    Rounding may decide with which corner a canonical order begins.
    """
    turns = [np.roll(second, 2 * turn, axis=1) for turn in range(second.shape[1] // 2)]
    return np.min([np.abs(first - each).max(axis=1) for each in turns], axis=0)


def verify(detector: Detector, path: Path, precision: str = "fp32", pictures: np.ndarray | None = None) -> str:
    """Compare an exported file with its detector on pictures.

    In fp32, synthetic pictures are added to the given ones, one of them in another size if the file takes any size.
    If all scores are close together, as in a model that is hardly trained, rounding decides which cells are peaks. The
    number of such cells is measured by running the detector in another memory layout, and twice as many may differ. In
    lower precision, detections with a score of at least `SURE` are compared.

    Args:
        detector: the detector that was exported.
        path: the exported file.
        precision: precision of the file: `fp32`, `fp16` or `int8`.
        pictures: (N, 3, H, W) uint8 of the file's input size.

    Returns:
        One line that states the difference.

    Raises:
        RuntimeError: the results differ; in lower precision, most of them. This is a bug of the exporter.
    """
    session = open_session(path, trust=True)  # it was just written
    most = max(BATCHES)
    given = [] if pictures is None else [pictures[start : start + most] for start in range(0, len(pictures), most)]
    exact = precision == "fp32"
    batches = given + [synthetic_images(batch, session.info.input_hw) for batch in BATCHES if exact or not given]
    if exact and session.any_size:
        batches.append(synthetic_images(1, OTHER_HW))
    reordered = copy.deepcopy(detector).to(memory_format=torch.channels_last)
    least, reach = (SMALLEST_SCORE, SAME_CELL) if exact else (SURE, SAME_OBJECT)
    task = session.info.made_task
    total = rounding = Difference(0.0, 0.0, 0, 0)
    for images in batches:
        ours, theirs = run(detector, images), session(images)
        also_ours = run(reordered, images) if exact else ours
        for row in range(len(images)):
            total |= difference(one(ours, row, task), one(theirs, row, task), least, reach)
            rounding |= difference(one(ours, row, task), one(also_ours, row, task), least, reach)
    places = " and ".join(each.name for each in task.outputs if each.name not in (KEYPOINT_SCORES, ANGLES))
    apart = f"{places} within {total.box:.4f} pixels, scores within {total.score:.1e}"
    told = f"{total.matched} detections, {apart} of torch"
    if not exact:
        told = f"of those that score {SURE} or more: {told}, {total.unmatched} without a partner"
        same = total.matched >= total.unmatched
    else:
        same = total._replace(unmatched=max(total.unmatched - 2 * rounding.unmatched, 0)).small
    if not same:
        raise RuntimeError(f"{path}: the exported file differs from the model: {told}, {total.unmatched} unmatched")
    return told


@torch.inference_mode()
def run(detector: Detector, images: np.ndarray) -> RawDetections:
    """(B, 3, H, W) uint8 -> (B, K, ...) detections of a model, in NumPy."""
    return to_numpy(detector(torch.from_numpy(images)))


def one(batch: RawDetections, row: int, task: Task) -> Detections:
    """The detections of one picture of a batch, in input pixels."""
    values = {name: each[row] for name, each in batch.values.items()}
    further = {each.name: values[each.name] for each in task.outputs[1:]}
    return Detections(task.boxes(values), batch.scores[row], batch.labels[row], values=further)


def synthetic_images(batch: int, input_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return pictures of rhombs and rounded boxes on noisy gradients, (batch, 3, H, W) uint8.

    A detector finds nothing on noise alone. Without noise, whole areas would have equal scores.

    Args:
        batch: number of pictures.
        input_hw: height and width in pixels.
        seed: seed of the random numbers, together with `batch`.
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


def _alone(scores: np.ndarray, paired: np.ndarray, last: float) -> int:
    """Return how many detections have no partner although their scores are above the lowest of the other set."""
    alone = scores > last * (1 + SCORE_TOLERANCE)
    alone[paired] = False
    return int(alone.sum())
