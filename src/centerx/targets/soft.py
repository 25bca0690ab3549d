"""Detections -> the maps of a CenterNet that finds them: how a teacher that gives detections alone can teach."""

from __future__ import annotations

import torch
from torch import Tensor

from centerx.objects import Objects
from centerx.targets.centers import draw_gaussians, gaussian_radius
from centerx.tasks import Task
from centerx.types import Maps

FLOOR = 1e-4  # probability where no object is


def maps_from_detections(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    task: Task,
    num_classes: int,
    stride: int,
    input_hw: tuple[int, int],
    min_overlap: float,
    point_radius: float,
) -> Maps:
    """Render detections as Gaussians as high as their scores; fields stand in the 3x3 cells around a peak.

    Where such neighbourhoods overlap, the better detection has the cell.

    Args:
        boxes: (B, K, 4) xyxy input pixels, best first; of a point twice the same.
        scores: (B, K) in [0, 1]; what scores 0 is left out.
        labels: (B, K) int64.
        task: whose fields to render.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        min_overlap: see `gaussian_radius`.
        point_radius: radius in cells of the Gaussian of a point.

    Returns:
        Maps of logits, and of fields in cells, 0 where there is no object.
    """
    batch = len(boxes)
    height, width = (side // stride for side in input_hw)
    image = torch.arange(batch, device=boxes.device)[:, None].expand_as(labels)
    keep = scores > FLOOR
    scores = scores[keep]
    found = Objects(image[keep], labels[keep], torch.zeros_like(scores, dtype=torch.bool), boxes[keep] / stride)

    cell = found.centers.floor().clamp(min=0).minimum(boxes.new_tensor([width - 1, height - 1]))
    radius = gaussian_radius(found.sizes, min_overlap).masked_fill(found.is_point, point_radius)
    probability = boxes.new_full((batch, num_classes, height, width), FLOOR)
    plane = found.image * num_classes + found.labels
    draw_gaussians(probability.view(-1, height, width), plane, cell, radius, scores)
    owner = best_box(found.image, cell, scores, (batch, height, width))
    known = (owner >= 0)[:, None]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([columns, rows]).to(boxes)
    fields = {}
    for field in task.branches:
        values = found.value(field)
        per_cell = values[owner.clamp(min=0)] if len(values) else values.new_zeros(*owner.shape, field.channels)
        fields[field.name] = field.kind.encode(per_cell.permute(0, 3, 1, 2), at) * known
    return Maps(probability.clamp(max=1 - FLOOR).logit(), fields)


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
