"""What a file is given, and what is said of one that is not as its adapter says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centerx.errors import InputError
from centerx.runtime.foreign.recognise import recognise
from centerx.runtime.foreign.runner import Tensor
from centerx.runtime.foreign.session import tell_once
from tests.runtime.foreign.fakes import PICTURE, PLAIN, FakeRunner, opened

GOOD = {"boxes": np.float32([[[8, 16, 40, 48]]]), "scores": np.float32([[[0.2, 0.9]]])}
RGB = np.arange(3, dtype=np.uint8)[None, :, None, None] * np.ones((1, 1, 64, 96), np.uint8) * 100


def given(change: dict[str, Any], tensor: Tensor = PICTURE) -> np.ndarray:
    """What a file gets for a picture of red 0, green 100 and blue 200."""
    runner = FakeRunner(GOOD, (tensor,))
    opened(runner, PLAIN | {"input": change})(RGB)
    return runner.given[tensor.name]


def test_bytes_become_what_the_file_takes() -> None:
    seen = given({"colour": "bgr", "scale": 0.01, "mean": [1, 0, 0], "std": [1, 0.5, 2]})
    assert (seen.dtype, seen.shape) == (np.float32, (1, 3, 64, 96))
    np.testing.assert_allclose(seen[0, :, 0, 0], [1, 2, 0], atol=1e-6)
    assert given({}, PICTURE._replace(type="float16")).dtype == np.float16
    raw = given({}, Tensor("x", (1, 64, 96, 3), "uint8"))
    assert (raw.dtype, raw.shape, raw[0, 0, 0].tolist()) == (np.uint8, (1, 64, 96, 3), [0, 100, 200])
    assert given({}, Tensor("x", (3, 64, 96), "float32")).shape == (3, 64, 96)
    free = Tensor("x", (None, None, None, None), "float32")
    assert given({"layout": "nhwc", "size": [64, 96]}, free).shape == (1, 64, 96, 3)


def test_further_inputs() -> None:
    inputs = (PICTURE, Tensor("hw", (1, 2), "int64"), Tensor("scale", (None, 2), "float32"), Tensor("s", (1,), "int32"))
    runner = FakeRunner(GOOD, inputs)
    opened(runner, PLAIN | {"extra": {"hw": ["height", "width"], "scale": [1, 1], "s": "width"}})
    assert runner.given["hw"].tolist() == [[64, 96]]
    assert runner.given["hw"].dtype == np.int64
    assert runner.given["scale"].tolist() == [[1, 1]]
    assert runner.given["s"].tolist() == [96]


def test_rows_of_pictures_with_different_numbers_of_boxes() -> None:
    runner = FakeRunner(GOOD)
    session = opened(runner, PLAIN)
    counts = iter([1, 0])

    def check(_: Mapping[str, np.ndarray]) -> None:
        count = next(counts)
        runner.outputs = {name: array[:, :count] for name, array in GOOD.items()}

    runner.check = check
    found = session(np.zeros((2, 3, 64, 96), np.uint8))
    assert found.values["boxes"].shape == (2, 2, 4)
    np.testing.assert_allclose(found.scores, [[0.9, 0.2], [0, 0]])


def test_the_info() -> None:
    info = opened(FakeRunner(GOOD), PLAIN | {"input": {"resize": "stretch"}, "top_k": 7}).info
    assert (info.class_names, info.input_hw, info.top_k) == (("cat", "dog"), (64, 96), 7)
    assert not info.resize.keep_ratio


NAN = {**GOOD, "boxes": np.float32([[[np.nan, 0, 1, 1]]])}
FREE = PICTURE._replace(shape=(1, 3, None, None))
HUGE = {**GOOD, "boxes": np.float32([[[1, 1, 1e4, 1e4]]])}
NAMES_79 = [f"class {number}" for number in range(79)]
BAD: dict[str, tuple[Mapping[str, Any], tuple[Tensor, ...], dict[str, Any], str]] = {
    "a number": (NAN, (PICTURE,), {}, "boxes has numbers that are not finite"),
    "a box without end": (
        HUGE, (PICTURE,), {"boxes": {"outputs": "boxes", "format": "cxcywh", "size_activation": "exp"}},
        "boxes makes boxes that are not finite",
    ),
    "79 names": (
        {"boxes": np.zeros((1, 9, 4)), "scores": np.zeros((1, 9, 80))}, (PICTURE,), {"classes": NAMES_79},
        "scores has 80 columns of scores, but classes are numbered up to 78, so 79 are needed",
    ),
    "logits": ({**GOOD, "scores": np.float32([[[-3, 7]]])}, (PICTURE,), {}, "scores from -3 to 7, which are not"),
    "class beyond": (
        {**GOOD, "scores": np.float32([[0.5]]), "labels": np.int64([[2]])}, (PICTURE,),
        {"labels": {"output": "labels"}},
        "classes are numbered from 2 to 2, but names go from 0 to 1",
    ),
    "rank": ({**GOOD, "boxes": np.zeros((1, 9, 3))}, (PICTURE,), {}, "boxes has 3 columns, boxes xyxy need column 3"),
    "rows": ({**GOOD, "scores": np.zeros((1, 7, 2))}, (PICTURE,), {}, "scores is 1x7x2, which are not 1 rows"),
    "anchors": (
        {"boxes": np.zeros((1, 9, 4)), "scores": np.zeros((1, 9, 2))}, (PICTURE,),
        {"boxes": {"outputs": "boxes", "format": "ltrb", "anchors": {"strides": [32]}}}, "9x4, which are not 6 rows",
    ),
    "column of labels": (
        {**GOOD, "scores": np.float32([[0.5]]), "labels": np.int64([[1]])}, (PICTURE,),
        {"labels": {"output": "labels", "column": 3}}, "labels has 1 columns, labels need column 3",
    ),
    "empty count": ({**GOOD, "n": np.zeros(0)}, (PICTURE,), {"count": "n"}, "n is empty, so it tells no number"),
    "a grid without end": (
        GOOD, (PICTURE._replace(shape=(1, 3, 2048, 4096)),),
        {"boxes": {"outputs": "boxes", "anchors": {"strides": [1], "per_cell": 64}}},
        "anchors have 536870912 places on 2048x4096 pixels, 4194304 are the most",
    ),
    "a picture without end": (
        GOOD, (PICTURE._replace(shape=(1, 3, 9_000_000, 9_000_000)),), {}, "pictures of 9000000x9000000 pixels"
    ),
    "many large pictures": (GOOD, (FREE,), {"input": {"size": 16384}}, "and 8388608 in all are the most"),
    "bfloat16": (GOOD, (PICTURE._replace(type="bfloat16"),), {}, "images 1x3x64x96 bfloat16, which is no array of"),
    "no output": (GOOD, (PICTURE,), {"scores": {"outputs": "score"}}, "has no output score, it gives boxes 1x1x4"),
    "two inputs": (GOOD, (PICTURE, PICTURE._replace(name="b")), {}, "name the one for pictures in input.name"),
    "extra": (GOOD, (PICTURE,), {"extra": {"hw": [1]}}, "has no input hw"),
    "type": (GOOD, (PICTURE._replace(type="int64"),), {}, "pictures of float32, float16, uint8 alone"),
    "bytes": (GOOD, (PICTURE._replace(type="uint8"),), {"input": {"scale": 0.5}}, "leave out input.scale"),
    "axes": (GOOD, (PICTURE._replace(shape=(1, 100)),), {}, "pictures have 3 or 4 axes"),
    "batch": (GOOD, (PICTURE._replace(shape=(8, 3, 64, 96)),), {}, "8 pictures at once"),
    "grey": (GOOD, (PICTURE._replace(shape=(1, 1, 64, 96)),), {}, "3 channels are not found"),
    "either": (GOOD, (PICTURE._replace(shape=(1, None, 64, None)),), {}, "nchw or nhwc"),
    "size": (GOOD, (FREE,), {}, r"set input.size: \[height, width\]"),
    "other size": (GOOD, (PICTURE,), {"input": {"size": 32}}, "is another, leave it out"),
    "labels that are scores": (
        {**GOOD, "scores": np.float32([[0.5]]), "labels": np.float32([[0.87]])}, (PICTURE,),
        {"labels": {"output": "labels"}}, "0.87 is no number of a class, correct labels.output or labels.column",
    ),
    "labels without end": (
        {**GOOD, "scores": np.float32([[0.5]]), "labels": np.float32([[1e30]])}, (PICTURE,),
        {"labels": {"output": "labels"}}, "classes are numbered from 1000000015047466219876688855040 to",
    ),
    "half a count": ({**GOOD, "n": np.float32([0.7])}, (PICTURE,), {"count": "n"}, "n is 0.7, which is no number of 1"),
    "a count of more": ({**GOOD, "n": np.int32([2])}, (PICTURE,), {"count": "n"}, "n is 2, which is no number of 1"),
    "two counts": ({**GOOD, "n": np.int32([[1, 2]])}, (PICTURE,), {"count": "n"}, "n is 1x2, so it tells no number"),
    "a softmax of one": (
        {**GOOD, "scores": np.float32([[[0.5]]])}, (PICTURE,),
        {"classes": ["cat"], "scores": {"outputs": "scores", "activation": "softmax"}}, "a softmax is always 1",
    ),
    "white without end": (GOOD, (PICTURE,), {"input": {"scale": 1e38}}, "black and white are 0 and inf in float32"),
    "white as black": (GOOD, (PICTURE,), {"input": {"scale": 1e-300}}, "black and white are 0 and 0 in float32"),
    "frame": (GOOD, (PICTURE,), {"input": {"frame": "longest"}}, "input.frame cannot be longest"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_line_when_opened(name: str) -> None:
    outputs, inputs, change, message = BAD[name]
    with pytest.raises(InputError, match=message) as told:
        opened(FakeRunner(outputs, inputs), PLAIN | change)
    assert str(told.value).startswith("m.onnx: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("box", [[200, 1, 220, 9], [-9, 1, -3, 9], [20, 9, 10, 1], [0.1, 0.1, 0.9, 0.9]])
def test_boxes_that_are_none_are_told_once(box: list[float], caplog: pytest.LogCaptureFixture) -> None:
    tell_once.cache_clear()
    session = opened(FakeRunner({**GOOD, "boxes": np.float32([[box]])}), PLAIN)
    session(RGB)
    assert len(caplog.messages) == 1
    assert "every box of a picture lies outside the input or is smaller than a pixel" in caplog.text


def test_a_box_outside_beside_others_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    tell_once.cache_clear()
    boxes = {"boxes": np.float32([[[200, 1, 220, 9], [1, 1, 9, 9]]]), "scores": np.float32([[[0.9, 0], [0, 0.8]]])}
    found = opened(FakeRunner(boxes), PLAIN)(RGB)
    assert found.values["boxes"].tolist() == [[[1, 1, 9, 9]]]
    assert not caplog.messages


def test_a_classifier_is_one() -> None:
    for shape in ((1, 1000), (None, 1000)):
        runner = FakeRunner({"probabilities": np.zeros((1, 1000))})
        runner.declared = runner.declared._replace(outputs=(Tensor("probabilities", shape, "float32"),))
        with pytest.raises(InputError, match=r"probabilities .*x1000 .* a classifier, give a detector"):
            opened(runner)


def test_an_unknown_file_shows_the_adapter_to_write() -> None:
    outputs = {"where": np.zeros((1, 9, 4), np.float32), "what": np.zeros((1, 9, 2), np.float32)}
    with pytest.raises(InputError) as told:
        opened(FakeRunner(outputs))
    message = str(told.value)
    assert "not recognised, gives where 1x9x4 float32, what 1x9x2 float32; write m.adapter.yaml" in message
    import yaml

    shown = yaml.safe_load(message.partition("such as: ")[2])
    assert opened(FakeRunner(outputs), shown).info.class_names == ("class 0", "class 1")


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": np.full((1, 9, 2), 0.1), "boxes": np.tile([1, 1, 9, 9], (1, 9, 1))},  # two classes of somebody
        {"map": np.full((1, 85, 4, 6), 0.1)},  # a picture cut into 85 kinds of things, or a grid of YOLO
    ],
)
def test_what_only_looks_like_a_family_is_not_recognised(outputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not recognised"):
        opened(FakeRunner({name: each.astype(np.float32) for name, each in outputs.items()}))


def test_names_that_the_file_carries() -> None:
    outputs = {"o": np.zeros((1, 126, 7), np.float32)}
    session = opened(FakeRunner(outputs, metadata={"names": "{0: 'cat', 1: 'dog'}"}))
    assert session.info.class_names == ("cat", "dog")
    with pytest.raises(InputError, match=r"a file of yolox with 2 classes that it does not name, write m.adapter.yaml"):
        opened(FakeRunner(outputs))
    assert opened(FakeRunner(outputs), {"classes": ["a", "b"]}).info.class_names == ("a", "b")


def test_the_sidecar_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.adapter.yaml").write_text("family: yolox\nclasses: [a, b]\nnms: 0.9\n")
    runner, other = FakeRunner({"o": np.zeros((1, 126, 7))}), FakeRunner({"o": np.zeros((1, 5))})
    adapter = recognise(tmp_path / "m.onnx", runner.declared, None, runner).adapter
    assert (adapter.class_names, adapter.nms, adapter.boxes.outputs) == (("a", "b"), 0.9, ("o",))
    with pytest.raises(InputError, match=r"m.adapter.yaml: family yolox has other inputs or outputs than .*, o 1x5"):
        recognise(tmp_path / "other.onnx", other.declared, tmp_path / "m.adapter.yaml", other)
    with pytest.raises(InputError, match=r"unknown \(did you mean 'yolox'\?\)"):
        recognise(tmp_path / "m.onnx", runner.declared, {"family": "yolx"}, runner)


def test_a_tflite_file_that_takes_no_bytes_gets_minus_one_to_one(caplog: pytest.LogCaptureFixture) -> None:
    name = "TFLite_Detection_PostProcess"
    rows = [[[0.25, 0.25, 0.75, 0.5]]], [[2.0]], [[0.9]], [1.0]
    outputs = {f"{name}{suffix}": np.float32(row) for suffix, row in zip(("", ":1", ":2", ":3"), rows, strict=True)}
    for dtype, seen in (("float32", [-1, -27.5 / 127.5, 72.5 / 127.5]), ("uint8", [0, 100, 200])):
        caplog.clear()
        runner = FakeRunner(outputs, (Tensor(f"pictures of {dtype}", (1, 64, 96, 3), dtype),))
        tell_once.cache_clear()
        session = opened(runner)
        assert session.adapter.family == "tflite-detection"
        found = session(RGB)
        np.testing.assert_allclose(runner.given[f"pictures of {dtype}"][0, 0, 0], seen, atol=1e-6)
        np.testing.assert_allclose(found.values["boxes"][0, 0], [24, 16, 48, 48])
        assert session.info.class_names[int(found.labels[0, 0])] == "car"
        assert ("(x - 127.5) / 127.5" in caplog.text) == (dtype == "float32")


NAMES_OF_79 = {"names": str({number: f"thing {number}" for number in range(79)})}


@pytest.mark.parametrize(
    ("family", "inputs", "shapes"),
    [
        ("yolox", PICTURE, [("o", (1, 126, 85))]),
        ("yolo-v5", PICTURE._replace(name="x"), [("o", (1, 378, 85))]),
        ("yolo-v8", PICTURE, [("o", (1, 84, 126))]),
        ("nanodet-plus", PICTURE._replace(name="data"), [("output", (1, 128, 112))]),
        ("fastestdet", PICTURE, [("o", (1, 85, 4, 6))]),
    ],
)
def test_another_number_of_names_than_classes_is_refused(
    family: str, inputs: Tensor, shapes: list[tuple[str, tuple[int, ...]]]
) -> None:
    outputs = {name: np.full(shape, 1 / 80, np.float32) for name, shape in shapes}  # 80 shares, which make 1
    with pytest.raises(
        InputError, match=f"a file of {family} with 80 classes but 79 names in its metadata, write m.ad"
    ):
        opened(FakeRunner(outputs, (inputs,), NAMES_OF_79))
    names = [f"thing {number}" for number in range(80)]
    assert opened(FakeRunner(outputs, (inputs,), NAMES_OF_79), {"classes": names}).info.class_names == tuple(names)


def test_90_columns_with_other_names_are_not_taken_for_coco() -> None:
    picture = PICTURE._replace(shape=(1, 3, 128, 128))
    outputs = {"regression": np.zeros((1, 3069, 4)), "classification": np.zeros((1, 3069, 90))}
    with pytest.raises(InputError, match="efficientdet-zylo with 90 classes but 79 names in its metadata"):
        opened(FakeRunner(outputs, (picture,), NAMES_OF_79))


@pytest.mark.parametrize("name", ["{1000000000000: 'cat', 1: 'dog'}"])
def test_numbers_of_metadata_are_bounded(name: str) -> None:
    with pytest.raises(InputError, match=r"m.onnx: classes: numbers of classes are 0 to 65535"):
        opened(FakeRunner({"o": np.zeros((1, 126, 7), np.float32)}, metadata={"names": name}))


def test_the_size_of_metadata_is_bounded() -> None:
    with pytest.raises(InputError, match=r"m.onnx: pictures of 9000000x9000000 pixels, but 16384 a side"):
        opened(FakeRunner({"o": np.zeros((1, 126, 7))}, (FREE,), {"imgsz": "[9000000, 9000000]"}))
