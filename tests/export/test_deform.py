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
from centerx.export import Request, export_model
from centerx.export.parity import painted, verify
from centerx.runtime.info import ModelInfo


@pytest.mark.parametrize("conv", ["deformable", "modulated"])
def test_the_operator_is_the_standard_one_and_agrees(conv: str, tmp_path: Path) -> None:
    neck = f"model.neck={{type: deconv, conv: {conv}, channels: [32, 24, 16]}}"
    config = load_config("nano", ["classes=[x,y]", "data.input_size=[64,96]", neck])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    for key, parameter in detector.named_parameters():
        if ".offset." in key:
            torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path / "deform.onnx"
    export_model(detector, ModelInfo(("x", "y"), (64, 96), 4), path, "onnx", Request("maps"))
    assert Counter(node.op_type for node in onnx.load(path).graph.node)["DeformConv"] == 3
    session = ort.InferenceSession(path)
    for batch in (1, 3):
        images = painted(batch, (64, 96))
        offset, size = session.run(["offset", "size"], {"images": images})
        with torch.inference_mode():
            expected = detector.model(torch.from_numpy(images))
        np.testing.assert_allclose(offset, expected.offset.numpy(), atol=1e-4, rtol=0)
        np.testing.assert_allclose(size, expected.size.numpy(), atol=1e-4, rtol=0)


def test_dla_with_aggregation_agrees(tmp_path: Path) -> None:
    model = "model={backbone: dla34, neck: {type: dla_up, conv: modulated}, head_channels: 16}"
    config = load_config("nano", ["classes=[x]", "data.input_size=64", model])
    torch.manual_seed(0)
    detector = build_detector(config).eval()
    export_model(detector, ModelInfo(("x",), (64, 64), 4, origin='{"code": "x"}'), tmp_path / "dla.onnx", "onnx")
    assert "scores within" in verify(detector, tmp_path / "dla.onnx")
    metadata = {prop.key: prop.value for prop in onnx.load(tmp_path / "dla.onnx").metadata_props}
    assert metadata["origin"] == '{"code": "x"}'
