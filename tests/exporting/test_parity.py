"""The exported file against the model it came from; and that the comparison can fail."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from centerx.build_model import build_detector, load_detector
from centerx.config import load_config
from centerx.data.read import read_dataset
from centerx.evaluation.api import evaluate_model
from centerx.exporting import export_model
from centerx.exporting.parity import Difference, difference, one, synthetic_images, verify
from centerx.geometry import Letterbox, scale_matrix, shift_matrix, warp_image
from centerx.images import read_image
from centerx.resize import Letterboxed
from centerx.runtime import Predictor, Session, load, open_session
from centerx.runtime.info import ModelInfo
from centerx.tasks import BOXES, TASKS
from centerx.types import Detections, RawDetections

PICTURES = 200


def pictures(shared_data: Path, count: int) -> list[np.ndarray]:
    """Real blood cells, 640x480, cut to sizes that differ in both sides."""
    files = sorted((shared_data / "bccd" / "JPEGImages").glob("*.jpg"))[:count]
    return [read_image(file)[: 480 - 37 * k, : 640 - 61 * (count - k)] for k, file in enumerate(files)]


def total(firsts: list[Detections], seconds: list[Detections]) -> Difference:
    worst = Difference(0.0, 0.0, 0, 0)
    for first, second in zip(firsts, seconds, strict=True):
        worst |= difference(first, second)
    return worst


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_torch_and_onnx_agree_on_real_pictures(
    batch: int, model_file: Path, onnx_file: Path, shared_data: Path
) -> None:
    images = pictures(shared_data, batch)
    found = total(load(model_file).predict_batch(images), load(onnx_file).predict_batch(images))
    assert found.small
    assert found.matched > 40 * batch
    assert found.box < 0.05
    assert found.score < 1e-3


def test_torch_and_onnx_agree_at_another_size(model_file: Path, tmp_path: Path) -> None:
    """Upright, where the model was made for landscape."""
    detector, info = load_detector(model_file)
    export_model(detector, info._replace(input_hw=(160, 64)), tmp_path / "tall.onnx", "onnx")
    assert open_session(tmp_path / "tall.onnx").info.input_hw == (160, 64)
    assert "detections, boxes within 0.0" in verify(detector, tmp_path / "tall.onnx")


class Wrong(Predictor):
    """A device program that prepares pictures in its own way.

    Args:
        session: the model. prepare: (picture, height, width of the input) -> what the network is shown.
    """

    def __init__(self, session: Session, prepare: Callable[[np.ndarray, int, int], np.ndarray]) -> None:
        super().__init__(session)
        self.prepare = prepare

    def preprocess(self, picture: np.ndarray, bgr: bool = False) -> Letterboxed:  # type: ignore[override]
        return super().preprocess(picture)._replace(image=self.prepare(picture, *self.session.info.input_hw))


def stretch(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return warp_image(image, scale_matrix(width / image.shape[1], height / image.shape[0]), (height, width))


def centred(image: np.ndarray, height: int, width: int) -> np.ndarray:
    scale = min(height / image.shape[0], width / image.shape[1])
    shift = shift_matrix((width - image.shape[1] * scale) / 2, (height - image.shape[0] * scale) / 2)
    return warp_image(image, shift @ scale_matrix(scale, scale), (height, width))


def black(image: np.ndarray, height: int, width: int) -> np.ndarray:
    placed = np.zeros((height, width, 3), np.uint8)
    scale = min(height / image.shape[0], width / image.shape[1])
    inside = round(image.shape[0] * scale), round(image.shape[1] * scale)
    placed[: inside[0], : inside[1]] = warp_image(image, scale_matrix(scale, scale), inside)
    return placed


def blue_first(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return warp_image(image, Letterbox.fit(image.shape[:2], (height, width)).matrix, (height, width))[..., ::-1]


def nearest_pixel(image: np.ndarray, height: int, width: int) -> np.ndarray:
    scale = min(height / image.shape[0], width / image.shape[1])
    placed = np.full((height, width, 3), 114, np.uint8)
    small = Image.fromarray(image).resize((round(image.shape[1] * scale), round(image.shape[0] * scale)), 0)
    placed[: small.height, : small.width] = np.asarray(small)
    return placed


@pytest.mark.parametrize("prepare", [stretch, centred, black, blue_first, nearest_pixel])
def test_a_wrong_preparation_is_noticed(
    prepare: Callable[[np.ndarray, int, int], np.ndarray], model_file: Path, onnx_file: Path, shared_data: Path
) -> None:
    images = pictures(shared_data, 3)
    right = load(model_file).predict_batch(images)
    assert not total(right, Wrong(open_session(onnx_file), prepare).predict_batch(images)).small


@pytest.mark.soak
def test_evaluation_of_both_gives_one_figure_on_200_real_pictures(
    model_file: Path, onnx_file: Path, shared_data: Path, tmp_path: Path
) -> None:
    """The truth is what the model finds, moved a little, so that AP lies between 0 and 1 and every box counts."""
    files = sorted((shared_data / "bccd" / "JPEGImages").glob("*.jpg"))[:PICTURES]
    predictor = load(onnx_file)
    rng = np.random.default_rng(0)
    annotations = []
    for image_id, file in enumerate(files):
        found = predictor(file)
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        chosen = np.flatnonzero((sides.min(axis=1) > 8) & (rng.random(len(sides)) < 0.5))
        for row in chosen:
            box = np.concatenate([found.boxes[row, :2], sides[row]]) + rng.normal(0, 0.06, 4) * sides[row].min()
            annotations.append({"id": len(annotations), "image_id": image_id, "category_id": int(found.labels[row]),
                                "bbox": box.tolist(), "iscrowd": 0})  # fmt: skip
    tree = {
        "images": [{"id": k, "file_name": str(file.resolve()), "width": 640, "height": 480}
                   for k, file in enumerate(files)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(predictor.class_names)],
        "annotations": annotations,
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(tree))
    dataset = read_dataset(tmp_path / "truth.json")
    first, second = (evaluate_model(model, [dataset], batch_size=8) for model in (model_file, onnx_file))
    assert first.images == second.images == PICTURES
    assert first.AP is not None
    assert second.AP is not None
    assert 0.1 < first.AP < 0.9
    assert abs(first.AP - second.AP) < 0.001
    for name in predictor.class_names:
        assert first.per_class[name] == pytest.approx(second.per_class[name], abs=0.001)


# The judge itself


def detections(rows: list[tuple[float, float, float, float, float, int]]) -> Detections:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


ROWS = [(10, 10, 30, 40, 0.9, 0), (50, 20, 70, 60, 0.8, 1), (12, 11, 33, 44, 0.7, 1), (5, 5, 9, 9, 0.1, 0)]


def test_the_same_in_any_order_is_no_difference() -> None:
    assert difference(detections(ROWS), detections(ROWS[::-1])) == Difference(0, 0, 0, 4)
    assert difference(detections(ROWS), detections(ROWS)).small


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((10.0, 10.0, 30.0, 40.25, 0.9, 0), Difference(0.25, 0, 0, 4)),
        ((10.0, 10.0, 30.0, 40.0, 0.875, 0), Difference(0, 0.025, 0, 4)),
        ((10.0, 10.0, 30.0, 40.0, 0.9, 1), Difference(0, 0, 2, 3)),  # another class
        ((14.0, 10.0, 34.0, 40.0, 0.9, 0), Difference(0, 0, 2, 3)),  # another cell
    ],
)
def test_what_is_told_of_one_changed_detection(change: tuple[float, ...], expected: Difference) -> None:
    found = difference(detections(ROWS), detections([change, *ROWS[1:]]))  # type: ignore[list-item]
    assert found == pytest.approx(expected, abs=1e-6)
    assert not found.small


def test_a_detection_cut_off_by_k_is_not_missing() -> None:
    """Two of equal score compete for the last place, and each side may choose another."""
    last = (80, 80, 90, 90, 0.1, 1)
    assert difference(detections(ROWS), detections([*ROWS[:3], last])) == Difference(0, 0, 0, 3)
    sure = (80, 80, 90, 90, 0.5, 1)
    assert difference(detections(ROWS), detections([*ROWS[:3], sure])).unmatched == 1


def test_finding_nothing_is_not_agreement() -> None:
    assert difference(detections(ROWS), detections([])) == Difference(0, 0, 4, 0)
    assert not difference(detections([]), detections([])).small


def test_places_without_a_peak_are_no_detections_but_show_that_nothing_was_cut_off() -> None:
    empty = [(0, 0, 0, 0, 0, 0)] * 2
    moved = [(40, 40, 40, 40, 0, 0)] * 2
    assert difference(detections([*ROWS, *empty]), detections([*ROWS, *moved])) == Difference(0, 0, 0, 4)
    assert difference(detections([*ROWS, *empty]), detections([*ROWS[:2], *empty, *empty])).unmatched == 2
    unmarked = (*ROWS[3][:4], 0, 0)  # the box of a detection, where the other side has no peak
    assert difference(detections([*ROWS, *empty]), detections([*ROWS[:3], unmarked])) == Difference(0, 0, 1, 3)


def test_one_picture_does_not_hide_another() -> None:
    fine, bad = Difference(0.01, 0, 0, 100), Difference(0.2, 0, 3, 10)
    assert fine | bad == bad | fine == Difference(0.2, 0, 3, 110)
    assert fine.small
    assert not (fine | bad).small


def test_synthetic_images_differ_and_repeat() -> None:
    images = synthetic_images(3, (64, 96))
    assert (images.shape, images.dtype) == ((3, 3, 64, 96), np.uint8)
    assert np.array_equal(images, synthetic_images(3, (64, 96)))
    assert len({image.tobytes() for image in images}) == 3


def test_verify_finds_a_fault_of_the_exporter(model_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    """The constant that turns cells into pixels, changed by a thousandth."""
    detector, _ = load_detector(model_file)
    assert verify(detector, onnx_file).startswith("720 detections")
    model = onnx.load(onnx_file)
    changed = 0
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size == 1 and values.item() == 4:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.001), tensor.name))
            changed += 1
    assert changed
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(RuntimeError, match=r"wrong\.onnx: the exported file differs"):
        verify(detector, tmp_path / "wrong.onnx")


def test_verify_bears_that_rounding_chooses_the_peaks_of_an_untrained_model(tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[x,y]", "data.input_size=[64,96]", "model.neck.type=deconv"])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    export_model(detector, ModelInfo(("x", "y"), (64, 96), 4), tmp_path / "new.onnx", "onnx")
    assert "scores within" in verify(detector, tmp_path / "new.onnx")


def test_one_takes_a_row() -> None:
    batch = RawDetections(
        {"boxes": np.arange(24.0).reshape(2, 3, 4)}, np.arange(6).reshape(2, 3), np.arange(6, 12).reshape(2, 3)
    )
    found = one(batch, 1, BOXES)
    assert (found.scores.tolist(), found.labels.tolist()) == ([3, 4, 5], [9, 10, 11])
    assert found.boxes.tolist() == np.arange(12.0, 24).reshape(3, 4).tolist()


def test_corners_are_compared_wherever_their_order_begins() -> None:
    boxes, scores, labels = np.array([[0.0, 0, 10, 8]]), np.array([0.9]), np.array([0])
    corners = np.array([[2.0, 0, 10, 3, 8, 8, 0, 5]])
    found = Detections(boxes, scores, labels, values={"corners": corners})
    begun = Detections(boxes, scores, labels, values={"corners": np.roll(corners, 4, axis=1)})
    moved = Detections(boxes, scores, labels, values={"corners": corners + np.array([0, 0, 0, 0, 0, 0.3, 0, 0])})
    assert difference(found, begun).small
    assert difference(found, moved).box == pytest.approx(0.3)
    assert not difference(found, moved).small


FOUND = np.array([[10.0, 10, 30, 20], [40, 10, 60, 40]])


@pytest.mark.parametrize(
    ("values", "change", "box", "score"),
    [
        ({"angles": np.array([[89.9], [10]])}, lambda each: np.array([[-89.9], [10]]), 0.039, 0.0),  # half a turn: 0.2
        ({"angles": np.array([[80.0], [10]])}, lambda each: np.add(each, [[0], [90]]), 28.3, 0.0),
        ({"keypoints": np.zeros((2, 3, 2))}, lambda each: each + 0.5, 0.5, 0.0),
        ({"keypoint_scores": np.full((2, 3), 0.5)}, lambda each: np.add(each, [[0, 0, 0.1], [0, 0, 0]]), 0.0, 0.1),
        ({"keypoint_scores": np.array([[0.1, 0.2, 0.3, 0.4]] * 2)}, lambda each: np.roll(each, 2, axis=1), 0.0, 0.2),
        ({"corners": FOUND[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(2, 4, 2)}, lambda each: each[:, [1, 2, 3, 0]],
         0.0, 0.0),
    ],
)  # fmt: skip
def test_every_output_is_compared(
    values: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray], box: float, score: float
) -> None:
    first = Detections(FOUND, np.array([0.9, 0.8]), np.array([0, 0]), values=values)
    second = replace(first, values={name: change(each) for name, each in values.items()})
    found = difference(first, second)
    assert (found.box, found.score) == (pytest.approx(box, rel=0.02), pytest.approx(score))
    assert difference(first, first).small


def test_all_outputs_of_a_task_are_among_those_compared() -> None:
    for task in TASKS.values():
        values = {each.name: np.zeros((1, 1, math.prod(each.shape or (4,)))) for each in task.outputs}
        batch = RawDetections(values, np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64))
        assert {*one(batch, 0, task).values} == {each.name for each in task.outputs[1:]}
