"""AP by polygons and by corners: figures worked out by hand, and OpenCV's areas as a judge."""

import math

import cv2
import numpy as np
import pytest

from centerx.data.dataset import turned_corners, with_corners
from centerx.data.source import Entry
from centerx.evaluation.polygons import (
    corner_similarity,
    covered,
    labelled_polygon_metrics,
    ordered_similarity,
    polygon_iou,
    polygon_metrics,
)
from centerx.evaluation.voc import voc_metrics
from centerx.types import Detections
from tests.made import make_record

SQUARE = [10.0, 10, 30, 10, 30, 30, 10, 30]
FAR = [50.0, 50, 60, 50, 60, 60, 50, 60]


def box_of(corners: np.ndarray) -> np.ndarray:
    points = corners.reshape(-1, 4, 2)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def entry(corners: list[list[float]], ignore: list[bool] | None = None, known: list[bool] | None = None) -> Entry:
    rows = np.array(corners, dtype=np.float64)
    record = make_record("a.png", 1, box_of(rows).tolist(), [0] * len(rows))
    flags = np.array(ignore or [False] * len(rows))
    objects = with_corners(record.objects._replace(ignore=flags), rows, np.array(known or [True] * len(rows)))
    return Entry(record._replace(objects=objects), np.ones((1, 2), dtype=bool))


def found(corners: list[list[float]], scores: list[float]) -> Detections:
    rows = np.array(corners, dtype=np.float32).reshape(-1, 8)
    labels = np.zeros(len(rows), dtype=np.int64)
    values = {"corners": rows.reshape(-1, 4, 2)}
    return Detections(box_of(rows), np.array(scores, dtype=np.float32), labels, ("ox",), values, "quads")


def test_iou_of_a_square_and_one_on_its_tip() -> None:
    """A square of side s and the same turned by 45 degrees share an octagon of 2 (sqrt 2 - 1) s^2."""
    turned = turned_corners((20, 20), (20, 20), math.pi / 4)
    shared = 2 * (math.sqrt(2) - 1)
    iou = polygon_iou(np.array([SQUARE, [100.0, 0, 110, 0, 110, 5, 100, 5]]), np.array([turned, SQUARE]))
    np.testing.assert_allclose(iou, [[shared / (2 - shared), 1], [0, 0]])
    np.testing.assert_allclose(covered(np.array([SQUARE]), np.array([turned])), [[shared]])


def test_iou_is_that_of_opencv() -> None:
    rng = np.random.default_rng(0)

    def some() -> np.ndarray:
        return np.array(
            [turned_corners(rng.uniform(10, 40, 2), rng.uniform(5, 30, 2), each) for each in rng.uniform(-3, 3, 20)]
        )

    first, second = some(), some()
    ours = polygon_iou(first, second)
    assert (ours > 0.1).sum() > 20
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            shapes = [each.reshape(4, 2).astype(np.float32) for each in (one, other)]
            common, _ = cv2.intersectConvexConvex(*shapes)
            areas = sum(cv2.contourArea(each) for each in shapes)
            assert ours[row, column] == pytest.approx(common / (areas - common), abs=1e-3)


def test_sides_that_cross_make_two_triangles() -> None:
    tie = np.array([[0.0, 0, 10, 10, 10, 0, 0, 10]])
    assert polygon_iou(tie, tie) == pytest.approx(1)
    assert polygon_iou(tie, np.array([[0.0, 0, 10, 0, 10, 10, 0, 10]])) == pytest.approx(0.5)


def test_a_box_around_a_turned_object_is_not_found() -> None:
    """The upright box around a square on its tip is twice as large: IoU 0.5, which counts at one threshold of ten."""
    tip = [50.0, 30, 70, 50, 50, 70, 30, 50]
    right = polygon_metrics([entry([tip])], [found([tip], [0.9])], ["ox"])
    assert right.AP == pytest.approx(1)
    assert right.AP_corners == pytest.approx(1)
    around = polygon_metrics([entry([tip])], [found([[30.0, 30, 70, 30, 70, 70, 30, 70]], [0.9])], ["ox"])
    assert (around.AP50, around.AP75) == (pytest.approx(1), 0)
    assert around.AP == pytest.approx(0.1)


def test_corners_in_order_and_wherever_they_begin() -> None:
    """Moved by (2.4, 0), a square of side 20 has similarity 0.88, right at 8 of the 10 thresholds 0.50 to 0.95."""
    moved = np.array([[12.4, 10, 32.4, 10, 32.4, 30, 12.4, 30]])
    begun = np.roll(moved, 2, axis=1)
    truth = np.array([SQUARE])
    assert ordered_similarity(moved, truth) == pytest.approx(0.88)
    assert corner_similarity(begun, truth) == pytest.approx(0.88)
    assert ordered_similarity(begun, truth) < 0.2
    seen = [found(begun.tolist(), [0.9])]
    assert polygon_metrics([entry([SQUARE])], seen, ["ox"]).AP_corners == pytest.approx(0.8)
    assert labelled_polygon_metrics([entry([SQUARE])], seen, ["ox"]).AP_corners == 0


def test_ignored_objects_and_such_without_corners() -> None:
    """One on an ignored object counts neither way; a class of which an object has no corners is not judged there."""
    inside = [12.0, 12, 20, 12, 20, 20, 12, 20]
    judged = polygon_metrics([entry([SQUARE, FAR], [True, False])], [found([inside, FAR], [0.9, 0.8])], ["ox"])
    assert judged.AP == pytest.approx(1)
    part = entry([SQUARE, FAR], known=[False, True])
    assert polygon_metrics([part], [found([FAR], [0.8])], ["ox"]).AP is None
    ignored = entry([SQUARE, FAR], [True, False], [False, True])
    assert polygon_metrics([ignored], [found([FAR], [0.8])], ["ox"]).AP == pytest.approx(1)


def test_voc_of_turned_boxes() -> None:
    """Two objects, the first found twice: precision 1 up to recall 1/2, 2/3 up to 1."""
    seen = found([SQUARE, SQUARE, FAR], [0.9, 0.8, 0.7])
    metrics = voc_metrics([entry([SQUARE, FAR])], [seen], ["ox"])
    assert metrics.AP50 == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_pictures_where_a_class_is_not_judged_are_told(caplog: pytest.LogCaptureFixture) -> None:
    whole, part = entry([SQUARE]), entry([SQUARE, FAR], known=[True, False])
    seen = found([SQUARE], [0.9])
    polygon_metrics([whole, part, part], [seen] * 3, ["ox"])
    assert "objects without corners on 2 of 3 pictures" in caplog.text
    polygon_metrics([whole, part], [seen] * 2, ["ox"], quiet=True)
    assert caplog.text.count("without corners") == 1
