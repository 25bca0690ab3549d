"""Export to Caffe: a prototxt and a caffemodel with maps as outputs, in layers of BVLC's Caffe 1.0 and OpenCV 4."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf import text_format
from onnx import NodeProto, numpy_helper

from centerx.detector import Detector
from centerx.exporting.common import node_location, require_supported
from centerx.exporting.graphs import PooledMapsGraph, output_names
from centerx.exporting.onnx import trace
from centerx.exporting.registry import ExportOptions
from centerx.files import new_files
from centerx.interop.caffe_schema import NetParameter
from centerx.runtime.info import ModelInfo

Attributes = dict[str, Any]


def export_caffe(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write NAME.prototxt at `path`, with the metadata as comments, and the weights in NAME.caffemodel beside it.

    Raises:
        InputError: Caffe does not support parts of the network; all of them are named.
    """
    graph = PooledMapsGraph(copy.deepcopy(detector)).eval()
    net = convert(
        trace(graph, torch.zeros((1, 3, *info.input_hw)), {}, output_names(detector.model.task, options.outputs))
    )
    weights = net.SerializeToString()
    for layer in net.layer:
        layer.ClearField("blobs")
    facts = info.to_metadata() | {"outputs": options.outputs}
    comments = "".join(f"# {key}: {value}\n" for key, value in facts.items())
    with new_files(path) as made:
        made.write_text(comments + text_format.MessageToString(net), encoding="utf-8")
        made.with_suffix(".caffemodel").write_bytes(weights)


class Unsupported(Exception):
    """A property of a node that Caffe does not support; an empty text stands for the operator itself."""


class CaffeNet:
    """A Caffe network that is built from an ONNX graph of fixed shapes.

    Args:
        graph: the ONNX graph.

    Attributes:
        net: the message, weights included.
        constants: arrays of the graph by name.
        shapes: shapes of all tensors of the graph by name.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.net = NetParameter(name="centerx")
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.shapes = {
            each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
            for each in (*graph.input, *graph.value_info, *graph.output)
        }
        for each in graph.input:
            self.add("Input", [], [each.name], input_param={"shape": [{"dim": self.shapes[each.name]}]})

    def add(
        self,
        type: str,
        bottoms: Sequence[str],
        tops: Sequence[str],
        blobs: Sequence[np.ndarray] = (),
        **parameters: Attributes,
    ) -> str:
        """Append a layer, named as its first output, because OpenCV finds outputs by layer; return the name."""
        layer = self.net.layer.add(name=tops[0], type=type, bottom=bottoms, top=tops, **parameters)
        for blob in blobs:
            layer.blobs.add(data=blob.astype(np.float32).ravel(), shape={"dim": blob.shape})
        return tops[0]

    def add_power(self, bottom: str, top: str, scale: float, shift: float) -> str:
        """Append a layer that computes scale * x + shift with the same numbers everywhere."""
        return self.add("Power", [bottom], [top], power_param={"scale": scale, "shift": shift})

    def constant(self, name: str) -> np.ndarray:
        """Return the constant array of a name."""
        if name not in self.constants:
            raise Unsupported("weights that are computed")
        return self.constants[name]


def convert(model: onnx.ModelProto) -> Any:
    """Convert an ONNX model to a `NetParameter`.

    Raises:
        InputError: there are unsupported operators. The message names each with the reason and its first location.
    """
    caffe = CaffeNet(model.graph)
    unsupported: list[tuple[str, str]] = []
    for node in model.graph.node:
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        try:
            if node.op_type not in OPERATORS:
                raise Unsupported
            OPERATORS[node.op_type](caffe, node, attributes)
        except Unsupported as error:
            what = f"{node.op_type} with {error}" if str(error) else node.op_type
            unsupported.append((what, node_location(node, caffe.constants)))
    require_supported("caffe", unsupported)
    return caffe.net


def window(
    kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]
) -> dict[str, int]:
    """Return kernel, stride and padding as parameters of Caffe; `pads` is top, left, bottom, right."""
    if len(kernel) != 2:
        raise Unsupported(f"{len(kernel)} dimensions")
    top, left, bottom, right = pads
    if (top, left) != (bottom, right):
        raise Unsupported(f"padding of {list(pads)}")
    if dilations[0] != dilations[1]:
        raise Unsupported(f"dilation of {list(dilations)}")
    pairs = {"kernel": kernel, "stride": strides, "pad": (top, left)}
    written = {"dilation": dilations[0]} if dilations[0] > 1 else {}
    for name, (vertical, horizontal) in pairs.items():
        if vertical == horizontal:
            written["kernel_size" if name == "kernel" else name] = vertical
        else:
            written |= {f"{name}_h": vertical, f"{name}_w": horizontal}
    return written


def convolution(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Conv and ConvTranspose."""
    forward = node.op_type == "Conv"
    weight, *bias = (caffe.constant(name) for name in node.input[1:])
    unusual = {"auto_pad": b"NOTSET", "output_padding": [0, 0], "output_shape": None}
    for name, usual in unusual.items():
        if at.get(name, usual) != usual:
            raise Unsupported(name)
    ones, zeros = [1] * (weight.ndim - 2), [0] * (2 * weight.ndim - 4)
    group = at.get("group", 1)
    written = window(weight.shape[2:], at.get("strides", ones), at.get("pads", zeros), at.get("dilations", ones))
    if not forward and "dilation" in written:
        raise Unsupported(f"dilation of {written['dilation']}")
    num_output = weight.shape[0] if forward else weight.shape[1] * group
    parameters = {"num_output": num_output, "bias_term": bool(bias), "group": group} | written
    type = "Convolution" if forward else "Deconvolution"
    caffe.add(type, node.input[:1], node.output, [weight, *bias], convolution_param=parameters)


