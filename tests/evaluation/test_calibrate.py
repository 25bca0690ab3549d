"""Calibration of scores: worked out by hand, and on scores whose rates are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centerx.data.records import Record
from centerx.data.source import Entry
from centerx.evaluation.calibrate import LEAST_RIGHT, fit_calibration, fit_curve, judge
from centerx.objects import make_objects
from centerx.types import Detections

BOXES = np.array([[0.0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60]])


def entry(labels, ignore=(), supervised=(True, True)):
    boxes = BOXES[: len(labels)]
    ignored = np.array([number in ignore for number in range(len(labels))], dtype=bool)
    objects = make_objects(boxes, np.array(labels, dtype=np.int64), ignored)
    return Entry(Record(Path("a.jpg"), 1, objects), np.array(supervised)[:, None])


def found(boxes, scores, labels):
    return Detections(np.array(boxes, dtype=float).reshape(-1, 4), np.array(scores), np.array(labels, dtype=np.int64))


def test_a_detection_is_right_once_and_nowhere_else():
    """Two on one object, one of the other class, one on nothing, one on an ignored object, one beside it."""
    detections = found(
        [BOXES[0], BOXES[0] + 1, BOXES[1], [80, 80, 90, 90], BOXES[2], BOXES[2] + 30],
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        [0, 0, 1, 0, 0, 0],
    )
    judged = judge([entry([0, 0, 0], ignore=[2])], [detections])
    assert judged.scores.tolist() == [0.9, 0.8, 0.7, 0.6, 0.4]
    assert judged.right.tolist() == [True, False, False, False, False]


def test_classes_that_a_picture_does_not_label_say_nothing():
    detections = found([BOXES[0], BOXES[0]], [0.9, 0.8], [0, 1])
    judged = judge([entry([0], supervised=[True, False])], [detections])
    assert (judged.labels.tolist(), judged.right.tolist()) == ([0], [True])


def test_a_curve_by_hand():
    """Rates 0, 1/2 (pooled: 1, 0 fall) and 1; joined at the mean scores of the steps, with 2 % of the identity."""
    curve = fit_curve(np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True]))
    np.testing.assert_allclose(curve.scores, [0, 0.1, 0.5, 0.9, 1])
    np.testing.assert_allclose(curve.rates, 0.98 * np.array([0, 0, 0.5, 1, 1]) + 0.02 * curve.scores)
    np.testing.assert_allclose(curve(np.array([0.0, 0.3, 1.0])), [0, 0.98 * 0.25 + 0.02 * 0.3, 1], rtol=1e-6)


def test_one_who_is_always_sure_is_right_as_often_as_it_is_right():
    """All scores are 1: the curve ends at their rate, 0.3, with 2 % of the identity."""
    curve = fit_curve(np.ones(10), np.arange(10) < 3)
    np.testing.assert_allclose(curve(np.array([1.0])), [0.98 * 0.3 + 0.02], rtol=1e-6)


def test_beyond_the_last_step_the_rate_stays():
    """One step of rate 1/2, whose centre is 0.92; the identity adds 2 %."""
    curve = fit_curve(np.linspace(0.9, 0.94, 20), np.arange(20) % 2 == 0)
    np.testing.assert_allclose(curve(np.array([0.92, 0.96, 1.0])), 0.49 + 0.02 * np.array([0.92, 0.96, 1.0]), rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_rates_that_are_known_come_back_and_order_stays(power):
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 20000)
    curve = fit_curve(scores, rng.random(20000) < scores**power)
    at = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(curve(at), at**power, atol=0.05)
    assert (np.diff(curve(np.linspace(0, 1, 500))) > 0).all()


def test_too_few_right_ones_leave_a_class_as_it_is():
    entries = [entry([0]) for _ in range(LEAST_RIGHT)]
    detections = [found([BOXES[0], BOXES[1]], [0.6, 0.2], [0, 1]) for _ in entries]
    curves = fit_calibration(entries, detections, 2)
    assert curves[0] is not None
    assert curves[1] is None
    assert fit_calibration(entries[1:], detections[1:], 2) == [None, None]
