"""Poses in every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import centerx
from centerx.api.add import add_config
from centerx.build import build_run
from centerx.build_data import load_data
from centerx.build_model import build_detector, load_detector, save_named
from centerx.cli.main import app
from centerx.config import load_config
from centerx.data.figures import JOINTS as FIGURE_JOINTS
from centerx.data.figures import write_figure_scenes
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.exporting.web import PAGE
from centerx.fields import KEYPOINTS
from centerx.joints import Joints
from centerx.runtime import open_session
from centerx.tasks import KEYPOINT_SCORES, make_task
from tests.tasks.test_center import NODE


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figure_scenes(tmp_path_factory.mktemp("figures"), 16, 0, "train", (96, 96))


def words_of(path: Path, more: dict[str, Any] | None = None) -> list[str]:
    data = json.dumps({"path": str(path)} | (more or {}))
    return [f"data.train=[{data}]", f"data.val=[{data}]", "task=pose", "model.top_k=20"]


@pytest.fixture(scope="module")
def run(figures: Path, small_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> centerx.TrainResult:
    out = tmp_path_factory.mktemp("run")
    return centerx.train("nano", out=out, overrides=[*small_overrides, *words_of(figures), "train.epochs=2"])


@pytest.mark.slow
def test_poses_go_through_every_command(run: centerx.TrainResult, figures: Path, tmp_path: Path) -> None:
    assert run.metrics is not None
    assert run.metrics.AP_boxes is not None
    info = open_session(run.model).info
    assert info.joints.names == FIGURE_JOINTS
    assert info.joints.flip == (0, 1, 3, 2, 4, 6, 5)
    assert info.joints.sigmas == (0.05,) * 7
    image = figures.with_name("train") / "000000.jpg"
    ours = centerx.load(run.model)(image)
    assert ours.values["keypoints"].shape == (len(ours), 7, 2)
    assert ((ours.values[KEYPOINT_SCORES] > 0) & (ours.values[KEYPOINT_SCORES] < 1)).all()
    assert ours.draw(image).shape == (96, 96, 3)
    for outputs in ("detections", "maps"):
        (file,) = centerx.export(run.model, "onnx", out=tmp_path, outputs=outputs)
        theirs = centerx.load(file.path)(image)
        half = len(theirs) // 2
        np.testing.assert_allclose(theirs.values["keypoints"][:half], ours.values["keypoints"][:half], atol=0.05)
        sure = (each.values[KEYPOINT_SCORES][:half] for each in (theirs, ours))
        np.testing.assert_allclose(*sure, atol=1e-3)
    metrics = centerx.evaluate(file.path, figures, flip=False)
    assert metrics.AP == pytest.approx(run.metrics.AP, abs=1e-3)
    centerx.evaluate(run.model, figures, flip=True)
    (found,) = centerx.predict(run.model, image, score=0.0)
    assert found.detections.joints.names == FIGURE_JOINTS
    pseudo = tmp_path / "pseudo.json"
    centerx.label(run.model, figures.with_name("train"), pseudo, score=0.01)
    dataset = read_dataset(pseudo, images=figures.with_name("train"))
    assert dataset.joints.names == FIGURE_JOINTS


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("form", ["openvino", "ncnn", "torch-export", "torchscript"])
def test_poses_are_exported(run: centerx.TrainResult, tmp_path: Path, form: str) -> None:
    """Each is checked against torch as it is written."""
    (file,) = centerx.export(run.model, form, out=tmp_path)
    assert "boxes and keypoints within" in str(file.parity)


@pytest.mark.soak
@pytest.mark.slow
def test_every_kind_of_teacher_teaches_joints(
    run: centerx.TrainResult, figures: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    (exported,) = centerx.export(run.model, "onnx", out=tmp_path)
    images = str(figures.with_name("train"))
    predicted = tmp_path / "predicted.json"
    said = CliRunner().invoke(app, ["predict", str(exported.path), images, "--json", str(predicted), "--score", "0"])
    assert said.exit_code == 0, said.output
    for number, teacher in enumerate((run.model, exported.path, predicted)):
        entry = json.dumps({"weights": str(teacher)})
        words = [f'data.train=[{{"path": "{images}", "format": "folder"}}]', "task=pose", "data.val=[]"]
        words += [f"distill.teachers=[{entry}]", "train.epochs=1"]
        student = centerx.train("nano", out=tmp_path / str(number), overrides=[*small_overrides, *words])
        assert load_detector(student.model)[1].joints.names == FIGURE_JOINTS
        head = (student.folder / "metrics.csv").read_text().splitlines()[0]
        assert "/joint_heatmap" in head
        assert "/keypoints" in head


@pytest.mark.soak
@pytest.mark.slow
def test_ten_pictures_are_learned_by_heart(small_overrides: list[str], tmp_path: Path) -> None:
    few = write_figure_scenes(tmp_path, 10, 1, "train", (96, 96))
    words = [*words_of(few), "augment.flip=0", "augment.scale=[1,1]", "augment.shift=0", "augment.colour=[]"]
    words += ["train.epochs=70", "train.val_every=70", "augment.aspect=0", "train.ema=0", "train.batch_size=5"]
    run = centerx.train("digits", out=tmp_path / "run", overrides=[*small_overrides, *words])
    assert run.metrics is not None
    assert run.metrics.AP50 is not None
    assert run.metrics.AP50 > 0.9


def changed(path: Path, out: Path, change: Any) -> Path:
    """A copy of a COCO file beside the pictures, with each annotation changed."""
    tree = json.loads(path.read_text())
    change(tree)
    out = path.with_name(out.name)
    out.write_text(json.dumps(tree))
    return out


def test_boxes_and_joints_may_be_of_different_data(figures: Path, small_overrides: list[str], tmp_path: Path) -> None:
    def without(tree: Any) -> None:
        for annotation in tree["annotations"]:
            del annotation["keypoints"]
        del tree["categories"][0]["keypoints"], tree["categories"][0]["skeleton"]

    boxes = changed(figures, Path("boxes.json"), without)
    some = [json.dumps({"path": str(figures), "fields": ["keypoints"]}), json.dumps({"path": str(boxes)})]
    words = [f"data.train=[{','.join(some)}]", "data.val=[]", "task=pose"]
    data = load_data(load_config("nano", [*small_overrides, *words]), tmp_path)
    first, second = data.source.entries[0], data.source.entries[-1]
    assert first.supervised.tolist() == [[True, False, True]]
    assert second.supervised.all()
    sample = data.source.sample(len(data.source) - 1)
    assert not sample.objects.known[KEYPOINTS.name].any()
    assert sample.objects.known[KEYPOINTS.name].shape == (len(sample.objects.labels), 7)


@pytest.mark.parametrize(
    ("change", "more", "told"),
    [
        (lambda tree: tree["categories"][0].pop("keypoints"), {}, "data.train: no joints in .*person_keypoints"),
        (
            lambda tree: tree["categories"][0]["keypoints"].__setitem__(3, "right_paw"),
            {},
            "joints: the joint 'left_hand' has no 'right_hand'.*joints.pairs, or set augment.flip=0",
        ),
        (lambda tree: None, {"joints": ["a", "b"]}, "joints names 2, but there are 7"),
        (lambda tree: None, {"joints.pairs": [["head", "neck"], ["neck", "hips"]]}, "'neck' is in two pairs"),
        (lambda tree: None, {"joints.sigmas": {"head": 20}}, "joints.sigmas: Input should be less than 10"),
        (lambda tree: None, {"joints.classes": {"figure": []}}, "joints.classes: no class has a joint"),
        (lambda tree: None, {"joints.pairs": [["head", "tail"]]}, "joints.pairs: no joint 'tail'"),
        (lambda tree: None, {"joints.names": ["haed"]}, "joints.names: no joint 'haed'.*'head'"),
        (lambda tree: None, {"joints.classes": {"man": ["head"]}}, "joints.classes: no class 'man'"),
    ],
)
def test_wrong_joints_are_one_line(
    change: Any, more: dict[str, Any], told: str, figures: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    path = changed(figures, Path("wrong.json"), change)
    entry = {"path": str(path)} | ({"joints": more["joints"]} if "joints" in more else {})
    words = [f"data.train=[{json.dumps(entry)}]", "data.val=[]", "task=pose"]
    words += [f"{key}={json.dumps(value)}" for key, value in more.items() if key != "joints"]
    with pytest.raises(InputError, match=told):
        build_run(load_config("nano", [*small_overrides, *words]), tmp_path / "run")


def test_boxes_alone_do_not_judge_poses(figures: Path, small_overrides: list[str], tmp_path: Path) -> None:
    def without(tree: Any) -> None:
        for annotation in tree["annotations"]:
            annotation["keypoints"] = [0] * 21

    path = changed(figures, Path("bare.json"), without)
    words = [f"data.train=[{figures}]", f"data.val=[{path}]", "task=pose"]
    with pytest.raises(InputError, match=r"data\.val: .* by which no pose can be judged"):
        build_run(load_config("nano", [*small_overrides, *words]), tmp_path)


FAKE = """
export const env = { wasm: {} };
export class Tensor {}
const found = {
  boxes: { data: Float32Array.from([8, 16, 24, 24]) },
  keypoints: { data: Float32Array.from([16, 16, 24, 20]) },
  keypoint_scores: { data: Float32Array.from([0.5, 0.25]) },
  scores: { data: Float32Array.from([0.75]) },
  labels: { data: BigInt64Array.from([1n]) },
};
export const InferenceSession = { create: async () => ({ run: async () => found }) };
"""


def test_the_page_reads_joints(tmp_path: Path) -> None:
    page = (PAGE / "centerx.js").read_text(encoding="utf-8").replace("ort.wasm.bundle.min.mjs", "ort.mjs")
    node = NODE.replace("const facts = {", 'const facts = { joints: { names: ["head", "tail"], skeleton: [[0, 1]] },')
    for name, text in (("centerx.mjs", page), ("ort.mjs", FAKE), ("main.mjs", node)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("node is absent")
    (only,) = json.loads(done.stdout)
    assert only["keypoints"] == [[10, 10, 0.5], [15, 12.5, 0.25]]
    assert only["box"] == [5, 10, 15, 15]


def test_mirror_images_are_told_even_where_training_has_none(
    figures: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    words = [*words_of(figures), "augment.flip=0"]
    assert load_data(load_config("nano", [*small_overrides, *words]), tmp_path).config.made_joints.flip == (
        *(0, 1, 3, 2),
        *(4, 6, 5),
    )

    def renamed(tree: Any) -> None:
        tree["categories"][0]["keypoints"][3] = "right_paw"

    words = [*words_of(changed(figures, Path("paw.json"), renamed)), "augment.flip=0"]
    assert load_data(load_config("nano", [*small_overrides, *words]), tmp_path).config.made_joints.flip == ()


def test_a_class_may_have_no_joints(figures: Path, small_overrides: list[str], tmp_path: Path) -> None:
    def second(tree: Any) -> None:
        tree["categories"].append({"id": 2, "name": "ball"})
        tree["annotations"][0] |= {"category_id": 2, "keypoints": [], "num_keypoints": 0}

    words = words_of(changed(figures, Path("ball.json"), second))
    run = build_run(load_config("nano", [*small_overrides, *words]), tmp_path)
    assert run.config.made_joints.classes == (tuple(range(7)), ())


def test_a_picture_without_objects_of_the_classes_has_the_joints_of_the_model(figures: Path) -> None:
    """Joints in another order than that of the data, on pictures that show none of the classes asked for."""
    task = make_task("pose", joints=Joints(("tail", "head")))
    source = SampleSource([read_dataset(figures)], ["cat"], task=task)
    (record, _), *_ = source.entries
    assert record.objects.values[KEYPOINTS.name].shape == (0, 4)
    assert record.objects.known[KEYPOINTS.name].shape == (0, 2)


def test_an_added_class_may_have_joints_of_its_own(figures: Path, small_overrides: list[str], tmp_path: Path) -> None:
    """The old detector teaches its joints, the labels those of their class; sigmas that were given stay."""

    def of_robots(tree: Any) -> None:
        tree["categories"] = [{"id": 1, "name": "robot", "keypoints": ["left_claw", "right_claw", "head"]}]
        for annotation in tree["annotations"]:
            annotation["keypoints"] = annotation["keypoints"][:9]

    given = ["classes=[figure]", "joints.sigmas={neck: 0.02}"]
    data = load_data(load_config("nano", [*small_overrides, *words_of(figures), *given]), tmp_path)
    save_named(tmp_path, data.config, build_detector(data.config), "old")
    robots = [{"path": str(changed(figures, Path("robots.json"), of_robots))}]
    config = add_config({"weights": str(tmp_path / "old.safetensors")}, robots, robots, None, ["data.workers=0"])
    joints = load_data(config, tmp_path).config.joints
    assert joints.classes == {"figure": FIGURE_JOINTS, "robot": ("left_claw", "right_claw", "head")}
    assert joints.pairs is not None
    assert {frozenset(pair) for pair in joints.pairs} == {
        frozenset((f"left_{end}", f"right_{end}")) for end in ("hand", "foot", "claw")
    }
    assert (joints.sigmas["neck"], joints.sigmas["left_claw"]) == (0.02, 0.05)


def test_joints_of_other_names_are_named_for_the_evaluation(figures: Path, tmp_path: Path) -> None:
    """A detector of joints that were named beside the path of its data is judged by the same data."""
    names = ",".join(f"joint-{name}" for name in FIGURE_JOINTS)
    words = ["task=pose", "classes=[figure]", f"joints.names=[{names}]", "joints.pairs=[]", "data.input_size=96"]
    config = load_config("nano", [*words, "model.pretrained=false"])
    save_named(tmp_path, config, build_detector(config), "model")
    model = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match="or its joints alike, by the key or option joints"):
        centerx.evaluate(model, figures)
    said = CliRunner().invoke(app, ["eval", str(model), str(figures), "--joints", names])
    assert said.exit_code == 0, said.output
    with pytest.raises(InputError, match="joints names 2, but there are 7"):
        centerx.evaluate(model, figures, joints=["head", "neck"])


@pytest.mark.soak
@pytest.mark.slow
def test_files_whose_joints_are_not_those_of_their_metadata_are_refused(
    run: centerx.TrainResult, tmp_path: Path
) -> None:
    (file,) = centerx.export(run.model, "onnx", out=tmp_path)
    model = onnx.load(file.path)
    told = next(each for each in model.metadata_props if each.key == "joints")
    told.value = Joints(("head", "tail")).to_json()
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"gives keypoints of float32 \(1, 20, 7, 2\), not \(1, 20, 2, 2\)"):
        centerx.load(tmp_path / "other.onnx")(np.zeros((96, 96, 3), np.uint8))
