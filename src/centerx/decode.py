"""HeadOutputs -> Detections, inside the graph: peaks by comparison, top-k, boxes. No NMS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.types import Detections, HeadOutputs

SUPPRESSED = 3e4  # what a cell that is no peak loses: no logit is as large, and what is left scores exactly 0


def peaks(heatmap: Tensor) -> Tensor:
    """(B, C, h, w) -> bool, True at the maxima of each 3x3 neighbourhood.

    Among equal neighbours the first in reading order wins: two cells that touch are never both peaks, and a plateau
    (half precision has many) yields one, a ragged one a few, not one per cell. Only comparisons: exact in every
    precision.
    """
    padded = F.pad(heatmap, (1, 1), value=float("-inf"))
    left, right = padded[..., :-2], padded[..., 2:]
    rows = F.pad(torch.maximum(torch.maximum(left, right), heatmap), (0, 0, 1, 1), value=float("-inf"))
    earlier = torch.maximum(rows[..., :-2, :], left)
    later = torch.maximum(rows[..., 2:, :], right)
    return (heatmap > earlier) & (heatmap >= later)


class Decode(nn.Module):
    """Decode the maps of a CenterNet.

    Args:
        top_k: the most detections of one picture.
        stride: pixels per cell.
    """

    def __init__(self, top_k: int, stride: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.stride = stride

    def forward(self, outputs: HeadOutputs, input_hw: tuple[int, int]) -> Detections:
        """Return the best `top_k` peaks of all classes together, boxes clipped to the (height, width) input.

        Places for which there is no peak score 0.
        """
        heatmap = outputs.heatmap.float()
        batch, classes, height, width = heatmap.shape
        cells = height * width
        # A subtraction, as `where` takes four times as long in ONNX Runtime; of a number that half precision holds too.
        candidates = heatmap - (~peaks(heatmap)).float() * SUPPRESSED
        best, flat = candidates.reshape(batch, -1).topk(min(self.top_k, classes * cells))
        # ONNX Runtime's sigmoid rounds some close neighbours the other way round, so the few left are sorted by score.
        scores, order = best.sigmoid().topk(best.shape[1])
        flat = flat.gather(1, order)
        labels = flat // cells
        cell = flat - labels * cells  # what % gives, in fewer operators
        row = cell // width
        centre = torch.stack([cell - row * width, row], dim=-1) + gather_cells(outputs.offset, cell).float()
        half = gather_cells(outputs.size, cell).float().clamp(min=0) / 2
        corners = torch.stack([centre - half, centre + half], dim=2) * self.stride
        height_px, width_px = input_hw
        boxes = torch.stack([corners[..., 0].clamp(0, width_px), corners[..., 1].clamp(0, height_px)], dim=-1).flatten(
            2
        )
        return Detections(boxes, scores, labels)


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Values of (B, D, h, w) at flat cells (B, K) -> (B, K, D)."""
    flat = maps.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
