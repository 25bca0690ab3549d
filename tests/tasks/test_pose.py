"""Poses: decoding, targets, losses, teachers, metrics, and every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
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
from centerx.data.stored import store_detections
from centerx.decode import TORCH, Decode
from centerx.detector import mean_with_mirror
from centerx.errors import InputError
from centerx.evaluation.listed import read_detections
from centerx.evaluation.poses import pose_metrics, pose_overlap
from centerx.exporting.web import PAGE
from centerx.fields import KEYPOINTS
from centerx.joints import Joints
from centerx.losses.distill import DISTILL_LOSSES
from centerx.losses.terms import label_terms
from centerx.models import Branch, CenterHead
from centerx.objects import SCORE, Objects, make_objects
from centerx.runtime import open_session
from centerx.runtime.outputs import NUMPY, detections_from_maps
from centerx.targets import center_targets
from centerx.targets.soft import maps_from_objects
from centerx.tasks import KEYPOINT_SCORES, make_task
from centerx.training.teachers import Distiller, Teacher, TeacherOutput, map_channels
from centerx.types import Batch, Detections, Maps
from tests.tasks.test_center import NODE

HAND = Joints(("wrist", "left_tip", "right_tip"), (0, 2, 1), ((0, 1), (0, 2)), (0.05, 0.05, 0.1))
POSE = make_task("pose", joints=HAND)
STRIDE, INPUT_HW = 4, (48, 64)
GRID = 12, 16
MIRROR = np.array([[-1.0, 0, INPUT_HW[1]], [0, 1, 0], [0, 0, 1]])
NAN = float("nan")


def hands(points: list[Any], labels: list[int] | None = None, score: float = 1.0) -> Objects:
    """Objects on one picture with three joints each, NaN where one is not known; boxes around them with a margin."""
    places = np.array(points, dtype=np.float32).reshape(-1, 3, 2)
    known = np.isfinite(places).all(axis=2)
    low, high = np.nanmin(places, axis=1) - 2, np.nanmax(places, axis=1) + 2
    objects = make_objects(
        np.concatenate([low, high], axis=1).astype(np.float32),
        np.array(labels or [0] * len(places), dtype=np.int64),
        values={KEYPOINTS.name: np.nan_to_num(places).reshape(len(places), 6), "area": (high - low).prod(axis=1)},
        known={KEYPOINTS.name: known},
    )
    moved = objects.with_fields(POSE.fields)
    return moved._replace(values={**moved.values, SCORE: np.full((len(places), 1), score, np.float32)})


def batch_of(objects: Objects, supervised: np.ndarray | None = None) -> Batch:
    told = np.ones((1, 1, 3), dtype=bool) if supervised is None else supervised
    images = torch.zeros((1, 3, *INPUT_HW), dtype=torch.uint8)
    return Batch(images, objects.map(torch.from_numpy), torch.from_numpy(told), [None], [0], [])


def targets_of(batch: Batch, num_classes: int = 1, task: Any = POSE) -> Any:
    return center_targets(batch, num_classes, STRIDE, 0.7, 0, task, 2.0)


def perfect_maps(objects: Objects, num_classes: int = 1, task: Any = POSE) -> Maps:
    return maps_from_objects(objects.map(torch.from_numpy), 1, task, num_classes, STRIDE, INPUT_HW)


TWO = [[[10, 10], [17.5, 20.25], [24, 9]], [[40, 30], [50, 41], [NAN, NAN]]]


def test_what_is_rendered_is_decoded() -> None:
    """Encode and decode are each other's reverse, and both decoders are one."""
    objects = hands(TWO, score=0.9)
    maps = perfect_maps(objects)
    ours = Decode(4, STRIDE, POSE)(maps, INPUT_HW)
    arrays = {name: each.numpy() for name, each in POSE.with_probabilities(maps.fields, TORCH).items()}
    peaks = torch.where(maps.heatmap.sigmoid() > 0.85, maps.heatmap.sigmoid(), 0).numpy()
    theirs = detections_from_maps({"heatmap": peaks, **arrays}, POSE, STRIDE, 4)
    for found in (ours, theirs):
        points = np.asarray(found.values["keypoints"])[0].reshape(-1, 3, 2)
        scores = np.asarray(found.values[KEYPOINT_SCORES])[0]
        first = 0 if abs(points[0, 0, 0] - 10) < 1 else 1
        np.testing.assert_allclose(points[first], TWO[0], atol=1e-3)
        np.testing.assert_allclose(points[1 - first, :2], TWO[1][:2], atol=1e-3)
        np.testing.assert_allclose(scores[first], 0.9, atol=1e-3)
        assert scores[1 - first, 2] < 0.5  # the joint that nobody knows


