"""Files that say where joints are and know no objects: what they find, and what they teach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import centerx
from centerx.build import build_run
from centerx.build_model import load_detector
from centerx.config import load_config
from centerx.errors import InputError
from centerx.runtime.foreign.joints import JointFinder, highest, joint_adapter
from centerx.runtime.onnx import OnnxRunner, load_graph

HEAD, TAIL = (20.0, 30.0), (60.0, 50.0)  # a red and a green square, in pixels
BOX = [10.0, 20.0, 75.0, 60.0]
TOLD: dict[str, Any] = {
    "input": {"scale": 1 / 255},
    "joint_heatmaps": {"output": "heatmaps", "names": ["head", "tail"], "pairs": []},
    "classes": ["fish"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose heatmaps are the red and the green of the picture, at a quarter of its size."""
    path = tmp_path_factory.mktemp("heatmaps") / "joints.onnx"
    numbers = {"starts": [0], "ends": [2], "axes": [1]}
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["images"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Slice", ["small", *numbers], ["heatmaps"]),
        ],
        "joints",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 96, 128])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, [1, 2, 24, 32])],
        [helper.make_tensor(name, TensorProto.INT64, [1], value) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def picture() -> np.ndarray:
    image = np.zeros((100, 120, 3), np.uint8)
    for channel, (x, y) in enumerate((HEAD, TAIL)):
        image[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3, channel] = 255
    image[90:96, 110:116, :2] = 255  # outside of the box
    return image


@pytest.mark.parametrize("see", ["box", "picture"])
def test_joints_are_where_heatmaps_are_highest(see: str, file: Path) -> None:
    told = {**TOLD, "joint_heatmaps": {**TOLD["joint_heatmaps"], "see": see}}
    adapter = joint_adapter(file, told)
    assert adapter is not None
    finder = JointFinder(file, OnnxRunner(load_graph(file, str(file))), adapter)
    points, scores = finder(picture(), np.array([BOX]))
    np.testing.assert_allclose(points[0], [HEAD, TAIL], atol=1.5)
    assert scores.min() > 0.5
    assert finder(picture(), np.zeros((0, 4)))[0].shape == (0, 2, 2)


def test_a_quarter_towards_the_higher_neighbour() -> None:
    heatmaps = np.zeros((1, 4, 6), np.float32)
    heatmaps[0, 2, 3], heatmaps[0, 2, 4], heatmaps[0, 1, 3] = 0.9, 0.5, 0.4
    places, scores = highest(heatmaps, np.array([[0.0, 0.0], [6.0, 4.0]]))
    assert places.tolist() == [[3.75, 2.25]]
    assert scores.tolist() == pytest.approx([0.9])
    places, _ = highest(heatmaps, np.array([[4.2, 0.0], [6.0, 4.0]]))  # the object begins a cell further
    assert places[0].tolist() == [4.25, 2.5]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes without joints."""
    folder = tmp_path_factory.mktemp("fish")
    images, annotations = [], []
    for number in range(1, 9):
        Image.fromarray(picture()).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 120, "height": 100})
        box = [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0})
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "fish"}]}
    path = folder / "labels.json"
    path.write_text(json.dumps(tree))
    return path


def words_of(data: Path, file: Path, told: dict[str, Any] = TOLD) -> list[str]:
    teacher = json.dumps({"weights": str(file), "adapter": told})
    return [f"data.train=[{data}]", "data.val=[]", "task=pose", f"distill.teachers=[{teacher}]", "augment.flip=0"]


@pytest.mark.slow
def test_boxes_of_labels_learn_joints_of_a_file(
    data: Path, file: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    words = [*words_of(data, file), "train.epochs=2", "distill.labels=true"]
    run = centerx.train("nano", out=tmp_path, overrides=[*small_overrides, *words])
    assert load_detector(run.model)[1].joints.names == ("head", "tail")
    rows = [line.split(",") for line in (run.folder / "metrics.csv").read_text().splitlines()]
    told = {name: float(value) for name, value in zip(rows[0], rows[1], strict=True) if value}
    assert told["train/kd/joints/keypoints"] > 0
    assert told["train/kd/joints/joint_heatmap"] > 0
    assert told["train/kd/joints/heatmap"] == 0  # it knows no objects: labels teach them
    assert told["train/kd/joints/size"] == 0
    assert told["train/size"] > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"joint_heatmaps": {"output": "heat", "names": ["a", "b"]}}, "has no output heat, it gives heatmaps"),
        ({"joint_heatmaps": {"output": "heatmaps", "names": ["a"]}}, "heatmaps of 1 joints are 1x1xHxW"),
        ({"joint_heatmaps": {"output": "heatmaps", "name": ["a"]}}, "unknown key|joint_heatmaps"),
        (
            {"joint_heatmaps": {"output": "heatmaps", "names": ["a", "b"], "pairs": [["a", "c"]]}},
            "there is no joint 'c'",
        ),
        ({"classes": ["bird"]}, "knows none of fish|bird"),
    ],
)
def test_wrong_adapters_are_one_line(
    change: dict[str, Any], told: str, data: Path, file: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    words = [*words_of(data, file, TOLD | change), "classes=[fish]"]
    with pytest.raises(InputError, match=told) as caught:
        build_run(load_config("nano", [*small_overrides, *words]), tmp_path)
    assert "\n" not in str(caught.value)


def test_only_poses_can_be_taught(data: Path, file: Path, small_overrides: list[str], tmp_path: Path) -> None:
    words = [*words_of(data, file), "task=boxes"]
    with pytest.raises(InputError, match="says where joints are, which task boxes has none of; set task=pose"):
        build_run(load_config("nano", [*small_overrides, *words]), tmp_path)
