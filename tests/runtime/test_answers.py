"""What a model file gives is checked against what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centerx.errors import InputError
from centerx.runtime.answers import rows_due
from centerx.runtime.header import read_metadata
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import read_outputs
from centerx.runtime.session import try_session
from centerx.types import RawDetections

INFO = ModelInfo(("cat", "dog"), (64, 96), 4)
METADATA = INFO.to_metadata()


def detections() -> dict[str, np.ndarray]:
    boxes = np.array([[[1, 2, 30, 40], [5, 6, 7, 8], [np.nan] * 4]], dtype=np.float32)
    return {"boxes": boxes, "scores": np.float32([[0.9, 0.5, 0]]), "labels": np.array([[0, 1, -7]])}


def maps() -> dict[str, np.ndarray]:
    return {
        "heatmap": np.full((1, 2, 16, 24), 0.1, np.float32),
        "size": np.ones((1, 2, 16, 24), np.float32),
        "offset": np.zeros((1, 2, 16, 24), np.float32),
    }


def test_good_answers_pass_and_places_without_a_peak_may_be_anything() -> None:
    assert read_outputs(detections(), INFO).scores[0].tolist() == pytest.approx([0.9, 0.5, 0])
    assert len(read_outputs(maps(), INFO).scores[0]) == 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", np.array([[0, 2, 0]])),
        ("labels", np.array([[0, -1, 0]])),
        ("labels", np.float32([[0, 1, 0]])),
        ("labels", np.array([[0, 1]])),
        ("labels", np.array(0)),
        ("scores", np.float32([[np.nan, 0.5, 0]])),
        ("scores", np.float32([[7, 0.5, 0]])),
        ("scores", np.float32([[-0.1, 0.5, 0]])),
        ("scores", np.float32([0.9, 0.5, 0])),
        ("scores", np.array([[1, 0, 0]])),
        ("boxes", np.zeros((1, 3, 5), np.float32)),
        ("boxes", np.zeros((1, 2, 4), np.float32)),
        ("boxes", np.zeros((1, 3, 4), np.int64)),
        ("boxes", np.full((1, 3, 4), np.inf, np.float32)),
        ("boxes", np.tile(np.float32([9, 0, 1, 5]), (1, 3, 1))),
    ],
)
def test_answers_that_do_not_fit(name: str, value: np.ndarray) -> None:
    with pytest.raises(InputError, match="the model gives"):
        read_outputs(detections() | {name: value}, INFO)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heatmap", np.full((1, 3, 16, 24), 0.1, np.float32)),
        ("heatmap", np.full((1, 2, 16), 0.1, np.float32)),
        ("heatmap", np.full((1, 2, 16, 24), 1.5, np.float32)),
        ("heatmap", np.full((1, 2, 16, 24), np.nan, np.float32)),
        ("size", np.ones((1, 2, 8, 24), np.float32)),
        ("size", np.ones((1, 1, 16, 24), np.float32)),
        ("offset", np.full((1, 2, 16, 24), np.inf, np.float32)),
        ("offset", np.zeros((1, 2, 16, 24), np.int64)),
    ],
)
def test_maps_that_do_not_fit(name: str, value: np.ndarray) -> None:
    with pytest.raises(InputError, match="the model gives"):
        read_outputs(maps() | {name: value}, INFO)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", "[64, Infinity]"), ("input_size", "[1000000000, 64]"), ("input_size", "[-64, 64]"),
        ("input_size", "[16384, 16384]"), ("input_size", "[4096, 4096]"), ("input_size", "[64.5, 64]"),
        ("input_size", "[true, 64]"),
        ("input_size", "[" * 100_000), ("input_size", "64"), ("input_size", "[64, 64, 64]"), ("input_size", "{}"),
        ("class_names", "[1, 2]"), ("class_names", "[]"), ("class_names", '"ab"'), ("class_names", '[""]'),
        ("class_names", '["a", "a"]'), ("class_names", '["\\u001b[31m"]'), ("class_names", '["\\ud800"]'),
        ("class_names", '["a\\nb"]'), ("class_names", json.dumps(list(map(str, range(100_001))))),
        ("class_names", "[" * 100_000), ("class_names", "[[]]"), ("class_names", "[null]"),
        ("stride", "0"), ("stride", "-4"), ("stride", "nan"), ("stride", "9" * 5000), ("stride", "1000000"),
        ("top_k", "0"), ("top_k", "1e9"), ("top_k", "9" * 20), ("range", "[NaN, 1]"), ("range", "{}"),
        ("corner_order", "any"), ("task", "\x1b[31m"), ("task", []), ("top_k", 3), ("origin", {}),
    ],
)  # fmt: skip
def test_metadata_that_no_model_has(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"^a\.onnx: ") as raised:
        ModelInfo.from_metadata(METADATA | {key: value}, "a.onnx")
    assert len(str(raised.value)) < 1000


def test_the_largest_input() -> None:
    assert ModelInfo.from_metadata(METADATA | {"input_size": "[2160, 3840]"}, "a.onnx").input_hw == (2160, 3840)


@pytest.mark.parametrize(
    ("stride", "top_k", "rows"), [(4, 100, 100), (4, 768, 768), (4, 5000, 768), (32, 100, 12), (64, 9, 2)]
)
def test_as_many_rows_as_the_metadata_say(stride: int, top_k: int, rows: int) -> None:
    assert rows_due(INFO._replace(stride=stride, top_k=top_k)) == rows


class Failing:
    info, any_size = INFO, False

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, images: np.ndarray) -> RawDetections:
        assert images.shape == (1, 3, 64, 96)
        raise self.error


@pytest.mark.parametrize("error", [ValueError("a\nb"), IndexError(), MemoryError(), RuntimeError("x" * 5000)])
def test_a_file_that_cannot_be_run_is_one_line(error: Any) -> None:
    with pytest.raises(InputError, match=r"^a\.onnx: cannot be run on a picture") as raised:
        try_session(Failing(error), Path("a.onnx"))
    assert "\n" not in str(raised.value)


def test_a_header_of_many_brackets(tmp_path: Path) -> None:
    header = b"[" * 1_000_000
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="too deep"):
        read_metadata(tmp_path / "a.safetensors")
