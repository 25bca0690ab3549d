"""Real files of other projects: what is found equals an independent decoding, and the publisher's own boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import centerx
from centerx.runtime import Predictor
from centerx.runtime.foreign.adapter import parse_adapter
from centerx.runtime.foreign.session import ForeignSession
from centerx.types import Detections
from tests.runtime.foreign.reference import DECODERS, Hit

# What has to be said of a file that the table of families does not tell alone.
ADAPTERS: dict[str, dict[str, Any]] = {
    "rtmdet_nano_person_320.onnx": {"input": {"size": 320}, "classes": ["person"]},
    "ulfg_rfb_320.onnx": {"family": "ultraface"},
    "ulfg_rfb_320_raw.onnx": {"family": "ultraface-raw"},
}
FILES = list(DECODERS)


@cache
def open_file(folder: Path, name: str) -> Predictor:
    """The predictor of a file, which is opened once for all tests."""
    if name.endswith(".tflite") and find_spec("ai_edge_litert") is None:
        pytest.skip("ai_edge_litert is not installed, which runs .tflite files")
    return centerx.load(folder / "foreign_detectors" / name, adapter=ADAPTERS.get(name))


def changed(predictor: Predictor, change: dict[str, Any]) -> Predictor:
    """A predictor of the same opened file with keys of its adapter replaced."""
    session = predictor.session
    assert isinstance(session, ForeignSession)
    keys = merged(json.loads(session.adapter.model_dump_json(exclude_unset=True)), change)
    return Predictor(ForeignSession(session.path, session.runner, parse_adapter(keys, session.path)))


def merged(tree: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return tree | {
        key: merged(tree.get(key, {}), value) if isinstance(value, dict) else value for key, value in change.items()
    }


def pictures(folder: Path, name: str) -> list[tuple[Path, list[list[Any]], float]]:
    """The pictures of a file with its publisher's boxes, and the score from which on they are told."""
    entry = json.loads((folder / "foreign_detectors" / "expected.json").read_text())[name]
    boxes = entry.get("boxes") or entry["quads"]
    return [(folder / picture, found, entry["score_threshold"]) for picture, found in boxes.items()]


def extent(box: np.ndarray) -> np.ndarray:
    """Xyxy around two or four points."""
    pairs = np.asarray(box).reshape(-1, 2)
    return np.concatenate([pairs.min(axis=0), pairs.max(axis=0)])


def differs(found: Detections, hits: list[Hit]) -> str:
    """Where detections are not those of the reference, within half a pixel and a thousandth; empty where they are."""
    if len(found) != len(hits):
        return f"{len(found)} boxes instead of {len(hits)}"
    left = list(range(len(found)))
    for hit in hits:
        fitting = [
            row
            for row in left
            if found.class_names[found.labels[row]] == hit.name
            and abs(found.scores[row] - hit.score) <= 1e-3
            and np.abs(found.boxes[row] - extent(hit.box)).max() <= 0.5
        ]
        if not fitting:
            return f"no {hit}"
        left.remove(fitting[0])
    return ""


@cache
def reference(folder: Path, name: str, picture: Path, floor: float) -> list[Hit]:
    """What an independent decoding finds."""
    return DECODERS[name](folder / "foreign_detectors" / name, cv2.imread(str(picture)), floor)


@cache
def find(folder: Path, name: str, picture: Path) -> Detections:
    """What is found by the right adapter."""
    return open_file(folder, name)(picture)


def compare(folder: Path, name: str, predictor: Predictor | None = None) -> Iterator[str]:
    """The differences on each picture, by the right adapter or those of a predictor."""
    for picture, _, floor in pictures(folder, name):
        found = predictor(picture) if predictor else find(folder, name, picture)
        yield differs(found.where(found.scores > np.float32(floor)), reference(folder, name, picture, floor))


@pytest.mark.parametrize("name", FILES)
def test_boxes_are_those_of_an_independent_decoding(name: str, shared_data: Path) -> None:
    assert list(compare(shared_data, name)) == ["", "", ""]


