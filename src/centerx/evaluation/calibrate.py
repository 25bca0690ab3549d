"""Scores that mean the same: how often a detection of a score is right, fitted on labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from centerx.data.source import Entry
from centerx.data.stored import Curve, Curves
from centerx.evaluation.fuse import OVERLAP, same_objects
from centerx.geometry import box_iou
from centerx.types import Detections

LEAST_RIGHT = 10  # right detections of a class, below which its scores stay as they are
STEEPNESS = 0.02  # share of the identity in a curve: equal rates of different scores would hide which is the peak


class Judged(NamedTuple):
    """Detections beside labels, over all pictures and classes.

    Attributes:
        scores: (N,) in [0, 1].
        labels: (N,) class indices.
        right: (N,) bool; whether a detection is of a labelled object that no better one found.
    """

    scores: np.ndarray
    labels: np.ndarray
    right: np.ndarray


def fit_calibration(entries: Sequence[Entry], detections: Sequence[Detections], num_classes: int) -> Curves:
    """Return the curve of each class; None where fewer than LEAST_RIGHT of its detections are right.

    Args:
        entries: pictures with labels.
        detections: of each picture, in its pixels, best first.
        num_classes: of both.
    """
    judged = judge(entries, detections)
    curves: Curves = []
    for label in range(num_classes):
        mine = judged.labels == label
        enough = judged.right[mine].sum() >= LEAST_RIGHT
        curves.append(fit_curve(judged.scores[mine], judged.right[mine]) if enough else None)
    return curves


def judge(entries: Sequence[Entry], detections: Sequence[Detections]) -> Judged:
    """Match detections with labels at IoU 0.5, best first; what lies on ignored objects is left out."""
    parts = [Judged(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))]
    for entry, found in zip(entries, detections, strict=True):
        objects = entry.record.objects
        found = found.where(entry.supervised[found.labels, 0])
        counted = objects.where(~objects.ignore)
        right = same_objects(found, counted) >= 0
        ignored = objects.where(objects.ignore)
        hidden = box_iou(found.boxes, ignored.boxes) * (found.labels[:, None] == ignored.labels) >= OVERLAP
        keep = right | ~hidden.any(axis=1)
        parts.append(Judged(found.scores[keep], found.labels[keep], right[keep]))
    return Judged(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def fit_curve(scores: np.ndarray, right: np.ndarray) -> Curve:
    """Fit a rising curve through the centres of the steps of an isotonic regression, from 0 to the rate of the last.

    The steps would make different scores equal. Their centres, joined by straight lines, do not (Oron and Flournoy,
    Centered Isotonic Regression, 2017); beyond the last of them the curve rises by STEEPNESS alone.

    Args:
        scores: (N,) in [0, 1], at least one.
        right: (N,) bool.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(scores, kind="stable")
    fitted = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores[order], right[order].astype(float))
    rates, start, count = np.unique(fitted, return_index=True, return_counts=True)
    centres = np.add.reduceat(scores[order], start) / count
    above = centres > 0
    ends = (1.0, rates[-1]) if centres[-1] < 1 else ()
    x = np.array([0.0, *centres[above], *ends[:1]])
    y = np.array([0.0, *rates[above], *ends[1:]])
    return Curve(x, (1 - STEEPNESS) * y + STEEPNESS * x)
