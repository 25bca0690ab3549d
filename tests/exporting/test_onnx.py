"""The ONNX file as others read it: names, types, metadata, and boxes that can be worked out by hand."""

import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting import FORMATS, export_model, find_format
from centerx.exporting.parity import synthetic_images
from centerx.runtime.info import ModelInfo
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.made import box_maps

FLOAT, UINT8, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.INT64


class PixelsAreMaps(nn.Module):
    """A network without weights: every fourth pixel is a cell; red and green are two classes, blue is the side."""

    stride, task = 4, BOXES

    def forward(self, images: Tensor) -> Maps:
        cells = images[..., ::4, ::4].float()
        size = cells[:, 2:].expand(-1, 2, -1, -1) / 32
        return box_maps((cells[:, :2] - 128) / 16, size, torch.full_like(size, 0.5))


class AlmostFlat(PixelsAreMaps):
    """Logits that differ in their last digits, as those of a new network do."""

    def forward(self, images: Tensor) -> Maps:
        out = super().forward(images)
        return out._replace(heatmap=out.heatmap * 1e-5 - 4)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    """The weightless network, 4 by 5 cells, at most 6 boxes."""
    path = tmp_path_factory.mktemp("hand") / "hand.onnx"
    export_model(Detector(PixelsAreMaps(), top_k=6), ModelInfo(("r", "g"), (16, 20), 4), path, "onnx")  # type: ignore[arg-type]
    return ort.InferenceSession(path)


def signature(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[int, list[str | int]]]:
    """Element type and dimensions by name."""
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


def test_the_contract(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert signature(list(model.graph.input)) == {"images": (UINT8, ["batch", 3, 96, 128])}
    assert signature(list(model.graph.output)) == {
        "boxes": (FLOAT, ["batch", 60, 4]),
        "scores": (FLOAT, ["batch", 60]),
        "labels": (INT64, ["batch", 60]),
    }
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(metadata["class_names"]) == ["red", "green", "blue"]
    assert json.loads(metadata["input_size"]) == [96, 128]
    assert metadata["stride"] == "4"
    letterbox = json.loads(metadata["letterbox"])
    assert (letterbox["resize"], letterbox["place"], letterbox["pad_value"]) == ("fit", "top-left", 114)
    assert metadata["outputs"] == "detections"
    assert (model.producer_name, model.producer_version) == ("centerx", version("centerx"))


def test_the_contract_of_maps(maps_file: Path) -> None:
    model = onnx.load(maps_file)
    assert signature(list(model.graph.output)) == {
        "heatmap": (FLOAT, ["batch", 3, 24, 32]),
        "offset": (FLOAT, ["batch", 2, 24, 32]),
        "size": (FLOAT, ["batch", 2, 24, 32]),
    }
    assert {prop.key: prop.value for prop in model.metadata_props}["outputs"] == "maps"


def test_the_graph_has_no_ballast(onnx_file: Path) -> None:
    graph = onnx.load(onnx_file).graph
    count = Counter(node.op_type for node in graph.node)
    folded = {"BatchNormalization", "Identity", "Dropout", "Constant", "If", "Loop", "NonZero", "NonMaxSuppression"}
    assert not folded & count.keys()
    assert (count["Pad"], count["Slice"], count["Sigmoid"]) == (0, 0, 1)
    assert count["TopK"] == 2
    assert sum(count[each] for each in ("Conv", "Relu", "Add", "Resize")) > 0.6 * len(graph.node)
    assert not [node for node in graph.node if node.metadata_props or node.doc_string]  # traces of this machine
    made = {name: node.op_type for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in {"Cast", "Transpose", "Reshape", "Unsqueeze"}:
            assert made.get(node.input[0]) != node.op_type


def test_two_objects_by_hand(by_hand: ort.InferenceSession) -> None:
    images = np.zeros((2, 3, 16, 20), dtype=np.uint8)
    images[0, 1, 8, 12], images[0, 2, 8, 12] = 160, 32  # cell (3, 2): green, logit 2, one cell wide
    images[0, 0, 4, 4], images[0, 2, 4, 4] = 144, 64  # cell (1, 1): red, logit 1, two cells wide
    images[1, 0, 0, 0], images[1, 2, 0, 0] = 255, 255  # in the corner, clipped
    boxes, scores, labels = by_hand.run(["boxes", "scores", "labels"], {"images": images})
    assert boxes[0, :2].tolist() == [[12, 8, 16, 12], [2, 2, 10, 10]]
    np.testing.assert_allclose(scores[0, :2], [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))], rtol=1e-6)
    assert labels[0, :2].tolist() == [1, 0]
    np.testing.assert_allclose(boxes[1, 0], [0, 0, 2 + 4 * 255 / 32 / 2, 16])