def normalisation(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert a BatchNormalization that could not be merged into a convolution."""
    weight, bias, mean, variance = (caffe.constant(name).astype(np.float64) for name in node.input[1:])
    scale = weight / np.sqrt(variance + at.get("epsilon", 1e-5))
    blobs = [scale, bias - mean * scale]
    caffe.add("Scale", node.input[:1], node.output, blobs, scale_param={"bias_term": True})


def pooling(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert MaxPool and AveragePool. Caffe rounds sizes up, so surplus rows and columns are sliced off."""
    kernel = at["kernel_shape"]
    strides, pads, dilations = at.get("strides", [1, 1]), at.get("pads", [0] * 4), at.get("dilations", [1, 1])
    written = window(kernel, strides, pads, dilations)
    average = node.op_type == "AveragePool"
    if average and any(pads) and not at.get("count_include_pad", 0):
        raise Unsupported("an average that leaves out its padding")
    if "dilation" in written or len(node.output) > 1 or at.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise Unsupported("dilation, indices or auto_pad")
    before, due = (caffe.shapes[name][2:] for name in (node.input[0], node.output[0]))
    made = [pooled(*each) for each in zip(before, kernel, strides, pads[:2], strict=True)]
    if any(ours < theirs for ours, theirs in zip(made, due, strict=True)):
        raise Unsupported("windows that start in the padding")
    top = node.output[0]
    cuts = [(axis, length) for axis, length, ours in zip((2, 3), due, made, strict=True) if ours > length]
    names = [*(f"{top}/{part}" for part in ("whole", "rows")[: len(cuts)]), top]
    parameters = {"pool": "AVE" if average else "MAX"} | written
    caffe.add("Pooling", node.input, names[:1], pooling_param=parameters)
    for (axis, length), source, kept in zip(cuts, names, names[1:], strict=False):
        rest = f"{source}/rest"
        caffe.add("Slice", [source], [kept, rest], slice_param={"axis": axis, "slice_point": [length]})
        caffe.net.layer.add(name=rest, type="Silence", bottom=[rest])


def pooled(length: int, kernel: int, stride: int, pad: int) -> int:
    """Return the number of windows of Caffe along an axis, as in its `PoolingLayer::Reshape`."""
    windows = -(-(length + 2 * pad - kernel) // stride) + 1
    return windows - 1 if pad and (windows - 1) * stride >= length + pad else windows


def global_average(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert GlobalAveragePool, and ReduceMean over height and width."""
    if node.op_type == "ReduceMean":
        axes = sorted(int(axis) % 4 for axis in caffe.constant(node.input[1]))
        if axes != [2, 3] or not at.get("keepdims", 1):
            raise Unsupported("other axes than height and width")
    parameters = {"pool": "AVE", "global_pooling": True}
    caffe.add("Pooling", node.input[:1], node.output, pooling_param=parameters)


def upsampling(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert a Resize that repeats pixels a whole number of times to a depthwise transposed convolution of ones."""
    source, target = caffe.shapes[node.input[0]], caffe.shapes[node.output[0]]
    factors = [after // before for before, after in zip(source, target, strict=True)]
    whole = factors[:2] == [1, 1] and target == tuple(np.multiply(source, factors))
    repeats = [at.get(name) for name in ("mode", "coordinate_transformation_mode", "nearest_mode")]
    if not whole or repeats != [b"nearest", b"asymmetric", b"floor"]:
        raise Unsupported("anything but pixels repeated")
    channels = source[1]
    written = window(factors[2:], factors[2:], [0] * 4, [1, 1])
    parameters = {"num_output": channels, "bias_term": False, "group": channels} | written
    ones = np.ones((channels, 1, *factors[2:]))
    caffe.add("Deconvolution", node.input[:1], node.output, [ones], convolution_param=parameters)


def arithmetic(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Add, Sub, Mul and Div of two maps, of a map and a constant, or of a map and a factor per channel."""
    first, second = node.input
    if first in caffe.constants or second in caffe.constants:
        return with_constant(caffe, node)
    shapes = caffe.shapes[first], caffe.shapes[second]
    forms: dict[str, Attributes] = {
        "Add": {"operation": "SUM"},
        "Sub": {"operation": "SUM", "coeff": [1, -1]},
        "Mul": {"operation": "PROD"},
        "Max": {"operation": "MAX"},
    }
    if node.op_type in forms and shapes[0] == shapes[1]:
        caffe.add("Eltwise", node.input, node.output, eltwise_param=forms[node.op_type])
        return None
    if node.op_type == "Div" and shapes[0] == shapes[1]:
        inverse = caffe.add("Power", [second], [f"{node.output[0]}/inverse"], power_param={"power": -1})
        caffe.add("Eltwise", [first, inverse], node.output, eltwise_param=forms["Mul"])
        return None
    maps, factor = (first, second) if shapes[0] == caffe.shapes[node.output[0]] else (second, first)
    if node.op_type != "Mul" or caffe.shapes[factor] != (*caffe.shapes[maps][:2], 1, 1):
        raise Unsupported(f"shapes {shapes[0]} and {shapes[1]}")
    flat = caffe.add("Flatten", [factor], [f"{node.output[0]}/factor"])
    caffe.add("Scale", [maps, flat], node.output, scale_param={"axis": 0})
    return None


def with_constant(caffe: CaffeNet, node: NodeProto) -> None:
    """Convert Add, Sub, Mul and Div where one side is a number, or a number per channel."""
    first, second = node.input
    maps, constant = (second, caffe.constants[first]) if first in caffe.constants else (first, caffe.constants[second])
    one, value = np.ones_like(constant), constant.astype(np.float64)
    forms = {
        "Add": (one, value),
        "Sub": (-one, value) if maps == second else (one, -value),
        "Mul": (value, 0 * value),
    }
    if node.op_type == "Div" and maps == first:
        forms["Div"] = (1 / value, 0 * value)
    if node.op_type not in forms:
        raise Unsupported("a constant")
    scale, shift = forms[node.op_type]
    channels = caffe.shapes[maps][1]
    if constant.size == 1:
        caffe.add_power(maps, node.output[0], float(scale.item()), float(shift.item()))
    elif (1,) * (4 - constant.ndim) + constant.shape == (1, channels, 1, 1):
        blobs = [scale.ravel(), shift.ravel()]
        caffe.add("Scale", [maps], node.output, blobs, scale_param={"bias_term": True})
    else:
        raise Unsupported(f"a constant of shape {constant.shape}")


def rectifier(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Relu and LeakyRelu."""
    if node.op_type == "Relu":
        caffe.add("ReLU", node.input, node.output)
    else:
        caffe.add("ReLU", node.input, node.output, relu_param={"negative_slope": at.get("alpha", 0.01)})


def curve(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Sigmoid, Tanh and Exp."""
    caffe.add({"Sigmoid": "Sigmoid", "Tanh": "TanH", "Exp": "Exp"}[node.op_type], node.input, node.output)


def clip(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Clip between two numbers, for which Caffe 1.0 has no layer."""
    bounds = [caffe.constant(name).item() for name in node.input[1:] if name]
    if len(bounds) != 2:
        raise Unsupported("one bound")
    add_clip(caffe, node.input[0], node.output[0], *bounds)


def add_clip(caffe: CaffeNet, bottom: str, top: str, low: float, high: float) -> None:
    """Append a clip as two rectifiers: high - relu(high - low - relu(x - low))."""
    raised = caffe.add_power(bottom, f"{top}/above", 1, -low) if low else bottom
    floor = caffe.add("ReLU", [raised], [f"{top}/floor"])
    turned = caffe.add_power(floor, f"{top}/turned", -1, high - low)
    ceiling = caffe.add("ReLU", [turned], [f"{top}/ceiling"])
    caffe.add_power(ceiling, top, -1, high)


def hard_curve(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert HardSigmoid, and HardSwish, which multiplies by it."""
    [bottom], [top] = node.input, node.output
    swish = node.op_type == "HardSwish"
    alpha, beta = (1 / 6, 0.5) if swish else (at.get("alpha", 0.2), at.get("beta", 0.5))
    gate = f"{top}/gate" if swish else top
    add_clip(caffe, caffe.add_power(bottom, f"{top}/line", alpha, beta), gate, 0, 1)
    if swish:
        caffe.add("Eltwise", [bottom, gate], [top], eltwise_param={"operation": "PROD"})


def concatenation(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Concat."""
    caffe.add("Concat", node.input, node.output, concat_param={"axis": at["axis"]})


def cut(caffe: CaffeNet, node: NodeProto, at: Attributes) -> None:
    """Convert Split."""
    axis = at.get("axis", 0)
    ends = np.cumsum([caffe.shapes[name][axis] for name in node.output])[:-1]
    caffe.add("Slice", node.input[:1], node.output, slice_param={"axis": axis, "slice_point": ends.tolist()})


OPERATORS: dict[str, Callable[[CaffeNet, NodeProto, Attributes], None]] = {
    "Conv": convolution,
    "ConvTranspose": convolution,
    "BatchNormalization": normalisation,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "GlobalAveragePool": global_average,
    "ReduceMean": global_average,
    "Resize": upsampling,
    "Add": arithmetic,
    "Sub": arithmetic,
    "Mul": arithmetic,
    "Div": arithmetic,
    "Max": arithmetic,
    "Relu": rectifier,
    "LeakyRelu": rectifier,
    "Sigmoid": curve,
    "Tanh": curve,
    "Clip": clip,
    "HardSigmoid": hard_curve,
    "HardSwish": hard_curve,
    "Concat": concatenation,
    "Split": cut,
    "Exp": curve,
}
