"""VOC's AP, by hand and against the loops of its development kit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from centerx.data.source import Entry
from centerx.errors import InputError
from centerx.evaluation.run import metric_function
from centerx.evaluation.voc import voc_metrics
from centerx.tasks import BOXES, CENTER
from centerx.types import Detections
from tests.evaluation.test_coco import CLASSES, random_case
from tests.made import make_record

ALL = np.ones((1, 2), dtype=bool)


def detections(rows: list[tuple[list[float], float]]) -> Detections:
    boxes = np.array([box for box, _ in rows], dtype=float).reshape(-1, 4)
    return Detections(boxes, np.array([score for _, score in rows]), np.zeros(len(rows), dtype=np.int64))


def test_by_hand() -> None:
    """Four objects, one of them difficult; 0.9 is right, 0.8 a repeat, 0.7 difficult, 0.6 right at IoU 0.5, 0.5 wrong.

    Precision 1 at recall 1/3, then 1/2, then 2/3 at recall 2/3, then 2/4. The area is 1/3 + 2/3 * 1/3; of the 11
    recalls the first 4 have precision 1, those to 0.6 have 2/3.
    """
    first = make_record("a", 1, [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [0, 0, 0], [False, True, False])
    second = make_record("b", 2, [[0, 0, 10, 10]], [0])
    found = [
        detections([([0, 0, 10, 9], 0.8), ([0, 0, 10, 10], 0.9), ([20, 0, 30, 10], 0.7), ([40, 0, 45, 10], 0.6)]),
        detections([([0, 0, 4, 10], 0.5)]),
    ]
    metrics = voc_metrics([Entry(first, ALL), Entry(second, ALL)], found, ["cat"])
    assert metrics.AP50 == pytest.approx(1 / 3 + 2 / 9)
    assert metrics.AP50_11point == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert metrics.to_json() == {
        "AP50": metrics.AP50,
        "per_class": {"cat": metrics.AP50},
        "images": 2,
        "AP50_11point": metrics.AP50_11point,
        "per_class_11point": {"cat": metrics.AP50_11point},
    }


def test_a_detection_keeps_to_the_object_it_overlaps_most() -> None:
    """COCO would give the second detection the second object, which it overlaps by half as well."""
    record = make_record("a", 1, [[0, 0, 10, 10], [4, 0, 14, 10]], [0, 0])
    found = detections([([0, 0, 10, 10], 0.9), ([1.5, 0, 11.5, 10], 0.8)])
    assert voc_metrics([Entry(record, ALL)], [found], ["cat"]).AP50 == pytest.approx(0.5)


@pytest.mark.parametrize("due", range(1, 31))
def test_recalls_are_compared_exactly(due: int) -> None:
    """With a perfect detector that finds a tenth, two tenths, ... of the objects, the 11 points count one more each."""
    boxes = [[20.0 * k, 0.0, 20.0 * k + 10, 10.0] for k in range(due)]
    for count in range(due + 1):
        found = detections([(box, 0.9 - 0.01 * k) for k, box in enumerate(boxes[:count])])
        metrics = voc_metrics([Entry(make_record("a", 1, boxes, [0] * due), ALL)], [found], ["cat"])
        assert metrics.AP50 == pytest.approx(count / due)
        assert metrics.AP50_11point == pytest.approx((10 * count // due + (count > 0)) / 11)


def kit(entries: list[Entry], found: list[Detections], label: int) -> tuple[float, float]:
    """The steps of the development kit, detection by detection."""
    rows = [
        (float(score), image, box)
        for image, each in enumerate(found)
        for box, score, own in zip(each.boxes, each.scores, each.labels, strict=True)
        if own == label
    ]
    truth = [
        [
            {"box": box, "difficult": bool(ignore), "taken": False}
            for box, own, ignore in zip(entry.record.boxes, entry.record.labels, entry.record.ignore, strict=True)
            if own == label
        ]
        for entry in entries
    ]
    due = sum(not each["difficult"] for some in truth for each in some)
    hits, misses, precisions, recalls = 0, 0, [], []
    for _, image, box in sorted(rows, key=lambda row: -row[0]):
        most, nearest = -1.0, None
        for each in truth[image]:
            other = each["box"]
            width = min(box[2], other[2]) - max(box[0], other[0])
            height = min(box[3], other[3]) - max(box[1], other[1])
            if width > 0 and height > 0:
                union = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1])
                overlap = width * height / (union - width * height)
                if overlap > most:
                    most, nearest = overlap, each
        if nearest is not None and most >= 0.5:
            if not nearest["difficult"]:
                hits, misses = hits + (not nearest["taken"]), misses + nearest["taken"]
                nearest["taken"] = True
        else:
            misses += 1
        if hits + misses:
            precisions.append(hits / (hits + misses))
            recalls.append(hits / due)
    area, before = 0.0, 0.0
    for place, recall in enumerate(recalls):
        area += (recall - before) * max(precisions[place:])
        before = recall
    eleven = [
        max([p for p, r in zip(precisions, recalls, strict=True) if r >= t / 10 - 1e-12], default=0.0)
        for t in range(11)
    ]
    return area, sum(eleven) / 11


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_development_kit(seed: int) -> None:
    entries, found = random_case(seed, images=20)
    metrics = voc_metrics(entries, found, CLASSES)
    for label, name in enumerate(CLASSES):
        area, eleven = kit(entries, found, label)
        assert 0.1 < area < 0.99
        assert metrics.per_class[name] == pytest.approx(area)
        assert metrics.per_class_11point[name] == pytest.approx(eleven)
    assert metrics.AP50 == pytest.approx(np.mean(list(metrics.per_class.values())))


def test_nothing_to_find_and_unlabelled_classes() -> None:
    entries, found = random_case(0)
    nobody = np.zeros((len(CLASSES), 2), dtype=bool)
    nobody[:2] = True
    unlabelled = [entry._replace(supervised=nobody) for entry in entries]
    before, after = voc_metrics(entries, found, CLASSES), voc_metrics(unlabelled, found, CLASSES)
    assert after.per_class["pig"] is None
    assert (after.per_class["cat"], after.per_class["dog"]) == (before.per_class["cat"], before.per_class["dog"])
    nothing = [replace(each, boxes=each.boxes[:0], scores=each.scores[:0], labels=each.labels[:0]) for each in found]
    assert voc_metrics(entries, nothing, CLASSES).AP50 == 0
    assert voc_metrics([], [], CLASSES).AP50 is None


def test_what_does_not_go_together() -> None:
    with pytest.raises(InputError, match=r"--metric: unknown 'vok' \(did you mean 'voc'\?\), known: coco, voc"):
        metric_function("vok", BOXES, None)
    with pytest.raises(InputError, match="boxes only"):
        metric_function("voc", CENTER, None)
    with pytest.raises(InputError, match="--max-detections"):
        metric_function("voc", BOXES, 200)
