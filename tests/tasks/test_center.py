"""The task of points: from a csv file to a count, through every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import centerx
from centerx.build import build_run
from centerx.config import load_config
from centerx.data.read import read_dataset
from centerx.data.source import Entry, SampleSource
from centerx.decode import Decode
from centerx.errors import InputError
from centerx.evaluation.points import NEAR, point_metrics
from centerx.exporting.web import PAGE
from centerx.runtime import open_session
from centerx.runtime.info import ModelInfo
from centerx.serve import Limits, create_app
from centerx.targets import center_targets
from centerx.tasks import BOXES, CENTER
from centerx.types import Detections, Maps
from tests.data.handmade import write_text
from tests.made import box_batch, make_record

# Targets and decoding


def test_a_point_is_a_gaussian_of_the_given_radius_and_has_no_size() -> None:
    """Radius 2: a window of 5 cells, deviation 5 / 6. A point whose size nobody tells teaches no size, a box does."""
    boxes = torch.tensor([[22.0, 18, 22, 18], [40, 40, 60, 60]])
    batch = box_batch(
        torch.zeros((1, 3, 64, 96), dtype=torch.uint8),
        [boxes],
        [torch.tensor([0, 0])],
        [torch.tensor([False, False])],
        torch.ones(1, 1, dtype=torch.bool),
    )
    batch = batch._replace(objects=batch.objects._replace(known={"size": torch.tensor([False, True])}))
    targets = center_targets(batch, 1, 4, 0.3, 0, BOXES, 2.0)
    row = targets.heatmap[0, 0, 4]
    assert row[5] == 1
    assert row[6:9].tolist() == pytest.approx([np.exp(-0.72), np.exp(-2.88), 0], abs=1e-6)
    assert targets.places.goals["offset"][0, :, 0].tolist() == [0.5, 0.5]
    assert targets.places.weights["size"].tolist() == [[0, 1]]
    assert targets.places.weights["offset"].tolist() == [[1, 1]]
    assert set(center_targets(batch, 1, 4, 0.3, 0, CENTER, 2.0).places.goals) == {"offset"}


def test_points_by_hand() -> None:
    """One in cell (3, 2), and a better one more than a cell below a picture of 8 x 20 pixels."""
    heatmap = torch.full((1, 2, 4, 5), -5.0)
    heatmap[0, 1, 2, 3], heatmap[0, 0, 3, 1] = 1.0, 2.0
    offset = torch.full((1, 2, 4, 5), 0.5)
    offset[0, :, 2, 3] = torch.tensor([0.25, 0.75])
    decode = Decode(top_k=2, stride=4, task=CENTER)
    found = decode(Maps(heatmap, {"offset": offset}), (16, 20))
    assert found.values["points"][0].tolist() == [[6, 14], [13, 11]]
    assert found.labels[0].tolist() == [0, 1]
    inside = decode(Maps(heatmap, {"offset": offset}), (16, 20), torch.tensor([[8.0, 20.0]]))
    assert inside.labels[0, 0] == 1
    assert inside.scores[0, 0] == pytest.approx(torch.tensor(1.0).sigmoid())


# Metrics


def entry(points: list[list[float]], labels: list[int] | None = None) -> Entry:
    """A picture of 100 x 100 pixels with points."""
    record = make_record("a.png", 1, [[*point, *point] for point in points], labels or [0] * len(points))
    return Entry(record._replace(declared_hw=(100, 100)), np.ones((2, 1), dtype=bool))


def found(points: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Detections:
    boxes = np.array([[*point, *point] for point in points], dtype=np.float32).reshape(-1, 4)
    index = np.array(labels or [0] * len(points), dtype=np.int64)
    return Detections(boxes, np.array(scores, dtype=np.float32), index, task="center")


def test_perfect_points() -> None:
    metrics = point_metrics([entry([[10, 20], [60, 70]])], [found([[10, 20], [60, 70]], [0.9, 0.8])], ["ox", "cat"])
    assert (metrics.AP, metrics.AP50, metrics.per_class) == (1, 1, {"ox": 1, "cat": None})
    assert metrics.count_error == 0
    assert metrics.to_json().keys() == {
        "AP", "AP50", "AP75", "AR1", "AR10", "AR100", "per_class", "images", "count_error"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("distance", "AP50", "AP75"),
    [(0, 1, 1), (0.99 * NEAR, 1, 0), (1.01 * NEAR, 0, 0), (0.03, 1, 1), (0.035, 1, 0), (0.3, 0, 0)],
)
def test_what_is_near_is_found(distance: float, AP50: float, AP75: float) -> None:
    """exp(-d^2 ...) is 0.5 at 0.05 of the side and 0.75 at 0.05 sqrt(ln(4/3) / ln 2) = 0.0322."""
    metrics = point_metrics([entry([[50, 50]])], [found([[50 + 100 * distance, 50]], [0.9])], ["ox", "cat"])
    assert (metrics.AP50, metrics.AP75) == (AP50, AP75)


def test_one_point_is_found_once_and_counts_are_off_by_what_is_too_much() -> None:
    """Two detections of one object, one of a class that is not there, and one that scores too low to count."""
    seen = found([[50, 50], [51, 50], [5, 5], [90, 90]], [0.9, 0.8, 0.7, 0.1], [0, 0, 1, 1])
    metrics = point_metrics([entry([[50, 50]])], [seen], ["ox", "cat"])
    assert metrics.per_class["ox"] == 1  # the surplus one ranks below the right one
    assert metrics.count_error == pytest.approx((1 + 1) / 2)


# The whole way


@pytest.fixture(scope="module")
def csv_file(scenes: Path) -> Path:
    """The centres of the digits of the scenes, as one class."""
    tree = json.loads(scenes.read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in tree["images"]}
    lines = ["image,x,y"]
    for annotation in tree["annotations"]:
        x, y, width, height = annotation["bbox"]
        lines.append(f"{names[annotation['image_id']]},{x + width / 2},{y + height / 2}")
    return write_text(scenes.with_name("points.csv"), "\n".join(lines))


@pytest.fixture(scope="module")
def run(csv_file: Path, small_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> centerx.TrainResult:
    words = [f"data.train=[{csv_file}]", f"data.val=[{csv_file}]", "task=center", "model.top_k=20"]
    return centerx.train("nano", out=tmp_path_factory.mktemp("run"), overrides=[*small_overrides, *words])


@pytest.mark.soak
@pytest.mark.slow
def test_points_go_through_every_command(
    run: centerx.TrainResult, csv_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run.metrics is not None
    assert run.metrics.count_error is not None
    assert "train/size" not in (run.folder / "metrics.csv").read_text()
    assert (run.folder / "val.png").is_file()
    image = csv_file.with_name("train") / "000000.jpg"
    session = open_session(run.model)
    assert session.info.task == "center"
    ours = centerx.load(run.model)(image)
    assert len(ours) > 0
    assert (ours.boxes[:, :2] == ours.boxes[:, 2:]).all()
    for outputs in ("detections", "maps"):
        (file,) = centerx.export(run.model, "onnx", out=tmp_path, outputs=outputs)
        assert file.parity is not None
        theirs = centerx.load(file.path)(image)
        assert np.abs(theirs.values["points"] - ours.centers)[: len(theirs) // 2].max() < 0.05
        assert centerx.evaluate(file.path, csv_file).AP == pytest.approx(run.metrics.AP, abs=0.05)
    (prediction,) = centerx.predict(run.model, image, score=0.0)
    first = prediction.to_json()["detections"][0]
    assert first.keys() == {"label", "score", "point"}
    app = create_app(centerx.load(run.model), "m", "torch", Limits(10**6, 10**6, 30, 4), 1, ())
    with TestClient(app) as client:
        answer = client.post("/predict?score=0", content=image.read_bytes()).json()
    assert answer["detections"][0] == first
    labels = centerx.label(run.model, image.parent, tmp_path / "labels.json", score=0.0)
    assert sum(labels.boxes.values()) > 0
    assert not read_dataset(labels.file).records[0].objects.known["size"].any()


@pytest.mark.slow
def test_a_teacher_of_points_teaches_a_detector_of_boxes_what_it_knows(
    run: centerx.TrainResult, csv_file: Path, scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    teachers = f"distill.teachers=[{run.model}]"
    with pytest.raises(InputError, match="nobody teaches the size of object, of which only centres are labelled"):
        centerx.train(
            "nano", out=tmp_path / "a", overrides=[*small_overrides, f"data.train=[{csv_file}]", "data.val=[]"]
        )
    mixed = f"data.train=[{scenes}]"
    centerx.train(
        "nano", out=tmp_path / "b", overrides=[*small_overrides, mixed, "data.val=[]", "task=center", teachers]
    )
    header = (tmp_path / "b" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if "size" in name] == []
    assert any(name.startswith("train/kd/") and name.endswith("/offset") for name in header)


def test_boxes_are_not_judged_by_points(csv_file: Path, model_file: Path, tmp_path: Path) -> None:
    red = write_text(csv_file.with_name("red.csv"), csv_file.read_text().replace("image,x,y", "image,x,y,label", 1))
    lines = [line if k == 0 else f"{line},red" for k, line in enumerate(red.read_text().splitlines())]
    red.write_text("\n".join(lines))
    with pytest.raises(InputError, match="labels points alone, by which no boxes can be judged"):
        centerx.evaluate(model_file, red)


def test_the_size_of_points_is_no_reason_to_leave_them_out(csv_file: Path) -> None:
    source = SampleSource([read_dataset(csv_file)], ["object"], task=CENTER)
    sample = source.sample(0)
    assert len(sample.objects.labels) > 0
    assert sample.supervised.tolist() == [[True]]


def test_results_made_elsewhere_are_judged_as_points(csv_file: Path, tmp_path: Path) -> None:
    dataset = read_dataset(csv_file)
    results = [
        {"image_id": record.image_id, "category_id": 1, "keypoints": [x, y, 1], "score": 0.9}
        for record in dataset.records
        for x, y in record.objects.centers.tolist()
    ]
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    metrics = centerx.evaluate(tmp_path / "results.json", csv_file)
    assert (metrics.AP, metrics.count_error) == (1, 0)


def test_a_run_of_boxes_is_not_judged_by_points(
    csv_file: Path, scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    words = [f"data.train=[{scenes}, {{path: {csv_file}, classes: {{object: '0'}}}}]", "classes=null"]
    val = f"data.val=[{{path: {csv_file}, classes: {{object: '0'}}}}]"
    with pytest.raises(InputError, match=r"data\.val: labels points alone, by which no boxes can be judged"):
        build_run(load_config("nano", [*small_overrides, *words, val]), tmp_path)


def test_sizes_are_learned_from_labels_whose_centres_are_not() -> None:
    """As beside a teacher of points, with distill.labels=false."""
    batch = box_batch(
        torch.zeros((1, 3, 64, 64), dtype=torch.uint8),
        [torch.tensor([[8.0, 8, 24, 24]])],
        [torch.tensor([0])],
        [torch.tensor([False])],
        torch.ones(1, 1, dtype=torch.bool),
    )
    targets = center_targets(batch._replace(supervised=torch.tensor([[[False, True]]])), 1, 4, 0.3, 0, BOXES, 2.0)
    assert not targets.weight.any()
    assert targets.places.weights["size"].tolist() == [[1]]
    assert targets.places.weights["offset"].tolist() == [[0]]


def test_a_file_of_a_task_that_is_not_known_says_so() -> None:
    facts = {"class_names": '["a"]', "input_size": "[32, 32]", "stride": "4"}
    assert ModelInfo.from_metadata(facts, "old.onnx").task == "boxes"
    with pytest.raises(InputError, match=r"new\.onnx: is of the task 'masks', of a newer version"):
        ModelInfo.from_metadata(facts | {"task": "masks"}, "new.onnx")


NODE = """
import { load } from "./centerx.mjs";
const size = { width: 40, height: 20 };
globalThis.createImageBitmap = async () => ({ ...size, close() {} });
globalThis.OffscreenCanvas = class {
  getContext() {
    return { drawImage() {}, getImageData: () => ({ ...size, data: new Uint8ClampedArray(4 * 40 * 20) }) };
  }
};
const facts = { class_names: ["ox", "cat"], input_size: [32, 64], letterbox: { pad_value: 114 } };
globalThis.fetch = async (url) => ({ ok: true, json: async () => facts, arrayBuffer: async () => new ArrayBuffer(0) });
const detector = await load(new URL("file:///x/"));
console.log(JSON.stringify(await detector.detect({})));
"""
FAKE = """
export const env = { wasm: {} };
export class Tensor {}
const found = {
  points: { data: Float32Array.from([8, 16, 16, 31.5, 63, 40, 1, 1]) },
  scores: { data: Float32Array.from([0.75, 0.5, 0.25, 0]) },
  labels: { data: BigInt64Array.from([1n, 0n, 0n, 0n]) },
};
export const InferenceSession = { create: async () => ({ run: async () => found }) };
"""


def test_the_page_reads_points(tmp_path: Path) -> None:
    """A picture of 40 x 20 pixels in an input of 64 x 32: scale 1.6. One point lies in the padding, one is no peak."""
    page = (PAGE / "centerx.js").read_text(encoding="utf-8").replace("ort.wasm.bundle.min.mjs", "ort.mjs")
    for name, text in (("centerx.mjs", page), ("ort.mjs", FAKE), ("main.mjs", NODE)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("node is absent")
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    assert [(each["label"], each["score"]) for each in answer] == [("cat", 0.75), ("ox", 0.5)]
    np.testing.assert_allclose([each["point"] for each in answer], [[5, 10], [10, 19.6875]], atol=1e-5)
