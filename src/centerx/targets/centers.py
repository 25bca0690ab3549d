"""Batch -> CenterTargets, on the batch's device, without a loop over objects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from centerx.types import Batch, CenterTargets

MIN_SIDE = 1.0  # pixels; a smaller box cannot be told from noise and is ignored
CHUNK = 1 << 24  # heatmap values splatted at once: bounds memory on pictures with hundreds of objects


def gaussian_radius(size: Tensor, min_overlap: float) -> Tensor:
    """Radius at which the worst shift of a box's corners leaves an IoU of exactly `min_overlap`.

    CornerNet (Law and Deng, 2018) asks that a box of sides w and h whose corners each move by at most r keep an IoU of
    o with the original. The worst move is both corners inwards, (w - 2r)(h - 2r) / (wh) = o: moving both the same
    way, or both outwards, leaves more. So r is the smaller root of 4 r^2 - 2 (w + h) r + (1 - o) w h = 0. CornerNet's
    published code divides by the wrong coefficient and gets radii up to 3.5 times larger.

    Args:
        size: (..., 2) width and height in cells.
        min_overlap: IoU in (0, 1).

    Returns:
        (...) radius in cells.
    """
    total, area = size.sum(-1), size.prod(-1)
    return (total - (total**2 - 4 * (1 - min_overlap) * area).clamp(min=0).sqrt()) / 4


def center_targets(batch: Batch, num_classes: int, stride: int, min_overlap: float, reach: int = 0) -> CenterTargets:
    """Render the targets of a batch.

    Every object is a Gaussian splat of its class's channel around its centre cell, the maximum where splats
    overlap, 1 at the centre cell itself (Objects as Points, section 3). `weight` is 0 in channels that the
    picture's data set does not annotate, and in the box of every ignored object, save at centre cells. Objects
    with a side under one pixel, or centred outside the input, are ignored too.

    Args:
        batch: pictures with boxes in input pixels; not changed.
        num_classes: C.
        stride: pixels per cell.
        min_overlap: see `gaussian_radius`.
        reach: size and offset are also asked for at the cells up to so far from the centre cell, so that a peak that
            lies a cell beside the truth still carries the right box; 0 is the paper's centre cell alone.
    """
    device = batch.images.device
    height, width = (side // stride for side in batch.images.shape[-2:])
    counts = [len(labels) for labels in batch.labels]
    boxes, labels, ignore = torch.cat(batch.boxes) / stride, torch.cat(batch.labels), torch.cat(batch.ignore)
    image = torch.arange(len(counts), device=device).repeat_interleave(torch.tensor(counts, device=device))

    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2
    limit = centre.new_tensor([width, height])
    inside = ((centre >= 0) & (centre < limit)).all(dim=1)
    use = ~ignore & inside & (size.amin(dim=1) * stride >= MIN_SIDE) & batch.annotated[image, labels]
    cell = centre.floor().minimum(limit - 1).clamp(min=0)

    heatmap = boxes.new_zeros(len(counts), num_classes, height, width)
    plane = heatmap.view(-1, height, width)
    splat(plane, (image * num_classes + labels)[use], cell[use], gaussian_radius(size[use], min_overlap))

    weight = batch.annotated.float()[:, :, None, None].expand_as(heatmap).clone()
    masked = ~use & batch.annotated[image, labels]
    erase(weight, image[masked], labels[masked], boxes[masked])
    weight.masked_fill_(heatmap == 1, 1.0)

    return CenterTargets(heatmap, weight, *slots(image[use], centre[use], cell[use], size[use], heatmap.shape, reach))


def slots(
    image: Tensor, centre: Tensor, cell: Tensor, size: Tensor, shape: Sequence[int], reach: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Index, size, offset and valid of CenterTargets for N objects sorted by picture, (B, C, h, w) the map's shape."""
    steps = torch.arange(-reach, reach + 1, device=cell.device, dtype=cell.dtype)
    around = torch.cartesian_prod(steps, steps).view(-1, 2)
    cells = (cell[:, None] + around).flatten(0, 1)
    image, centre, size = (each.repeat_interleave(len(around), dim=0) for each in (image, centre, size))
    inside = ((cells >= 0) & (cells < cells.new_tensor([shape[3], shape[2]]))).all(dim=1)
    image, centre, size, cells = image[inside], centre[inside], size[inside], cells[inside]

    room = int(torch.bincount(image, minlength=shape[0]).max()) if shape[0] else 0
    at = (image, position_in_group(image))
    index = torch.zeros(shape[0], room, dtype=torch.int64, device=cell.device)
    sizes, offsets = size.new_zeros(shape[0], room, 2), size.new_zeros(shape[0], room, 2)
    valid = torch.zeros(shape[0], room, dtype=torch.bool, device=cell.device)
    index[at] = (cells[:, 1] * shape[3] + cells[:, 0]).long()
    sizes[at], offsets[at], valid[at] = size, centre - cells, True
    return index, sizes, offsets, valid


