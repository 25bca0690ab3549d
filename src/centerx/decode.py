"""Maps -> RawDetections, inside the graph: peaks by comparison, top-k, geometry. No NMS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.tasks import ArrayFunctions, Task
from centerx.types import Maps, RawDetections

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
        task: of the network.
    """

    def __init__(self, top_k: int, stride: int, task: Task) -> None:
        super().__init__()
        self.top_k = top_k
        self.stride = stride
        self.task = task

    def forward(self, maps: Maps, input_hw: tuple[int, int], picture_hw: Tensor | None = None) -> RawDetections:
        """Return the best `top_k` peaks of all classes together, their geometry clipped to the input.

        A peak that is empty inside the picture, such as a box without an area, is none. Places for which there is no
        peak score 0. Peaks are those of `peaks`, in less time: equal neighbours are told apart among twice as many
        candidates as asked for, not in whole maps. So a plateau of more cells than that leaves no place for weaker
        peaks.

        Args:
            maps: of B pictures.
            input_hw: height and width of the input in pixels.
            picture_hw: (B, 2) height and width of each picture in input pixels, from the top left corner on; the whole
                input without it.
        """
        heatmap = maps.heatmap.float()
        classes, height, width = heatmap.shape[1:]
        cells = height * width
        raw = {name: values.float() for name, values in maps.fields.items()}
        outputs = self.task.decode(raw, grid(height, width, heatmap.device), self.stride, input_hw, TORCH)
        corner = None if picture_hw is None else picture_hw.flip(1)[..., None, None]
        outside = self.task.empty(outputs, corner, TORCH) | (F.max_pool2d(heatmap, 3, stride=1, padding=1) > heatmap)
        # A subtraction, as `where` takes four times as long in ONNX Runtime; of a number that half precision holds too.
        candidates = (heatmap - outside.float() * SUPPRESSED).flatten(1)
        best, flat = candidates.topk(min(2 * self.top_k, classes * cells))
        best = best - tied_with_earlier(heatmap, best, flat) * SUPPRESSED
        # ONNX Runtime's sigmoid rounds some close neighbours the other way round, so they are sorted by score.
        scores, order = best.sigmoid().topk(min(self.top_k, classes * cells))
        flat = flat.gather(1, order)
        labels = flat // cells
        index = flat - labels * cells
        found = {name: at_cells(each, index).transpose(1, 2) for name, each in outputs.items()}
        if self.task.refine is not None:
            found = self.task.refine(found, labels, self.task.with_probabilities(raw, TORCH), self.stride, TORCH)
        return RawDetections(found, scores, labels)


def grid(height: int, width: int, device: torch.device) -> Tensor:
    """(2, h, w) int64 column and row of each cell."""
    columns, rows = torch.meshgrid(
        torch.arange(width, device=device), torch.arange(height, device=device), indexing="xy"
    )
    return torch.stack([columns, rows])


def clip(positions: Tensor, input_hw: tuple[int, int]) -> Tensor:
    """Clip pairs of x and y (B, D, h, w) to a height and a width."""
    limit = torch.tensor([*input_hw[::-1]] * (positions.shape[1] // 2), dtype=torch.float32, device=positions.device)
    return torch.minimum(positions.clamp(min=0), limit[:, None, None])


TORCH = ArrayFunctions(
    join=lambda arrays: torch.cat(arrays, dim=1),
    halves=lambda array: array.chunk(2, dim=1),
    clip=clip,
    least=lambda array: array.amin(dim=1, keepdim=True),
    minimum=torch.minimum,
    arctan=torch.arctan,
    sign=torch.sign,
    where=torch.where,
    top=lambda array, count: array.topk(count, dim=-1),
    take=lambda array, index: array.gather(-1, index),
    spread=lambda array, count: array[:, None].expand(-1, count, -1, -1),
    nearest=lambda array: array.argmin(dim=-1, keepdim=True),
    highest=lambda array: array >= F.max_pool2d(array, 3, stride=1, padding=1),
    rows=lambda table, labels: torch.tensor(table, device=labels.device)[labels],
    whole=lambda array: array.long(),
    pair=lambda first, second: torch.cat([first, second], dim=-1),
    sigmoid=torch.sigmoid,
)


def tied_with_earlier(heatmap: Tensor, values: Tensor, flat: Tensor) -> Tensor:
    """(B, K) float32: 1 where a neighbour before the cell, in reading order, has the same value, else 0.

    Args:
        heatmap: (B, C, h, w).
        values: (B, K) at some of its cells.
        flat: (B, K) their indices into (C, h, w).
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


def at_cells(values: Tensor, index: Tensor) -> Tensor:
    """Values of (B, D, h, w) at flat cells (B, P) -> (B, D, P)."""
    return values.flatten(2).gather(2, index[:, None].expand(-1, values.shape[1], -1))
