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

    def forward(self, outputs: HeadOutputs, input_hw: tuple[int, int], picture_hw: Tensor | None = None) -> Detections:
        """Return the best `top_k` peaks of all classes together, boxes clipped to the (height, width) input.

        A peak whose box has no area inside the picture is none. Places for which there is no peak score 0. Peaks are
        those of `peaks`, in less time: equal neighbours are told apart among twice as many candidates as asked for,
        not in whole maps. So a plateau of more cells than that leaves no place for weaker peaks.

        Args:
            outputs: the maps. input_hw: height and width of the input in pixels.
            picture_hw: (B, 2) height and width of each picture in input pixels, from the top left corner on; the whole
                input without it.
        """
        heatmap = outputs.heatmap.float()
        classes, height, width = heatmap.shape[1:]
        cells = height * width
        boxes = self.boxes(outputs, input_hw)
        outside = without_area(boxes, picture_hw) | (F.max_pool2d(heatmap, 3, stride=1, padding=1) > heatmap)
        # A subtraction, as `where` takes four times as long in ONNX Runtime; of a number that half precision holds too.
        candidates = (heatmap - outside.float() * SUPPRESSED).flatten(1)
        best, flat = candidates.topk(min(2 * self.top_k, classes * cells))
        best = best - follows_its_equal(heatmap, best, flat) * SUPPRESSED
        # ONNX Runtime's sigmoid rounds some close neighbours the other way round, so they are sorted by score.
        scores, order = best.sigmoid().topk(min(self.top_k, classes * cells))
        flat = flat.gather(1, order)
        labels = flat // cells
        return Detections(gather_cells(boxes, flat - labels * cells), scores, labels)

    def boxes(self, outputs: HeadOutputs, input_hw: tuple[int, int]) -> Tensor:
        """(B, 4, h, w) float32: the box of every cell, xyxy in pixels, clipped to the input."""
        height, width = outputs.size.shape[-2:]
        device = outputs.size.device
        columns, rows = torch.meshgrid(
            torch.arange(width, device=device), torch.arange(height, device=device), indexing="xy"
        )
        centre = torch.stack([columns, rows]) + outputs.offset.float()
        half = outputs.size.float().clamp(min=0) / 2
        corners = torch.cat([centre - half, centre + half], dim=1) * self.stride
        limit = torch.tensor([input_hw[1], input_hw[0]] * 2, dtype=torch.float32, device=device)
        return torch.minimum(corners.clamp(min=0), limit[:, None, None])


def without_area(boxes: Tensor, picture_hw: Tensor | None) -> Tensor:
    """(B, 1, h, w) bool: where boxes (B, 4, h, w) have no width or no height inside pictures of (B, 2) pixels."""
    low, high = boxes.split(2, dim=1)
    if picture_hw is not None:
        high = torch.minimum(high, picture_hw.flip(1)[..., None, None])
    return (high - low).amin(dim=1, keepdim=True) <= 0


def follows_its_equal(heatmap: Tensor, values: Tensor, flat: Tensor) -> Tensor:
    """(B, K) float32: 1 where a neighbour before the cell, in reading order, has the same value, else 0.

    Args:
        heatmap: (B, C, h, w). values, flat: (B, K) at cells, and their indices into (C, h, w).
    """
    height, width = heatmap.shape[-2:]
    flat = flat[..., None]
    line = flat // width  # row and column by subtraction, in fewer operators than % has
    row, column = line - line // height * height, flat - line * width
    up, across = (torch.tensor(shift, device=flat.device) for shift in EARLIER)
    inside = (row + up >= 0) & (column + across >= 0) & (column + across < width)
    index = torch.maximum(flat + up * width + across, flat.new_zeros(()))  # OpenCV clamps no integers
    earlier = heatmap.flatten(1).gather(1, index.flatten(1)).view_as(index)
    return (inside & (earlier == values[..., None])).float().amax(dim=-1)


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Values of (B, D, h, w) at flat cells (B, K) -> (B, K, D)."""
    flat = maps.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
