"""HeadOutputs -> Detections, inside the graph: peaks by comparison, top-k, boxes. No NMS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.types import Detections, HeadOutputs

SUPPRESSED = 3e4  # what a cell that is no peak loses: no logit is as large, and what is left scores exactly 0
EARLIER = (-1, -1, -1, 0), (-1, 0, 1, -1)  # rows and columns of the neighbours before a cell in reading order


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

        Places for which there is no peak score 0. Peaks are those of `peaks`, in less time: equal neighbours are told
        apart among twice as many candidates as asked for, not in whole maps. So a plateau of more cells than that
        leaves no place for weaker peaks.
        """
        heatmap = outputs.heatmap.float()
        classes, height, width = heatmap.shape[1:]
        cells = height * width
        below = F.max_pool2d(heatmap, 3, stride=1, padding=1) > heatmap
        # A subtraction, as `where` takes four times as long in ONNX Runtime; of a number that half precision holds too.
        candidates = (heatmap - below.float() * SUPPRESSED).flatten(1)
        best, flat = candidates.topk(min(2 * self.top_k, classes * cells))
        best = best - follows_its_equal(heatmap, best, flat) * SUPPRESSED
        # ONNX Runtime's sigmoid rounds some close neighbours the other way round, so they are sorted by score.
        scores, order = best.sigmoid().topk(min(self.top_k, classes * cells))
        flat = flat.gather(1, order)
        labels, row, column = places(flat, height, width)
        cell = row * width + column
        centre = torch.stack([column, row], dim=-1) + gather_cells(outputs.offset, cell).float()
        half = gather_cells(outputs.size, cell).float().clamp(min=0) / 2
        corners = torch.stack([centre - half, centre + half], dim=2) * self.stride
        height_px, width_px = input_hw
        boxes = torch.stack([corners[..., 0].clamp(0, width_px), corners[..., 1].clamp(0, height_px)], dim=-1).flatten(
            2
        )
        return Detections(boxes, scores, labels)


def places(flat: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Channel, row and column of indices into (C, h, w); by subtraction, in fewer operators than % has."""
    line = flat // width
    channel = line // height
    return channel, line - channel * height, flat - line * width


def follows_its_equal(heatmap: Tensor, values: Tensor, flat: Tensor) -> Tensor:
    """(B, K) float32: 1 where a neighbour before the cell, in reading order, has the same value, else 0.

    Args:
        heatmap: (B, C, h, w). values, flat: (B, K) at cells, and their indices into (C, h, w).
    """
    height, width = heatmap.shape[-2:]
    _, row, column = places(flat[..., None], height, width)
    up, across = (torch.tensor(shift, device=flat.device) for shift in EARLIER)
    inside = (row + up >= 0) & (column + across >= 0) & (column + across < width)
    index = (flat[..., None] + up * width + across).clamp(min=0)
    earlier = heatmap.flatten(1).gather(1, index.flatten(1)).view_as(index)
    return (inside & (earlier == values[..., None])).float().amax(dim=-1)


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Values of (B, D, h, w) at flat cells (B, K) -> (B, K, D)."""
    flat = maps.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