def splat(planes: Tensor, plane: Tensor, cell: Tensor, radius: Tensor, height: Tensor | None = None) -> None:
    """Max-splat Gaussians into planes (P, h, w), in place.

    Only the window of each Gaussian is computed: objects of like size share a window, so work follows the
    objects' own area rather than objects times map.

    Args:
        planes: the maps.
        plane: (N,) which of them.
        cell: (N, 2) x and y of the peak, whole numbers.
        radius: (N,) the window's half side in cells; the deviation is a sixth of the window's side.
        height: (N,) of the peaks; 1 without it.
    """
    if not len(plane):
        return
    rows, columns = planes.shape[-2:]
    half = radius.floor().clamp(min=0)
    sigma = (2 * half + 1) / 6
    level = (half + 1).log2().ceil().long()  # windows of 1, 3, 7, 15, ... cells
    flat = planes.view(-1)
    for power in level.unique().tolist():
        reach = 2**power - 1
        steps = torch.arange(-reach, reach + 1, device=planes.device, dtype=cell.dtype)
        per_object = max(1, CHUNK // len(steps) ** 2)
        for some in (level == power).nonzero()[:, 0].split(per_object):
            x, y = cell[some, :1] + steps, cell[some, 1:] + steps
            decay = torch.exp(-(steps**2) / (2 * sigma[some, None] ** 2))
            decay = decay * (steps.abs() <= half[some, None])
            value = decay[:, :, None] * decay[:, None, :]
            if height is not None:
                value = value * height[some, None, None]
            fits = ((y >= 0) & (y < rows))[:, :, None] & ((x >= 0) & (x < columns))[:, None, :]
            where = (plane[some, None, None] * rows + y.long()[:, :, None]) * columns + x.long()[:, None, :]
            flat.scatter_reduce_(0, where[fits], value[fits], "amax")


def erase(weight: Tensor, image: Tensor, labels: Tensor, boxes: Tensor) -> None:
    """Set weight (B, C, h, w) to 0 in each object's cells, in place; boxes (N, 4) in cells."""
    if not len(image):
        return
    height, width = weight.shape[-2:]
    y = torch.arange(height, device=weight.device)
    x = torch.arange(width, device=weight.device)
    rows = (y >= boxes[:, 1:2].floor()) & (y < boxes[:, 3:4].ceil())
    columns = (x >= boxes[:, 0:1].floor()) & (x < boxes[:, 2:3].ceil())
    for some in torch.arange(len(image), device=weight.device).split(max(1, CHUNK // (height * width))):
        keep = ~(rows[some, :, None] & columns[some, None, :])
        flat = weight.view(-1, height, width)
        plane = (image[some] * weight.shape[1] + labels[some])[:, None, None].expand_as(keep)
        flat.scatter_reduce_(0, plane, keep.to(weight.dtype), "amin")


def position_in_group(group: Tensor) -> Tensor:
    """For a sorted (N,) of group numbers, each member's place within its group, from 0."""
    if not len(group):
        return group
    _, counts = group.unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    return torch.arange(len(group), device=group.device) - starts.repeat_interleave(counts)
