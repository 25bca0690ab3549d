"""TensorRT: an ONNX file that its parser takes, and the engine where its libraries and a GPU are there.

TensorRT 11 knows only strongly typed networks: the file itself says what is computed in half precision (float16
tensors) and in int8 (QuantizeLinear and DequantizeLinear about 0); with TensorRT 10 the same is asked for by a flag.
"""

from __future__ import annotations

import logging
import shlex
from importlib.util import find_spec
from pathlib import Path

import onnx

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.lacking import place_of, refuse
from centerx.exporting.onnx import build_onnx
from centerx.exporting.registry import Request
from centerx.files import write_whole
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
BATCHES = (1, 1, 8)  # least, usual and most pictures a call


def export_tensorrt(detector: Detector, info: ModelInfo, path: Path, request: Request) -> None:
    """Write an ONNX file for TensorRT, and beside it NAME.engine where TensorRT can build it here.

    Raises:
        InputError: the network has an operator that TensorRT lacks.
    """
    model = build_onnx(detector, info, request, symmetric=True)
    require_operators(model.graph)
    write_whole(path, model.SerializeToString())
    logger.info(f"with TensorRT's own tool: {trtexec_line(path, info)}")
    if find_spec("tensorrt") is not None:
        engine = path.with_suffix(".engine")
        write_whole(engine, build_engine(model.SerializeToString(), info))
        logger.info(f"{engine}: built on this machine's GPU, for which alone it is")


def require_operators(graph: onnx.GraphProto) -> None:
    """Raise unless TensorRT's parser takes every operator.

    Raises:
        InputError: names each one that it lacks, with its place.
    """
    constants = {each.name for each in graph.initializer}
    refuse(
        "tensorrt", ((each.op_type, place_of(each, constants)) for each in graph.node if each.op_type not in OPERATORS)
    )


def trtexec_line(path: Path, info: ModelInfo) -> str:
    """The command that turns the file into an engine."""
    least, usual, most = (f"images:{batch}x3x{info.input_hw[0]}x{info.input_hw[1]}" for batch in BATCHES)
    files = f"--onnx={path}", f"--saveEngine={path.with_suffix('.engine')}"
    shapes = f"--minShapes={least}", f"--optShapes={usual}", f"--maxShapes={most}"
    return shlex.join(["trtexec", *files, *shapes, "--stronglyTyped"])


def build_engine(model: bytes, info: ModelInfo) -> bytes:
    """Build an engine by TensorRT 10 or 11.

    Args:
        model: an ONNX file's bytes. info: its input size is that of the engine.

    Raises:
        InputError: TensorRT refuses the graph, or there is no GPU.
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
