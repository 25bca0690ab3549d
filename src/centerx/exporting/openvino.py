"""Export to OpenVINO by conversion of the ONNX graph."""

from __future__ import annotations

import re
from pathlib import Path

import openvino as ov

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.common import node_location, require_supported
from centerx.exporting.onnx import build_onnx
from centerx.exporting.registry import ExportOptions
from centerx.files import new_files
from centerx.runtime.info import ModelInfo
from centerx.runtime.openvino import unsupported_ops


def export_openvino(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write an .xml file at `path`, and its weights beside it in a .bin file.

    With fp16 only the weights are stored in half precision; the device chooses the precision of its arithmetic.

    Raises:
        InputError: OpenVINO does not support an operator of the network, or the files cannot be written.
    """
    halved = options.precision == "fp16"
    onnx_model = build_onnx(detector, info, options._replace(precision="fp32") if halved else options)
    try:
        model = ov.Core().read_model(onnx_model.SerializeToString(), b"")
    except RuntimeError as error:
        unsupported, graph = unsupported_ops(error), onnx_model.graph
        constants = {each.name for each in graph.initializer}
        require_supported(
            "openvino",
            ((node.op_type, node_location(node, constants)) for node in graph.node if node.op_type in unsupported),
        )
        raise
    facts = info.to_metadata() | {"outputs": options.outputs, "precision": options.precision}
    for key, value in facts.items():
        model.set_rt_info(value, ["centerx", key])
    for number, node in enumerate(model.get_ordered_ops()):  # OpenVINO counts through all models of a process
        if re.fullmatch(rf"{node.get_type_name()}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
    with new_files(path) as made:
        try:
            ov.save_model(model, made, compress_to_fp16=halved)
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written ({error}), make room or choose another --out") from None
