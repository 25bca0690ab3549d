"""`centerx inspect`: what it tells of a file, and what it draws."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import centerx as package
from centerx.api.inspect import ANGLE, Inspection, _own_rows
from centerx.draw import class_colour
from centerx.joints import Joints
from centerx.runtime.info import ModelInfo
from tests.cli.conftest import CommandLine
from tests.runtime.foreign import graphs


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "scene.png"
    Image.fromarray(graphs.scene()).save(path)
    return path


def words(text: str) -> str:
    """A table without its lines and breaks."""
    return " ".join("".join(letter if ord(letter) < 0x2500 or ord(letter) > 0x257F else " " for letter in text).split())


def test_a_detector_of_another_project(centerx: CommandLine, picture: Path, tmp_path: Path) -> None:
    model = graphs.yolox(tmp_path / "model.onnx")
    status, out, err = centerx("inspect", model, "--picture", picture, "--out", tmp_path / "drawn.png")
    assert status == 0
    assert err == f"warning: {model}: 80 classes without names, taken as COCO's\n"
    told = words(out)
    for text in (
        "model yolox, task boxes",
        "centres relative to their cells on a grey picture",
        "input images 1x3x256x256 float32, used at 256x256",
        "the ratio is kept, top-left, padded with 114, bilinear",
        "colours channels B G R, bytes",
        "outputs output 1x1344x85 float32",
        "classes 80: person, bicycle, car, motorcycle, airplane, ...",
        "suppression IoU 0.45 within a class",
        "found 2 objects, scores add up to 1.70: truck, car",
        "channels R G B instead 2 objects",
        "stretched instead 2 objects",
    ):
        assert text in told
    drawn = np.asarray(Image.open(tmp_path / "drawn.png"))
    truck = class_colour(7)
    columns = np.nonzero((drawn == truck).all(axis=2).sum(axis=0) > 40)[0]
    assert (columns < 400).any()
    assert (columns > 400).any()  # on the picture and on the input beside it


def test_a_model_of_this_project(centerx: CommandLine, onnx_file: Path, picture: Path) -> None:
    status, out, err = centerx("inspect", onnx_file, "--picture", picture)
    assert (status, err) == (0, "")
    told = words(out)
    assert "model centerX, task boxes" in told
    assert "input images 96x128, bytes, channels R G B" in told
    assert "instead" not in told


@pytest.mark.parametrize(
    ("facts", "rows", "key"),
    [
        (
            {"task": "pose", "joints": Joints(("nose", "left_ear", "right_ear"), (0, 2, 1), ((0, 1), (0, 2)))},
            {
                "joints": "3: nose, left_ear, right_ear",
                "skeleton": "nose - left_ear, nose - right_ear",
                "mirror image": "left_ear for right_ear",
            },
            "joints",
        ),
        (
            {"task": "pose", "joints": Joints(("nose", "tail"), classes=((0,), (0, 1)))},
            {"skeleton": "none", "joints of cat": "nose", "joints of dog": "nose, tail"},
            "joints",
        ),
        (
            {"task": "quads", "corner_order": "labelled"},
            {"corners": "four, in the order of the labels"},
            "corner_order",
        ),
        ({"task": "rotated"}, {"angle": ANGLE}, None),
    ],
)
def test_what_objects_have_beside_boxes_is_shown(
    facts: dict[str, Any], rows: dict[str, str], key: str | None, tmp_path: Path
) -> None:
    info = ModelInfo(("cat", "dog"), (64, 64), 4, **facts)
    detector = SimpleNamespace(session=SimpleNamespace(info=info, any_size=False), input_hw=(64, 64))
    told = _own_rows(detector)  # type: ignore[arg-type]
    assert rows.items() <= told.items()
    tree = Inspection(tmp_path, detector, None, told).to_json()  # type: ignore[arg-type]
    if key is not None:
        assert key in tree
    if info.joints.flip:
        assert tree["joints"] == {
            "names": ["nose", "left_ear", "right_ear"],
            "pairs": [["left_ear", "right_ear"]],
            "skeleton": [["nose", "left_ear"], ["nose", "right_ear"]],
            "classes": {name: ["nose", "left_ear", "right_ear"] for name in ("cat", "dog")},
        }


def test_the_adapter_is_written_once_and_reads_the_file(centerx: CommandLine, tmp_path: Path) -> None:
    model = graphs.rt_detr(tmp_path / "model.onnx")
    status, out, _ = centerx("inspect", model, "--write")
    sidecar = tmp_path / "model.adapter.yaml"
    assert (status, out.splitlines()[-1]) == (0, f"{sidecar}: edit it where something is wrong")
    keys = yaml.safe_load(sidecar.read_text())
    assert keys["classes"] == "coco"
    assert keys["extra"] == {"orig_target_sizes": ["width", "height"]}
    status, out, err = centerx("inspect", model, "--write")
    assert (status, err) == (2, f"error: {sidecar}: is there already, edit it or move it away\n")
    assert "recognised by inputs images and orig_target_sizes" in words(out)


def test_an_adapter_that_is_given_is_shown(centerx: CommandLine, tmp_path: Path) -> None:
    model = graphs.yolox(tmp_path / "model.onnx", num_classes=9)
    adapter = tmp_path / "mine.yaml"
    adapter.write_text("{family: yolox, classes: [a, b, c, d, e, f, g, h, i], nms: 0.3}")
    status, out, err = centerx("inspect", model, "--adapter", adapter)
    assert (status, err) == (0, "")
    assert "IoU 0.3 within a class" in words(out)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "a.png"], "--out: the drawing is of a picture, give --picture too"),
        (["--picture", "none.png"], "none.png: no such image file, check the path"),
        (["--picture", "none.png", "--out", "a.txt"], "end the name in .png or .jpg"),
    ],
)
def test_wrong_words_are_told(centerx: CommandLine, onnx_file: Path, arguments: list[str], told: str) -> None:
    status, _, err = centerx("inspect", onnx_file, *arguments)
    assert status == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_model_of_this_project_gets_no_adapter(centerx: CommandLine, onnx_file: Path) -> None:
    status, _, err = centerx("inspect", onnx_file, "--write")
    assert (status, "says itself how it is read" in err) == (2, True)


def test_an_unknown_file_is_one_line(centerx: CommandLine, tmp_path: Path) -> None:
    status, out, err = centerx("inspect", graphs.unknown(tmp_path / "model.onnx"))
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert "places 1x7x4 float32, chances 1x7x3 float32" in err


def test_what_the_network_sees_is_the_array_that_it_gets(tmp_path: Path) -> None:
    inspection = package.inspect(graphs.nanodet_plus(tmp_path / "model.onnx"))
    view = inspection.view(graphs.scene())
    placed = inspection.detector.preprocess(graphs.scene()).image
    np.testing.assert_array_equal(view.seen, placed)
    np.testing.assert_allclose(view.seen_detections.boxes / [0.8, 1.6, 0.8, 1.6], view.detections.boxes, atol=1e-3)
    assert set(view.others) == {"channels R G B", "keeping the ratio"}
