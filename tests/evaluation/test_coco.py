import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centerx.data.source import Entry
from centerx.evaluation import coco_metrics
from centerx.types import Detections
from tests.made import make_record

CLASSES = ("cat", "dog", "pig")


def random_case(seed: int, images: int = 12) -> tuple[list[Entry], list[Detections]]:
    """Ground truth with crowds, and detections that are jittered truth plus noise."""
    rng = np.random.default_rng(seed)
    entries, found = [], []
    for index in range(images):
        count = int(rng.integers(0, 9))
        low = rng.uniform(0, 200, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(5, 150, (count, 2))], axis=1)
        labels = rng.integers(0, len(CLASSES), count)
        ignore = rng.random(count) < 0.15
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * rng.uniform(0.5, 1, count)
        record = make_record(f"{index}.jpg", index, boxes, labels, ignore, area)
        entries.append(Entry(record, np.ones((len(CLASSES), 2), dtype=bool)))
        noise = rng.uniform(0, 200, (5, 4))
        noise[:, 2:] = noise[:, :2] + noise[:, 2:] / 2
        guess = np.concatenate([boxes + rng.normal(0, 4, boxes.shape), noise])
        guess_labels = np.concatenate([labels, rng.integers(0, len(CLASSES), 5)])
        found.append(Detections(guess, rng.permutation(len(guess)) / 20 + index / 1e4, guess_labels))
    return entries, found


def judge(entries: list[Entry], found: list[Detections]) -> np.ndarray:
    """The same by pycocotools."""
    truth = COCO()
    annotations = []
    for image_id, (record, _) in enumerate(entries, start=1):
        for box, label, ignore, area in zip(
            record.objects.boxes,
            record.objects.labels,
            record.objects.ignore,
            record.objects.values["area"],
            strict=True,
        ):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": int(label), "iscrowd": int(ignore),
                 "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "area": area}
            )  # fmt: skip
    truth.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(entries))],
        "categories": [{"id": i} for i in range(len(CLASSES))],
        "annotations": annotations,
    }
    truth.createIndex()
    rows = [
        {"image_id": i, "category_id": int(label), "score": float(score),
         "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
        for i, one in enumerate(found, start=1)
        for box, score, label in zip(one.boxes, one.scores, one.labels, strict=True)
    ]  # fmt: skip
    evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.asarray(evaluation.stats)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_pycocotools(seed: int) -> None:
    entries, found = random_case(seed)
    metrics = coco_metrics(entries, found, CLASSES)
    ours = [-1 if value is None else value for value in metrics[:12]]
    np.testing.assert_allclose(ours, judge(entries, found), atol=1e-9)


def test_equal_scores_rank_by_image_id_whatever_the_order() -> None:
    entries, found = random_case(0)
    found = [replace(one, scores=np.round(one.scores)) for one in found]
    expected = judge(entries, found)
    shuffled = np.random.default_rng(1).permutation(len(entries))
    metrics = coco_metrics([entries[k] for k in shuffled], [found[k] for k in shuffled], CLASSES)
    np.testing.assert_allclose([-1 if value is None else value for value in metrics[:12]], expected, atol=1e-9)


def test_perfect_detections_reach_one_and_the_first_annotation_counts() -> None:
    record = make_record("a.jpg", "a", [[10.0, 10, 50, 60]], [0])
    entry = Entry(record, np.array([[True, True]]))
    metrics = coco_metrics([entry], [Detections(record.objects.boxes, np.array([0.9]), np.array([0]))], ["cat"])
    assert metrics.AP == pytest.approx(1.0)
    assert metrics.APs is None
    assert metrics.per_class == {"cat": pytest.approx(1.0)}


def test_a_class_that_a_picture_does_not_annotate_is_no_false_positive() -> None:
    record = make_record("a.jpg", 0, [[10.0, 10, 50, 60]], [0])
    found = Detections(np.array([[10.0, 10, 50, 60], [0, 0, 9, 9]]), np.array([0.5, 0.9]), np.array([0, 1]))
    dog = make_record("b.jpg", 1, [[0.0, 0, 9, 9]], [1])
    seen = Detections(dog.objects.boxes, np.array([0.4]), np.array([1]))
    both = np.ones((2, 2), dtype=bool)
    partial = [Entry(record, both & [[True], [False]]), Entry(dog, both)]
    whole = [Entry(record, both), Entry(dog, both)]
    assert coco_metrics(partial, [found, seen], ["cat", "dog"]).per_class["dog"] == pytest.approx(1.0)
    assert coco_metrics(whole, [found, seen], ["cat", "dog"]).per_class["dog"] == pytest.approx(0.5)


def test_nothing_found_is_zero() -> None:
    entries, _ = random_case(0)
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert coco_metrics(entries, [nothing] * len(entries), CLASSES).AP == 0


def test_reproduces_cocos_own_figures(shared_data: Path, tmp_path: Path) -> None:
    from centerx.data.read import read_dataset
    from centerx.evaluation.api import evaluate_results

    folder = shared_data / "fixtures" / "cocoeval"
    dataset = read_dataset(folder / "instances_val2014_100.json")
    metrics = evaluate_results(folder / "instances_val2014_fakebbox100_results.json", dataset)
    expected = [0.505, 0.697, 0.573, 0.586, 0.519, 0.501, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
    assert [round(value or 0, 3) for value in metrics[:12]] == expected
    assert metrics.AP == pytest.approx(0.5045806987249628, abs=1e-12)  # pycocotools 2.0.11
    json.dumps(metrics._asdict())
