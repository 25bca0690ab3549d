"""A detector of another project is a model like any other: every command takes it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import centerx
from centerx.api.merge import judge
from centerx.bench import bench_models
from centerx.build_teachers import open_teachers
from centerx.config import load_config
from centerx.config.schema import TeacherConfig
from centerx.data.batch import to_batch
from centerx.data.read import read_dataset
from centerx.images import read_image
from centerx.objects import make_objects
from centerx.serve import Limits
from centerx.types import Sample
from tests.serve.test_app import encoded, serving

YOLOX = "foreign_detectors/yolox_nano_416.onnx"
STREET = "tracking/TUD-Campus/img1/000030.jpg"
CAR = "street_cars/images/labelled/000003.jpg"


@pytest.fixture(scope="module")
def yolox(shared_data: Path) -> Path:
    return shared_data / YOLOX


@pytest.mark.parametrize(
    ("name", "data", "figure", "published", "adapter"),
    [
        ("picodet_s_320.onnx", "coco_mini", "AP", 0.332, {"score_floor": 0.05}),
        ("yunet_2021_120x160.onnx", "facemask", "AP50", 0.380, {"score_floor": 0.05}),
    ],
)
def test_ap_on_labelled_pictures(
    name: str, data: str, figure: str, published: float, adapter: dict[str, Any] | None, shared_data: Path
) -> None:
    """The floor saves half the time and moves neither figure by 0.0001."""
    predictor = centerx.load(shared_data / "foreign_detectors" / name, adapter=adapter)
    faces = ("with_mask", "without_mask", "mask_weared_incorrect")
    labelled = {
        "coco_mini": shared_data / "coco_mini",
        "facemask": {
            "path": str(shared_data / "facemask/annotations/custom_val.json"), "classes": dict.fromkeys(faces, "face")
        },
    }[data]  # fmt: skip
    assert getattr(centerx.evaluate(predictor, labelled), figure) == pytest.approx(published, abs=0.01)


def test_predict(yolox: Path, shared_data: Path) -> None:
    results = list(centerx.predict(yolox, [shared_data / STREET, shared_data / CAR], score=0.5, batch=2))
    assert [len(result.detections) for result in results] == [4, 2]
    entry = results[1].to_json()
    assert [found["label"] for found in entry["detections"]] == ["car", "truck"]


def test_a_predictor_can_be_pickled(yolox: Path, shared_data: Path) -> None:
    names = [f"thing {number}" for number in range(80)]
    predictor = centerx.load(yolox, adapter={"classes": names})
    again = pickle.loads(pickle.dumps(predictor))
    found, more = predictor(shared_data / CAR), again(shared_data / CAR)
    np.testing.assert_array_equal(found.boxes, more.boxes)
    assert more.class_names == tuple(names)


def test_labels(yolox: Path, shared_data: Path, tmp_path: Path) -> None:
    Image.fromarray(read_image(shared_data / CAR)).save(tmp_path / "a.png")
    result = centerx.label(yolox, tmp_path, tmp_path / "found.json", score=0.5)
    assert (result.boxes["car"], result.boxes["truck"], result.boxes["person"]) == (1, 1, 0)
    tree = json.loads((tmp_path / "found.json").read_text())
    assert len(tree["annotations"]) == 2


def test_bench(yolox: Path) -> None:
    rows = bench_models([yolox], [1, 2], 1)
    assert {row.backend for row in rows} >= {"onnxruntime"}
    assert {(row.height, row.width) for row in rows} == {(416, 416)}


def test_serve(yolox: Path, shared_data: Path) -> None:
    predictor = centerx.load(yolox)
    picture = Image.fromarray(read_image(shared_data / CAR))
    limits = Limits(bytes=10_000_000, pixels=1_000_000, seconds=30, requests=8)
    with serving(predictor, limits) as client:
        assert client.get("/health").json()["classes"][:2] == ["person", "bicycle"]
        answer = client.post("/predict?score=0.5", content=encoded(picture)).json()
    assert [found["label"] for found in answer["detections"]] == ["car", "truck"]


def test_a_teacher_sees_by_its_own_rule(yolox: Path, shared_data: Path) -> None:
    """Pictures of the student's size are brought to the teacher's input, its boxes come back to theirs."""
    config = load_config(
        "nano",
        ["classes=[car,truck]", "data.input_size=[320,576]"],
    )
    entry = {"weights": str(yolox), "classes": ["car", "truck"]}
    config = load_config({**config.model_dump(mode="json"), "distill": {"teachers": [entry], "cache": False}})
    (teacher,) = open_teachers(config)
    picture = centerx.load(yolox)
    image = np.ascontiguousarray(read_image(shared_data / CAR)[:320, :576])
    found = picture(image).above(0.3)
    channel = [teacher.class_names.index(name) for name in ("car", "truck")]
    objects = make_objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    batch = to_batch(Sample(image, objects, np.ones((1, 2), dtype=bool), 0), None, [])
    maps = teacher.model(batch, channel).maps
    probabilities = maps.heatmap.sigmoid()[0]
    assert len(found)
    for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        x, y = ((box[:2] + box[2:]) / 2 / 4).astype(int)
        place = channel.index(int(label))
        assert probabilities[place, y, x].item() == pytest.approx(float(score), abs=0.02)


def test_the_judge_of_merge_reads_the_adapter(shared_data: Path) -> None:
    file = shared_data / "foreign_detectors/rtmdet_nano_person_320.onnx"
    adapter = {"input": {"size": 320}, "classes": ["human"]}
    teacher = TeacherConfig(weights=str(file), adapter=adapter, classes={"human": "person"})
    (alone,) = judge([teacher], [read_dataset(shared_data / "coco_mini_val")], 4)
    assert alone.per_class["person"] == pytest.approx(0.37, abs=0.1)


def test_adapters_of_our_own_files_are_refused(onnx_file: Path, model_file: Path) -> None:
    for file in (onnx_file, model_file):
        with pytest.raises(centerx.InputError, match="leave the adapter out"):
            centerx.load(file, adapter={"classes": ["a"]})