def test_joints_move_to_peaks_by_hand() -> None:
    """One centre at (34, 26); peaks: near, outside of the box, too far, too weak."""
    raw = {
        "size": torch.full((1, 2, *GRID), 5.0),  # cells: the box is 24..44 and 16..36
        "keypoints": torch.zeros(1, 6, *GRID),
        "offset": torch.full((1, 2, *GRID), 0.5),
        "joint_offset": torch.full((1, 2, *GRID), 0.25),
        "joint_heatmap": torch.full((1, 3, *GRID), -6.0),
    }
    raw["keypoints"][0, :, 6, 8] = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.0, 0.0])  # wrist at cell (9, 7), left at (7, 6)
    raw["joint_heatmap"][0, 0, 8, 9] = 2.0  # a cell below the wrist
    raw["joint_heatmap"][0, 1, 6, 4] = 2.0  # outside of the box
    raw["joint_heatmap"][0, 2, 6, 9] = -2.5  # weak: probability 0.076
    heatmap = torch.full((1, 1, *GRID), -6.0)
    heatmap[0, 0, 6, 8] = 3.0
    found = Decode(1, STRIDE, POSE)(Maps(heatmap, raw), INPUT_HW)
    points = found.values["keypoints"][0, 0].view(3, 2)
    assert points.tolist() == [[37.0, 33.0], [28.0, 24.0], [32.0, 24.0]]
    sure = torch.tensor([2.0, -6.0, -6.0]).sigmoid()
    torch.testing.assert_close(found.values[KEYPOINT_SCORES][0, 0], sure)
    far = raw | {"joint_heatmap": raw["joint_heatmap"].clone()}
    far["joint_heatmap"][0, 0] = -6.0
    far["joint_heatmap"][0, 0, 5, 7] = 2.0  # in the box, 2.8 cells away, where 0.3 of its side are 1.5
    points = Decode(1, STRIDE, POSE)(Maps(heatmap, far), INPUT_HW).values["keypoints"][0, 0].view(3, 2)
    assert points[0].tolist() == [36.0, 28.0]


def test_torch_and_numpy_refine_alike() -> None:
    rng = np.random.default_rng(0)
    table = Joints(HAND.names, HAND.flip, classes=((0, 1), (0, 1, 2)))
    task = make_task("pose", joints=table)
    maps = {
        "joint_heatmap": rng.random((2, 3, *GRID), dtype=np.float32),
        "joint_offset": rng.random((2, 2, *GRID), dtype=np.float32),
    }
    low = rng.uniform(0, 40, (2, 5, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (2, 5, 2))], axis=2).astype(np.float32)
    points = (np.tile(low, 3) + rng.uniform(0, 20, (2, 5, 6))).astype(np.float32)
    found = {"boxes": boxes, "whole": boxes, "keypoints": points}
    labels = rng.integers(0, 2, (2, 5))
    assert task.refine is not None
    theirs = task.refine(dict(found), labels, maps, STRIDE, NUMPY)
    tensors = [{name: torch.from_numpy(each) for name, each in some.items()} for some in (found, maps)]
    ours = task.refine(tensors[0], torch.from_numpy(labels), tensors[1], STRIDE, TORCH)
    for name, each in theirs.items():
        np.testing.assert_allclose(ours[name].numpy(), each, atol=1e-4)
    assert (theirs[KEYPOINT_SCORES][labels == 0, 2] == 0).all()
    assert (theirs[KEYPOINT_SCORES][labels == 1] > 0).all()


