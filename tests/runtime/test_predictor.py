"""Pictures in, boxes in their own pixels out."""

import copy
import io
import os
import pickle
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import centerx
from centerx.data.batch import EvalPictures
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.exporting.parity import synthetic_images
from centerx.geometry import box_area, box_iou
from centerx.images import read_image
from centerx.runtime import Predictor
from centerx.runtime.info import ModelInfo
from centerx.types import Detections, RawDetections


class Told:
    """A session that answers what it was told and keeps what it was shown."""

    info = ModelInfo(("cat", "dog"), (96, 128), 4)

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        self.boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        self.scores = np.array(scores, dtype=np.float32)

    def __call__(self, images: np.ndarray) -> RawDetections:
        self.images = images
        many = len(images)
        labels = np.arange(len(self.scores)) % 2
        boxes, scores, labels = (np.stack([each] * many) for each in (self.boxes, self.scores, labels))
        return RawDetections({"boxes": boxes}, scores, labels)


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


@pytest.mark.parametrize("suffix", [pytest.param(".safetensors", marks=pytest.mark.soak), "-maps.onnx", ".onnx"])
def test_pictures_that_do_not_fill_the_input(suffix: str, model_file: Path, onnx_file: Path, maps_file: Path) -> None:
    """What knows where the picture ends fills all places with what is on it; the rest leaves places empty."""
    predictor = centerx.load(model_file.with_name(f"model{suffix}"))
    for number, hw in enumerate(((192, 64), (24, 128))):
        image = cv2.resize(synthetic_images(1, (96, 128), seed=number)[0].transpose(1, 2, 0), hw[::-1])
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
    ("wrong", "says"),
    [
        (np.zeros((3, 4, 5), np.uint8), "transpose(1, 2, 0)"),
        (np.zeros((9, 5, 2), np.uint8), "give a path"),
        (np.zeros((1, 4, 4, 3), np.uint8), "predict_batch"),
        (np.zeros(4, np.uint8), "give a path"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((0, 0), np.uint8), "no pixels"),
        (np.zeros((4, 4, 3), np.float32), "(picture * 255).round().astype('uint8')"),
        (np.zeros((3, 4, 5), np.float16), "transpose(1, 2, 0); bring it to 0 to 255"),
        (np.zeros((4, 4), bool), "picture.astype('uint8') * 255"),
        (np.zeros((4, 4), np.uint16), "(picture // 257).astype('uint8')"),
        (np.zeros((4, 4, 3), np.int64), "picture.astype('uint8')"),
        (np.zeros((4, 4, 3), object), "give a path"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.shape} {value.dtype}",
)
def test_arrays_of_another_kind_are_refused(wrong: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match="uint8 RGB") as caught:
        Predictor(Told([], []))(wrong)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


class Tensor:
    """Becomes an array as those of other libraries do."""

    def __init__(self, array: np.ndarray | Exception) -> None:
        self.array = array

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


def encoded(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


class Response:
    """As `urlopen` gives: bytes that come once."""

    def __init__(self, content: bytes) -> None:
        self.stream = io.BytesIO(content)

    def read(self) -> bytes:
        return self.stream.read()


def read_on(stream: io.BytesIO) -> io.BytesIO:
    stream.read(20)
    return stream


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(lambda image, path: path, id="path"),
        pytest.param(lambda image, path: str(path), id="text"),
        pytest.param(lambda image, path: next(os.scandir(path.parent)), id="entry of a folder"),
        pytest.param(lambda image, path: path.read_bytes(), id="bytes"),
        pytest.param(lambda image, path: bytearray(path.read_bytes()), id="bytearray"),
        pytest.param(lambda image, path: memoryview(path.read_bytes()), id="memoryview"),
        pytest.param(lambda image, path: path.open("rb"), id="file"),
        pytest.param(lambda image, path: read_on(io.BytesIO(path.read_bytes())), id="file read before"),
        pytest.param(lambda image, path: Response(path.read_bytes()), id="file that is read once"),
        pytest.param(lambda image, path: Image.open(path), id="PIL"),
        pytest.param(lambda image, path: Image.fromarray(image), id="PIL in memory"),
        pytest.param(lambda image, path: np.dstack([image, image[:, :, 0]]), id="RGBA"),
        pytest.param(lambda image, path: np.asfortranarray(image), id="other order in memory"),
        pytest.param(lambda image, path: image[::-1].copy()[::-1], id="reversed in memory"),
        pytest.param(lambda image, path: Tensor(image), id="array of another library"),
        pytest.param(lambda image, path: torch.from_numpy(image), id="tensor"),
        pytest.param(lambda image, path: torch.from_numpy(image).permute(2, 0, 1), id="tensor, channels first"),
        pytest.param(lambda image, path: torch.from_numpy(image).permute(2, 0, 1) / 255, id="tensor of floats"),
        pytest.param(lambda image, path: (torch.from_numpy(image) / 255).requires_grad_(), id="tensor with gradients"),
    ],
)
def test_one_picture_in_many_kinds(kind: Callable[[np.ndarray, Path], Any], tmp_path: Path) -> None:
    image, session = picture(60, 80), Told([], [])
    Image.fromarray(image).save(tmp_path / "a.png")
    Predictor(session)(image)
    expected = session.images
    Predictor(session)(kind(image, tmp_path / "a.png"))
    assert np.array_equal(session.images, expected)
    Predictor(session).predict_batch([image, kind(image, tmp_path / "a.png")])
    assert np.array_equal(session.images[1:], expected)


