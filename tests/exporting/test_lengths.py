"""Exported files of a network that says lengths as distributions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from centerx.build_model import build_detector, model_info
from centerx.config import load_config
from centerx.detector import Detector
from centerx.exporting import FORMATS, ExportOptions, export_model
from centerx.exporting.onnx import build_onnx
from centerx.exporting.parity import difference, one, run, synthetic_images
from centerx.runtime import open_session, trust_programs
from centerx.runtime.info import ModelInfo
from centerx.tasks import BOXES
from tests.conftest import give_structure
from tests.exporting.test_formats import QUICK, compare


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trust_programs():
        yield


@pytest.fixture(scope="module")
def model() -> tuple[Detector, ModelInfo]:
    config = load_config("n", ["classes=[a, b, c]", "data.input_size=[96, 128]"])
    torch.manual_seed(0)
    detector, info = build_detector(config), model_info(config)
    give_structure(detector, info.input_hw)
    return detector, info


@pytest.mark.parametrize("name", QUICK)
def test_the_file_answers_as_torch_does(name: str, model: tuple[Detector, ModelInfo], tmp_path: Path) -> None:
    detector, info = model
    path = tmp_path / f"model{FORMATS[name].suffix}"
    export_model(detector, info, path, name, ExportOptions(FORMATS[name].outputs[0]))
    found = compare(detector, path, synthetic_images(3, info.input_hw))
    assert found.small, found
    assert found.matched > 50


@pytest.mark.parametrize(("name", "precision"), [("onnx", "fp16"), ("openvino", "fp16"), ("onnx", "int8")])
def test_fewer_bits_keep_the_lengths(
    name: str, precision: str, model: tuple[Detector, ModelInfo], tmp_path: Path
) -> None:
    detector, info = model
    path = tmp_path / f"model{FORMATS[name].suffix}"
    pictures = synthetic_images(16, info.input_hw)
    export_model(detector, info, path, name, ExportOptions(FORMATS[name].outputs[0], precision, pictures=pictures))
    images = synthetic_images(3, info.input_hw)
    ours, theirs = run(detector, images), open_session(path)(images)
    both = [difference(one(ours, row, BOXES), one(theirs, row, BOXES), reach=8.0) for row in range(3)]
    assert sum(each.matched for each in both) > 50
    sides = [np.diff(each.values["boxes"].reshape(3, -1, 2, 2), axis=2) for each in (ours, theirs)]
    middle = [np.median(each) for each in sides]
    assert middle[1] == pytest.approx(middle[0], rel=0.1 if precision == "int8" else 0.01)


def test_the_logits_of_lengths_stay_floats_in_int8(model: tuple[Detector, ModelInfo]) -> None:
    detector, info = model
    options = ExportOptions(precision="int8", pictures=synthetic_images(4, info.input_hw))
    graph = build_onnx(detector, info, options, True).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    floats = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in constants]
    widths = sorted(constants[node.input[1]].shape[0] for node in floats)
    assert widths == [2, 3, 4, 44]  # offset, heatmap, sums of exponentials, logits