def test_a_mirror_image_swaps_left_and_right() -> None:
    objects = hands([[[10, 10], [17, 20], [NAN, NAN]]])
    mirrored = objects.warp(MIRROR)
    points = mirrored.values[KEYPOINTS.name].reshape(3, 2)
    assert mirrored.known[KEYPOINTS.name].tolist() == [[True, False, True]]
    assert points[[0, 2]].tolist() == [[54, 10], [47, 20]]
    again = mirrored.warp(MIRROR)
    assert again.known[KEYPOINTS.name].tolist() == objects.known[KEYPOINTS.name].tolist()
    np.testing.assert_allclose(again.values[KEYPOINTS.name][:, :4], objects.values[KEYPOINTS.name][:, :4])


def test_maps_of_a_mirror_image_are_the_mirror_image_of_maps() -> None:
    objects = hands([[[10, 10], [17.5, 20.25], [24, 9]]], score=0.8)
    maps, mirrored = perfect_maps(objects), perfect_maps(objects.warp(MIRROR))
    mean = mean_with_mirror(maps, mirrored, POSE.branches)
    found = Decode(1, STRIDE, POSE)(mean, INPUT_HW)
    np.testing.assert_allclose(found.values["keypoints"][0, 0].view(3, 2), TWO[0], atol=1e-2)


def test_joints_outside_a_picture_are_not_known() -> None:
    cut = hands(TWO).crop((48, 45), 0.1)
    assert cut.known[KEYPOINTS.name].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_targets_of_joints_by_hand() -> None:
    targets = targets_of(batch_of(hands(TWO))).joints
    ones = {tuple(each) for each in (targets.heatmap[0] == 1).nonzero().tolist()}  # joint, row, column
    assert ones == {(0, 2, 2), (1, 5, 4), (2, 2, 6), (0, 7, 10), (1, 10, 12)}
    assert (targets.weight[0, 2, 7:10, 10:12] == 0).all()  # in the box of the hand that lacks this joint
    assert targets.weight[0, 2].sum() == GRID[0] * GRID[1] - 4 * 4
    assert (targets.weight[0, :2] == 1).all()
    offsets = {tuple(each) for each in targets.places.goals["offset"][0].T.tolist()}
    assert (17.5 / 4 - 4, 20.25 / 4 - 5) in offsets
    assert targets.places.weights["offset"].sum() == 5


def test_what_labels_do_not_tell_is_no_background() -> None:
    """Joints of a class that a data set does not label have weight 0 everywhere, those of others keep theirs."""
    joints = HAND._replace(classes=((0, 1), (2,)))
    task = make_task("pose", joints=joints)
    supervised = np.ones((1, 2, 3), dtype=bool)
    supervised[0, 0, 2] = False
    targets = targets_of(batch_of(hands(TWO), supervised), 2, task)
    assert (targets.joints.weight[0, :2] == 0).all()
    assert (targets.joints.weight[0, 2] == 1).all()  # class 0 lacks this joint, so its boxes hide nothing
    assert targets.places.weights["keypoints"].sum() == 0
    assert targets.places.weights["size"].sum() == 2


@pytest.fixture(scope="module")
def branches() -> dict[str, Branch]:
    torch.manual_seed(0)
    return dict(CenterHead(4, 1, 4, POSE.branches).branches)


def test_losses_are_least_where_maps_are_right(branches: dict[str, Branch]) -> None:
    batch = batch_of(hands(TWO))
    targets, maps = targets_of(batch), perfect_maps(hands(TWO))
    terms = {term.field: float(value) for term, value in label_terms(maps, targets, branches).items()}
    assert set(terms) == {"heatmap", "size", "keypoints", "offset", "joint_heatmap", "joint_offset"}
    assert terms["keypoints"] < 1e-5
    assert terms["joint_offset"] < 1e-5
    moved = {**maps.fields, "keypoints": maps.fields["keypoints"] + 1}
    again = {t.field: float(v) for t, v in label_terms(maps._replace(fields=moved), targets, branches).items()}
    assert again["keypoints"] == pytest.approx(1, abs=1e-4)  # the mean over the known joints, in cells
    unknown = {**maps.fields, "keypoints": maps.fields["keypoints"].clone()}
    unknown["keypoints"][0, 4:, 8:, 10:] += 7  # the joint that nobody knows of the second hand
    again = {t.field: float(v) for t, v in label_terms(maps._replace(fields=unknown), targets, branches).items()}
    assert again["keypoints"] < 1e-5


