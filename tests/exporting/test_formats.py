"""Every format: the file answers as torch does, says what it is, and is whole or absent."""

import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from centerx.build_model import build_detector, load_detector
from centerx.config import load_config
from centerx.decode import peaks
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting import FORMATS, ExportOptions, export_model
from centerx.exporting.graphs import MapsGraph, PooledMapsGraph
from centerx.exporting.ncnn import name_blobs
from centerx.exporting.onnx import build_onnx
from centerx.exporting.parity import Difference, difference, one, run, synthetic_images, verify
from centerx.exporting.precision import last_convolutions, name_nodes, network
from centerx.exporting.tensorrt import require_operators, trtexec_line
from centerx.runtime import Predictor, open_session, trust_programs
from centerx.runtime.info import ModelInfo
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.made import box_maps

# AOTInductor compiles for a minute: a test of its own, below. Caffe and the web page have files of their own.
NAMES = ("heatmap", "offset", "size")
QUICK = ["onnx", "openvino", "ncnn", "tensorrt", "torch-export", "torchscript"]


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trust_programs():
        yield


@pytest.fixture(scope="module")
def model(model_file: Path) -> tuple[Detector, ModelInfo]:
    """The detector and its description."""
    return load_detector(model_file)


def compare(detector: Detector, path: Path, images: np.ndarray, reach: float = 1.0) -> Difference:
    """The largest differences over a batch."""
    ours, theirs = run(detector, images), open_session(path)(images)
    total = Difference(0.0, 0.0, 0, 0)
    for row in range(len(images)):
        total |= difference(one(ours, row, BOXES), one(theirs, row, BOXES), reach=reach)
    return total


