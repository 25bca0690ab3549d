"""OpenVINO's own files: the ONNX graph, converted."""

from __future__ import annotations

from pathlib import Path

import openvino as ov

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.lacking import place_of, refuse
from centerx.exporting.onnx import build_onnx
from centerx.exporting.registry import Request
from centerx.files import new_files
from centerx.runtime.info import ModelInfo
from centerx.runtime.openvino import lacking_operators


def export_openvino(detector: Detector, info: ModelInfo, path: Path, request: Request) -> None:
    """Write `path`, an .xml file, and its weights beside it in a .bin file.

    Of fp16 only the weights are stored so; the device chooses what it computes in.

    Raises:
        InputError: OpenVINO has no layer for a part of the network; the files cannot be written.
    """
    halved = request.precision == "fp16"
    onnx_model = build_onnx(detector, info, request._replace(precision="fp32") if halved else request)
    try:
        model = ov.Core().read_model(onnx_model.SerializeToString(), b"")
    except RuntimeError as error:
        lacking, graph = lacking_operators(error), onnx_model.graph
        constants = {each.name for each in graph.initializer}
        refuse(
            "openvino", ((node.op_type, place_of(node, constants)) for node in graph.node if node.op_type in lacking)
        )
        raise
    facts = info.to_metadata() | {"outputs": request.outputs, "precision": request.precision}
    for key, value in facts.items():
        model.set_rt_info(value, ["centerx", key])
    with new_files(path) as made:
        try:
            ov.save_model(model, made, compress_to_fp16=halved)
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written ({error}), make room or choose another --out") from None
