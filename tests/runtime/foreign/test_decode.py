"""Outputs -> boxes, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from centerx.runtime.foreign.adapter import Anchors, parse_adapter
from centerx.runtime.foreign.decode import Found, decode, make_grid, suppress
from tests.runtime.foreign.fakes import PLAIN

HW = (64, 96)


def read(outputs: dict[str, Any], **change: Any) -> Found:
    arrays = {name: np.asarray(array, np.float32) for name, array in outputs.items()}
    return decode(arrays, parse_adapter(PLAIN | change, "m"), HW)


@pytest.mark.parametrize(
    ("row", "boxes"),
    [
        ([8, 16, 40, 48], {}),
        ([8, 16, 32, 32], {"format": "xywh"}),
        ([24, 32, 32, 32], {"format": "cxcywh"}),
        ([16, 8, 48, 40], {"format": "yxyx"}),
        ([0.25, 8 / 96, 0.75, 40 / 96], {"format": "yxyx", "unit": "normalized"}),
        ([0.25, 0.5, 1 / 3, 0.5], {"format": "cxcywh", "unit": "normalized"}),
        ([8, 16, 40, 16, 40, 48, 8, 48], {"format": "corners"}),
        ([9, 9, 40, 48, 8, 16], {"columns": [4, 5, 2, 3]}),
    ],
)
def test_formats_and_units(row: list[float], boxes: dict[str, Any]) -> None:
    found = read({"boxes": [[row]], "scores": [[[0.2, 0.9]]]}, boxes={"outputs": "boxes", **boxes})
    np.testing.assert_allclose(found.boxes, [[8, 16, 40, 48]] * 2, atol=1e-4)
    assert found.labels.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.2])
    if len(row) == 8:
        np.testing.assert_allclose(found.values["corners"][0], row)


@pytest.mark.parametrize("row", [(50, 30, 40, 10, 30), (50, 30, 10, 40, -60), (50, 30, 40, 10, 210)])
def test_rotated_boxes(row: tuple[float, ...]) -> None:
    """Half of the longer side is (17.3205, 10), of the shorter one (-2.5, 4.3301)."""
    values = [*row[:4], np.radians(row[4])]
    found = read({"boxes": [[values]], "scores": [[[0.2, 0.9]]]}, boxes={"outputs": "boxes", "format": "rotated"})
    due = [35.1795, 15.6699, 69.8205, 35.6699, 64.8205, 44.3301, 30.1795, 24.3301]
    np.testing.assert_allclose(found.values["corners"][0], due, atol=1e-3)
    np.testing.assert_allclose(found.values["angles"], [[30], [30]], atol=1e-3)
    np.testing.assert_allclose(found.boxes[0], [30.1795, 15.6699, 69.8205, 44.3301], atol=1e-3)


def test_rotated_boxes_overlap_as_they_lie() -> None:
    """Crossed bars have one extent and little in common."""
    bar = [48, 32, 40, 4]
    rows = [[*bar, np.pi / 4], [*bar, -np.pi / 4], [48, 32, 40, 5, np.pi / 4]]
    scores = [[0.9, 0.0], [0.8, 0.0], [0.7, 0.6]]
    boxes = {"outputs": "boxes", "format": "rotated"}
    found = read({"boxes": rows, "scores": scores}, boxes=boxes, nms=0.5)
    assert found.labels.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.6])
    np.testing.assert_allclose(found.boxes[0], found.boxes[1], atol=1e-4)


def test_cells_of_levels() -> None:
    """Level 32 of a 64 x 96 input has 2 x 3 cells; the fifth is column 1, row 1."""
    values, scores = np.zeros((1, 6, 4)), np.zeros((1, 6, 2))
    values[0, 4], scores[0, 4, 0] = [0.25, 0.5, np.log(0.5), np.log(2)], 0.5
    boxes = {
        "outputs": "boxes", "format": "cxcywh", "unit": "cells", "size_activation": "exp",
        "anchors": {"strides": [32], "offset": 0},
    }  # fmt: skip
    found = read({"boxes": values, "scores": scores}, boxes=boxes)
    np.testing.assert_allclose(found.boxes, [[32, 16, 48, 64]])  # centre (40, 48), size (16, 64), clipped
    turned = {"boxes": values.reshape(1, 2, 3, 4).transpose(0, 3, 1, 2), "scores": scores.transpose(0, 2, 1)}
    found = read(turned, boxes=boxes | {"transposed": True}, scores={"outputs": "scores", "transposed": True})
    np.testing.assert_allclose(found.boxes, [[32, 16, 48, 64]])


def test_distances_as_distributions() -> None:
    values, scores = np.zeros((6, 16)), np.zeros((6, 2))
    values[0] = [50, 0, 0, 0, 0, 50, 0, 0, 0, 0, 50, 50, 0, 0, 0, 50]
    scores[0, 1] = 0.7
    anchors = {"strides": [32]}
    found = read(
        {"boxes": values, "scores": scores},
        boxes={"outputs": "boxes", "format": "ltrb", "unit": "cells", "bins": 4, "anchors": anchors},
    )
    np.testing.assert_allclose(found.boxes, [[16, 0, 96, 64]], atol=1e-4)  # point (16, 16), distances 0, 1, 2.5, 3


def test_anchors_with_sizes() -> None:
    values, scores = np.zeros((1, 12, 4)), np.zeros((1, 12, 2))
    values[0, 1], scores[0, 1, 0] = [1, -1, np.log(2) / 0.2, 0], 0.5
    boxes = {
        "outputs": "boxes", "format": "cxcywh", "unit": "anchors", "variances": [0.1, 0.2], "size_activation": "exp",
        "anchors": {"strides": [32], "sizes": [[10, [20, 10]]]},
    }  # fmt: skip
    found = read({"boxes": values, "scores": scores}, boxes=boxes)
    np.testing.assert_allclose(found.boxes, [[-2 + 0, 10, 38, 20]] * np.array([0, 1, 1, 1]), atol=1e-4)


def test_several_anchors_of_a_map() -> None:
    """(1, A * C, h, w): the columns of one anchor of a cell after those of another."""
    values = np.zeros((1, 8, 2, 3))
    values[0, 4:, 1, 2] = [1, 2, 3, 4]
    scores = np.zeros((1, 4, 2, 3))
    scores[0, 3, 1, 2] = 0.9
    boxes = {"outputs": "boxes", "transposed": True, "format": "ltrb", "anchors": {"strides": [32], "per_cell": 2}}
    found = read({"boxes": values, "scores": scores}, boxes=boxes, scores={"outputs": "scores", "transposed": True})
    np.testing.assert_allclose(found.boxes, [[79, 46, 83, 52]])
    assert found.labels.tolist() == [1]


def test_the_grid_of_a_side_that_no_stride_divides() -> None:
    level = make_grid(Anchors(strides=(64,), sizes=((10.0,),)), (240, 320))
    assert level.counts == (20,)
    floor = make_grid(Anchors(strides=(64,), rounding="floor"), (240, 320))
    assert floor.counts == (15,)
    np.testing.assert_allclose(floor.points[-1], [288, 160])
    spread = make_grid(Anchors(strides=(64,), cell="map"), (240, 320))
    np.testing.assert_allclose(spread.points[-1], [288, 210])
    clipped = make_grid(Anchors(strides=(64,), sizes=(((256.0, 256.0),),), clip=True), (240, 320))
    np.testing.assert_allclose(clipped.sizes[0], [256, 240])


@pytest.mark.parametrize(
    ("scores", "part", "expected"),
    [
        ([[0.0, 2.0]], {"activation": "sigmoid"}, [0.880797, 0.5]),
        ([[1.0, 1.0, 1.0 + np.log(2)]], {"activation": "softmax", "background": "first"}, [0.5, 0.25]),
        ([[1.0, 1.0 + np.log(2), 1.0]], {"activation": "softmax", "background": "last"}, [0.5, 0.25]),
        ([[9.0, 0.4, 0.6, 9.0]], {"start": 1, "stop": 3}, [0.6, 0.4]),
        ([[0.25, 0.4, 0.6]], {"start": 1, "objectness": {"column": 0}}, [0.15, 0.1]),
        ([[0.25, 0.64, 0.36]], {"start": 1, "power": 0.5, "objectness": {"power": 0.5}}, [0.4, 0.3]),
        ([[4.0, 0.4, 0.6]], {"start": 1, "objectness": {"activation": "clip"}}, [0.6, 0.4]),
        ([[0.4, 0.6]], {"multi_label": False}, [0.6]),
    ],
)
def test_scores(scores: list[list[float]], part: dict[str, Any], expected: list[float]) -> None:
    found = read({"boxes": [[0, 0, 9, 9]], "scores": scores}, scores={"outputs": "scores", **part})
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)


def test_labels_count_and_numbers_with_gaps() -> None:
    outputs = {
        "boxes": np.tile([0, 0, 9, 9], (1, 5, 1)),
        "scores": [[0.9, 0.8, 0.7, 0.6, 0.5]],
        "labels": [[12, 11, -1, 0, 0]],  # of ids less one: stop sign, none, no object, person, beyond the count
        "count": [4],
    }
    change = {"labels": {"output": "labels"}, "count": "count", "classes": "coco-91"}
    found = read(outputs, **change)
    assert found.labels.tolist() == [11, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.6])


def test_a_negative_count_is_none() -> None:
    outputs = {"boxes": np.tile([0, 0, 9, 9], (1, 3, 1)), "scores": np.full((1, 3, 2), 0.9), "count": [-1]}
    assert len(read(outputs, count="count").boxes) == 0


def test_nothing_is_found() -> None:
    found = read({"boxes": np.zeros((1, 0, 5)), "scores": np.zeros((1, 0, 2))}, nms=0.5)
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))


def test_inverted_boxes_are_dropped_and_others_clipped() -> None:
    rows = [[50, 10, 20, 20], [-9, -9, 200, 200], [5, 5, 5, 9]]
    found = read({"boxes": rows, "scores": [[0.9, 0], [0.8, 0], [0.7, 0]]})
    assert found.boxes.tolist() == [[0, 0, 96, 64]]


def test_top_k_and_floor() -> None:
    rows = [[number, 0, number + 5, 5] for number in range(5)]
    scores = [[0.1 * number, 0] for number in range(5)]
    found = read({"boxes": rows, "scores": scores}, top_k=2, score_floor=0.35)
    np.testing.assert_allclose(found.scores, [0.4])
    assert len(read({"boxes": rows, "scores": scores}, top_k=2).scores) == 2


def test_suppression_is_greedy_within_a_class() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(-50, 50, (300, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (300, 2))], axis=1).astype(np.float32)
    scores, labels = rng.permutation(300).astype(np.float32) / 300, rng.integers(0, 3, 300)
    kept: list[int] = []
    for row in np.argsort(-scores):
        low = np.maximum(boxes[row, :2], boxes[kept, :2])
        high = np.minimum(boxes[row, 2:], boxes[kept, 2:])
        inner = np.prod(np.clip(high - low, 0, None), axis=1)
        areas = np.prod(boxes[kept, 2:] - boxes[kept, :2], axis=1) + np.prod(boxes[row, 2:] - boxes[row, :2])
        if not ((inner / (areas - inner) > 0.4) & (labels[kept] == labels[row])).any():
            kept.append(int(row))
    for most in (1, 7, len(kept), 300):
        assert suppress(boxes, scores, labels, 0.4, most).tolist() == kept[:most]
    assert 100 < len(kept) < 300