@pytest.mark.parametrize("name", QUICK)
def test_the_file_answers_as_torch_does(name: str, model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    entry = FORMATS[name]
    path = tmp_path / f"model{entry.suffix}"
    export_model(detector, info, path, name, ExportOptions(entry.outputs[0]))
    session = open_session(path)
    assert session.info == info
    assert not session.any_size
    for batch in (1, 3):
        found = compare(detector, path, synthetic_images(batch, info.input_hw))
        assert found.small, found
    due = {path.name, *(path.with_suffix(suffix).name for suffix in entry.beside)}
    assert {file.name for file in tmp_path.iterdir()} == due


@pytest.mark.soak
def test_formats_give_as_many_as_asked(model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    """On a picture with more peaks than the 100 of a file that does not say."""
    top_k = 300
    detector, info = copy.deepcopy(model[0]), model[1]
    detector.decode.top_k = top_k
    image = synthetic_images(1, info.input_hw)[0].transpose(1, 2, 0)
    counts = {}
    for name, outputs in (("onnx", "detections"), ("onnx", "maps"), ("ncnn", "maps")):
        path = tmp_path / f"{outputs}{FORMATS[name].suffix}"
        export_model(detector, info, path, name, ExportOptions(outputs))
        session = open_session(path)
        assert session.info.top_k == top_k
        counts[name, outputs] = len(Predictor(session)(image).scores)
    assert min(counts.values()) > 100
    assert max(counts.values()) - min(counts.values()) <= 1, counts  # rounding


@pytest.mark.parametrize(
    ("name", "suffix", "outputs"),
    [
        ("onnx", ".onnx", "detections"),
        pytest.param("onnx", ".onnx", "maps", marks=pytest.mark.soak),
        pytest.param("openvino", ".xml", "detections", marks=pytest.mark.soak),
        pytest.param("openvino", ".xml", "maps", marks=pytest.mark.soak),
        pytest.param("torch-export", ".pt2", "detections", marks=pytest.mark.soak),
    ],
)
def test_any_size(name: str, suffix: str, outputs: str, model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    path = tmp_path / f"any{suffix}"
    export_model(detector, info, path, name, ExportOptions(outputs, any_size=True))
    session = open_session(path)
    assert session.any_size
    assert session.info.input_hw == info.input_hw
    for image_hw in ((64, 96), (160, 96)):
        found = compare(detector, path, synthetic_images(2, image_hw))
        assert found.small, (image_hw, found)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("onnx", ".onnx"), ("ncnn", ".ncnn.param"), pytest.param("tensorrt", ".trt.onnx", marks=pytest.mark.soak)],
)
def test_half_precision(name: str, suffix: str, model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    sizes = {}
    for precision in ("fp32", "fp16"):
        path = tmp_path / precision / f"model{suffix}"
        path.parent.mkdir()
        export_model(detector, info, path, name, ExportOptions(FORMATS[name].outputs[0], precision))
        sizes[precision] = sum(file.stat().st_size for file in path.parent.iterdir())
    assert sizes["fp16"] < 0.6 * sizes["fp32"]
    found = compare(detector, path, synthetic_images(3, info.input_hw), reach=2.0)
    assert found.matched > 20 * found.unmatched
    assert 1e-6 < found.score < 0.01
    assert found.box < 0.5


class Saturated(nn.Module):
    """A network of one convolution, whose logits differ by less than half precision can tell."""

    stride, task = 4, BOXES

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 5, 4, stride=4)
        nn.init.constant_(self.maps.weight, 0.0)
        with torch.no_grad():
            self.maps.weight[0, 0, 0, 0] = 1e-4  # the corner's red, 0 to 255, is 0 to 0.0255
            self.maps.weight[0, 1, 0, 0] = 0.1  # its green lifts a cell to where halves are 1/64 apart
            self.maps.bias.copy_(torch.tensor([-5.0, 2.0, 2.0, 0.5, 0.5]))  # type: ignore[union-attr]

    def forward(self, images: torch.Tensor) -> Maps:
        return box_maps(*self.maps(images.float() - 1).split((1, 2, 2), dim=1))


def test_peaks_survive_half_precision(tmp_path: Path) -> None:
    detector = Detector(Saturated(), top_k=20)  # type: ignore[arg-type]
    images = np.ones((1, 3, 64, 64), dtype=np.uint8)
    for row, column in ((1, 1), (8, 9)):  # two objects of 3 x 3 cells, each brightest in its middle by a hair
        images[0, 1, 4 * row : 4 * row + 12, 4 * column : 4 * column + 12] = 250
        images[0, 0, 4 * row + 4, 4 * column + 4] = 3
    found = {}
    for precision in ("fp32", "fp16"):
        path = tmp_path / f"{precision}.onnx"
        export_model(detector, ModelInfo(("x",), (64, 64), 4), path, "onnx", ExportOptions(precision=precision))
        scores = open_session(path)(images).scores[0]
        found[precision] = int((scores > 0.9).sum())
    assert found == {"fp32": 2, "fp16": 2}


@pytest.mark.soak
def test_int8_is_close_and_small(model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    options = ExportOptions(precision="int8", pictures=synthetic_images(16, info.input_hw))
    for name, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
        path = tmp_path / f"model{suffix}"
        export_model(detector, info, path, name, options)
        images = synthetic_images(4, info.input_hw)
        ours, theirs = run(detector, images), open_session(path)(images)
        # eight bits of a network without training: the scores of the picture's best places are alike, not equal
        assert np.abs(ours.scores[:, :10] - theirs.scores[:, :10]).max() < 0.2
    float_file = tmp_path / "float.onnx"
    export_model(detector, info, float_file, "onnx")
    assert (tmp_path / "model.onnx").stat().st_size < 0.4 * float_file.stat().st_size


def test_int8_leaves_the_ends_of_the_head_alone(model: tuple[Detector, ModelInfo]) -> None:
    detector, info = model
    options = ExportOptions(precision="int8", pictures=synthetic_images(4, info.input_hw))
    graph = build_onnx(detector, info, options, True).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    as_floats = [node for node in convolutions if node.input[1] in constants]
    assert sorted(constants[node.input[1]].shape[0] for node in as_floats) == [2, 2, 3]
    assert len(convolutions) > 20 * len(as_floats) / 3
    points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    assert points
    assert all(not constants[name].any() for name in points)  # symmetric, as TensorRT needs it
    scales = [constants[node.input[1]] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert any(scale.size > 1 for scale in scales)  # a scale for each channel of the weights


def test_what_counts_as_the_network() -> None:
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("Sub", ["images", "mean"], ["pixels"]),
            node("Conv", ["pixels", "w1"], ["a"]),
            node("Relu", ["a"], ["b"]),
            node("Conv", ["b", "w2"], ["c"]),
            node("Sigmoid", ["c"], ["d"]),
        ],
        "test", [], [],
    )  # fmt: skip
    name_nodes(graph)
    assert network(graph) == {"Conv_1", "Relu_2", "Conv_3"}
    assert last_convolutions(graph) == {"Conv_3"}


@pytest.mark.parametrize("preset", ["nano", "r18", "digits"])
def test_nothing_redundant_is_left(preset: str) -> None:
    config = load_config(preset, ["classes=[a, b]", "data.input_size=64", "model.pretrained=false"])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    graph = build_onnx(detector, ModelInfo(("a", "b"), (64, 64), 4), ExportOptions()).graph
    count = Counter(node.op_type for node in graph.node)
    convolutions = sum(isinstance(each, (nn.Conv2d, nn.ConvTranspose2d)) for each in detector.modules())
    assert count["Conv"] + count["ConvTranspose"] == convolutions
    assert not {"BatchNormalization", "Identity", "Constant", "Shape", "Mod"} & count.keys()
    made = {name: node for node in graph.node for name in node.output}
    (first,) = (node for node in graph.node if node.op_type == "Conv" and made[node.input[0]].op_type == "Sub")
    assert made[made[first.input[0]].input[0]].op_type == "Cast"  # pixels less their mean; the scale is in the weights


def test_pooled_peaks_are_peaks() -> None:
    class Same(nn.Module):
        stride, task = 4, BOXES

        def forward(self, images: torch.Tensor) -> Maps:
            return box_maps(images, images[:, :2], images[:, :2])

    detector = Detector(Same(), top_k=9)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-2, 1.0, 20.0):
        logits = torch.randn((2, 3, 40, 50), generator=generator) * scale
        for dtype in (torch.float32, torch.float16):
            values = logits.to(dtype)
            pooled, exact = PooledMapsGraph(detector)(values)[0], MapsGraph(detector)(values)[0]
            ties = (torch.nn.functional.max_pool2d(values, 3, 1, 1) == values) & ~peaks(values)
            assert torch.isfinite(pooled).all()
            assert torch.equal(pooled[~ties], exact[~ties])


