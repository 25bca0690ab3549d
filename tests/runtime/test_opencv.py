"""The OpenCV session as the rest of the runtime sees it, and as a user types it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from centerx.build_model import load_detector
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import difference, one, synthetic_images, verify
from centerx.runtime import load, open_session
from centerx.runtime.info import ModelInfo
from centerx.runtime.opencv import OpenCvSession, read_comments
from centerx.tasks import BOXES
from tests.cli.conftest import CommandLine, centerx  # noqa: F401 - a fixture
from tests.cli.test_predict import picture, save
from tests.cli.test_torch_free import COMMAND, run
from tests.interop.test_caffe import Picked

pytestmark = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromCaffe"), reason=f"OpenCV {cv2.__version__} reads no Caffe networks"
)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_any_batch_as_torch_finds_it(
    batch: int, model_file: Path, caffe_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = open_session(caffe_file)
    assert isinstance(session, OpenCvSession)
    assert session.info == ModelInfo(("red", "green", "blue"), (96, 128), 4, top_k=60)
    images = synthetic_images(batch, (96, 128))
    found, ours = session(images), open_session(model_file)(images)
    arrays = found.values["boxes"], found.scores, found.labels
    assert [each.shape for each in arrays] == [(batch, 60, 4), (batch, 60), (batch, 60)]
    assert [each.dtype for each in arrays] == [np.float32, np.float32, np.int64]
    assert list(found.values) == ["boxes"]
    assert session.info.class_names == ("red", "green", "blue")
    assert np.all(np.diff(found.scores, axis=1) <= 0)
    for row in range(batch):
        apart = difference(one(ours, row, BOXES), one(found, row, BOXES))
        assert apart.matched == 60
        assert apart.box < 0.01
        assert apart.score < 1e-4
    assert capfd.readouterr() == ("", "")


def test_the_exporter_can_check_it(model_file: Path, caffe_file: Path) -> None:
    assert "detections, boxes within 0.0" in verify(load_detector(model_file)[0], caffe_file)


def test_facts_survive_any_class_name(tmp_path: Path) -> None:
    names = ("Thrombozyt, groß\u2028", "白血球", 'a "b": #\n{')
    detector = Detector(Picked(classes=3), top_k=6)  # type: ignore[arg-type]
    export_model(detector, ModelInfo(names, (32, 32), 4), tmp_path / "a.prototxt", "caffe", ExportOptions("maps"))
    assert open_session(tmp_path / "a.prototxt").info == ModelInfo(names, (32, 32), 4, top_k=6)
    assert read_comments((tmp_path / "a.prototxt").read_bytes())["outputs"] == "maps"


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def exchange(path: Path, before: str, after: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert before in content
    path.write_text(content.replace(before, after), encoding="utf-8")


# what is done to (prototxt, caffemodel) -> what is said of which
BROKEN: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "no weights": (lambda net, weights: weights.unlink(), "a.caffemodel: missing"),
    "empty weights": (lambda net, weights: cut(weights, 0), "a.prototxt: "),
    "cut weights": (lambda net, weights: cut(weights, 1_000_000), "a.prototxt: "),
    "random weights": (lambda net, weights: weights.write_bytes(np.random.default_rng(0).bytes(9999)), "a.prototxt: "),
    "empty net": (lambda net, weights: cut(net, 0), "not a centerX model"),
    "cut net": (lambda net, weights: cut(net, 2000), "a.prototxt: "),
    "no facts": (lambda net, weights: exchange(net, "# ", "## "), "not a centerX model"),
    "bad facts": (lambda net, weights: exchange(net, "[96, 128]", "[96"), "metadata"),
    "other size": (lambda net, weights: exchange(net, "dim: 96", "dim: 192"), ""),
    "unknown layer": (lambda net, weights: exchange(net, '"Sigmoid"', '"Sigmund"'), "corrupt"),
    "other classes": (lambda net, weights: exchange(net, '"blue"', '"blue", "white"'), "gives maps of"),
    "no heatmap": (lambda net, weights: exchange(net, '"heatmap"', '"heat"'), "corrupt"),
    "nonsense": (lambda net, weights: net.write_bytes(np.random.default_rng(0).bytes(9999)), "not a centerX model"),
}
HARMLESS = {"other size"}  # the input decides


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_model_are_named_in_one_line(
    name: str, caffe_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = Path(shutil.copy(caffe_file, tmp_path / "a.prototxt"))
    weights = Path(shutil.copy(caffe_file.with_suffix(".caffemodel"), tmp_path / "a.caffemodel"))
    spoil, said = BROKEN[name]
    spoil(net, weights)
    if name in HARMLESS:
        assert open_session(net).info.input_hw == (96, 128)
        return
    with pytest.raises(InputError) as caught:
        open_session(net)
    assert str(caught.value).startswith(str(tmp_path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_opencv_without_the_importer_says_which_has_it(caffe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe")
    with pytest.raises(InputError, match=r"pip install 'opencv-python-headless<5'"):
        open_session(caffe_file)


def test_typed_by_a_user(centerx: CommandLine, model_file: Path, scenes: Path, tmp_path: Path) -> None:  # noqa: F811
    status, out, err = centerx("export", model_file, "--format", "caffe", "--size", "64x96", "--out", tmp_path)
    assert (status, err) == (0, "")
    assert "64x96" in out
    [made] = tmp_path.glob("*.prototxt")
    status, out, err = centerx("predict", made, save(tmp_path / "a.png"), "--json", tmp_path / "a.json")
    assert (status, err) == (0, "")
    assert json.loads((tmp_path / "a.json").read_text())[0]["detections"]


def test_evaluation_is_that_of_the_model(
    centerx: CommandLine,  # noqa: F811
    model_file: Path,
    caffe_file: Path,
    tmp_path: Path,
) -> None:
    """The truth is what the model finds, each box a little larger."""
    model = load(model_file)
    tree: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
    tree["categories"] = [{"id": label, "name": name} for label, name in enumerate(model.class_names)]
    for seed in range(4):
        file = save(tmp_path / f"{seed}.png", picture(seed))
        tree["images"].append({"id": seed, "file_name": file.name, "width": 120, "height": 90})
        found = model(file).above(0.3)
        for box, label in zip(found.boxes, found.labels, strict=True):
            sides = (box[2:] - box[:2]) * 1.1
            tree["annotations"].append({"id": len(tree["annotations"]), "image_id": seed, "category_id": int(label),
                                        "bbox": [*box[:2].tolist(), *sides.tolist()], "iscrowd": 0})  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(tree))
    figures = []
    for file in (model_file, caffe_file):
        judged = tmp_path / f"{file.suffix}.json"
        assert centerx("eval", file, tmp_path / "truth.json", "--json", judged)[0] == 0
        figures.append(json.loads(judged.read_text()))
    assert 0.1 < figures[0]["AP"] < 0.9
    assert figures[1]["AP"] == pytest.approx(figures[0]["AP"], abs=1e-3)


def test_prediction_needs_no_torch(caffe_file: Path, tmp_path: Path) -> None:
    status, out, err = run(COMMAND, "predict", caffe_file, save(tmp_path / "a.png"), "--json", tmp_path / "a.json")
    assert (status, err) == (0, "")
    assert "objects on 1 picture" in out
