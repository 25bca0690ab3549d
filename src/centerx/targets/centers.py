"""Batch -> Targets, on the batch's device, without a loop over objects."""

from __future__ import annotations

import torch
from torch import Tensor

from centerx.fields import KEYPOINTS, OFFSET
from centerx.objects import Objects
from centerx.tasks import CENTER, Task
from centerx.types import Batch, Places, Targets

MIN_SIDE = 1.0  # pixels; a smaller box cannot be told from noise and is ignored
CHUNK = 1 << 24  # heatmap values drawn at once: bounds memory on pictures with hundreds of objects


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


def center_targets(
    batch: Batch, num_classes: int, stride: int, min_overlap: float, reach: int, task: Task, point_radius: float
) -> Targets:
    """Render the targets of a batch.

    Every object is a Gaussian of its class's channel around its centre cell, the maximum where Gaussians overlap, 1 at
    the centre cell itself (Objects as Points, section 3). `weight` is 0 in channels whose centres the labels of a
    picture do not tell, and in the box of every ignored object, around a point that is ignored, save at centre cells.
    Objects with a side under one pixel, or centred outside the input, are ignored too.

    Args:
        batch: pictures with objects in input pixels; not changed.
        num_classes: C.
        stride: pixels per cell.
        min_overlap: see `gaussian_radius`.
        reach: fields are learned at the cells up to so far from the centre cell, so that a peak that lies a cell beside
            the truth still carries the right box; 0 is the paper's centre cell alone.
        task: whose fields are learned.
        point_radius: radius in cells of the Gaussian of an object that is a point.
    """
    height, width = (side // stride for side in batch.images.shape[-2:])
    objects = batch.objects
    boxes = objects.boxes / stride
    size, center = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    limit = center.new_tensor([width, height])
    point = objects.is_point
    inside = ((center >= 0) & ((center < limit) | (point[:, None] & (center == limit)))).all(dim=1)
    large = point | (size.amin(dim=1) * stride >= MIN_SIDE)
    supervised = batch.supervised[objects.image, objects.labels]
    trained = ~objects.ignore & inside & large
    use = trained & supervised[:, 0]
    cell = center.floor().minimum(limit - 1).clamp(min=0)

    heatmap = boxes.new_zeros(len(batch.images), num_classes, height, width)
    radius = gaussian_radius(size, min_overlap).masked_fill(point, point_radius)
    plane = objects.image * num_classes + objects.labels
    draw_gaussians(heatmap.view(-1, height, width), plane[use], cell[use], radius[use])

    weight = batch.supervised[..., 0].float()[:, :, None, None].expand_as(heatmap).clone()
    masked = ~use & supervised[:, 0]
    around = torch.where(point[:, None], boxes + point_radius * boxes.new_tensor([-1, -1, 1, 1]), boxes)
    mask_ignored(weight, objects.image[masked], objects.labels[masked], around[masked])
    weight.masked_fill_(heatmap == 1, 1.0)
    told = trained & supervised.any(dim=1)
    places = regression_targets(
        objects.where(told), cell[told], supervised[told], task, stride, reach, limit, len(batch.images)
    )
    joints = None
    if task.joint_branches:
        column = task.attributes.index(KEYPOINTS.name)
        joints = joint_targets(objects, radius, trained, batch.supervised[..., column], task, stride, (height, width))
    return Targets(heatmap, weight, places, joints)


def joint_targets(
    objects: Objects,
    radius: Tensor,
    trained: Tensor,
    supervised: Tensor,
    task: Task,
    stride: int,
    grid_hw: tuple[int, int],
) -> Targets:
    """Render the joints of objects as centres of their own, a class each, with the Gaussian of their object.

    `weight` is 0 where joints cannot be told from background: in all of a picture where labels do not tell the
    joints of a class that has them; in the box of an object for each of its joints that is not labelled.

    Args:
        objects: N objects, in input pixels.
        radius: (N,) of their Gaussians, in cells.
        trained: (N,) bool; of others all joints count as not labelled.
        supervised: (B, C) bool, whether labels tell the joints of a class.
        task: with joints.
        stride: pixels per cell.
        grid_hw: rows and columns of the grid.
    """
    num_images, num_classes = supervised.shape
    count = len(task.joints.names)
    table = torch.tensor(task.joints.table(num_classes), device=supervised.device) > 0
    points = objects.values[KEYPOINTS.name].unflatten(1, (count, 2)) / stride
    limit = points.new_tensor([grid_hw[1], grid_hw[0]])
    told = supervised[objects.image, objects.labels]
    seen = (objects.known[KEYPOINTS.name] > 0) & ((points >= 0) & (points < limit)).all(dim=2)
    row, joint = (seen & (told & trained)[:, None]).nonzero(as_tuple=True)
    place = points[row, joint]

    heatmap = points.new_zeros(num_images, count, *grid_hw)
    draw_gaussians(
        heatmap.view(-1, *grid_hw), objects.image[row] * count + joint, place.floor(), radius[row].clamp(min=0)
    )
    weight = (supervised[:, :, None] | ~table).all(dim=1).float()[:, :, None, None].expand_as(heatmap).clone()
    lacking = table[objects.labels] & ~(seen & trained[:, None]) & told[:, None]
    owner, channel = lacking.nonzero(as_tuple=True)
    mask_ignored(weight, objects.image[owner], channel, objects.boxes[owner] / stride)
    weight.masked_fill_(heatmap == 1, 1.0)

    own = Objects(objects.image[row], joint, objects.ignore[row], (place * stride).repeat(1, 2))
    every = torch.ones(len(row), 1, dtype=torch.bool, device=weight.device)
    places = regression_targets(own, place.floor(), every, CENTER, stride, 0, limit, num_images)
    return Targets(heatmap, weight, places)


def regression_targets(
    objects: Objects,
    cell: Tensor,
    supervised: Tensor,
    task: Task,
    stride: int,
    reach: int,
    limit: Tensor,
    num_images: int,
) -> Places:
    """Return the places at which the fields of N objects are learned: every object's centre cell and those around.

    Args:
        objects: in input pixels.
        cell: (N, 2) column and row of each centre cell.
        supervised: (N, 1 + F) bool; whether labels tell centre and fields of the object's class.
        task: whose fields.
        stride: pixels per cell.
        reach: cells around the centre cell.
        limit: (2,) columns and rows of the grid.
        num_images: B.
    """
    steps = torch.arange(-reach, reach + 1, device=cell.device, dtype=cell.dtype)
    around = torch.cartesian_prod(steps, steps).view(-1, 2)
    cells = (cell[:, None] + around).flatten(0, 1)
    owner = torch.arange(len(cell), device=cell.device).repeat_interleave(len(around))
    inside = ((cells >= 0) & (cells < limit)).all(dim=1)
    cells, owner = cells[inside], owner[inside]
    goals, weights = {}, {}
    for field in task.center_branches:
        column = 0 if field == OFFSET else task.attributes.index(field.name)  # the offset is known where the centre is
        known = supervised[:, column].float()
        if field.carried.name in objects.known:
            told = objects.known[field.carried.name].float()
            known = known[:, None] * told if field.apart else known * told
        values = field.kind.scale(objects.value(field), 1 / stride)
        goals[field.name] = field.kind.encode(values[owner], cells)
        weights[field.name] = known[owner]
    image = objects.image[owner]
    at = image, position_in_group(image)
    room = int(torch.bincount(image, minlength=num_images).max()) if num_images else 0
    index = torch.zeros(num_images, room, dtype=torch.int64, device=cell.device)
    index[at] = (cells[:, 1] * limit[0] + cells[:, 0]).long()
    return Places(
        index,
        {name: padded(values, at, index.shape).transpose(1, 2) for name, values in goals.items()},
        {
            name: padded(values, at, index.shape).movedim(-1, 1)
            if values.dim() > 1
            else padded(values, at, index.shape)
            for name, values in weights.items()
        },
    )


def padded(values: Tensor, at: tuple[Tensor, Tensor], shape: torch.Size) -> Tensor:
    """(N, ...) -> (B, P, ...), 0 where `at` puts nothing."""
    room = values.new_zeros(*shape, *values.shape[1:])
    room[at] = values
    return room


def position_in_group(group: Tensor) -> Tensor:
    """For a sorted (N,) of group numbers, each member's place within its group, from 0."""
    if not len(group):
        return group
    _, counts = group.unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    return torch.arange(len(group), device=group.device) - starts.repeat_interleave(counts)


def draw_gaussians(planes: Tensor, plane: Tensor, cell: Tensor, radius: Tensor, height: Tensor | None = None) -> None:
    """Draw Gaussians into planes (P, h, w), in place; where they overlap the maximum stays.

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
        whole = 2 * reach + 1 > max(rows, columns)  # a window larger than the map is the map
        steps = torch.arange(-reach, reach + 1 if not whole else -reach, device=planes.device, dtype=cell.dtype)
        across, down = (torch.arange(side, device=planes.device, dtype=cell.dtype) for side in (columns, rows))
        per_object = max(1, CHUNK // (rows * columns if whole else len(steps) ** 2))
        for some in (level == power).nonzero()[:, 0].split(per_object):
            x, y = (
                (places.expand(len(some), -1) if whole else cell[some, axis, None] + steps)
                for axis, places in enumerate((across, down))
            )
            wide, tall = (
                _decay(at - cell[some, axis, None], half[some], sigma[some]) for axis, at in enumerate((x, y))
            )
            value = tall[:, :, None] * wide[:, None, :]
            if height is not None:
                value = value * height[some, None, None]
            fits = ((y >= 0) & (y < rows))[:, :, None] & ((x >= 0) & (x < columns))[:, None, :]
            where = (plane[some, None, None] * rows + y.long()[:, :, None]) * columns + x.long()[:, None, :]
            flat.scatter_reduce_(0, where[fits], value[fits], "amax")


def _decay(steps: Tensor, half: Tensor, sigma: Tensor) -> Tensor:
    """Return the Gaussian at (N, S) steps from its middle, 0 beyond its window."""
    return torch.exp(-(steps**2) / (2 * sigma[:, None] ** 2)) * (steps.abs() <= half[:, None])


def mask_ignored(weight: Tensor, image: Tensor, labels: Tensor, boxes: Tensor) -> None:
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
