"""What is found on one picture: what is refused, what is selected, and how raw arrays become it."""

import numpy as np
import pytest

from centerx.errors import InputError
from centerx.geometry import Letterbox, spanned_boxes
from centerx.runtime.outputs import detections_of
from centerx.tasks import BOXES
from centerx.types import Detections, RawDetections

NAMES = ("cat", "dog")


def three() -> Detections:
    boxes = np.array([[0.0, 0, 10, 4], [20, 10, 20, 50], [5, 5, 7, 9]])
    values = {"depth": np.array([3.0, 2.0, 1.0]), "ends": np.arange(12.0).reshape(3, 2, 2)}
    return Detections(boxes, np.array([0.9, 0.5, 0.2]), np.array([1, 0, 1]), NAMES, values, "posts")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"boxes": np.zeros((2, 4))}, r"boxes \(2, 4\), scores \(3,\) and labels \(3,\) must be"),
        ({"boxes": np.zeros((3, 5))}, r"boxes \(3, 5\)"),
        ({"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3)), "labels": np.zeros((1, 3), int)}, "must be"),
        ({"labels": np.zeros(2, dtype=int)}, r"labels \(2,\)"),
        ({"scores": np.zeros((3, 1))}, r"scores \(3, 1\)"),
        ({"labels": np.array([0, 2, 1])}, "labels must be below 2, the number of class names"),
        ({"labels": np.array([0, -1, 1])}, "labels must be below 2"),
        ({"values": {"depth": np.zeros(3), "ends": np.zeros(2)}}, "each of depth, ends must have 3 rows"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change: dict[str, object], says: str) -> None:
    good = {name: getattr(three(), name) for name in ("boxes", "scores", "labels", "class_names", "values", "task")}
    Detections(**good)
    with pytest.raises(ValueError, match=says):
        Detections(**good | change)


def test_without_names_any_label_is_taken() -> None:
    assert Detections(np.zeros((1, 4)), np.ones(1), np.array([7])).labels.tolist() == [7]


def test_where_selects_rows_of_everything() -> None:
    for keep in (np.array([True, False, True]), [0, 2]):
        kept = three().where(keep)
        assert kept.boxes.tolist() == [[0, 0, 10, 4], [5, 5, 7, 9]]
        assert (kept.scores.tolist(), kept.labels.tolist()) == ([0.9, 0.2], [1, 1])
        assert kept.values["depth"].tolist() == [3, 1]
        assert kept.values["ends"].tolist() == [[[0, 1], [2, 3]], [[8, 9], [10, 11]]]
        assert (kept.class_names, kept.task) == (NAMES, "posts")


def test_above() -> None:
    assert three().above(0.5).scores.tolist() == [0.9, 0.5]
    assert three().above(0.51).values["depth"].tolist() == [3]
    assert len(three()) == 3


def test_centers() -> None:
    assert three().centers.tolist() == [[5, 2], [20, 30], [6, 7]]


def test_none() -> None:
    nothing = three().above(2)
    assert len(nothing) == 0
    assert (nothing.boxes.shape, nothing.centers.shape) == ((0, 4), (0, 2))
    assert nothing.values["ends"].shape == (0, 2, 2)
    assert len(Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64), NAMES)) == 0


def test_points_span_a_box() -> None:
    assert spanned_boxes(np.array([[3.0, 4, 1, 9, 2, 2]])).tolist() == [[1, 2, 3, 9]]
    assert spanned_boxes(np.array([[3.0, 4]])).tolist() == [[3, 4, 3, 4]]
    assert spanned_boxes(np.zeros((0, 6))).shape == (0, 4)
    assert spanned_boxes(np.zeros((2, 3, 6))).shape == (2, 3, 4)


def test_raw_detections_become_those_of_each_picture() -> None:
    """Half the size, and a picture of half the height: what lies beside it is clipped, or gone."""
    boxes = np.array([
        [[0, 0, 16, 16], [24, 24, 40, 40], [4, 4, 8, 8], [0, 0, 0, 0]],
        [[0, 8, 16, 24], [0, 16, 16, 32], [4, 4, 8, 8], [5, 5, 5, 9]],
    ], dtype=np.float32)  # fmt: skip
    scores = np.array([[0.9, 0.8, 0.0, 0.0], [0.9, 0.8, 0.7, 0.6]], dtype=np.float32)
    raw = RawDetections({"boxes": boxes}, scores, np.array([[0, 1, 1, 0], [1, 0, 0, 1]]))
    letterboxes = [Letterbox.fit((64, 64), (32, 32)), Letterbox.fit((16, 32), (32, 32))]
    first, second = detections_of(raw, letterboxes, BOXES, NAMES)
    assert first.boxes.tolist() == [[0, 0, 32, 32], [48, 48, 64, 64]]
    assert (first.scores.tolist(), first.labels.tolist()) == (pytest.approx([0.9, 0.8]), [0, 1])
    assert second.boxes.tolist() == [[0, 8, 16, 16], [4, 4, 8, 8]]
    assert (second.scores.tolist(), second.labels.tolist()) == (pytest.approx([0.9, 0.7]), [1, 0])
    assert (first.class_names, first.task, first.values) == (NAMES, "boxes", {})


def test_places_without_a_peak_may_have_any_label() -> None:
    raw = RawDetections(
        {"boxes": np.array([[[0.0, 0, 9, 9], [0, 0, 0, 0]]])}, np.array([[0.5, 0.0]]), np.array([[1, -1]])
    )
    (found,) = detections_of(raw, [Letterbox.fit((32, 32), (32, 32))], BOXES, NAMES)
    assert found.labels.tolist() == [1]


def test_labels_beyond_the_classes_are_an_error_that_says_so() -> None:
    raw = RawDetections({"boxes": np.array([[[0.0, 0, 8, 8]]])}, np.array([[0.5]]), np.array([[2]]))
    with pytest.raises(InputError, match="gives labels beyond its 2 classes"):
        detections_of(raw, [Letterbox.fit((32, 32), (32, 32))], BOXES, NAMES)
