"""Kinds of mistakes: worked out by hand, and matched as COCO matches."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from centerx.data.source import Entry
from centerx.evaluation.coco import accumulate
from centerx.evaluation.mistakes import KINDS, NONE, Pairs, best_first, find_mistakes, match
from centerx.evaluation.points import curves
from centerx.geometry import box_iou
from centerx.tasks import BOXES, CENTER
from centerx.types import Detections
from tests.evaluation.test_coco import CLASSES, random_case
from tests.made import make_record

CAT, DOG = [0.0, 0, 10, 10], [50.0, 50, 60, 60]


def entry(boxes, labels, ignore=None, supervised=(True, True)):
    record = make_record("a.jpg", 1, boxes, labels, ignore, declared_hw=(100, 100))
    return Entry(record, np.repeat(np.array(supervised)[:, None], 2, axis=1))


def found(*rows):
    """Of (box, label, score)."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ([], [], [])
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    return Detections(boxes, np.array(scores, dtype=float), np.array(labels, dtype=np.int64))


def mistakes(entries, detections, thresholds=(0.3, 0.3), task=BOXES):
    matched = match(entries, detections, task)
    return matched, find_mistakes(matched, np.array(thresholds))


def named(judged):
    return [KINDS[kind] if kind != NONE else None for kind in judged.kinds]


ONE_OF_EACH = [
    (CAT, 0, 0.9),  # right
    ([0, 0, 10, 11], 0, 0.8),  # IoU 10/11 with the cat again
    (DOG, 0, 0.7),  # the dog, called a cat
    ([0, 0, 10, 30], 0, 0.6),  # IoU 1/3 with the cat
    ([50, 50, 60, 80], 0, 0.5),  # IoU 1/3 with the dog
    ([90, 0, 95, 5], 0, 0.4),  # nothing is there
    ([0, 0, 10, 200], 0, 0.35),  # IoU 1/20 with the cat
    ([90, 90, 95, 95], 0, 0.2),  # scores too little to count
]


def test_each_kind_by_hand() -> None:
    matched, judged = mistakes([entry([CAT, DOG, [80, 0, 85, 5]], [0, 1, 1])], [found(*ONE_OF_EACH)])
    kinds = [None, "doubled", "wrong class", "badly placed", "wrong class and badly placed", "background", "background"]
    assert named(judged) == [*kinds, None]
    assert judged.objects.tolist() == [NONE, 0, 1, 0, 1, NONE, NONE, NONE]
    np.testing.assert_allclose(judged.overlaps, [0, 10 / 11, 1, 1 / 3, 1 / 3, 0, 0, 0])
    assert judged.right.tolist() == [True] + [False] * 7
    assert judged.missed.tolist() == [2]  # the dog at 1 is there, under another name
    assert judged.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [5, 0, 0]]
    counts = dict(zip(KINDS, judged.by_class(matched, 2).tolist(), strict=True))
    assert counts == {
        "doubled": [1, 0], "wrong class": [1, 0], "badly placed": [1, 0], "wrong class and badly placed": [1, 0],
        "background": [2, 0], "missed": [0, 1],
    }  # fmt: skip


def test_a_badly_placed_box_explains_its_object_and_one_that_is_both_does_not() -> None:
    _, badly = mistakes([entry([CAT], [0])], [found(([0, 0, 10, 30], 0, 0.9))])
    _, both = mistakes([entry([CAT], [0])], [found(([0, 0, 10, 30], 1, 0.9))])
    assert (len(badly.missed), len(both.missed)) == (0, 1)
    assert (
        badly.confusion.tolist() == both.confusion[[0, 1, 2]][:, [1, 0, 2]].tolist() == [[0, 0, 1], [0] * 3, [1, 0, 0]]
    )


def test_a_mistake_is_about_an_object_that_is_not_found() -> None:
    """Between two dogs, nearer to the one that is found."""
    dogs = entry([[0, 0, 10, 10], [0, 2, 10, 12]], [1, 1])
    _, judged = mistakes([dogs], [found(([0, 0, 10, 10], 1, 0.9), ([0, 0.5, 10, 10.5], 0, 0.8))])
    assert named(judged) == [None, "wrong class"]
    assert judged.objects.tolist() == [NONE, 1]
    assert judged.confusion.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_an_object_is_found_twice_only_by_detections_that_count() -> None:
    """The better one of another class has its own threshold; an object is missed where all score too little."""
    detections = [found((CAT, 0, 0.6), (CAT, 0, 0.5), (CAT, 1, 0.5))]
    _, judged = mistakes([entry([CAT], [0])], detections, (0.55, 0.55))
    assert (named(judged), judged.missed.tolist()) == ([None, None, None], [])
    _, judged = mistakes([entry([CAT], [0])], detections, (0.7, 0.4))
    assert (named(judged), judged.missed.tolist()) == ([None, None, "wrong class"], [])
    _, judged = mistakes([entry([CAT], [0])], detections, (0.7, 0.7))
    assert judged.missed.tolist() == [0]


def test_what_nobody_labelled_is_no_mistake() -> None:
    """Neither detections of a class that the picture does not label, nor its objects, nor those of other pictures."""
    half = entry([CAT, DOG], [0, 1], supervised=(True, False))
    matched, judged = mistakes([half], [found((CAT, 0, 0.9), (DOG, 1, 0.9), ([20, 20, 30, 30], 1, 0.9))])
    assert (len(matched.found.labels), len(matched.objects.labels)) == (1, 1)
    assert named(judged) == [None]
    assert judged.confusion.sum() == judged.confusion[0, 0] == 1


