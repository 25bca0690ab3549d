"""ONNX: one graph from uint8 pixels to boxes, or to the article's maps."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import onnx
import onnxslim
import torch
from torch import Tensor, nn

from centerx.decode import peaks
from centerx.detector import Detector
from centerx.runtime.info import ModelInfo
from centerx.types import HeadOutputs

OPSET = 20
OUTPUT_NAMES = {"detections": ("boxes", "scores", "labels"), "maps": ("heatmap", "offset", "size")}


class DetectionsGraph(nn.Module):
    """The detector with plain outputs."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) uint8 -> boxes, scores, labels."""
        found = self.detector(images)
        return found.boxes, found.scores, found.labels


class MapsGraph(nn.Module):
    """The network with all but the peaks of its heatmap suppressed."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.model = detector.model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) uint8 -> heatmap of probabilities, offset and size in cells."""
        out: HeadOutputs = self.model(images)
        return out.heatmap.sigmoid() * peaks(out.heatmap), out.offset, out.size


def export_onnx(detector: Detector, info: ModelInfo, path: Path, outputs: str = "detections") -> None:
    """Write an ONNX file with a dynamic batch, checked and slimmed.

    Args:
        detector: what to export; not changed.
        info: goes into the metadata; the graph has its input size.
        path: the file. outputs: `detections` or `maps`.
    """
    graph = (DetectionsGraph if outputs == "detections" else MapsGraph)(copy.deepcopy(detector)).eval()
    images = torch.zeros((2, 3, *info.input_hw), dtype=torch.uint8)
    with quiet():
        program = torch.onnx.export(
            graph,
            (images,),
            input_names=["images"],
            output_names=list(OUTPUT_NAMES[outputs]),
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}},
            opset_version=OPSET,
            dynamo=True,
        )
        assert program is not None
        model = onnxslim.slim(program.model_proto)
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "centerx", version("centerx")
    onnx.helper.set_model_props(model, info.to_metadata() | {"outputs": outputs})
    onnx.checker.check_model(model, full_check=True)
    partial = path.with_name(f"{path.name}.partial")
    onnx.save(model, partial)
    os.replace(partial, path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's progress on both streams."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