@pytest.mark.parametrize("name", FILES)
def test_boxes_are_those_of_the_publisher(name: str, shared_data: Path) -> None:
    for picture, expected, floor in pictures(shared_data, name):
        found = find(shared_data, name, picture)
        hits = [Hit(label, score, np.array(box)) for label, score, *box in expected]
        assert differs(found.where(found.scores > np.float32(floor)), hits) == ""


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("yolox_nano_416.onnx", {"input": {"resize": "stretch"}}),
    ("yolox_nano_416.onnx", {"input": {"colour": "rgb"}}),
    ("yolox_nano_416.onnx", {"input": {"place": "center"}}),
    ("yolox_nano_416.onnx", {"boxes": {"anchors": {"strides": [8, 16, 32], "offset": 0.5}}}),
    ("nanodet_m_320.onnx", {"input": {"pad_value": 114}}),
    ("nanodet_m_320.onnx", {"input": {"filter": "bilinear"}}),
    ("nanodet_m_320.onnx", {"input": {"mean": [123.675, 116.28, 103.53]}}),
    ("picodet_s_320.onnx", {"input": {"resize": "fit"}}),
    ("picodet_s_320.onnx", {"input": {"colour": "bgr"}}),
    ("fastestdet_352.onnx", {"boxes": {"center_activation": "sigmoid"}}),
    ("fastestdet_352.onnx", {"scores": {"power": 0.5}}),
    ("fastestdet_352.onnx", {"scores": {"multi_label": True}}),
    ("ssd_mobilenet_v1_coco_quant_300.tflite", {"first_class": 1}),
    ("ssd_mobilenet_v1_coco_quant_300.tflite", {"classes": "coco"}),
    ("ssd_mobilenet_v1_coco_quant_300.tflite", {"boxes": {"format": "xyxy"}}),
    ("rtmdet_nano_person_320.onnx", {"input": {"rounding": "round"}}),
    ("centerface.onnx", {"boxes": {"columns": [0, 1, 2, 3]}}),
    ("centerface.onnx", {"input": {"frame": "picture"}}),
    ("ulfg_rfb_320.onnx", {"input": {"mean": [0, 0, 0]}}),
    ("ulfg_rfb_320_raw.onnx", {"boxes": {"variances": [0.2, 0.1]}}),
    ("yunet_2021_120x160.onnx", {"boxes": {"variances": [0.1, 0.2]}}),
    ("yunet_2026may.onnx", {"scores": {"power": 1.0}}),
    ("blazeface_short_128.tflite", {"input": {"place": "top-left"}}),
    ("blazeface_full_192.tflite", {"input": {"colour": "bgr"}}),
    ("lpd_yunet_2022may.onnx", {"input": {"resize": "stretch"}}),
    ("lpd_yunet_2022may.onnx", {"boxes": {"columns": [4, 5, 6, 7, 8, 9, 10, 11]}}),
]


@pytest.mark.parametrize(("name", "change"), WRONG, ids=lambda value: value if isinstance(value, str) else str(value))
def test_a_wrong_adapter_shows(name: str, change: dict[str, Any], shared_data: Path) -> None:
    """On one of the pictures at least; often when the file is opened."""
    right = open_file(shared_data, name)
    with suppress(centerx.InputError):
        assert any(compare(shared_data, name, changed(right, change)))


def test_the_corners_of_a_plate(shared_data: Path) -> None:
    """They are in the outputs of the session, for whoever reads corners."""
    name = "lpd_yunet_2022may.onnx"
    predictor = open_file(shared_data, name)
    for picture, expected, _ in pictures(shared_data, name):
        placed = predictor.preprocess(picture)
        raw = predictor.session(np.ascontiguousarray(placed.image.transpose(2, 0, 1)[None]))
        corners = placed.letterbox.to_source(raw.values["corners"][0, 0])
        np.testing.assert_allclose(corners, expected[0][2:], atol=0.1)


@pytest.mark.parametrize("name", ["yolox_nano_416.onnx", "centerface.onnx", "yunet_2026may.onnx"])
def test_openvino_finds_the_same(name: str, shared_data: Path) -> None:
    pytest.importorskip("openvino")
    path = shared_data / "foreign_detectors" / name
    assert list(compare(shared_data, name, centerx.load(path, "openvino"))) == ["", "", ""]
