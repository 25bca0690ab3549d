"""Export to TensorRT: an ONNX file for its parser and, if TensorRT and a GPU are available, an engine.

TensorRT 11 supports strongly typed networks only. The types of the file's tensors decide what is computed in float16,
and QuantizeLinear and DequantizeLinear with a zero point of 0 decide what is computed in int8. TensorRT 10 does the
same when a flag is set.
"""

from __future__ import annotations

import logging
import shlex
from importlib.util import find_spec
from pathlib import Path

import onnx

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.common import node_location, require_supported
from centerx.exporting.onnx import build_onnx
from centerx.exporting.registry import ExportOptions
from centerx.files import write_atomic
from centerx.runtime.info import ModelInfo

logger = logging.getLogger(__name__)

# What its ONNX parser supports since TensorRT 10.1, as its own list (onnx-tensorrt, docs/operators.md) has it.
OPERATORS = frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool",
    "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvTranspose", "Cos", "Cosh", "CumSum", "DeformConv", "DepthToSpace", "DequantizeLinear", "Div", "Dropout",
    "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU", "Gather", "GatherElements",
    "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
    "GridSample", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "If", "ImageScaler",
    "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual",
    "Log", "LogSoftmax", "Loop", "LpNormalization", "LpPool", "MatMul", "Max", "MaxPool", "Mean",
    "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "NonMaxSuppression", "NonZero", "Not", "OneHot",
    "Or", "PRelu", "Pad", "ParametricSoftplus", "Pow", "QuantizeLinear", "RNN", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Resize", "ReverseSequence", "RoiAlign", "Round", "ScaledTanh", "Scan", "Scatter", "ScatterElements",
    "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus",
    "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu", "Tile",
    "TopK", "Transpose", "Trilu", "Unsqueeze", "Upsample", "Where", "Xor",
})  # fmt: skip
BATCHES = (1, 1, 8)  # smallest, usual and largest batch of an engine


def export_tensorrt(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write an ONNX file for TensorRT and, if TensorRT is installed, NAME.engine beside it.

    Raises:
        InputError: TensorRT does not support an operator of the network.
    """
    model = build_onnx(detector, info, options, symmetric=True)
    require_operators(model.graph)
    write_atomic(path, model.SerializeToString())
    logger.info(f"with TensorRT's own tool: {trtexec_line(path, info)}")
    if find_spec("tensorrt") is not None:
        engine = path.with_suffix(".engine")
        write_atomic(engine, build_engine(model.SerializeToString(), info))
        logger.info(f"{engine}: built on this machine's GPU, for which alone it is")


def require_operators(graph: onnx.GraphProto) -> None:
    """Raise unless TensorRT's parser supports every operator of a graph.

    Raises:
        InputError: there are unsupported operators. The message names each one with its location.
    """
    constants = {each.name for each in graph.initializer}
    require_supported(
        "tensorrt",
        ((each.op_type, node_location(each, constants)) for each in graph.node if each.op_type not in OPERATORS),
    )


def trtexec_line(path: Path, info: ModelInfo) -> str:
    """Return the command line that builds an engine from the file."""
    least, usual, most = (f"images:{batch}x3x{info.input_hw[0]}x{info.input_hw[1]}" for batch in BATCHES)
    files = f"--onnx={path}", f"--saveEngine={path.with_suffix('.engine')}"
    shapes = f"--minShapes={least}", f"--optShapes={usual}", f"--maxShapes={most}"
    return shlex.join(["trtexec", *files, *shapes, "--stronglyTyped"])


def build_engine(model: bytes, info: ModelInfo) -> bytes:
    """Build an engine with TensorRT 10 or 11.

    Args:
        model: content of an ONNX file.
        info: metadata; its input size is that of the engine.

    Returns:
        Content of the engine file.

    Raises:
        InputError: TensorRT rejects the graph, or there is no GPU.
    """
    import tensorrt as trt

    messages = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(messages)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(model):
        told = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise InputError(f"tensorrt: cannot read the graph ({told})")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("images", *((batch, 3, *info.input_hw) for batch in BATCHES))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise InputError("tensorrt: no engine could be built, its messages above say why; is there a GPU?")
    return bytes(engine)
