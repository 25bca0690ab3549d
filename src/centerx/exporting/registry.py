"""The table of export formats."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from centerx.errors import InputError, nearest

if TYPE_CHECKING:  # options are checked before torch is loaded
    import numpy as np

    from centerx.detector import Detector
    from centerx.runtime.info import ModelInfo


class ExportOptions(NamedTuple):
    """Options of an export.

    Attributes:
        outputs: `detections` or `maps`.
        precision: precision of weights and arithmetic: `fp32`, `fp16` or `int8`.
        pictures: (N, 3, H, W) uint8 for the calibration of int8; None for the other precisions.
        any_size: whether height and width of the input are dynamic.
    """

    outputs: str = "detections"
    precision: str = "fp32"
    pictures: np.ndarray | None = None
    any_size: bool = False


DEFAULT_OPTIONS = ExportOptions()


class Format(NamedTuple):
    """One export format.

    Attributes:
        suffix: suffix of its files, or end of the folder's name if the format writes a folder.
        exporter: `module:function`, called as `exporter(detector, info, path, options)`.
        needs: modules that must be installed, besides torch.
        outputs: supported values of `ExportOptions.outputs`, the default first.
        precisions: supported values of `ExportOptions.precision`, the default first.
        any_size: whether height and width of the input can be dynamic.
        beside: suffixes of further files that it writes beside the first.
    """

    suffix: str
    exporter: str
    needs: tuple[str, ...]
    outputs: tuple[str, ...]
    precisions: tuple[str, ...]
    any_size: bool = False
    beside: tuple[str, ...] = ()


BOTH, ALL = ("detections", "maps"), ("fp32", "fp16", "int8")
ONNX = ("onnx", "onnxscript", "onnxslim")
FORMATS = {
    "onnx": Format(".onnx", "centerx.exporting.onnx:export_onnx", ONNX, BOTH, ALL, any_size=True),
    "openvino": Format(
        ".xml", "centerx.exporting.openvino:export_openvino", (*ONNX, "openvino"), BOTH, ALL, any_size=True,
        beside=(".bin",),
    ),
    "ncnn": Format(
        ".ncnn.param", "centerx.exporting.ncnn:export_ncnn", ("ncnn", "pnnx"), ("maps",), ("fp32", "fp16"),
        beside=(".bin", ".json"),
    ),
    "caffe": Format(
        ".prototxt", "centerx.interop.caffe:export_caffe", ONNX, ("maps",), ("fp32",), beside=(".caffemodel",)
    ),
    "litert": Format(
        ".tflite", "centerx.exporting.litert:export_litert", (*ONNX, "ai_edge_litert"), ("maps",), ("fp32", "fp16")
    ),
    "tensorrt": Format(".trt.onnx", "centerx.exporting.tensorrt:export_tensorrt", ONNX, BOTH, ALL),
    "torch-export": Format(
        ".pt2", "centerx.exporting.torch:export_program", (), ("detections",), ("fp32",), any_size=True
    ),
    "aotinductor": Format(".aoti.pt2", "centerx.exporting.torch:export_aotinductor", (), ("detections",), ("fp32",)),
    "torchscript": Format(".torchscript", "centerx.exporting.torch:export_torchscript", (), ("detections",), ("fp32",)),
    "web": Format("-web", "centerx.exporting.web:export_web", ONNX, ("detections",), ALL),
}  # fmt: skip


def find_format(name: str, outputs: str | None = None, precision: str | None = None, any_size: bool = False) -> Format:
    """Return a format, after checking that it supports the options.

    Args:
        name: a name of FORMATS.
        outputs: as in `ExportOptions`; None for the format's default.
        precision: as in `ExportOptions`; None for the format's default.
        any_size: as in `ExportOptions`.

    Raises:
        InputError: the format is unknown or does not support an option.
    """
    if name not in FORMATS:
        raise InputError(f"--format: unknown {name!r}{nearest(name, FORMATS)}, known: {', '.join(FORMATS)}")
    entry = FORMATS[name]
    for option, value, known in (("outputs", outputs, entry.outputs), ("precision", precision, entry.precisions)):
        if value is not None and value not in known:
            raise InputError(
                f"--{option}: {name} cannot give {value!r}{nearest(value, known)}, it can give: {', '.join(known)}"
            )
    if any_size and not entry.any_size:
        able = ", ".join(each for each, other in FORMATS.items() if other.any_size)
        raise InputError(f"--size: {name} needs one size, such as 320x416; any size is left open by: {able}")
    return entry


def export_model(
    detector: Detector, info: ModelInfo, path: Path, format: str, options: ExportOptions = DEFAULT_OPTIONS
) -> None:
    """Export a detector. The file appears only when it is complete.

    Args:
        detector: the detector; not changed.
        info: metadata of the file. Its input size is that of the file; its `top_k` is replaced by the detector's.
        path: the file, or the folder if the format writes one.
        format: a name of FORMATS.
        options: outputs, precision and input size.

    Raises:
        InputError: the format is unknown or does not support an option.
    """
    entry = find_format(format, options.outputs, options.precision, options.any_size)
    module, function = entry.exporter.split(":")
    info = info._replace(top_k=detector.decode.top_k)
    getattr(import_module(module), function)(detector, info, path, options)
