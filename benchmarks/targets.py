"""Target rendering: a batch's boxes to its heatmaps, weights and regression targets, in milliseconds."""

from __future__ import annotations

from functools import partial
from itertools import product

import torch

from centerx.bench import median_seconds
from centerx.config.schema import LossConfig
from centerx.models import CenterNet
from centerx.objects import make_objects
from centerx.targets import center_targets
from centerx.tasks import BOXES
from centerx.training.processes import keep_freed_memory
from centerx.types import Batch

from rows import Row, command_line, in_ms, rows, show

SIDE = 512  # pixels, for a grid of 128 x 128
RUNS = 51
TASK = BOXES
BOX_SIDES = (12.0, 120.0)  # pixels


def measure() -> list[Row]:
    """Time 3 and 80 classes, 10 and 100 boxes a picture, batches of 1 and 8."""
    keep_freed_memory()  # as training does
    loss = LossConfig()
    calls = {
        f"{classes} classes, {boxes} boxes, batch {size}": partial(
            center_targets,
            random_batch(size, boxes, classes, SIDE),
            num_classes=classes,
            stride=CenterNet.stride,
            min_overlap=loss.min_overlap,
            reach=loss.reach,
            task=TASK,
            point_radius=loss.point_radius,
        )
        for size, classes, boxes in product((1, 8), (3, 80), (10, 100))
    }
    return rows("targets, 128x128", in_ms(median_seconds(calls, RUNS)), "ms", RUNS)


def random_batch(size: int, boxes: int, classes: int, side: int) -> Batch:
    """Noise, and on each picture so many boxes of random place, shape and class."""
    rng = torch.Generator().manual_seed(0)
    low, high = BOX_SIDES
    centre = torch.rand(size, boxes, 2, generator=rng) * side
    half = (low + torch.rand(size, boxes, 2, generator=rng) * (high - low)) / 2
    corners = torch.cat([centre - half, centre + half], dim=-1).clamp(0, side)
    objects = make_objects(
        corners.flatten(0, 1),
        torch.randint(0, classes, (size, boxes), generator=rng).flatten(),
        torch.zeros(size * boxes, dtype=torch.bool),
    )
    return Batch(
        images=torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, generator=rng),
        objects=objects._replace(image=torch.arange(size).repeat_interleave(boxes)),
        supervised=torch.ones(size, classes, len(TASK.attributes), dtype=torch.bool),
        letterboxes=[None] * size,
        image_ids=list(range(size)),
        skipped=[],
    )


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
