"""Convert the network of a float32 ONNX graph to float16 or int8; its normalisation and decoding stay in float32."""

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
    """Convert weights and network to float16, in place, with casts where tensors enter and leave the network."""
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
    """Quantise weights to int8 per channel and activations to 8 bits (QDQ form).

    The last convolution of each branch of the head stays in float32, because boxes are read from its few outputs.

    Args:
        model: float32 model.
        pictures: (N, 3, H, W) uint8 for the calibration of activations.
        symmetric: whether activations are int8 with a zero point of 0, rather than uint8.

    Returns:
        The quantised model.
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
    """Reader that feeds the calibration with one picture at a time.

    Args:
        pictures: (N, 3, H, W) uint8.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        self.left = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input, None after the last."""
        picture = next(self.left, None)
        return None if picture is None else {"images": picture[None]}


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name, in place; the quantiser selects nodes by name."""
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"


def network(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the convolutions and the nodes between them, without normalisation and decoding."""
    named = convolutions(graph)
    after_one: set[str] = set()  # tensors computed from the output of a convolution
    before_one: set[str] = set()  # tensors that the input of a convolution is computed from
    for node in graph.node:
        if node.name in named or after_one & set(node.input):
            after_one.update(node.output)
    for node in reversed(graph.node):
        if node.name in named or before_one & set(node.output):
            before_one.update(node.input)
    return {
        node.name
        for node in graph.node
        if node.name in named or (after_one & set(node.output) and before_one & set(node.output))
    }


def last_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the convolutions that no node of the network follows."""
    inside = network(graph)
    followed = {name for node in graph.node if node.name in inside for name in node.input}
    named = convolutions(graph)
    return {node.name for node in graph.node if node.name in named and not followed & set(node.output)}


def convolutions(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the convolutions, but for those that decode distributions, which see exponentials."""
    decoding = {name for node in graph.node if node.op_type == "Exp" for name in node.output}
    return {node.name for node in graph.node if node.op_type in CONVOLUTIONS and node.input[0] not in decoding}