def test_ignored_objects_are_neither_missed_nor_mistaken() -> None:
    """A small box inside an ignored crowd of its class is hidden by it, one of another class is not."""
    crowd = entry([[0, 0, 40, 40], DOG], [0, 1], ignore=[True, True])
    detections = found(([5, 5, 9, 9], 0, 0.9), ([5, 5, 9, 9], 1, 0.8), ([0, 0, 40, 39], 1, 0.7), (DOG, 1, 0.6))
    matched, judged = mistakes([crowd], [detections])
    assert matched.found.scores.tolist() == [0.8]
    assert named(judged) == ["background"]
    assert len(judged.missed) == 0


def test_an_object_beside_an_ignored_one_is_found_all_the_same() -> None:
    both = entry([CAT, [0, 0, 20, 20]], [0, 0], ignore=[False, True])
    _, judged = mistakes([both], [found((CAT, 0, 0.9), (CAT, 0, 0.8))])
    assert judged.right.tolist() == [True]  # the second lies on the ignored one
    assert named(judged) == [None]


@pytest.mark.parametrize("supervised", [(True, True), (False, False)])
def test_nothing_at_all(supervised) -> None:
    _, judged = mistakes([entry([], [], supervised=supervised)], [found()])
    assert judged.confusion.tolist() == [[0] * 3] * 3
    _, judged = mistakes([entry([CAT], [0], supervised=supervised)], [found()])
    assert judged.missed.tolist() == ([0] if all(supervised) else [])


def test_points_are_judged_by_their_distance() -> None:
    """Of a picture of 100 x 100: 5 pixels are similarity 0.5, and 0.5 ** (d / 5) ** 2 is 0.1 at 9.11."""
    at = entry([[50.0, 50, 50, 50]], [0])
    rows = [([50 + d, 50, 50 + d, 50], 0, 0.9 - d / 100) for d in (4.9, 4.95, 5.1, 9.0, 9.2)]
    _, judged = mistakes([at], [found(*rows)], task=CENTER)
    assert named(judged) == [None, "doubled", "badly placed", "badly placed", "background"]
    np.testing.assert_allclose(judged.overlaps[1:4], 0.5 ** (np.array([4.95, 5.1, 9.0]) / 5) ** 2)


def one_after_another(overlap: np.ndarray) -> list[int]:
    """Each detection in turn takes the object left that it overlaps most."""
    left, place = overlap.copy(), []
    for row in left:
        best = int(row.argmax())
        place.append(best if row[best] > 0 else NONE)
        if row[best] > 0:
            left[:, best] = 0
    return place


def test_all_at_once_is_one_after_another() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        overlap = rng.integers(0, 9, rng.integers(1, 9, 2)) / 9  # with equal ones
        rows, columns = np.nonzero(overlap)
        order = rng.permutation(len(rows))
        pairs = Pairs(rows[order], columns[order], overlap[rows, columns][order])
        assert best_first(pairs, *overlap.shape).tolist() == one_after_another(overlap)


def test_a_chain_of_losers_ends() -> None:
    """Each wants what the one before it has, so that only one is settled a round."""
    count = 50
    wishes = [(row, column, 1 - column / 100) for row in range(count) for column in range(row + 1)]
    rows, columns, values = (np.array(each) for each in zip(*wishes, strict=True))
    assert best_first(Pairs(rows, columns, values), count, count).tolist() == list(range(count))


@pytest.mark.parametrize("task", [BOXES, CENTER], ids=lambda task: task.name)
@pytest.mark.parametrize("seed", range(3))
def test_finds_what_coco_finds(task, seed: int) -> None:
    """Recall at overlap 0.5, and precision of all detections, from the curves of faster-coco-eval."""
    entries, detections = random_case(seed)
    entries = [Entry(e.record._replace(declared_hw=(300, 300)), e.supervised) for e in entries]
    matched = match(entries, detections, task)
    evaluation = (accumulate if task is BOXES else curves)(entries, detections, CLASSES, 1000)
    objects = np.bincount(matched.objects.labels, minlength=3)
    right = np.bincount(matched.found.labels[matched.right != NONE], minlength=3)
    np.testing.assert_allclose(right / objects, evaluation.eval["recall"][0, :, 0, -1])
    assert (right > 0).all()
    boxes, labels = matched.found.boxes, matched.found.labels
    for row in np.flatnonzero(matched.right != NONE):
        there = matched.objects.where(np.array([matched.right[row]]))
        assert there.pictures[0] == matched.found.pictures[row]
        assert there.labels[0] == labels[row]
        assert task is CENTER or box_iou(boxes[[row]], there.boxes)[0, 0] >= 0.5


def test_the_order_of_detections_within_a_picture_changes_nothing() -> None:
    objects = entry([CAT, DOG], [0, 1])
    rows = ONE_OF_EACH[:4]
    expected = mistakes([objects], [found(*rows)])[1]
    for some in permutations(rows):
        for one, other in zip(mistakes([objects], [found(*some)])[1], expected, strict=True):
            np.testing.assert_array_equal(one, other)
