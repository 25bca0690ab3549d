"""Detections -> the maps of a CenterNet that finds them: how a teacher that gives detections alone can teach."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from centerx.fields import JOINT_HEATMAP, JOINT_OFFSET, KEYPOINTS, OFFSET
from centerx.objects import SCORE, Objects
from centerx.targets.centers import MIN_SIDE, mask_ignored
from centerx.tasks import CENTER, KEYPOINT_SCORES, Task
from centerx.types import Maps

FLOOR = 1e-4  # probability where no object is
SPREAD = 1.0  # cells: maps of trained networks fall to 0.35 (small objects) to 0.7 (large ones) one cell beside a peak
EDGE = 0.01  # cells that a centre keeps from the border of its cell: of equal neighbours none would be the peak
REACH = 3  # cells to each side of the centre's that a peak covers: beyond, 0.01 of it are left


def maps_from_detections(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    task: Task,
    num_classes: int,
    stride: int,
    input_hw: tuple[int, int],
    values: Mapping[str, Tensor] = {},
) -> Maps:
    """Render the detections of a detector, see `maps_from_objects`.

    Args:
        boxes: (B, K, 4) xyxy input pixels, best first; of a point twice the same.
        scores: (B, K) in [0, 1]; what scores 0 is left out.
        labels: (B, K) int64.
        task: whose fields to render.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
        values: by name of a field that objects of the task carry, (B, K, D) in input pixels; and scores of joints.
    """
    image = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(labels)
    keep = scores > FLOOR
    own = {SCORE: scores[keep][:, None], **{name: each[keep] for name, each in values.items()}}
    known = {KEYPOINTS.name: own.pop(KEYPOINT_SCORES)} if KEYPOINT_SCORES in own else {}
    ignore = torch.zeros_like(labels[keep], dtype=torch.bool)
    found = Objects(image[keep], labels[keep], ignore, boxes[keep], own, known)
    return maps_from_objects(found, len(boxes), task, num_classes, stride, input_hw)


def maps_from_objects(
    objects: Objects,
    num_images: int,
    task: Task,
    num_classes: int,
    stride: int,
    input_hw: tuple[int, int],
) -> Maps:
    """Render objects as a network sees them: peaks as high as their scores; fields stand in the 3x3 cells around each.

    A peak falls off as a Gaussian about the centre itself, wherever in its cell that lies. Where two overlap, the
    higher value counts, and the object that scores higher has the fields of the cell.

    Args:
        objects: in input pixels, with `SCORE` among their values; whether they are ignored does not matter.
        num_images: B.
        task: whose fields to render.
        num_classes: C of the heatmap.
        stride: pixels per cell.
        input_hw: height and width of the input in pixels.
    """
    boxes, scores = objects.boxes, objects.values[SCORE][:, 0]
    batch, (height, width) = num_images, (side // stride for side in input_hw)
    found = objects._replace(boxes=boxes / stride)
    cell = center_cells(found, (height, width))
    probability = boxes.new_full((batch, num_classes, height, width), FLOOR)
    draw_peaks(
        probability.view(-1, height, width), found.image * num_classes + found.labels, cell, found.centers, scores
    )
    owner = best_box(found.image, cell, scores, (batch, height, width))
    known = (owner >= 0)[:, None]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([columns, rows]).to(boxes)
    fields, sure = {}, {}
    for field in task.center_branches:
        values = field.kind.scale(objects.value(field), 1 / stride)
        per_cell = values[owner.clamp(min=0)] if len(values) else values.new_zeros(*owner.shape, field.channels)
        fields[field.name] = field.kind.encode(per_cell.permute(0, 3, 1, 2), at) * known
        if field.apart:
            own = objects.known[field.name].float()
            sure[field.name] = own[owner.clamp(min=0)].permute(0, 3, 1, 2) * known if len(own) else known * 0
    if task.joint_branches:
        points = joints_as_objects(objects, len(task.joints.names), input_hw)
        of_joints = maps_from_objects(points, num_images, CENTER, len(task.joints.names), stride, input_hw)
        fields |= {JOINT_HEATMAP.name: of_joints.heatmap, JOINT_OFFSET.name: of_joints.fields[OFFSET.name]}
    return Maps(probability.clamp(max=1 - FLOOR).logit(), fields, sure)


def joints_as_objects(objects: Objects, count: int, input_hw: tuple[int, int]) -> Objects:
    """Return the joints of objects as points that score as much as object and joint together, a class each.

    Args:
        objects: with keypoints, in input pixels.
        count: of the joints.
        input_hw: height and width of the input in pixels; what lies outside is left out.
    """
    sure = objects.known[KEYPOINTS.name].float()
    every = objects.values[KEYPOINTS.name].unflatten(1, (count, 2))
    inside = ((every >= 0) & (every < every.new_tensor(input_hw[::-1]))).all(dim=2)
    row, joint = ((sure > FLOOR) & inside).nonzero(as_tuple=True)
    points = every[row, joint]
    score = objects.values[SCORE][row] * sure[row, joint, None]
    return Objects(objects.image[row], joint, objects.ignore[row], points.repeat(1, 2), {SCORE: score})


def draw_peaks(planes: Tensor, plane: Tensor, cell: Tensor, centers: Tensor, scores: Tensor) -> None:
    """Draw the peak of each of N objects into its plane, where that is lower.

    Args:
        planes: (P, h, w) probabilities; changed.
        plane: (N,) the plane of each object.
        cell: (N, 2) column and row of the cell of its centre, where the peak is as high as its score.
        centers: (N, 2) x and y of its centre in cells.
        scores: (N,) in [0, 1].
    """
    _, height, width = planes.shape
    steps = torch.arange(-REACH, REACH + 1, device=cell.device)
    around = cell.long()[:, None] + torch.cartesian_prod(steps, steps)
    inside = ((around >= 0) & (around < around.new_tensor([width, height]))).all(dim=-1)
    place = (centers - cell).clamp(EDGE, 1 - EDGE) - 0.5
    further = (around - cell[:, None] - place[:, None]).square().sum(dim=-1) - place.square().sum(dim=1)[:, None]
    drawn = scores[:, None] * (-further / (2 * SPREAD**2)).exp()
    where = (plane[:, None] * height + around[..., 1]) * width + around[..., 0]
    planes.view(-1).scatter_reduce_(0, where[inside], drawn[inside], "amax")


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
