"""Every task: what is encoded is decoded; what moves or changes places does so in the answers, nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from centerx.data.dataset import span, with_corners
from centerx.decode import TORCH, Decode
from centerx.detector import mirror
from centerx.fields import CORNERS, KEYPOINTS, Outline, Peaks
from centerx.geometry import scale_matrix, shift_matrix
from centerx.joints import Joints
from centerx.losses.terms import label_terms
from centerx.models import Branch
from centerx.objects import Objects, join_objects, make_objects
from centerx.runtime.outputs import detections_from_maps
from centerx.targets import center_targets
from centerx.tasks import QUADS_AS_LABELLED, TASKS, Task, make_task
from centerx.types import Batch, Maps, RawDetections, Targets

STRIDE, HW, CLASSES, PICTURES = 4, (96, 128), 3, 4
MIRROR = shift_matrix(HW[1], 0) @ scale_matrix(-1, 1)
HAND = Joints(("wrist", "left_tip", "right_tip"), (0, 2, 1), ((0, 1), (0, 2)), (0.05, 0.05, 0.1))
EVERY = [*(make_task(name, joints=HAND) for name in TASKS), QUADS_AS_LABELLED._replace(name="quads as labelled")]
SURE = 0.99
TOLERANCE = 1e-3  # pixels
tasks = pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
seeds = pytest.mark.parametrize("seed", range(4))


def scene(rng: np.random.Generator, task: Task) -> Objects:
    """Up to twelve objects of any class, none in the neighbourhood of another; all of them inside the picture."""
    middles = np.stack(np.meshgrid(np.arange(16, HW[1], 32.0), np.arange(16, HW[0], 32.0)), axis=-1).reshape(-1, 2)
    centers = rng.permutation(middles)[: rng.integers(1, 13)] + rng.uniform(-3, 3, (1, 2))
    count = len(centers)
    angle, sides = rng.uniform(0, np.pi, count), rng.uniform(3, 9, (count, 2))
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * sides[:, :1]
    aside = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * sides[:, 1:]
    corners = centers[:, None] + np.stack([-along - aside, along - aside, along + aside, aside - along], axis=1)
    if task.name.startswith("quads"):
        corners += rng.uniform(-1, 1, corners.shape)
    joints = centers[:, None] + np.array([[0, -6], [-6, 5], [6, 5]]) + rng.uniform(-1.5, 1.5, (count, 3, 2))
    turned = CORNERS in [each._replace(kind=CORNERS.kind) for each in task.carried]
    boxes = np.array([span(each) for each in corners.reshape(count, 8)]) if turned else np.concatenate(
        [centers - sides, centers + sides], axis=1
    )  # fmt: skip
    if task.refine is not None:
        boxes = np.concatenate([joints.min(axis=1) - 2, joints.max(axis=1) + 2], axis=1)
    objects = make_objects(boxes, rng.integers(0, CLASSES, count))
    if turned:
        objects = with_corners(objects, corners.reshape(count, 8), np.ones(count, dtype=bool))
    if task.refine is not None:
        values = {**objects.values, KEYPOINTS.name: joints.reshape(count, 6)}
        objects = objects._replace(values=values, known={KEYPOINTS.name: np.ones((count, 3), dtype=bool)})
    return objects.with_fields(task.fields)


def scenes(seed: int, task: Task) -> list[Objects]:
    rng = np.random.default_rng(seed)
    return [scene(rng, task) for _ in range(PICTURES)]


def batch_of(parts: list[Objects], task: Task) -> Batch:
    numbered = [part._replace(image=np.full(len(part.labels), place)) for place, part in enumerate(parts)]
    single = [each.map(lambda array: torch.from_numpy(np.ascontiguousarray(array))) for each in numbered]
    objects = join_objects(single, torch.cat).map(lambda each: each.float() if each.is_floating_point() else each)
    told = torch.ones(len(parts), CLASSES, 1 + len(task.fields), dtype=torch.bool)
    images = torch.zeros(len(parts), 3, *HW, dtype=torch.uint8)
    return Batch(images, objects, told, [None] * len(parts), list(range(len(parts))), [])


def targets_of(parts: list[Objects], task: Task) -> Targets:
    return center_targets(batch_of(parts, task), CLASSES, STRIDE, 0.7, 0, task, 2.0)


def encoded(parts: list[Objects], task: Task) -> Maps:
    """The maps of a network that has learned the targets of these pictures by heart."""
    targets = targets_of(parts, task)
    fields = spread(targets, task)
    if targets.joints is not None:
        peaks, offset = task.joint_branches
        fields |= {peaks.name: logits(targets.joints.heatmap)}
        fields |= {offset.name: spread(targets.joints, make_task("center"))["offset"]}
    return Maps(logits(targets.heatmap), fields)


def logits(heatmap: Tensor) -> Tensor:
    return 24 * heatmap - 12


def spread(targets: Targets, task: Task) -> dict[str, Tensor]:
    """What is to be said at the places of each field, as maps."""
    assert targets.places.cells is not None
    h, w = targets.heatmap.shape[-2:]
    maps = {}
    for each in task.center_branches:
        goals, weights = (getattr(targets.places, name)[each.name] for name in ("goals", "weights"))
        flat = torch.zeros(len(goals), each.channels, h * w)
        known = weights if weights.ndim == 3 else weights[:, None]
        known = known.repeat_interleave(each.channels // known.shape[1], dim=1) > 0
        for row, (goal, keep, cells) in enumerate(zip(goals, known, targets.places.cells, strict=True)):
            for channel in range(each.channels):
                flat[row, channel, cells[keep[channel]]] = goal[channel, keep[channel]]
        maps[each.name] = flat.unflatten(-1, (h, w))
    return maps


def decoded(maps: Maps, task: Task) -> RawDetections:
    """The detections of the graph; those of NumPy are the same."""
    found = Decode(20, STRIDE, task)(maps, HW)
    highest = maps.heatmap == torch.nn.functional.max_pool2d(maps.heatmap, 3, 1, 1)
    arrays = {name: each.numpy() for name, each in task.with_probabilities(maps.fields, TORCH).items()}
    peaks = torch.where(highest, maps.heatmap.sigmoid(), 0).numpy()
    values, *others = detections_from_maps({"heatmap": peaks, **arrays}, task, STRIDE, 20)
    theirs = RawDetections(
        {name: torch.from_numpy(each) for name, each in values.items()}, *map(torch.from_numpy, others)
    )
    for picture in range(len(maps.heatmap)):
        same(rows(found, picture, task), rows(theirs, picture, task), task)
    return found


def rows(found: RawDetections, picture: int, task: Task) -> list[tuple[int, np.ndarray]]:
    """Label and values of each sure detection of a picture, in the order of their places."""
    sure = (found.scores[picture] > SURE).numpy()
    values = np.concatenate(
        [shown(found.values[each.name][picture].numpy()[sure], each.name) for each in task.outputs], 1
    )
    some = list(zip(found.labels[picture].numpy()[sure].tolist(), values, strict=True))
    return sorted(some, key=lambda row: (row[0], np.round(row[1][:2]).tolist()))


def shown(values: np.ndarray, name: str) -> np.ndarray:
    """Values where what means the same is the same: angles by their direction, scores of joints left out."""
    if name == "angles":
        double = np.deg2rad(2 * values)
        return np.concatenate([np.cos(double), np.sin(double)], axis=1)
    return values[:, :0] if name == "keypoint_scores" else values


def expected(objects: Objects, task: Task) -> list[tuple[int, np.ndarray]]:
    """What a detector without a fault says of objects."""
    centers, corners = (objects.boxes[:, :2] + objects.boxes[:, 2:]) / 2, objects.values.get("corners")
    told = {"points": centers, "boxes": objects.boxes, "keypoints": objects.values.get("keypoints")}
    if corners is not None:
        ends = corners.reshape(-1, 4, 2)
        long = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) >= np.linalg.norm(ends[:, 2] - ends[:, 1], axis=1)
        along = np.where(long[:, None], ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 1])
        told |= {"corners": corners, "angles": np.rad2deg(np.arctan2(along[:, 1], along[:, 0]))[:, None]}
    values = [shown(np.asarray(told[each.name]), each.name) for each in task.outputs if each.name in told]
    some = list(zip(objects.labels.tolist(), np.concatenate(values, axis=1), strict=True))
    return sorted(some, key=lambda row: (row[0], np.round(row[1][:2]).tolist()))


def same(ours: list[tuple[int, np.ndarray]], theirs: list[tuple[int, np.ndarray]], task: Task) -> None:
    """Compare detections; corners that go around may begin anywhere."""
    assert [label for label, _ in ours] == [label for label, _ in theirs]
    around = task.name in ("quads", "rotated")
    for (_, one), (_, other) in zip(ours, theirs, strict=True):
        turned = [other, *(with_turned(other, begin) for begin in range(1, 4 if around else 1))]
        assert min(float(np.abs(one - each).max()) for each in turned) < TOLERANCE


def with_turned(values: np.ndarray, begin: int) -> np.ndarray:
    """The values of a box with corners, which begin elsewhere."""
    corners = np.roll(values[4:12].reshape(4, 2), begin, axis=0).ravel()
    return np.concatenate([values[:4], corners, values[12:]])


@seeds
@tasks
def test_what_is_encoded_is_decoded(seed: int, task: Task) -> None:
    parts = scenes(seed, task)
    found = decoded(encoded(parts, task), task)
    for picture, objects in enumerate(parts):
        same(rows(found, picture, task), expected(objects, task), task)


@seeds
@tasks
def test_the_mirror_image_of_maps_is_decoded_as_the_mirror_image_of_objects(seed: int, task: Task) -> None:
    parts = scenes(seed, task)
    maps = encoded(parts, task)
    heatmaps = [each.name for each in task.branches if each.kind is Peaks]
    mirrored = Maps(maps.heatmap.flip(-1), {each.name: mirror(maps.fields[each.name], each) for each in task.branches})
    assert all(mirrored.fields[name].shape == maps.fields[name].shape for name in heatmaps)
    found = decoded(mirrored, task)
    for picture, objects in enumerate(parts):
        same(rows(found, picture, task), expected(objects.warp(MIRROR), task), task)


@seeds
@tasks
@pytest.mark.parametrize("cells", [(1, 0), (0, -1), (-1, 1)])
def test_a_shift_by_a_stride_moves_places_and_nothing_else(seed: int, task: Task, cells: tuple[int, int]) -> None:
    parts = scenes(seed, task)
    move = shift_matrix(STRIDE * cells[0], STRIDE * cells[1])
    moved = [objects.warp(move) for objects in parts]
    inside = [((each.boxes >= 0) & (each.boxes <= np.array([*HW[::-1]] * 2))).all(axis=1) for each in moved]
    before = [each.where(keep) for each, keep in zip(parts, inside, strict=True)]
    after = [each.where(keep) for each, keep in zip(moved, inside, strict=True)]
    maps, shifted = encoded(before, task), encoded(after, task)
    ours = [maps.heatmap, *(maps.fields[each.name] for each in task.branches)]
    theirs = [shifted.heatmap, *(shifted.fields[each.name] for each in task.branches)]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.roll((cells[1], cells[0]), (-2, -1))[..., 2:-2, 2:-2], other[..., 2:-2, 2:-2],
                                   rtol=0, atol=1e-4)  # fmt: skip
    found, again = decoded(maps, task), decoded(shifted, task)
    for picture, objects in enumerate(after):
        same(rows(again, picture, task), expected(objects, task), task)
    torch.testing.assert_close(found.scores.sort().values, again.scores.sort().values, rtol=0, atol=1e-4)


def noise(seed: int, task: Task) -> Maps:
    """Maps of which no two values are the same."""
    generator = torch.Generator().manual_seed(seed)
    h, w = HW[0] // STRIDE, HW[1] // STRIDE
    drawn = {each.name: torch.randn(PICTURES, each.channels, h, w, generator=generator) for each in task.branches}
    drawn = {name: each * 3 + 2 for name, each in drawn.items()}
    return Maps(torch.randn(PICTURES, CLASSES, h, w, generator=generator) * 3, drawn)


@seeds
@tasks
def test_pictures_of_a_batch_may_change_places(seed: int, task: Task) -> None:
    order = torch.randperm(PICTURES, generator=torch.Generator().manual_seed(seed))
    maps, parts = noise(seed, task), scenes(seed, task)
    moved = Maps(maps.heatmap[order], {name: each[order] for name, each in maps.fields.items()})
    found, again = Decode(20, STRIDE, task)(maps, HW), Decode(20, STRIDE, task)(moved, HW)
    for ours, theirs in ((found.scores, again.scores), (found.labels, again.labels)):
        assert torch.equal(ours[order], theirs)
    assert all(torch.equal(found.values[name][order], each) for name, each in again.values.items())
    targets, others = targets_of(parts, task), targets_of([parts[place] for place in order], task)
    assert torch.equal(targets.heatmap[order], others.heatmap)
    same_terms(maps, targets, moved, others, task)


@seeds
@tasks
def test_classes_may_change_places(seed: int, task: Task) -> None:
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(seed + 1))
    maps, parts = noise(seed, task), scenes(seed, task)
    moved = Maps(maps.heatmap[:, order], maps.fields)
    found, again = Decode(20, STRIDE, task)(maps, HW), Decode(20, STRIDE, task)(moved, HW)
    assert torch.equal(found.scores, again.scores)
    assert torch.equal(found.labels, order[again.labels])
    assert all(torch.equal(found.values[name], each) for name, each in again.values.items())
    places = order.argsort().numpy()
    renamed = [objects._replace(labels=places[objects.labels]) for objects in parts]
    targets, others = targets_of(parts, task), targets_of(renamed, task)
    assert torch.equal(targets.heatmap[:, order], others.heatmap)
    same_terms(maps, targets, moved, others, task)


def same_terms(maps: Maps, targets: Targets, moved: Maps, others: Targets, task: Task) -> None:
    """The loss terms do not change but for the order in which they are summed."""
    branches = {each.name: Branch(8, 8, each) for each in task.branches}
    ours, theirs = label_terms(maps, targets, branches), label_terms(moved, others, branches)
    assert ours.keys() == theirs.keys()
    for term, value in ours.items():
        torch.testing.assert_close(value, theirs[term], rtol=1e-5, atol=1e-6, msg=str(term))


def test_every_kind_of_corner_is_tried() -> None:
    assert any(Outline in [each.kind for each in task.fields] for task in EVERY)
    assert {task.name for task in EVERY} >= set(TASKS)
