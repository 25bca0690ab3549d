"""A float32 ONNX graph -> half precision or int8, where decoding, which is cheap and exact, stays as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from centerx.exporting.common import quiet

CONVOLUTIONS = ("Conv", "ConvTranspose", "DeformConv")


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and network in float16, cast where tensors enter and leave it; pixels, decoding and outputs as before."""
    graph = model.graph
    name_nodes(graph)
    inside = network(graph)
    integers = {each.name for each in graph.initializer if each.data_type != onnx.TensorProto.FLOAT}
    weights = {each.name: each for each in graph.initializer if each.name not in integers}
    made = {name for node in graph.node if node.name in inside for name in node.output}
    read = {name for node in graph.node if node.name not in inside for name in node.input}
    read |= {output.name for output in graph.output}
    halved: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.name not in inside:
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if not name or name in integers or (node.op_type == "Resize" and place):  # its scales stay float32
                continue
            node.input[place] = half = f"{name}_half"
            if name in made or name in halved:
                continue
            halved.add(name)
            if name in weights:
                value = numpy_helper.to_array(weights[name]).astype(np.float16)
                graph.initializer.append(numpy_helper.from_array(value, half))
            else:
                nodes.append(onnx.helper.make_node("Cast", [name], [half], to=onnx.TensorProto.FLOAT16))
        nodes.append(node)
        for place, name in enumerate(node.output):
            node.output[place] = half = f"{name}_half"
            if name in read:
                nodes.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    for name in halved & weights.keys() - read:
        graph.initializer.remove(weights[name])
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model


def to_int8(model: onnx.ModelProto, pictures: np.ndarray, symmetric: bool) -> onnx.ModelProto:
    """Weights in int8 a channel, activations in 8 bits by what the pictures show (QDQ form).

    The last convolution of each branch of the head stays in float32: its few outputs are what boxes are read from.

    Args:
        model: float32. pictures: (N, 3, H, W) uint8 to calibrate on.
        symmetric: whether activations too are int8 about 0.
    """
    name_nodes(model.graph)
    inside = network(model.graph) - last_convolutions(model.graph)
    with tempfile.TemporaryDirectory() as folder, quiet():
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, before)
        quantize_static(
            before,
            after,
            Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=sorted(inside),
            extra_options={"ActivationSymmetric": symmetric},
        )
        return onnx.load(after)


class Pictures(CalibrationDataReader):
    """Hands pictures to the calibration one by one.

    Args:
        pictures: (N, 3, H, W) uint8.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        self.left = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, None at the end."""
        picture = next(self.left, None)
        return None if picture is None else {"images": picture[None]}


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name, which the tools need to leave some out."""
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"


def network(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions and of what lies between them: neither the pixels' normalisation nor the decoding."""
    after_one: set[str] = set()  # tensors that come from a convolution
    before_one: set[str] = set()  # tensors that lead to one
    for node in graph.node:
        if node.op_type in CONVOLUTIONS or after_one & set(node.input):
            after_one.update(node.output)
    for node in reversed(graph.node):
        if node.op_type in CONVOLUTIONS or before_one & set(node.output):
            before_one.update(node.input)
    return {
        node.name
        for node in graph.node
        if node.op_type in CONVOLUTIONS or (after_one & set(node.output) and before_one & set(node.output))
    }


def last_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions that no other follows."""
    inside = network(graph)
    followed = {name for node in graph.node if node.name in inside for name in node.input}
    return {node.name for node in graph.node if node.op_type in CONVOLUTIONS and not followed & set(node.output)}