class Says:
    """A teacher that gives maps."""

    def __init__(self, maps: Maps) -> None:
        self.maps = maps

    def __call__(self, batch: Batch, channels: list[int]) -> TeacherOutput:
        return TeacherOutput(self.maps)


@pytest.mark.parametrize("loss", DISTILL_LOSSES)
def test_a_teacher_teaches_the_joints_that_it_shares_by_name(loss: str, branches: dict[str, Branch]) -> None:
    """A teacher of other joints in another order: what it lacks has no error, what it has is in the student's place."""
    theirs = Joints(("thumb", "right_tip", "wrist"))
    order = [2, -1, 1]  # of wrist, left_tip, right_tip
    teacher_task = make_task("pose", joints=theirs)
    student = perfect_maps(hands(TWO[:1]))
    points = student.fields["keypoints"].unflatten(1, (3, 2))
    fields = student.fields | {
        "keypoints": torch.stack([points[:, 1] + 9, points[:, 2], points[:, 0]], dim=1).flatten(1, 2),
        "joint_heatmap": student.fields["joint_heatmap"][:, [1, 2, 0]],
    }
    teacher = Teacher("t", Says(student._replace(fields=fields)), ("hand",), teacher_task)
    (channel_map,) = map_channels([teacher], ("hand",), None, POSE)
    assert channel_map.joints == (2, 0, 1)
    assert channel_map.weights["keypoints"].tolist() == [[1, 0, 1]]
    assert theirs.places(HAND.names) == order
    distiller = Distiller([teacher], [channel_map], DISTILL_LOSSES[loss], ("hand",), POSE, branches, True, 1)
    terms = {term.field: float(v) for term, v in distiller.terms(student, torch.zeros(1), batch_of(hands(TWO))).items()}
    assert set(terms) == {"heatmap", "size", "keypoints", "offset", "joint_heatmap", "joint_offset"}
    assert terms["keypoints"] == pytest.approx(0, abs=1e-6)
    wrong = student.fields | {"keypoints": student.fields["keypoints"] + 1}
    terms = {
        term.field: float(v)
        for term, v in distiller.terms(student._replace(fields=wrong), torch.zeros(1), batch_of(hands(TWO))).items()
    }
    assert terms["keypoints"] == pytest.approx(2 if loss == "article" else 1, rel=1e-3)
    other = Teacher("t", Says(student), ("hand",), make_task("pose", joints=Joints(("tail",))))
    with pytest.raises(InputError, match="t knows none of the joints wrist, left_tip, right_tip, its own are tail"):
        map_channels([other], ("hand",), None, POSE)


def test_what_a_teacher_is_unsure_of_counts_for_less(branches: dict[str, Branch]) -> None:
    sure = np.array([[1.0, 0.2, 0.0]], dtype=np.float32)
    objects = hands(TWO[:1])
    found = Detections(
        objects.boxes, np.array([1.0]), objects.labels, ("hand",), task="pose", joints=HAND,
        values={"keypoints": objects.values["keypoints"].reshape(1, 3, 2), KEYPOINT_SCORES: sure},
    )  # fmt: skip
    stored = store_detections(("hand",), "pose", [found], joints=HAND)
    back = stored.of(0)
    np.testing.assert_array_equal(back.known[KEYPOINTS.name], sure)
    assert stored.detections(0).values["keypoints"].shape == (1, 3, 2)
    maps = perfect_maps(back.with_fields(POSE.fields)._replace(values=dict(back.values)))
    assert maps.sure["keypoints"][0, :, 3, 4].tolist() == pytest.approx([1.0, 0.2, 0.0])
    peaks = maps.fields["joint_heatmap"].sigmoid().amax(dim=(2, 3))
    assert peaks[0].tolist() == pytest.approx([1.0, 0.2, 1e-4], abs=1e-3)


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