def test_a_plateau_is_one_peak_in_the_runtime_too(by_hand: ort.InferenceSession) -> None:
    images = np.zeros((1, 3, 16, 20), dtype=np.uint8)
    images[:, 0, 4:12, 4:16] = 255  # 2 by 3 cells
    images[:, 1] = 200  # the whole channel
    images[:, 2] = 32  # one cell wide
    scores, labels = by_hand.run(["scores", "labels"], {"images": images})
    assert labels[0, scores[0] > 0.5].tolist() == [0, 1]


def test_scores_never_rise(tmp_path: Path) -> None:
    path = tmp_path / "flat.onnx"
    export_model(Detector(AlmostFlat(), top_k=200), ModelInfo(("r", "g"), (160, 160), 4), path, "onnx")  # type: ignore[arg-type]
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 160, 160), dtype=np.uint8)
    [scores] = ort.InferenceSession(path).run(["scores"], {"images": images})
    assert np.ptp(scores[scores > 0]) < 1e-5
    assert (np.diff(scores) <= 0).all()


def test_nothing_is_printed_and_the_detector_stays_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    detector = Detector(PixelsAreMaps(), top_k=6)  # type: ignore[arg-type]
    export_model(detector, ModelInfo(("r", "g"), (32, 32), 4), tmp_path / "a.onnx", "onnx")
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert detector.training


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"old")

    def full(file: Path, content: bytes) -> None:
        with file.open("wb") as opened:
            opened.write(content[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        export_model(Detector(PixelsAreMaps(), 6), ModelInfo(("r", "g"), (32, 32), 4), path, "onnx")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"


def test_maps_decode_to_the_same_boxes_in_a_few_lines_of_numpy(onnx_file: Path, maps_file: Path) -> None:
    images = synthetic_images(2, (96, 128))
    boxes, scores, labels = ort.InferenceSession(onnx_file).run(["boxes", "scores", "labels"], {"images": images})
    maps = ort.InferenceSession(maps_file).run(["heatmap", "offset", "size"], {"images": images})
    for k, (heatmap, offset, size) in enumerate(zip(*maps, strict=True)):
        label, y, x = np.nonzero(heatmap * (size > 0).all(axis=0))
        score = heatmap[label, y, x]
        best = np.argsort(-score, kind="stable")[: boxes.shape[1]]
        label, y, x, score = (each[best] for each in (label, y, x, score))
        centre = np.stack([x, y]) + offset[:, y, x]
        half = np.maximum(size[:, y, x], 0) / 2
        found = 4 * np.concatenate([centre - half, centre + half]).T
        np.testing.assert_allclose(score, scores[k], atol=1e-6)
        np.testing.assert_allclose(found.clip(0, [128, 96, 128, 96]), boxes[k], atol=1e-2)
        assert label.tolist() == labels[k].tolist()


def test_k_never_exceeds_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    export_model(Detector(PixelsAreMaps(), top_k=1000), ModelInfo(("r", "g"), (32, 64), 4), path, "onnx")  # type: ignore[arg-type]
    session = ort.InferenceSession(path)
    assert [output.shape[1] for output in session.get_outputs()] == [2 * 8 * 16] * 3
    assert session.run(["boxes"], {"images": synthetic_images(1, (32, 64))})[0].shape == (1, 256, 4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("onxx", "detections", "fp32"),
            "--format: unknown 'onxx' (did you mean 'onnx'?), known: onnx, openvino, ncnn, "
            "caffe, litert, tensorrt, torch-export, aotinductor, torchscript, web",
        ),
        (("onnx", "boxes", "fp32"), "--outputs: onnx cannot give 'boxes', it can give: detections, maps"),
        (
            ("onnx", "maps", "fp64"),
            "--precision: onnx cannot give 'fp64' (did you mean 'fp16'?), it can give: fp32, fp16, int8",
        ),
    ],
)
def test_a_format_that_cannot_do_it_says_what_it_can(asked: tuple[str, str, str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        find_format(*asked)
    assert str(caught.value) == said


def test_every_format_can_give_detections() -> None:
    for name, entry in FORMATS.items():
        assert find_format(name) is entry