def test_tensorrt_names_what_it_lacks(model: tuple[Detector, ModelInfo]) -> None:
    detector, info = model
    model_proto = build_onnx(detector, info, ExportOptions("detections", "fp16"))
    require_operators(model_proto.graph)
    weight = next(each.name for each in model_proto.graph.initializer if "backbone" in each.name)
    node = onnx.helper.make_node
    model_proto.graph.node.extend([
        node("Col2Im", ["x"], ["y"], name="n3"), node("Det", [weight], ["z"]), node("Col2Im", ["y"], ["u"], name="n4"),
    ])  # fmt: skip
    with pytest.raises(InputError) as caught:
        require_operators(model_proto.graph)
    module = weight.rpartition(".")[0]
    assert str(caught.value) == (
        f"tensorrt: no layer for Col2Im (n3 and 1 more), Det ({module}); export to onnx, or train without this part"
    )


def test_the_line_for_tensorrt() -> None:
    info = ModelInfo(("a",), (192, 256), 4)
    assert "'--onnx=a b/c.trt.onnx'" in trtexec_line(Path("a b/c.trt.onnx"), info)
    line = trtexec_line(Path("a/best-fp16.trt.onnx"), info)
    assert line == (
        "trtexec --onnx=a/best-fp16.trt.onnx --saveEngine=a/best-fp16.trt.engine --minShapes=images:1x3x192x256 "
        "--optShapes=images:1x3x192x256 --maxShapes=images:8x3x192x256 --stronglyTyped"
    )


def test_ncnn_blobs_get_their_names_and_foreign_layers_are_told() -> None:
    param = "7767517\n3 4\nInput in0 0 1 in0\nConvolution c 1 1 in0 out0 0=3\nSplit s 1 2 out0 out1 out2\n"
    lines = name_blobs(param, NAMES).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["Input", "in0", "0", "1", "images"],
        ["Convolution", "c", "1", "1", "images", "heatmap", "0=3"],
        ["Split", "s", "1", "2", "heatmap", "offset", "size"],
    ]
    with pytest.raises(InputError, match=r"ncnn: no layer for torch\.roll \(roll_0\)"):
        name_blobs(f"{param}torch.roll roll_0 1 1 out1 x\n", NAMES)
    weighted = f"{param}MemoryData neck.0 0 1 w 0=3\ntorchvision.deform_conv2d pnnx_9 2 1 out1 w x\n"
    with pytest.raises(InputError, match=r"torchvision\.deform_conv2d \(neck\.0\); export to onnx"):
        name_blobs(weighted, NAMES)


@pytest.mark.parametrize(
    "suffix", [".onnx", ".xml", ".ncnn.param", ".pt2", ".torchscript", ".aoti.pt2", ".safetensors"]
)
def test_a_corrupt_file_is_named(suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"bad") as caught:
        open_session(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


def test_a_file_that_differs_is_refused(model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    other = larger_boxes(detector)
    path = tmp_path / "other.onnx"
    export_model(other, info, path, "onnx")
    with pytest.raises(RuntimeError, match="differs from the model"):
        verify(detector, path, "fp32")


def larger_boxes(detector: Detector) -> Detector:
    """The detector, its boxes larger by a cell."""
    other = copy.deepcopy(detector)
    with torch.no_grad():
        other.model.head.size[-1].bias.add_(1.0)  # type: ignore[operator,union-attr]
    return other


def test_aotinductor_without_a_compiler(model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    without = torch._inductor.config.patch({"cpp.cxx": (str(tmp_path / "none"),)})
    with without, pytest.raises(InputError, match=r"no C\+\+ compiler is found, install g\+\+"):
        export_model(*model, tmp_path / "model.aoti.pt2", "aotinductor")


@pytest.mark.soak
def test_aotinductor(model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    path = tmp_path / "model.aoti.pt2"
    export_model(detector, info, path, "aotinductor")
    assert open_session(path).info == info
    found = compare(detector, path, synthetic_images(3, info.input_hw))
    assert found.small, found


@pytest.mark.parametrize("name", ["onnx", *(pytest.param(name, marks=pytest.mark.soak) for name in ("openvino",))])
def test_two_exports_are_equal_files(name: str, model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    entry = FORMATS[name]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"model{entry.suffix}"
        export_model(*model, path, name, ExportOptions(entry.outputs[0]))
    first, second = (
        {file.name: file.read_bytes() for file in sorted((tmp_path / folder).rglob("*")) if file.is_file()}
        for folder in ("a", "b")
    )
    assert first == second
