"""What poses are judged by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import centerx
from centerx.data.figures import JOINTS as FIGURE_JOINTS
from centerx.data.figures import write_figure_scenes
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.evaluation.listed import read_detections
from centerx.evaluation.poses import pose_metrics, pose_overlap
from centerx.tasks import KEYPOINT_SCORES, make_task
from centerx.types import Detections
from tests.tasks.hands import (
    HAND,
    TWO,
    hands,
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[SampleSource, list[Detections], Path]:
    """Figures, and detections beside them; of some no joint is labelled, of others some joints."""
    folder = tmp_path_factory.mktemp("judged")
    path = write_figure_scenes(folder, 12, 0, "val", (96, 96))
    tree = json.loads(path.read_text())
    for number, annotation in enumerate(tree["annotations"]):
        for place in range(7):
            if number % 4 == 0 or (number + place) % 3 == 0:
                annotation["keypoints"][3 * place : 3 * place + 3] = [0, 0, 0]
        annotation["num_keypoints"] = sum(flag > 0 for flag in annotation["keypoints"][2::3])
    path.write_text(json.dumps(tree))
    dataset = read_dataset(path)
    task = make_task("pose", joints=dataset.joints)
    source = SampleSource([dataset], dataset.class_names, task=task)
    rng = np.random.default_rng(0)
    found = []
    for record, _ in source.entries:
        truth = record.objects.values.get("keypoints", np.zeros((len(record.labels), 14)))
        points = truth.reshape(-1, 7, 2) + rng.normal(0, 2, (len(record.labels), 7, 2))
        scores = rng.random(len(record.labels))
        values = {"keypoints": points, KEYPOINT_SCORES: np.ones(points.shape[:2])}
        order = np.argsort(-scores)
        one = Detections(record.boxes, scores, record.labels, ("figure",), values, "pose", dataset.joints)
        found.append(one.where(order))
    return source, found, path


def test_ap_is_that_of_pycocotools(judged: tuple[SampleSource, list[Detections], Path], tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    source, found, path = judged
    metrics = pose_metrics(source.entries, found, source.class_names)
    truth = coco.COCO(str(path))
    rows = [
        row for (record, _), each in zip(source.entries, found, strict=True)
        for row in each.to_coco(record.image_id, {1: "figure"})
    ]  # fmt: skip
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(rows), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.full(7, 0.05)
    evaluation.params.maxDets = [20]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert 0.05 < evaluation.stats[0] < 0.95
    for ours, theirs in zip((metrics.AP, metrics.AP50, metrics.AP75), evaluation.stats[:3], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert metrics.AP_boxes == pytest.approx(1)


def test_a_results_file_is_judged_by_its_keypoints(judged: tuple[SampleSource, list[Detections], Path]) -> None:
    source, found, path = judged
    rows = [
        row for (record, _), each in zip(source.entries, found, strict=True)
        for row in each.to_coco(record.image_id, {1: "figure"})
    ]  # fmt: skip
    results = path.with_name("results.json")
    results.write_text(json.dumps(rows))
    metrics = centerx.evaluate(results, path)
    assert metrics.AP == pytest.approx(pose_metrics(source.entries, found, source.class_names).AP)
    assert metrics.AP_boxes is not None
    stored = read_detections(results, [read_dataset(path)], [entry.record.image for entry in source.entries])
    assert stored.joints.names == FIGURE_JOINTS
    np.testing.assert_allclose(stored.values["keypoints"][0], found[0].values["keypoints"][0].ravel(), rtol=1e-5)


def test_similarity_of_joints_by_hand(judged: tuple[SampleSource, list[Detections], Path]) -> None:
    source, _, _ = judged
    objects = hands(TWO[:1])
    apart = objects.values["keypoints"].reshape(1, 3, 2) + np.array([0, 3.0])
    found = Detections(
        objects.boxes, np.ones(1), objects.labels, values={"keypoints": apart, KEYPOINT_SCORES: np.ones((1, 3))},
        task="pose", joints=HAND,
    )  # fmt: skip
    area = objects.boxes[0, 2:] - objects.boxes[0, :2]
    due = np.mean([np.exp(-9 / (2 * area.prod() * (2 * sigma) ** 2)) for sigma in HAND.sigmas])
    objects = objects._replace(values={**objects.values, "area": np.array([area.prod()])})
    np.testing.assert_allclose(pose_overlap(source.entries[0], found, objects), [[due]], rtol=1e-5)


def test_results_with_other_numbers_of_joints_are_told(
    judged: tuple[SampleSource, list[Detections], Path], caplog: pytest.LogCaptureFixture
) -> None:
    source, found, path = judged
    rows = [
        row | {"keypoints": row["keypoints"][:18]} for (record, _), each in zip(source.entries, found, strict=True)
        for row in each.to_coco(record.image_id, {1: "figure"})
    ]  # fmt: skip
    results = path.with_name("fewer.json")
    results.write_text(json.dumps(rows))
    assert centerx.evaluate(results, path).AP_boxes is None
    assert "boxes are judged, as a row of category 1 has 18 values of keypoints, not 21" in caplog.text
    back = Detections.from_coco(found[0].to_coco(1, {1: "figure"}), {1: "figure"})
    np.testing.assert_allclose(back.boxes, found[0].boxes)
