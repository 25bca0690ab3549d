"""ONNX: one graph from uint8 pixels to boxes, or to maps with suppressed peaks."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxslim
import torch
from onnx import numpy_helper
from onnxscript import opset20
from torch import Tensor, nn

from centerx.detector import Detector
from centerx.exporting.common import quiet
from centerx.exporting.graphs import DetectionsGraph, MapsGraph, output_names, sample
from centerx.exporting.precision import to_half, to_int8
from centerx.exporting.registry import ExportOptions
from centerx.files import write_atomic
from centerx.runtime.info import ModelInfo

OPSET = 20


def export_onnx(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write a checked and simplified ONNX file with a dynamic batch size."""
    write_atomic(path, build_onnx(detector, info, options).SerializeToString())


def build_onnx(detector: Detector, info: ModelInfo, options: ExportOptions, symmetric: bool = False) -> onnx.ModelProto:
    """Return the model that `export_onnx` writes.

    Args:
        detector: the detector; not changed.
        info: metadata; its input size is that of the graph.
        options: outputs, precision and input size.
        symmetric: whether activations in int8 have a zero point of 0, which TensorRT needs.
    """
    graph = (DetectionsGraph if options.outputs == "detections" else MapsGraph)(copy.deepcopy(detector)).eval()
    model = trace(graph, *sample(info, options.any_size), output_names(detector.model.task, options.outputs))
    if options.precision == "fp16":
        model = to_half(model)
    elif options.precision == "int8":
        assert options.pictures is not None
        model = to_int8(model, options.pictures, symmetric)
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "centerx", version("centerx")
    facts = info.to_metadata() | {"outputs": options.outputs, "precision": options.precision}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return model


def trace(graph: nn.Module, images: Tensor, open_axes: dict[int, Any], names: Sequence[str]) -> onnx.ModelProto:
    """A graph of `export.graphs` as ONNX, slimmed.

    Args:
        graph: the module. images: (B, 3, H, W) of the type that it takes.
        open_axes: axes of the pictures that are left open, as `torch.export` takes them.
        names: of the graph's outputs.
    """
    with quiet():
        program = torch.onnx.export(
            graph,
            (images,),
            input_names=["images"],
            output_names=list(names),
            dynamic_shapes={"images": open_axes},
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten.floor_divide.default: divide_indices},
            dynamo=True,
        )
        assert program is not None
        model = program.model_proto
        fold_scale(model.graph)
        merge_norms(model.graph)
        return onnxslim.slim(model)


def divide_indices(dividend: Any, divisor: Any) -> Any:
    """Translate `//` of non-negative integers to one operator; the exporter's general translation needs eight."""
    return opset20.Div(dividend, opset20.CastLike(divisor, dividend))


def fold_scale(graph: onnx.GraphProto) -> None:
    """Divide the weights of the first convolution, not the pixels, by the standard deviation; in place.

    The subtraction of the mean stays. At the border the convolution pads with 0, which stands for the mean, and a bias
    cannot express this.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for division in graph.node:
        if division.op_type != "Div" or division.input[1] not in constants:
            continue
        users = [node for node in graph.node if division.output[0] in node.input]
        if not users or any(node.op_type != "Conv" or node.input[1] not in constants for node in users):
            continue
        divisor = numpy_helper.to_array(constants[division.input[1]])
        for convolution in users:
            weight = constants[convolution.input[1]]
            scaled = numpy_helper.to_array(weight) / divisor.reshape(1, -1, 1, 1)
            weight.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), weight.name))
            convolution.input[0] = division.input[0]
        graph.node.remove(division)
        return


def merge_norms(graph: onnx.GraphProto) -> None:
    """Merge batch norms into the deformable convolutions before them, in place; other tools merge plain ones only."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    read = Counter(name for node in graph.node for name in node.input)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        deformed = made.get(norm.input[0])
        if deformed is None or deformed.op_type != "DeformConv" or read[norm.input[0]] > 1:
            continue
        kernel, start = deformed.input[1], deformed.input[3]
        gain, shift, mean, variance, weight, bias = (
            numpy_helper.to_array(constants[name]).astype(np.float64) for name in (*norm.input[1:], kernel, start)
        )
        factor = gain / np.sqrt(variance + onnx.helper.get_node_attr_value(norm, "epsilon"))
        merged = {1: weight * factor.reshape(-1, 1, 1, 1), 3: (bias - mean) * factor + shift}
        for place, array in merged.items():
            deformed.input[place] = f"{kernel}_{place}"
            graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), deformed.input[place]))
        deformed.output[0] = norm.output[0]
        graph.node.remove(norm)