def test_pil_pictures_are_turned_as_files_are_and_stay_as_they_were(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(60, 80)).save(tmp_path / "a.png", exif=exif)
    session = Told([], [])
    Predictor(session)(tmp_path / "a.png")
    expected = session.images
    opened = Image.open(tmp_path / "a.png")
    for given in (opened, opened, encoded(opened, exif=exif)):
        Predictor(session)(given)
        assert np.array_equal(session.images, expected)
    assert (opened.size, opened.getexif()[0x0112]) == ((80, 60), 6)


@pytest.mark.parametrize("shape", [(96, 128), (96, 128, 1)])
def test_grey_arrays_are_grey_pictures(shape: tuple[int, ...]) -> None:
    session, grey = Told([], []), picture(96, 128)[:, :, 0]
    for bgr in (False, True):
        Predictor(session)(grey.reshape(shape), bgr)
        assert np.array_equal(session.images[0], np.stack([grey] * 3))
    Predictor(session)(Image.fromarray(grey))
    assert np.array_equal(session.images[0], np.stack([grey] * 3))


def test_the_channels_of_opencv(tmp_path: Path) -> None:
    session, image = Told([], []), picture(96, 128)
    Image.fromarray(image).save(tmp_path / "a.png")
    bgra = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA)
    expected = image.transpose(2, 0, 1)
    Predictor(session)(cv2.imread(str(tmp_path / "a.png")), bgr=True)
    assert np.array_equal(session.images[0], expected)
    Predictor(session).predict_batch([bgra, tmp_path / "a.png", Image.fromarray(image)], bgr=True)  # files know theirs
    assert all(np.array_equal(each, expected) for each in session.images)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (None, "no picture: was the path right?"),
        ("", "no picture: was the path right?"),
        ([picture(4, 4)], "predict_batch"),
        ((picture(4, 4),), "predict_batch"),
        (7, "of type int is no picture: give a path"),
        ({"image": 1}, "of type dict is no picture"),
        (np.ndarray, "give"),
        ("none.jpg", "none.jpg: no such image file"),
        ("a\0.jpg", "not a readable image"),
        ("https://example.org/a.jpg", "fetch it first and give the bytes"),
        ("/9j/4AAQSkZJRg" * 1000, "14000 characters are no path"),
        (".", "not a readable image"),
        (b"", "0 bytes"),
        (b"a.jpg", "the picture: not a readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a readable image"),
        (encoded(Image.fromarray(picture(40, 40)))[:900], "the picture: not a readable image"),
        (io.StringIO("text"), "open it with 'rb'"),
        (io.BytesIO(), "0 bytes"),
        (cv2.VideoCapture(), "open it with 'rb'"),
        (Image.new("RGB", (0, 4)), "without pixels"),
        (Tensor(TypeError("on another\ndevice")), "of type Tensor gives no array (on another device)"),
        (torch.zeros(3, 4, 3), "a tensor (3, 4, 3) has channels first or last, which is not clear"),
        (torch.full((3, 8, 9), 255.0), "must be in [0, 1], not in [255, 255]: undo its normalisation"),
        (torch.full((3, 8, 9), torch.nan), "must be in [0, 1], not in [nan, nan]"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), "not (8, 9, 3) int64: bring it to 0 to 255"),
        (torch.zeros(1, 3, 8, 9), "predict_batch"),
        (torch.zeros(3, 0, 9), "no pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_picture_is_refused_in_one_line(wrong: object, says: str) -> None:
    predictor = Predictor(Told([], []))
    for call, begins in (
        (predictor, ""),
        (lambda each: predictor.predict_batch([picture(4, 4), each]), "pictures[1]: "),
    ):
        with pytest.raises(InputError) as caught:
            call(wrong)
        told = str(caught.value)
        assert says in told
        assert told.startswith(begins)
        assert "\n" not in told
        assert len(told) < 400


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:700])
    closed = (tmp_path / "a.jpg").open("rb")
    closed.close()
    gone = Image.open(tmp_path / "a.jpg")
    gone.close()
    cut = Image.open(tmp_path / "cut.jpg")
    for wrong in (closed, gone, cut, (tmp_path / "a.jpg").open(encoding="utf-8"), (tmp_path / "cut.jpg").open("rb")):
        with pytest.raises(InputError, match=r"\.jpg: ") as caught:
            Predictor(Told([], []))(wrong)
        assert "\n" not in str(caught.value)


