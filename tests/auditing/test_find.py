"""Suspicions about labels: hand-made pictures and detections, with the scores worked out by hand.

Fewer than ten detections of a class are right here, so that their scores are not calibrated and stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from centerx.auditing.find import Suspicion, find_suspicions
from centerx.data.records import Record
from centerx.data.source import Entry
from centerx.geometry import box_area
from centerx.objects import make_objects
from centerx.types import Detections

Row = tuple[Sequence[float], int]  # box, label
Found = tuple[Sequence[float], int, float]  # box, label, score

A, B = 0, 1
FAR = [(0, 100, 20, 120), (40, 100, 60, 120), (80, 100, 100, 120), (120, 100, 140, 120)]  # objects that are all right
HERE = (0, 0, 20, 20)


def entry(rows: Sequence[Row], ignore: Sequence[int] = (), labelled: Sequence[int] = (A, B)) -> Entry:
    boxes = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
    labels = np.array([label for _, label in rows], dtype=np.int64)
    ignored = np.isin(np.arange(len(rows)), ignore)
    record = Record(Path("a.jpg"), 1, make_objects(boxes, labels, ignored, {"area": box_area(boxes)}))
    return Entry(record, np.isin([A, B], labelled)[:, None] & np.ones(3, dtype=bool))


def detections(rows: Sequence[Found]) -> Detections:
    rows = sorted(rows, key=lambda row: -row[2])
    return Detections(
        np.array([box for box, _, _ in rows], dtype=float).reshape(-1, 4),
        np.array([score for _, _, score in rows], dtype=float),
        np.array([label for _, label, _ in rows], dtype=np.int64),
    )


def suspicions(entry: Entry, *models: Sequence[Found], known: Sequence[Sequence[bool]] | None = None):
    masks = [np.array(each) for each in known or [[True, True]] * len(models)]
    return find_suspicions([entry], [[detections(each)] for each in models], masks, 2)


def all_right(label: int = A) -> tuple[list[Row], list[Found]]:
    """Four labels that are found where they are."""
    return [(box, label) for box in FAR], [(box, label, 0.9) for box in FAR]


def only(found: list[Suspicion]) -> Suspicion:
    assert len(found) == 1, found
    return found[0]


def test_nothing_is_suspicious_where_all_is_found_in_its_place() -> None:
    rows, found = all_right()
    assert suspicions(entry(rows), found) == []


@pytest.mark.parametrize("rows", [[], all_right()[0]], ids=["no labels", "labels"])
def test_nothing_is_suspicious_where_nothing_is_found_at_all(rows: list[Row]) -> None:
    assert suspicions(entry(rows), []) == []  # 0.05 / 1 is too little to tell


def test_a_detection_without_a_label_is_a_missing_one() -> None:
    rows, found = all_right()
    each = only(suspicions(entry(rows), [*found, (HERE, B, 0.8)]))
    assert (each.kind, each.row, each.label, each.found_label, each.iou) == ("missing", -1, B, B, 0)
    assert each.score == each.rate == pytest.approx(0.8)
    assert each.box.tolist() == list(HERE)


def test_a_label_that_covers_a_part_makes_a_missing_one_less_sure() -> None:
    rows, found = all_right()
    beside = (10, 0, 30, 20)  # IoU 1/3 with HERE
    each = only(suspicions(entry([*rows, (beside, B)]), [*found, (beside, B, 0.9), (HERE, A, 0.9)]))
    assert each.kind == "missing"
    assert each.score == pytest.approx(0.9 * 2 / 3)


def test_a_label_on_which_another_class_is_found() -> None:
    rows, found = all_right()
    each = only(suspicions(entry([*rows, (HERE, A)]), [*found, (HERE, B, 0.6)]))
    assert (each.kind, each.row, each.label, each.found_label, each.iou) == ("class", 4, A, B, 1)
    assert each.score == pytest.approx(0.6 / (0.6 + 0 + 0.1))


def test_a_label_whose_class_is_found_as_well_is_less_suspicious() -> None:
    rows, found = all_right()
    each = only(suspicions(entry([*rows, (HERE, A)]), [*found, (HERE, B, 0.6), (HERE, A, 0.3)]))
    assert each.kind == "class"
    assert each.score == pytest.approx(0.6 / (0.6 + 0.3 + 0.1))


def test_a_class_that_the_models_hardly_find_is_less_suspicious() -> None:
    """Of eight labels of B one is found as such: half of what is enough."""
    rows, found = all_right()
    others = [(40 * i, 40, 40 * i + 20, 60) for i in range(7)]
    labelled = entry([*rows, (HERE, B), *((box, B) for box in others)])
    some = suspicions(labelled, [*found, (HERE, A, 0.6), (others[0], B, 0.9)])
    assert next(each.score for each in some if each.kind == "class") == pytest.approx(0.6 / 0.7 * 1 / 2)


def test_a_label_beside_what_is_found() -> None:
    rows, found = all_right()
    label = (10, 0, 30, 20)  # IoU 1/3, 13.3 times the least deviation below the median, which is 1
    each = only(suspicions(entry([*rows, (label, A)]), [*found, (HERE, A, 0.9)]))
    assert (each.kind, each.row, each.found_label) == ("place", 4, A)
    assert each.iou == pytest.approx(1 / 3)
    assert each.score == pytest.approx(0.9 / 1.0 * (1 - np.exp(-((2 / 3 / 0.05 / 4) ** 2))))
    assert each.found_box is not None
    assert each.found_box.tolist() == list(HERE)


def test_a_label_that_is_found_but_fits_badly() -> None:
    rows, found = all_right()
    label = (0, 0, 20, 12)  # IoU 0.6, 8 deviations
    each = only(suspicions(entry([*rows, (label, A)]), [*found, (HERE, A, 0.9)]))
    assert each.kind == "place"
    assert each.score == pytest.approx(0.9 * (1 - np.exp(-4)))


def test_two_labels_of_one_object() -> None:
    rows, found = all_right()
    copy = (0, 0, 20, 16)  # IoU 0.8
    each = only(suspicions(entry([*rows, (copy, A), (HERE, A)]), [*found, (HERE, A, 0.9)]))
    assert (each.kind, each.row, each.other, each.found_box) == ("doubled", 4, 5, None)
    assert each.score == each.iou == pytest.approx(0.8)


def test_two_labels_that_are_both_found_are_two_objects() -> None:
    rows, found = all_right()
    copy = (0, 0, 20, 16)
    both = [*found, (HERE, A, 0.9), (copy, A, 0.8)]
    each = only(suspicions(entry([*rows, (copy, A), (HERE, A)]), both))
    assert each.score == pytest.approx(0.8 * 0.2)


def test_labels_of_two_classes_on_one_object() -> None:
    rows, found = all_right()
    each = only(suspicions(entry([*rows, (HERE, B), (HERE, A)]), [*found, (HERE, A, 0.9)]))
    assert (each.kind, each.row, each.other, each.label) == ("doubled", 4, 5, B)
    assert each.score == pytest.approx(0.9)


def test_a_label_near_which_nothing_is_found() -> None:
    rows, found = all_right()
    each = only(suspicions(entry([*rows, (HERE, A)]), found))
    assert (each.kind, each.row, each.found_box, each.rate) == ("spurious", 4, None, 0)
    assert each.score == pytest.approx(0.05 / (1 / 5))  # one of five labels is not found


def test_labels_of_a_size_that_is_never_found_are_less_suspicious() -> None:
    """Of 120 large labels one is not found, of 120 small ones none is."""
    large = [(40 * i, 0, 40 * i + 20, 20) for i in range(120)]
    small = [(40 * i, 100, 40 * i + 4, 104) for i in range(120)]
    labelled = entry([(box, A) for box in large + small])
    some = suspicions(labelled, [(box, A, 0.9) for box in large[:-1]])
    assert [each.kind for each in some] == ["spurious"]
    assert some[0].row == 119
    assert some[0].score == 1  # one of 100 is less than is to be expected


def test_each_label_and_each_detection_is_in_one_suspicion() -> None:
    rows, found = all_right()
    copy, beside = (0, 0, 20, 16), (8, 0, 28, 20)
    some = suspicions(
        entry([*rows, (HERE, A), (copy, A), (beside, A)]), [*found, (HERE, B, 0.9), (HERE, A, 0.2), (beside, B, 0.5)]
    )
    labels = [each.row for each in some if each.row >= 0]
    boxes = [(each.found_label, *each.found_box.tolist()) for each in some if each.found_box is not None]
    assert len(labels) == len(set(labels)) > 1
    assert len(boxes) == len(set(boxes)) > 1
    assert [each.score for each in some] == sorted((each.score for each in some), reverse=True)


def test_ignored_objects_are_not_judged_and_hide_what_is_found_on_them() -> None:
    rows, found = all_right()
    crowd = (0, 0, 60, 60)
    assert suspicions(entry([*rows, (crowd, A)], ignore=[4]), [*found, (HERE, B, 0.8)]) == []


def test_a_class_that_the_picture_does_not_label_is_not_judged() -> None:
    rows, found = all_right()
    assert suspicions(entry(rows, labelled=[A]), [*found, (HERE, B, 0.8)]) == []


def test_labels_of_a_class_that_no_model_knows_are_not_judged() -> None:
    rows, found = all_right()
    labelled = entry([*rows, (HERE, B)])
    assert suspicions(labelled, found, known=[[True, False]]) == []
    assert suspicions(labelled, [*found, ((0, 0, 20, 16), A, 0.8)], known=[[True, False]]) == []  # an object is there


def test_models_that_agree_are_surer_than_one_alone() -> None:
    rows, found = all_right()
    sure = only(suspicions(entry(rows), [*found, (HERE, A, 0.8)], [*found, (HERE, A, 0.6)]))
    alone = only(suspicions(entry(rows), [*found, (HERE, A, 0.8)], found))
    assert sure.score == pytest.approx(0.7)  # the mean
    assert alone.score == pytest.approx(0.4)


def test_a_model_that_does_not_know_a_class_takes_nothing_from_it() -> None:
    rows, found = all_right()
    each = only(suspicions(entry(rows), [*found, (HERE, B, 0.8)], found, known=[[True, True], [True, False]]))
    assert each.score == pytest.approx(0.8)


def test_scores_become_rates_of_agreement_with_the_labels() -> None:
    """Twelve of sixteen detections of one score are of labels: a further one is missing a label at a rate of 3/4."""
    boxes = [(x, 0, x + 20, 20) for x in range(0, 640, 40)]
    labelled = entry([(box, A) for box in boxes[:12]])
    some = suspicions(labelled, [(box, A, 0.3) for box in boxes])
    assert [each.kind for each in some] == ["missing"] * 4
    assert [each.score for each in some] == pytest.approx([0.75] * 4, abs=0.02)  # the curve rises a little, see there


def test_the_order_of_pictures_and_labels_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(6):
        boxes = rng.uniform(0, 150, (12, 2))
        boxes = np.concatenate([boxes, boxes + rng.uniform(10, 50, (12, 2))], axis=1)
        labels = rng.integers(0, 2, 12)
        jitter = boxes + rng.normal(0, 3, boxes.shape)
        names = labels.tolist()
        found = list(zip(jitter.tolist(), names, rng.random(12).tolist(), strict=True))[2:]
        pictures.append((list(zip(boxes.tolist(), names, strict=True))[:-2], found))

    def run(order: Sequence[int], reverse: bool) -> set[tuple[object, ...]]:
        entries = [entry(pictures[i][0][::-1] if reverse else pictures[i][0]) for i in order]
        found = [[detections(pictures[i][1]) for i in order]]
        some = find_suspicions(entries, found, [np.ones(2, dtype=bool)], 2)
        return {(each.kind, order[each.picture], round(each.score, 9), *each.box.round(6)) for each in some}

    forward = run(range(6), False)
    assert len(forward) > 20
    assert run([3, 1, 5, 0, 2, 4], False) == forward
    assert run(range(6), True) == forward
