"""The formats to export to: data, not ifs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from centerx.errors import InputError, nearest

if TYPE_CHECKING:  # so that a mistyped option is answered before torch is loaded
    import numpy as np

    from centerx.detector import Detector
    from centerx.runtime.info import ModelInfo


class ExportOptions(NamedTuple):
    """How a file is wanted.

    Attributes:
        outputs: `detections` or `maps`.
        precision: of weights and arithmetic: `fp32`, `fp16` or `int8`.
        pictures: (N, 3, H, W) uint8 to calibrate int8 on; None for the other precisions.
        any_size: whether height and width of the input are left open.
    """

    outputs: str = "detections"
    precision: str = "fp32"
    pictures: np.ndarray | None = None
    any_size: bool = False


DEFAULT_OPTIONS = ExportOptions()


class Format(NamedTuple):
    """One export format.

    Attributes:
        suffix: of its files; the name of a folder ends so where the format is one.
        exporter: module and function, called as `exporter(detector, info, path, options)`.
        needs: modules to import, beside torch.
        outputs: what it can give, the usual first. precisions: what it can compute in, the usual first.
        any_size: whether it can leave height and width open.
        beside: suffixes of the files that belong to it.
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
    "tensorrt": Format(".trt.onnx", "centerx.exporting.tensorrt:export_tensorrt", ONNX, BOTH, ALL),
    "torch-export": Format(
        ".pt2", "centerx.exporting.torch:export_program", (), ("detections",), ("fp32",), any_size=True
    ),
    "aotinductor": Format(".aoti.pt2", "centerx.exporting.torch:export_aotinductor", (), ("detections",), ("fp32",)),
    "torchscript": Format(".torchscript", "centerx.exporting.torch:export_torchscript", (), ("detections",), ("fp32",)),
    "web": Format("-web", "centerx.exporting.web:export_web", ONNX, ("detections",), ALL),
}  # fmt: skip


def find_format(name: str, outputs: str | None = None, precision: str | None = None, any_size: bool = False) -> Format:
    """Look a format up; outputs and precision of None are the format's usual ones.

    Raises:
        InputError: it is unknown, or cannot do what is asked.
    """
    if name not in FORMATS:
        raise InputError(f"--format: unknown {name!r}{nearest(name, FORMATS)}, known: {', '.join(FORMATS)}")
    entry = FORMATS[name]
    for option, value, known in (("outputs", outputs, entry.outputs), ("precision", precision, entry.precisions)):
        if value is not None and value not in known:
            raise InputError(f"--{option}: {name} cannot give {value!r}, it can give: {', '.join(known)}")
    if any_size and not entry.any_size:
        able = ", ".join(each for each, other in FORMATS.items() if other.any_size)
        raise InputError(f"--size: {name} needs one size, such as 320x416; any size is left open by: {able}")
    return entry


def export_model(
    detector: Detector, info: ModelInfo, path: Path, format: str, options: ExportOptions = DEFAULT_OPTIONS
) -> None:
    """Write a detector in a format, whole or not at all.

    Args:
        detector: what to export; not changed.
        info: what the file says of it; its input size is that of the file, its `top_k` the detector's.
        path: the file.
        format: a name of FORMATS. options: what of it is wanted.

    Raises:
        InputError: an unknown format, or one that cannot do what is asked.
    """
    entry = find_format(format, options.outputs, options.precision, options.any_size)
    module, function = entry.exporter.split(":")
    info = info._replace(top_k=detector.decode.top_k)
    getattr(import_module(module), function)(detector, info, path, options)
