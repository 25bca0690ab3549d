"""Pictures with more objects than COCO counts."""

import logging

import numpy as np
import pytest

from centerx.data.source import Entry
from centerx.evaluation import coco_metrics
from centerx.evaluation.coco import best_thresholds
from centerx.types import Detections
from tests.made import make_record

CLASSES = ("cat", "dog")


def crowd(name: str, cats: int, dogs: int, ignored: int = 0) -> Entry:
    """A picture of objects of 10 pixels in rows of 20; the first are to be ignored."""
    low = np.array([(12 * (k % 20), 12 * (k // 20)) for k in range(cats + dogs)], dtype=np.float64).reshape(-1, 2)
    labels = np.repeat([0, 1], [cats, dogs])
    ignore = np.arange(len(labels)) < ignored
    boxes = np.concatenate([low, low + 10], axis=1)
    return Entry(make_record(name, name, boxes, labels, ignore), np.ones((2, 2), dtype=bool))


def perfect(entry: Entry) -> Detections:
    record = entry.record
    return Detections(record.objects.boxes, np.linspace(1, 0.5, len(record.objects.labels)), record.objects.labels)


def test_a_perfect_detector_is_told_of_the_cap_and_reaches_one_without_it(caplog: pytest.LogCaptureFixture) -> None:
    entries = [crowd("a.jpg", 155, 145), crowd("b.jpg", 3, 120), crowd("c.jpg", 100, 100)]
    found = [perfect(entry) for entry in entries]
    capped = coco_metrics(entries, found, CLASSES)
    # of 258 cats 203 are found, of 365 dogs 300: precision 1 up to there, at 79 and 83 of the 101 recalls from 0 to 1
    assert capped.per_class == {"cat": pytest.approx(79 / 101), "dog": pytest.approx(83 / 101)}
    [record] = caplog.records
    assert (record.name, record.levelno) == ("centerx.evaluation.crowded", logging.WARNING)
    assert "100 detections that count, on 2 of 3 pictures: a.jpg has 155 of 'cat'" in caplog.text
    assert "--max-detections 155" in caplog.text
    caplog.clear()
    whole = coco_metrics(entries, found, CLASSES, max_detections=155)
    assert whole.AP == whole.AR100 == pytest.approx(1.0)
    assert whole.max_detections == 155
    assert caplog.messages == []
    nearly = coco_metrics(entries, found, CLASSES, max_detections=154)  # 257 of 258 cats
    assert nearly.AP == pytest.approx(1 - 1 / 202)
    assert "154 detections that count, on 1 of 3 pictures" in caplog.text


def test_what_the_cap_holds_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    entries = [crowd("a.jpg", 100, 100), crowd("b.jpg", 130, 0, ignored=30), crowd("c.jpg", 0, 0)]
    assert coco_metrics(entries, [perfect(entry) for entry in entries], CLASSES).max_detections is None
    coco_metrics([crowd("d.jpg", 101, 0)], [perfect(crowd("d.jpg", 101, 0))], CLASSES, quiet=True)
    assert caplog.messages == []


def test_thresholds_look_at_all_detections() -> None:
    """150 right ones that score from 1 to 0.5, of which COCO counts those above 0.67."""
    entry = crowd("a.jpg", 150, 0)
    assert best_thresholds([entry], [perfect(entry)], CLASSES)["cat"] == pytest.approx(0.5, abs=0.01)
