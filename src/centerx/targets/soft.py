"""Detections -> the maps that a CenterNet would have answered: how a teacher that only gives boxes can teach."""

from __future__ import annotations

import torch
from torch import Tensor

from centerx.targets.centers import gaussian_radius, splat
from centerx.types import Detections, HeadOutputs

FLOOR = 1e-4  # probability where no box is


def maps_from_detections(
    found: Detections, num_classes: int, stride: int, input_hw: tuple[int, int], min_overlap: float
) -> HeadOutputs:
    """Render boxes as Gaussian splats as high as their scores; size and offset stand in the 3x3 cells around a peak.

    Where such neighbourhoods overlap, the better box has the cell.

    Args:
        found: tensors (B, K, ...) in input pixels, best first; what scores 0 is left out.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        min_overlap: see `gaussian_radius`.

    Returns:
        heatmap (B, C, h, w) logits; size and offset (B, 2, h, w) cells, 0 where there is no box.
    """
    boxes, scores, labels = (found.boxes / stride, found.scores, found.labels)
    height, width = (side // stride for side in input_hw)
    image = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(labels)
    keep = scores > FLOOR
    boxes, scores, labels, image = boxes[keep], scores[keep], labels[keep], image[keep]

    size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    cell = centre.floor().clamp(min=0).minimum(centre.new_tensor([width - 1, height - 1]))
    probability = boxes.new_full((len(found.boxes), num_classes, height, width), FLOOR)
    planes = probability.view(-1, height, width)
    splat(planes, image * num_classes + labels, cell, gaussian_radius(size, min_overlap), scores)
    owner = best_box(image, cell, scores, (len(found.boxes), height, width))
    known = owner >= 0
    at = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")[::-1]).to(centre)
    maps = []
    for values, origin in ((size, None), (centre, at)):
        per_cell = values[owner.clamp(min=0)] if len(values) else values.new_zeros(*owner.shape, 2)
        per_cell = per_cell.permute(0, 3, 1, 2) - (0 if origin is None else origin)
        maps.append(per_cell * known[:, None])
    return HeadOutputs(probability.clamp(max=1 - FLOOR).logit(), *maps)


def best_box(image: Tensor, cell: Tensor, scores: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(B, h, w) int64: the best of N boxes whose peak lies in a cell's 3x3 neighbourhood, -1 where none does."""
    batch, height, width = shape
    order = scores.argsort(stable=True)  # worst first: the maximum of places in it is the best box
    steps = torch.arange(-1, 2, device=cell.device)
    around = cell[order].long()[:, None] + torch.cartesian_prod(steps, steps)
    inside = ((around >= 0) & (around < around.new_tensor([width, height]))).all(dim=-1)
    where = (image[order, None] * height + around[..., 1]) * width + around[..., 0]
    place = torch.arange(len(order), device=cell.device)[:, None].expand_as(where)
    best = torch.full((batch * height * width,), -1, device=cell.device)
    best.scatter_reduce_(0, where[inside], place[inside], "amax")
    owner = torch.where(best >= 0, order[best.clamp(min=0)] if len(order) else best, best)
    return owner.view(batch, height, width)
