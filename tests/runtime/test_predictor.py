"""Pictures in, boxes in their own pixels out."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import centerx
from centerx.data.batch import EvalPictures
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.export.parity import painted
from centerx.geometry import box_area, box_iou
from centerx.images import read_image
from centerx.runtime import Predictor
from centerx.runtime.info import ModelInfo
from centerx.types import Detections


class Told:
    """A session that answers what it was told and keeps what it was shown."""

    info = ModelInfo(("cat", "dog"), (96, 128), 4)

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        self.boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        self.scores = np.array(scores, dtype=np.float32)

    def __call__(self, images: np.ndarray) -> Detections:
        self.images = images
        many = len(images)
        labels = np.arange(len(self.scores)) % 2
        return Detections(np.stack([self.boxes] * many), np.stack([self.scores] * many), np.stack([labels] * many))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("hw", "expected"),
    [
        ((96, 128), [[10, 20, 30, 40], [0, 0, 128, 96]]),
        ((192, 256), [[20, 40, 60, 80], [0, 0, 256, 192]]),  # half size
        ((192, 128), [[20, 40, 60, 80], [0, 0, 128, 192]]),  # upright: the right half of the input is padding
        ((24, 16), [[2.5, 5, 7.5, 10], [0, 0, 16, 24]]),  # enlarged
    ],
)
def test_boxes_come_back_in_pixels_of_the_picture(hw: tuple[int, int], expected: list[list[float]]) -> None:
    found = Predictor(Told([[10, 20, 30, 40], [0, 0, 128, 96]], [0.9, 0.8]))(picture(*hw))
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-6)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert [found.class_names[label] for label in found.labels] == ["cat", "dog"]


def test_the_network_sees_what_evaluation_shows_it(scenes: Path) -> None:
    dataset = read_dataset(scenes)
    session = Told([], [])
    predictor = Predictor(session)
    shown = EvalPictures(SampleSource([dataset], dataset.class_names), session.info.input_hw)
    for index in (0, 7):
        predictor(dataset.records[index].image)
        assert np.array_equal(session.images, shown[index].images.numpy())
        assert session.images.dtype == np.uint8
        assert session.images.flags.c_contiguous


def test_places_without_a_peak_are_no_detections() -> None:
    found = Predictor(Told([[1, 1, 2, 2]] * 3, [0.5, 0.01, 0.0]))(picture(96, 128))
    assert found.scores.tolist() == pytest.approx([0.5, 0.01])
    assert len(found.boxes) == len(found.labels) == 2


def test_what_has_no_area_on_the_picture_is_no_detection() -> None:
    """An upright picture of 128 x 192 fills the left half of the input, 64 pixels."""
    boxes = [[70, 10, 90, 20], [64, 10, 90, 20], [5, 5, 5, 20], [5, 20, 50, 20], [60, 10, 90, 20]]
    found = Predictor(Told(boxes, [0.9, 0.8, 0.7, 0.6, 0.5]))(picture(192, 128))
    assert found.boxes.tolist() == [[120, 20, 128, 40]]
    assert found.scores.tolist() == pytest.approx([0.5])
    assert len(found.labels) == 1


@pytest.mark.parametrize("suffix", [".safetensors", "-maps.onnx", ".onnx"])
def test_pictures_that_do_not_fill_the_input(suffix: str, model_file: Path, onnx_file: Path, maps_file: Path) -> None:
    """What knows where the picture ends fills all places with what is on it; the rest leaves places empty."""
    predictor = centerx.load(model_file.with_name(f"model{suffix}"))
    for number, hw in enumerate(((192, 64), (24, 128))):
        image = cv2.resize(painted(1, (96, 128), seed=number)[0].transpose(1, 2, 0), hw[::-1])
        found, whole = predictor(image), centerx.load(model_file)(image)
        assert (box_area(found.boxes) > 0).all()
        assert len(found.scores) == len(whole.scores) or (suffix == ".onnx" and len(found.scores) < len(whole.scores))
        np.testing.assert_allclose(found.scores, whole.scores[: len(found.scores)], atol=1e-4)
        np.testing.assert_allclose(found.boxes, whole.boxes[: len(found.scores)], atol=0.05)


def test_a_batch_of_different_sizes_gives_what_each_gives_alone(onnx_file: Path) -> None:
    predictor = centerx.load(onnx_file)
    pictures = [picture(*hw, seed) for seed, hw in enumerate([(96, 128), (300, 100), (50, 400), (1, 1)])]
    for together, image in zip(predictor.predict_batch(pictures), pictures, strict=True):
        alone = predictor(image)
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)
        assert np.all((alone.boxes >= 0) & (alone.boxes <= [*image.shape[1::-1]] * 2))
    assert predictor.predict_batch([]) == []


def test_a_file_may_be_named_in_three_ways(onnx_file: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(60, 80)).save(tmp_path / "a.png")
    predictor = centerx.load(str(onnx_file))
    results = [predictor(each) for each in (tmp_path / "a.png", str(tmp_path / "a.png"), picture(60, 80))]
    for result in results[1:]:
        assert np.array_equal(result.boxes, results[0].boxes)
        assert np.array_equal(result.scores, results[0].scores)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8 RGB"):
        Predictor(Told([], []))(wrong)


def test_the_eight_exif_orientations_are_one_picture(onnx_file: Path, shared_data: Path) -> None:
    """Each file is a JPEG of its own and has its number printed in the middle, so detections agree nearly."""
    files = sorted((shared_data / "fixtures" / "exif").glob("Landscape_*.jpg"))
    assert len(files) == 8
    session = Told([], [])
    predictor = centerx.load(onnx_file)

    def seen(picture: Path | np.ndarray) -> tuple[np.ndarray, Detections]:
        Predictor(session)(picture)
        shown = session.images[0].astype(np.float32)
        shown[:, 34:48, 58:70] = 0  # the number
        found = predictor(picture)
        return shown, found._replace(scores=found.scores * (box_area(found.boxes) > 0)).above(0.5)

    def agreement(first: Detections, second: Detections) -> float:
        same = first.labels[:, None] == second.labels[None]
        return float(((box_iou(first.boxes, second.boxes) * same).max(axis=1) > 0.8).mean())

    image, upright = seen(files[0])
    assert len(upright.scores) >= 10
    for file in files[1:]:
        shown, found = seen(file)
        assert np.abs(shown - image).mean() < 1
        assert np.abs(shown - image).max() < 40
        assert agreement(upright, found) > 0.6
    assert agreement(upright, seen(read_image(files[0])[:, ::-1].copy())[1]) < 0.2


def test_to_supervision(onnx_file: Path) -> None:
    supervision = pytest.importorskip("supervision")
    found = centerx.load(onnx_file)(picture(96, 128)).above(0.3)
    theirs = found.to_supervision()
    assert isinstance(theirs, supervision.Detections)
    assert len(theirs) == len(found.scores) > 0
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    np.testing.assert_array_equal(theirs.class_id, found.labels)
    assert theirs.data["class_name"].tolist() == [found.class_names[label] for label in found.labels]
    assert len(found.above(1.1).to_supervision()) == 0
