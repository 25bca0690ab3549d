"""Detections -> the maps of a CenterNet that finds them: how a teacher that gives detections alone can teach."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from centerx.objects import SCORE, Objects
from centerx.targets.centers import MIN_SIDE, draw_gaussians, gaussian_radius, mask_ignored
from centerx.tasks import Task
from centerx.types import Maps

FLOOR = 1e-4  # probability where no object is
PENALTY = 4  # exponent by which the Gaussian around a centre lessens the loss there, beta of Objects as Points, eq. 1


class Rendered(NamedTuple):
    """Maps of detections.

    Attributes:
        maps: of logits, the score at the centre cell of each object; of fields in cells, 0 where there is no object.
        weight: (B, C, h, w) float32, how much each cell of the heatmap counts: 1, but less around a centre, where a
            network may see the object as well. So detections that score 1 teach as labels do.
    """

    maps: Maps
    weight: Tensor


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
) -> Rendered:
    """Render the detections of a detector, see `maps_from_objects`.

    Args:
        boxes: (B, K, 4) xyxy input pixels, best first; of a point twice the same.
        scores: (B, K) in [0, 1]; what scores 0 is left out.
        labels: (B, K) int64.
        task: whose fields to render.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        min_overlap, point_radius: as for `maps_from_objects`.
    """
    image = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(labels)
    keep = scores > FLOOR
    values = {SCORE: scores[keep][:, None]}
    found = Objects(image[keep], labels[keep], torch.zeros_like(labels[keep], dtype=torch.bool), boxes[keep], values)
    return maps_from_objects(found, len(boxes), task, num_classes, stride, input_hw, min_overlap, point_radius)


def maps_from_objects(
    objects: Objects,
    num_images: int,
    task: Task,
    num_classes: int,
    stride: int,
    input_hw: tuple[int, int],
    min_overlap: float,
    point_radius: float,
) -> Rendered:
    """Render objects as peaks as high as their scores; fields stand in the 3x3 cells around a peak.

    Where such neighbourhoods overlap, the object that scores higher has the cell.

    Args:
        objects: in input pixels, with `SCORE` among their values; whether they are ignored does not matter.
        num_images: B.
        task: whose fields to render.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        min_overlap: see `gaussian_radius`.
        point_radius: radius in cells of the Gaussian of a point.
    """
    boxes, scores = objects.boxes, objects.values[SCORE][:, 0]
    batch, (height, width) = num_images, (side // stride for side in input_hw)
    found = objects._replace(boxes=boxes / stride)
    cell = center_cells(found, (height, width))
    radius = gaussian_radius(found.sizes, min_overlap).masked_fill(found.is_point, point_radius)
    probability = boxes.new_full((batch, num_classes, height, width), FLOOR)
    around = torch.zeros_like(probability)
    plane = found.image * num_classes + found.labels
    draw_gaussians(around.view(-1, height, width), plane, cell, radius, scores)
    column, row = cell.long().T
    probability.view(-1).scatter_reduce_(0, (plane * height + row) * width + column, scores, "amax")
    weight = torch.where(probability > FLOOR, 1.0, (1 - around) ** PENALTY)
    owner = best_box(found.image, cell, scores, (batch, height, width))
    known = (owner >= 0)[:, None]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([columns, rows]).to(boxes)
    fields = {}
    for field in task.branches:
        values = found.value(field)
        per_cell = values[owner.clamp(min=0)] if len(values) else values.new_zeros(*owner.shape, field.channels)
        fields[field.name] = field.kind.encode(per_cell.permute(0, 3, 1, 2), at) * known
    return Rendered(Maps(probability.clamp(max=1 - FLOOR).logit(), fields), weight)


def known_cells(
    objects: Objects,
    answered: Tensor,
    num_classes: int,
    stride: int,
    input_hw: tuple[int, int],
    point_radius: float,
) -> Tensor:
    """Return (B, C, h, w) float32: 0 where nothing is known of a class, else 1.

    That is so on pictures that have no answer, and in the box of every ignored object, around a point that is ignored,
    save at the centre cells of the others: as it is with labels.

    Args:
        objects: in input pixels.
        answered: (B,) bool, whether there is an answer for the picture.
        num_classes: C.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        point_radius: cells around a point that count as its box.
    """
    height, width = (side // stride for side in input_hw)
    found = objects._replace(boxes=objects.boxes / stride)
    known = torch.ones(len(answered), num_classes, height, width, device=answered.device)
    reach = point_radius * found.boxes.new_tensor([-1, -1, 1, 1])
    around = torch.where(found.is_point[:, None], found.boxes + reach, found.boxes)
    mask_ignored(known, found.image[found.ignore], found.labels[found.ignore], around[found.ignore])
    kept = found.where(~found.ignore)
    column, row = center_cells(kept, (height, width)).long().T
    known[kept.image, kept.labels, row, column] = 1
    return known * answered[:, None, None, None]


def ignore_tiny(objects: Objects) -> Objects:
    """Return objects in input pixels, those of a side under one pixel ignored, as labels of them are."""
    return objects._replace(ignore=objects.ignore | (~objects.is_point & (objects.sizes.amin(dim=1) < MIN_SIDE)))


def center_cells(objects: Objects, grid_hw: tuple[int, int]) -> Tensor:
    """(N, 2) column and row of the cell of each centre, on the grid; boxes are in cells."""
    last = objects.boxes.new_tensor([grid_hw[1] - 1, grid_hw[0] - 1])
    return objects.centers.floor().clamp(min=0).minimum(last)


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