def test_a_batch_may_be_anything_with_an_order() -> None:
    images = [picture(96, 128, seed) for seed in range(3)]
    session = Told([], [])
    for batch in (tuple(images), iter(images), np.stack(images), torch.from_numpy(np.stack(images)), deque(images),
                  torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255):  # fmt: skip
        assert len(Predictor(session).predict_batch(batch)) == 3
        assert np.array_equal(session.images, np.stack(images).transpose(0, 3, 1, 2))
    for nothing in ([], (), np.zeros((0, 96, 128, 3), np.uint8), iter([])):
        assert Predictor(session).predict_batch(nothing) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("a.jpg", "one picture"),
        (Path("a.jpg"), "one picture"),
        (b"bytes", "one picture"),
        (Image.new("RGB", (4, 4)), "one picture"),
        (picture(4, 4), "one picture"),
        (picture(4, 4)[:, :, 0], "one picture"),
        (torch.zeros(3, 4, 4), "one picture"),
        (io.BytesIO(b"bytes"), "one picture"),
        ({"a": picture(4, 4)}, "no list of pictures"),
        ({"a.jpg"}, "no list of pictures"),
        (None, "no pictures"),
        (7, "no list of pictures"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_batch_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Predictor(Told([], [])).predict_batch(wrong)


def test_a_picture_that_opencv_cannot_resize_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise cv2.error("src.cols < SHRT_MAX")

    monkeypatch.setattr("centerx.resize.warp_image", fail)
    with pytest.raises(InputError, match=r"\(4, 5, 3\) is too large"):
        Predictor(Told([], []))(picture(4, 5))


@pytest.mark.parametrize("thin", [(1, 70_000), (70_000, 1), (3, 40_000)])
def test_long_thin_pictures(onnx_file: Path, thin: tuple[int, int]) -> None:
    found = centerx.load(onnx_file)(picture(*thin))
    assert np.all((found.boxes >= 0) & (found.boxes <= [thin[1], thin[0]] * 2))


@pytest.mark.parametrize("file", ["onnx_file", "model_file", "maps_file", "openvino"])
def test_a_copy_and_a_pickle_open_the_file_anew(
    file: str, onnx_file: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, backend = (onnx_file, "openvino") if file == "openvino" else (request.getfixturevalue(file), None)
    monkeypatch.chdir(path.parent)
    predictor = centerx.load(path.name, backend)
    expected = predictor(picture(60, 80))
    content = pickle.dumps(predictor)
    assert len(content) < 2000
    monkeypatch.chdir(tmp_path)
    for other in (pickle.loads(content), copy.deepcopy(predictor), copy.copy(predictor)):
        assert type(other.session) is type(predictor.session)
        assert np.array_equal(other(picture(60, 80)).boxes, expected.boxes)
    assert copy.copy(predictor).session is predictor.session


def test_a_pickle_keeps_the_size_and_tells_of_a_lost_file(model_file: Path, tmp_path: Path) -> None:
    file = shutil.copy(model_file, tmp_path / "m.safetensors")
    content = pickle.dumps(centerx.load(file, input_hw=(64, 96)))
    assert pickle.loads(content).input_hw == (64, 96)
    file.unlink()
    with pytest.raises(InputError, match="no such model file"):
        pickle.loads(content)


def test_without_a_file_a_pickle_holds_the_session_itself() -> None:
    other = pickle.loads(pickle.dumps(Predictor(Told([[1, 2, 3, 4]], [0.5]))))
    assert other(picture(96, 128)).boxes.tolist() == [[1, 2, 3, 4]]


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
        return shown, found.where(box_area(found.boxes) > 0).above(0.5)

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
