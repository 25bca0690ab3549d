"""Networks with deformable convolutions as ONNX."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from centerx.build_model import build_detector
from centerx.config import load_config
from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting import FORMATS, ExportOptions, export_model
from centerx.exporting.parity import synthetic_images, verify
from centerx.exporting.tensorrt import require_operators
from centerx.runtime.info import ModelInfo
from tests.conftest import give_structure


def give_statistics(detector: Detector) -> None:
    """Batch norms as after some training: they neither leave what goes in as it is nor are they alike."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)


@pytest.mark.soak
@pytest.mark.parametrize("conv", ["deformable", "modulated"])
def test_the_operator_is_the_standard_one_and_agrees(conv: str, tmp_path: Path) -> None:
    neck = f"model.neck={{type: deconv, conv: {conv}, channels: [32, 24, 16]}}"
    config = load_config("nano", ["classes=[x,y]", "data.input_size=[64,96]", neck])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    for key, parameter in detector.named_parameters():
        if ".offset." in key:
            torch.nn.init.normal_(parameter, std=0.3)
    give_statistics(detector)
    path = tmp_path / "deform.onnx"
    export_model(detector, ModelInfo(("x", "y"), (64, 96), 4), path, "onnx", ExportOptions("maps"))
    graph = onnx.load(path).graph
    count = Counter(node.op_type for node in graph.node)
    assert (count["DeformConv"], count["BatchNormalization"]) == (3, 0)
    require_operators(graph)  # of TensorRT
    session = ort.InferenceSession(path)
    for batch in (1, 3):
        images = synthetic_images(batch, (64, 96))
        offset, size = session.run(["offset", "size"], {"images": images})
        with torch.inference_mode():
            expected = detector.model(torch.from_numpy(images))
        np.testing.assert_allclose(offset, expected.fields["offset"].numpy(), atol=1e-4, rtol=0)
        np.testing.assert_allclose(size, expected.fields["size"].numpy(), atol=1e-4, rtol=0)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "operator"),
    [("openvino", "DeformConv"), ("ncnn", r"torchvision\.deform_conv2d"), ("litert", "DeformConv")],
)
def test_a_format_without_it_says_where_it_is_and_the_way_out(
    name: str, operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CENTERX_ONNX2TF", "sh")  # a program that is there
    neck = "model.neck={type: deconv, conv: modulated, channels: [32, 24, 16]}"
    config = load_config("nano", ["classes=[x]", "data.input_size=[64,96]", neck])
    detector = build_detector(config).eval()
    outputs = FORMATS[name].outputs[0]
    said = rf"^{name}: no layer for {operator} \([a-z.]*neck\.stages\.0\.0.*\); export to onnx, or train without"
    with pytest.raises(InputError, match=said):
        export_model(detector, ModelInfo(("x",), (64, 96), 4), tmp_path / "a", name, ExportOptions(outputs))
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
def test_dla_with_aggregation_agrees(tmp_path: Path) -> None:
    model = "model={backbone: dla34, neck: {type: dla_up, conv: modulated}, head_channels: 16}"
    config = load_config("nano", ["classes=[x]", "data.input_size=64", model])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    give_structure(detector, (64, 64))
    export_model(detector, ModelInfo(("x",), (64, 64), 4, origin='{"code": "x"}'), tmp_path / "dla.onnx", "onnx")
    assert "scores within" in verify(detector, tmp_path / "dla.onnx")
    metadata = {prop.key: prop.value for prop in onnx.load(tmp_path / "dla.onnx").metadata_props}
    assert metadata["origin"] == '{"code": "x"}'
