"""Caffe networks: OpenCV runs them, ONNX Runtime and torch judge, and the bytes are read by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from centerx.build_model import build_detector, model_info
from centerx.config import load_config, preset_names
from centerx.decode import peaks
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.interop.caffe import convert
from centerx.interop.caffe_schema import NetParameter
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import map_outputs
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.conftest import give_structure
from tests.made import box_maps

needs_importer = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromCaffe"), reason=f"OpenCV {cv2.__version__} reads no Caffe networks"
)
OPTIONS = ExportOptions("maps")


def read_files(path: Path, images: np.ndarray) -> list[np.ndarray]:
    """The maps that OpenCV finds, without this package's backend."""
    net = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    net.setInput(images.astype(np.float32))
    return list(net.forward(map_outputs(BOXES)))


def torch_maps(detector: Detector, images: np.ndarray) -> list[np.ndarray]:
    """The maps of the network itself, all but its peaks suppressed."""
    with torch.inference_mode():
        out = detector.model(torch.from_numpy(images))
        return [
            each.numpy()
            for each in (out.heatmap.sigmoid() * peaks(out.heatmap), out.fields["offset"], out.fields["size"])
        ]


def different_presets() -> list[str]:
    """One preset of each shipped network, but for what Caffe lacks: deformable convolutions, HGNet's padding."""
    models = {name: load_config(name, ["model.pretrained=false"]).model for name in preset_names()}
    plain = {
        model.model_dump_json(): name
        for name, model in models.items()
        if model.neck.conv == "plain" and "hgnet" not in model.backbone
    }
    return sorted(plain.values())


@needs_importer
@pytest.mark.parametrize("size", ["[96,128]", "[160,64]"])
@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        *((name, []) for name in different_presets()),
        ("nano", ["model.neck={type: deconv, channels: 32}"]),
        ("n", ["model.lengths=number"]),
    ],
)
def test_every_preset_gives_the_maps_of_torch(preset: str, overrides: list[str], size: str, tmp_path: Path) -> None:
    config = load_config(
        preset, ["classes=[red, green]", f"data.input_size={size}", "model.pretrained=false", *overrides]
    )
    torch.manual_seed(0)
    detector, info = build_detector(config), model_info(config)
    give_structure(detector, info.input_hw)
    export_model(detector, info, tmp_path / "a.prototxt", "caffe", OPTIONS)
    images = synthetic_images(3, info.input_hw)
    for ours, theirs in zip(torch_maps(detector, images), read_files(tmp_path / "a.prototxt", images), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
    heatmap, expected = read_files(tmp_path / "a.prototxt", images)[0], torch_maps(detector, images)[0]
    assert (expected > 0).sum() > 50
    np.testing.assert_array_equal(heatmap > 0, expected > 0)


class Picked(nn.Module):
    """A network without a backbone: every fourth pixel is a cell; red and green are two classes, blue is the side.

    Args:
        slope: logits a step of a pixel's value. level: logit of the value 128. classes: at most 3.
    """

    stride, task = 4, BOXES

    def __init__(self, slope: float = 1 / 16, level: float = 0.0, classes: int = 2) -> None:
        super().__init__()
        self.heatmap = nn.Conv2d(3, classes, 1, stride=4)
        self.size = nn.Conv2d(3, 2, 1, stride=4)
        with torch.no_grad():
            self.heatmap.weight.copy_(slope * torch.eye(3)[:classes, :, None, None])
            self.heatmap.bias.fill_(level - 128 * slope)  # type: ignore[union-attr]
            self.size.weight.copy_(torch.tensor([0.0, 0.0, 1 / 32]).view(1, 3, 1, 1).expand(2, 3, 1, 1))
            self.size.bias.zero_()  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Maps:
        size = self.size(images.float())
        return box_maps(self.heatmap(images.float()), size, size * 0 + 0.5)


def picked(path: Path, images: np.ndarray, **options: float) -> tuple[Detector, list[np.ndarray]]:
    detector = Detector(Picked(**options), top_k=6).eval()  # type: ignore[arg-type]
    height, width = images.shape[2:]
    export_model(detector, ModelInfo(("r", "g"), (height, width), 4), path, "caffe", OPTIONS)
    return detector, read_files(path, images)


@needs_importer
def test_maps_by_hand(tmp_path: Path) -> None:
    images = np.zeros((1, 3, 32, 64), np.uint8)
    images[0, 0, 8, 12], images[0, 2, 8, 12] = 160, 32  # cell (3, 2) is red, logit 2, one cell wide
    images[0, 0, 8, 16] = 159  # so is its neighbour, a little less
    images[0, 1, 16, 20:28], images[0, 1, 16, 40] = 144, 100  # two equal neighbours are green; one is below 0
    heatmap, offset, size = picked(tmp_path / "a.prototxt", images)[1]
    sigmoid = 1 / (1 + np.exp(-np.array([2.0, 1.0, -1.75])))
    assert heatmap.shape == (1, 2, 8, 16)
    np.testing.assert_allclose(heatmap[0, 0, 2, 3:5], [sigmoid[0], 0], rtol=1e-6)
    np.testing.assert_allclose(heatmap[0, 1, 4, [5, 6, 10]], sigmoid[[1, 1, 2]], rtol=1e-6)
    assert not heatmap[0, 0, [1, 3], 2:6].any()
    assert (size[0, :, 2, 3] == 1).all()
    assert (offset == 0.5).all()


@needs_importer
def test_all_but_the_peaks_are_exactly_zero_where_logits_hardly_differ(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 160, 160), dtype=np.uint8)
    detector, (heatmap, *_) = picked(tmp_path / "a.prototxt", images, slope=1e-6, level=-4.0)
    with torch.inference_mode():
        logits = detector.model(torch.from_numpy(images)).heatmap
    assert logits.max() - logits.min() < 3e-4
    largest = nn.functional.max_pool2d(logits, 3, 1, 1) == logits
    np.testing.assert_array_equal(heatmap != 0, largest.numpy())
    assert not (peaks(logits) & ~largest).any()


def wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a serialised message: number and content."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        length = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[place : place + length]
        place += length


# Numbers of https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
NUMBERS = {
    "concat_param": (104, {"axis": 2}),
    "convolution_param": (
        106,
        {"num_output": 1, "bias_term": 2, "pad": 3, "kernel_size": 4, "group": 5, "stride": 6, "pad_h": 9, "pad_w": 10,
         "kernel_h": 11, "kernel_w": 12, "stride_h": 13, "stride_w": 14, "dilation": 18},
    ),
    "eltwise_param": (110, {"operation": 1, "coeff": 2}),
    "pooling_param": (
        121,
        {"pool": 1, "kernel_size": 2, "stride": 3, "pad": 4, "kernel_h": 5, "kernel_w": 6, "stride_h": 7, "stride_w": 8,
         "pad_h": 9, "pad_w": 10, "global_pooling": 12},
    ),
    "power_param": (122, {"power": 1, "scale": 2, "shift": 3}),
    "relu_param": (123, {"negative_slope": 1}),
    "slice_param": (126, {"slice_point": 2, "axis": 3}),
    "scale_param": (142, {"axis": 1, "bias_term": 4}),
}  # fmt: skip


@pytest.mark.parametrize("parameter", NUMBERS)
def test_parameters_have_the_numbers_of_caffe(parameter: str) -> None:
    number, fields = NUMBERS[parameter]
    known = NetParameter().layer.add().DESCRIPTOR.fields_by_name[parameter].message_type.fields_by_name
    assert set(known) == set(fields)
    for field, inner in fields.items():
        message = NetParameter()
        repeated = field in ("coeff", "slice_point")
        message.layer.add(**{parameter: {field: [1] if repeated else 1}})
        [(outer, layer)] = wire(message.SerializeToString())
        [(place, content)] = wire(bytes(layer))
        [(found, _)] = wire(bytes(content))
        assert (outer, place, found) == (100, number, inner)


