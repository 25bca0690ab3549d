"""What is exported: the detector with plain outputs, in three forms."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.decode import TORCH, peaks
from centerx.detector import Detector
from centerx.geometry import INPUT_MULTIPLE
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import detection_outputs, map_outputs
from centerx.tasks import Task
from centerx.types import Maps

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192  # pixels, where the size is left open
SAMPLE_HW = (256, 320)  # traced there; sides that differ, so that they are not taken for one
STEEP = 6e4  # close to the largest number of half precision; applied three times


class DetectionsGraph(nn.Module):
    """The detector with plain outputs."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) uint8 -> the task's outputs, scores, labels."""
        found = self.detector(images)
        outputs = self.detector.model.task.outputs
        return (*(each.shaped(found.values[each.name]) for each in outputs), found.scores, found.labels)


class MapsGraph(nn.Module):
    """The network with all but the peaks of its heatmap suppressed."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.model = detector.model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) uint8 -> heatmap of probabilities, then the fields in cells."""
        maps: Maps = self.model(images)
        return with_fields(maps.heatmap.sigmoid() * peaks(maps.heatmap), maps, self.model.task)


class PooledMapsGraph(nn.Module):
    """The same for runtimes that can pool, multiply and rectify, but not compare.

    A logit's distance to the largest of its 3x3 neighbourhood is exactly 0 at peaks; elsewhere it is multiplied until
    1 less it is far below 0, in half precision too. Neighbours that are exactly equal are all kept.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.model = detector.model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) float32 of 0 to 255 -> heatmap of probabilities, then the fields in cells."""
        maps: Maps = self.model(images)
        below = (F.max_pool2d(maps.heatmap, 3, stride=1, padding=1) - maps.heatmap) * STEEP * STEEP * STEEP
        return with_fields(maps.heatmap.sigmoid() * torch.relu(1 - below), maps, self.model.task)


def with_fields(heatmap: Tensor, maps: Maps, task: Task) -> tuple[Tensor, ...]:
    """Return the outputs of a graph that ends with maps, in the order of `output_names`; heatmaps are probabilities."""
    fields = task.with_probabilities(maps.fields, TORCH)
    return (heatmap, *(fields[name] for name in map_outputs(task)[1:]))


def output_names(task: Task, outputs: str) -> tuple[str, ...]:
    """Return the names of a graph's outputs, which are `detections` or `maps`."""
    return detection_outputs(task) if outputs == "detections" else map_outputs(task)


def sample(info: ModelInfo, any_size: bool) -> tuple[Tensor, dict[int, Any]]:
    """Pictures to trace a graph with, (2, 3, H, W) uint8, and its open axes: the batch, and the size where asked."""
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=4096)}
    if any_size:
        for axis, name in ((2, "rows"), (3, "columns")):
            least, most = SMALLEST_SIDE // INPUT_MULTIPLE, LARGEST_SIDE // INPUT_MULTIPLE
            axes[axis] = INPUT_MULTIPLE * torch.export.Dim(name, min=least, max=most)
    return torch.zeros((2, 3, *(SAMPLE_HW if any_size else info.input_hw)), dtype=torch.uint8), axes