def test_a_layer_byte_by_byte() -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)
    net = convert(graph([helper.make_node("Conv", ["images", "w"], ["y"])], {"w": weight}, (1, 3, 4, 5)))
    name, entry, layer = wire(net.SerializeToString())
    assert name == (1, b"centerx")
    assert dict(wire(bytes(entry[1]))) == {
        1: b"images", 2: b"Input", 4: b"images", 143: bytes([10, 6, 10, 4, 1, 3, 4, 5])
    }  # fmt: skip
    fields = dict(wire(bytes(layer[1])))
    blob = dict(wire(bytes(fields.pop(7))))  # type: ignore[arg-type]
    settings = dict(wire(bytes(fields.pop(106))))  # type: ignore[arg-type]
    assert fields == {1: b"y", 2: b"Convolution", 3: b"images", 4: b"y"}
    assert settings == {1: 2, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1}
    assert blob == {5: weight.tobytes(), 7: bytes([10, 4, 2, 3, 1, 1])}


def graph(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: tuple[int, ...]) -> onnx.ModelProto:
    """An ONNX model from `images` to `y`, with the shapes of all between."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def node(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [to], name=f"{kind}_{to}", **attributes)


RNG = np.random.default_rng(0)
CHANNEL = np.array([0.5, -2.0, 3.0, 0.1], np.float32)
VALUES = {
    "w": RNG.normal(0, 1, (6, 4, 3, 3)).astype(np.float32),
    "tall": RNG.normal(0, 1, (6, 4, 3, 1)).astype(np.float32),
    "deep": RNG.normal(0, 1, (4, 1, 3, 3)).astype(np.float32),
    "up": RNG.normal(0, 1, (4, 3, 4, 4)).astype(np.float32),
    "bias": RNG.normal(0, 1, 6).astype(np.float32),
    "channel": CHANNEL.reshape(1, 4, 1, 1),
    "flat": CHANNEL,
    "positive": abs(CHANNEL),
    "two": np.float32(2),
    "low": np.float32(-0.5),
    "high": np.float32(1.5),
    "axes": np.array([2, 3]),
    "scales": np.array([1, 1, 3, 2], np.float32),
    "row": np.ones((1, 1, 1, 7), np.float32),
    "none": np.array([], np.float32),
    "parts": np.array([1, 3]),
}
REPEAT = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
SQUEEZED = [node("GlobalAveragePool", "images", to="gate")]
HALF = [node("Mul", "images", "two", to="other")]
WORKING: dict[str, list[onnx.NodeProto]] = {
    "conv": [node("Conv", "images", "w", "bias", pads=[1, 1, 1, 1], strides=[2, 2])],
    "conv of other sides": [node("Conv", "images", "tall", pads=[1, 0, 1, 0], strides=[2, 1])],
    "dilated": [node("Conv", "images", "w", pads=[2, 2, 2, 2], dilations=[2, 2])],
    "depthwise": [node("Conv", "images", "deep", group=4)],
    "transposed": [node("ConvTranspose", "images", "up", strides=[2, 2], pads=[1, 1, 1, 1], group=2)],
    "batch norm": [node("BatchNormalization", "images", "flat", "flat", "flat", "positive", epsilon=0.1)],
    "stem pool": [node("MaxPool", "images", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
    "pool": [node("MaxPool", "images", kernel_shape=[2, 3], strides=[2, 3])],
    "pool rounded up": [node("MaxPool", "images", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)],
    "average": [node("AveragePool", "images", kernel_shape=[2, 2], strides=[2, 2])],
    "average with padding": [
        node("AveragePool", "images", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], count_include_pad=1)
    ],
    "global": [node("GlobalAveragePool", "images")],
    "mean": [node("ReduceMean", "images", "axes", keepdims=1)],
    "repeat": [node("Resize", "images", "", "scales", **REPEAT)],
    "add": [*HALF, node("Add", "images", "other")],
    "subtract": [*HALF, node("Sub", "images", "other")],
    "multiply": [*HALF, node("Mul", "images", "other")],
    "larger": [*HALF, node("Max", "images", "other")],
    "gate": [*SQUEEZED, node("Mul", "images", "gate")],
    "gate first": [*SQUEEZED, node("Mul", "gate", "images")],
    "add number": [node("Add", "two", "images")],
    "subtract number": [node("Sub", "images", "two")],
    "subtract from number": [node("Sub", "two", "images")],
    "divide by number": [node("Div", "images", "two")],
    "subtract a channel": [node("Sub", "images", "channel")],
    "subtract from a channel": [node("Sub", "channel", "images")],
    "divide by a channel": [node("Div", "images", "channel")],
    "rectify": [node("Relu", "images")],
    "leak": [node("LeakyRelu", "images", alpha=0.2)],
    "sigmoid": [node("Sigmoid", "images")],
    "tanh": [node("Tanh", "images")],
    "clip": [node("Clip", "images", "low", "high")],
    "hard sigmoid": [node("HardSigmoid", "images", alpha=0.3, beta=0.4)],
    "hard swish": [node("HardSwish", "images")],
    "join": [*HALF, node("Concat", "images", "other", axis=1)],
    "exponential": [node("Exp", "images")],
    "divide": [node("Exp", "images", to="other"), node("Div", "images", "other")],
    "cut": [
        onnx.helper.make_node("Split", ["images", "parts"], ["first", "rest"], axis=1),
        node("Concat", "rest", "first", axis=1),
    ],
}


def used(nodes: list[onnx.NodeProto]) -> dict[str, np.ndarray]:
    """The constants of a few nodes."""
    return {name: VALUES[name] for each in nodes for name in each.input if name in VALUES}


@needs_importer
@pytest.mark.parametrize("hw", [(8, 12), (9, 13)], ids=str)
@pytest.mark.parametrize("name", WORKING)
def test_each_operator_as_onnx_runtime_has_it(name: str, hw: tuple[int, int]) -> None:
    images = np.random.default_rng(1).normal(0, 2, (1, 4, *hw)).astype(np.float32)
    model = graph(WORKING[name], used(WORKING[name]), images.shape)
    net = convert(model)
    weights = net.SerializeToString()
    read = cv2.dnn.readNetFromCaffe(*(np.frombuffer(each, np.uint8) for each in (text(net), weights)))
    read.setInput(images)
    [expected] = ort.InferenceSession(model.SerializeToString()).run(None, {"images": images})
    np.testing.assert_allclose(read.forward("y"), expected, rtol=1e-4, atol=1e-5)


def text(net: Any) -> bytes:
    """The network without its weights, as a prototxt."""
    bare = type(net)()
    bare.CopyFrom(net)
    for layer in bare.layer:
        layer.ClearField("blobs")
    return text_format.MessageToString(bare).encode()


REFUSED: dict[str, list[onnx.NodeProto]] = {
    "Conv with padding of [0, 0, 1, 1] (Conv_y)": [node("Conv", "images", "w", pads=[0, 0, 1, 1])],
    "Conv with dilation of [1, 2] (Conv_y)": [node("Conv", "images", "w", dilations=[1, 2])],
    "Conv with auto_pad (Conv_y)": [node("Conv", "images", "w", auto_pad="SAME_UPPER")],
    "Conv with weights that are computed (Conv_y)": [
        *SQUEEZED,
        node("Conv", "images", "gate"),
    ],
    "ConvTranspose with output_padding (ConvTranspose_y)": [
        node("ConvTranspose", "images", "up", strides=[2, 2], output_padding=[1, 1])
    ],
    "AveragePool with an average that leaves out its padding (AveragePool_y)": [
        node("AveragePool", "images", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    ],
    "Resize with anything but pixels repeated (Resize_y)": [node("Resize", "images", "", "scales", mode="linear")],
    "Add with shapes (1, 4, 8, 12) and (1, 4, 1, 1) (Add_y)": [*SQUEEZED, node("Add", "images", "gate")],
    "Mul with a constant of shape (1, 1, 1, 7) (Mul_y)": [node("Mul", "images", "row")],
    "Div with a constant (Div_y)": [node("Div", "two", "images")],
    "Clip with one bound (Clip_y)": [node("Clip", "images", "low")],
    "Sin (Sin_a and 1 more), Erf (Erf_b)": [
        node("Sin", "images", to="a"),
        node("Erf", "a", to="b"),
        node("Sin", "b"),
    ],
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_caffe_cannot_do_is_named(said: str) -> None:
    shape = (1, 4, 8, 7) if "row" in {name for each in REFUSED[said] for name in each.input} else (1, 4, 8, 12)
    with pytest.raises(InputError) as caught:
        convert(graph(REFUSED[said], used(REFUSED[said]), shape))
    assert str(caught.value) == f"caffe: no layer for {said}; export to onnx, or train without this part"


def test_a_backbone_that_caffe_cannot_run_leaves_nothing_behind(tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "data.input_size=[64,64]", "model.backbone=convnext_atto"])
    detector = build_detector(config).eval()
    with pytest.raises(InputError) as caught:
        export_model(detector, model_info(config), tmp_path / "a.prototxt", "caffe", OPTIONS)
    said = str(caught.value)
    assert all(f"{operator} (" in said for operator in ("LayerNormalization", "Gelu", "Transpose"))
    assert "model.backbone.net.stem_1" in said
    assert "export to onnx" in said
    assert not list(tmp_path.iterdir())


def test_two_files_are_written_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    detector = Detector(Picked(), top_k=6)  # type: ignore[arg-type]
    export_model(detector, ModelInfo(("r", "g"), (32, 32), 4), tmp_path / "a.v1.prototxt", "caffe", OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.v1.caffemodel", "a.v1.prototxt"]
    assert capfd.readouterr() == ("", "")
    assert detector.training


def test_the_prototxt_is_the_caffemodel_without_weights_and_ends_in_three_maps(caffe_file: Path) -> None:
    net = text_format.Parse(caffe_file.read_text(encoding="utf-8"), NetParameter())
    whole = NetParameter.FromString(caffe_file.with_suffix(".caffemodel").read_bytes())
    assert text(whole).decode() == text_format.MessageToString(net)
    tops = [top for layer in net.layer for top in layer.top]
    read = {bottom for layer in net.layer for bottom in layer.bottom}
    assert len(set(tops)) == len(tops)
    assert set(tops) - read == {"heatmap", "offset", "size"}
    classic = {"Input", "Convolution", "Deconvolution", "Scale", "Power", "ReLU", "Sigmoid", "Eltwise", "Pooling"}
    assert {layer.type for layer in net.layer} <= classic


def test_a_failed_export_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "a.prototxt", tmp_path / "a.caffemodel"
    for path in old:
        path.write_text("old")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        export_model(Detector(Picked(), 6), ModelInfo(("r", "g"), (32, 32), 4), old[0], "caffe", OPTIONS)  # type: ignore[arg-type]
    assert [path.read_text() for path in old] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == sorted(old)


def test_deformable_convolutions_are_refused_with_a_way_out(tmp_path: Path) -> None:
    neck = "model.neck={type: deconv, channels: 16, conv: modulated}"
    config = load_config("nano", ["classes=[red]", "data.input_size=64", neck])
    detector = build_detector(config).eval()
    with pytest.raises(InputError, match=r"caffe: no layer .*DeformConv \(model\.neck\..*; export to onnx"):
        export_model(detector, model_info(config), tmp_path / "a.prototxt", "caffe", OPTIONS)
    assert not list(tmp_path.iterdir())
