"""Targets against hand-worked numbers, a naive renderer, and the decoder that must read them back."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.decode import Decode
from centerx.geometry import box_iou
from centerx.targets import center_targets, gaussian_radius
from centerx.targets.centers import draw_gaussians
from centerx.tasks import BOXES
from centerx.types import Batch, Maps, Targets
from tests.made import box_batch, box_maps

STRIDE = 4
OVERLAP = 0.3
POINT_RADIUS = 2.0
Object = tuple[float, float, float, float, int]  # x1, y1, x2, y2, label


def make_batch(
    pictures: list[list[Object]],
    input_hw: tuple[int, int] = (64, 64),
    num_classes: int = 3,
    ignore: list[list[int]] | None = None,
    annotated: list[list[bool]] | None = None,
) -> Batch:
    """A batch of black pictures; `ignore` lists positions of ignored objects."""
    ignore = ignore or [[] for _ in pictures]
    rows = [torch.tensor(picture, dtype=torch.float32).reshape(-1, 5) for picture in pictures]
    return box_batch(
        torch.zeros((len(pictures), 3, *input_hw), dtype=torch.uint8),
        [row[:, :4].clone() for row in rows],
        [row[:, 4].long() for row in rows],
        [
            torch.tensor([k in some for k in range(len(row))], dtype=torch.bool)
            for row, some in zip(rows, ignore, strict=True)
        ],
        torch.tensor(annotated or [[True] * num_classes] * len(pictures)),
    )


class Flat(NamedTuple):
    """Targets with the places of both fields side by side, objects before values."""

    heatmap: torch.Tensor
    weight: torch.Tensor
    index: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor
    valid: torch.Tensor


def flat(targets: Targets) -> Flat:
    """The targets of boxes: size and offset are known at the same places, with weight 1."""
    places = targets.places
    assert places.cells is not None
    assert places.goals.keys() == places.weights.keys() == {"size", "offset"}
    assert torch.equal(places.weights["size"], places.weights["offset"])
    assert torch.equal(places.weights["size"], (places.weights["size"] == 1).float())
    size, offset = (places.goals[name].transpose(1, 2) for name in ("size", "offset"))
    return Flat(targets.heatmap, targets.weight, places.cells, size, offset, places.weights["size"] == 1)


def targets_in(batch: Batch, reach: int = 0) -> Flat:
    return flat(center_targets(batch, batch.supervised.shape[1], STRIDE, OVERLAP, reach, BOXES, POINT_RADIUS))


def targets_of(pictures: list[list[Object]], **options) -> Flat:
    return targets_in(make_batch(pictures, **options))


def random_pictures(seed: int, count: int, objects: int, input_hw: tuple[int, int]) -> list[list[Object]]:
    """Boxes inside the input, of all sizes."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        size = np.exp(rng.uniform(np.log(1.5), np.log(min(input_hw)), (objects, 2)))
        low = rng.uniform(0, 1, (objects, 2)) * (np.array(input_hw[::-1]) - size)
        rows = np.concatenate([low, low + size, rng.integers(0, 3, (objects, 1))], axis=1)
        pictures.append([tuple(row) for row in rows.tolist()])
    return pictures


# Radius


@settings(max_examples=200, deadline=None)
@given(width=st.floats(0.3, 300), height=st.floats(0.3, 300), overlap=st.floats(0.05, 0.95))
def test_the_worst_corner_shift_at_the_radius_leaves_exactly_the_overlap(width, height, overlap):
    radius = float(gaussian_radius(torch.tensor([width, height], dtype=torch.float64), overlap))
    box = np.array([0, 0, width, height])
    extremes = np.array(list(itertools.product([-radius, 0, radius], repeat=4)))
    assert box_iou(box[None], box + extremes).min() == pytest.approx(overlap, abs=1e-6)


def test_radius_by_hand():
    # 20 x 20 at overlap 0.3: (20 - 2r)^2 = 120, so r = 10 - sqrt(30); the buggy formula would be near 9.
    radius = gaussian_radius(torch.tensor([[20.0, 20.0], [20.0, 20.0]]), 0.3)
    assert radius.tolist() == pytest.approx([10 - 30**0.5] * 2)
    assert gaussian_radius(torch.zeros(0, 2), 0.3).shape == (0,)
    assert gaussian_radius(torch.zeros(2, 5, 2), 0.3).tolist() == torch.zeros(2, 5).tolist()


def test_radius_in_single_precision_stays_close():
    sides = torch.tensor([[500.0, 0.3], [0.3, 500.0], [500.0, 499.0], [1.0, 1.0]])
    for overlap in (0.1, 0.3, 0.7):
        exact = gaussian_radius(sides.double(), overlap)
        assert torch.allclose(gaussian_radius(sides, overlap).double(), exact, atol=5e-3)


# Heatmap


def test_one_object_by_hand():
    """80 x 80 pixels are 20 x 20 cells: radius 4.52, so a window of 4 cells and a deviation of 9 / 6 = 1.5."""
    targets = targets_of([[(20, 28, 100, 108, 1)]], input_hw=(128, 192))
    assert targets.heatmap.shape == (1, 3, 32, 48)
    assert targets.heatmap.dtype == targets.weight.dtype == targets.size.dtype == torch.float32
    row = targets.heatmap[0, 1, 17]  # the centre is (60, 68) pixels = (15, 17) cells
    assert row[15] == 1
    for distance, value in {1: 0.8007, 2: 0.4111, 3: 0.1353, 4: 0.0286, 5: 0.0}.items():
        for x in (15 - distance, 15 + distance):
            assert float(row[x]) == pytest.approx(value, abs=1e-4)
    assert float(targets.heatmap[0, 1, 13, 19]) == pytest.approx(0.0286**2, abs=1e-4)
    assert targets.heatmap[0, [0, 2]].abs().max() == 0
    assert targets.index.tolist() == [[17 * 48 + 15]]
    assert targets.size.tolist() == [[[20, 20]]]
    assert targets.offset.tolist() == [[[0, 0]]]
    assert targets.valid.tolist() == [[True]]
    assert targets.weight.min() == 1


def test_offset_and_size_are_fractions_of_cells():
    targets = targets_of([[(9, 10, 16, 21, 0)]])  # centre (12.5, 15.5) pixels = (3.125, 3.875) cells
    assert targets.index.tolist() == [[3 * 16 + 3]]
    assert targets.offset.tolist() == [[[0.125, 0.875]]]
    assert targets.size.tolist() == [[[7 / 4, 11 / 4]]]


def naive_heatmap(pictures: list[list[Object]], input_hw: tuple[int, int], num_classes: int) -> np.ndarray:
    height, width = input_hw[0] // STRIDE, input_hw[1] // STRIDE
    heatmap = np.zeros((len(pictures), num_classes, height, width))
    for image, picture in enumerate(pictures):
        for x1, y1, x2, y2, label in picture:
            size = torch.tensor([x2 - x1, y2 - y1], dtype=torch.float32) / STRIDE
            half = int(gaussian_radius(size, OVERLAP))
            sigma = (2 * half + 1) / 6
            cx, cy = int((x1 + x2) / 2 / STRIDE), int((y1 + y2) / 2 / STRIDE)
            for y in range(max(0, cy - half), min(height, cy + half + 1)):
                for x in range(max(0, cx - half), min(width, cx + half + 1)):
                    value = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
                    heatmap[image, int(label), y, x] = max(heatmap[image, int(label), y, x], value)
    return heatmap


@pytest.mark.parametrize("seed", range(4))
def test_heatmap_agrees_with_a_naive_renderer(seed):
    pictures = random_pictures(seed, count=3, objects=12, input_hw=(96, 160))
    heatmap = targets_of(pictures, input_hw=(96, 160)).heatmap.numpy()
    assert np.abs(heatmap - naive_heatmap(pictures, (96, 160), 3)).max() < 1e-5


def test_chunks_do_not_change_the_heatmap(monkeypatch):
    pictures = random_pictures(5, count=2, objects=30, input_hw=(96, 96))
    ignore = [[0, 1, 2, 3], [4, 5]]
    whole = targets_of(pictures, input_hw=(96, 96), ignore=ignore)
    monkeypatch.setattr("centerx.targets.centers.CHUNK", 1)
    pieces = targets_of(pictures, input_hw=(96, 96), ignore=ignore)
    assert all(torch.equal(a, b) for a, b in zip(whole, pieces, strict=True))


def test_overlapping_objects_of_one_class_keep_the_larger_value():
    first, second = (8.0, 8.0, 40.0, 40.0, 0), (16.0, 8.0, 56.0, 48.0, 0)
    both = targets_of([[first, second]]).heatmap
    alone = torch.maximum(targets_of([[first]]).heatmap, targets_of([[second]]).heatmap)
    assert torch.equal(both, alone)
    assert int((both == 1).sum()) == 2


# Slots


def test_two_objects_in_one_cell_are_both_kept():
    targets = targets_of([[(8, 8, 24, 24, 0), (10, 10, 23, 23, 0), (4, 4, 29, 29, 2)]])
    assert targets.index.tolist() == [[4 * 16 + 4] * 3]
    assert targets.valid.tolist() == [[True] * 3]
    assert targets.size[0, :, 0].tolist() == [4, 13 / 4, 25 / 4]
    assert int((targets.heatmap == 1).sum()) == 2


def test_more_objects_than_any_cap():
    """200 of one picture and 3 of the next; the original trained the 129th and later as background."""
    grid = [(8 * x + 1.0, 8 * y + 1.0, 8 * x + 7.0, 8 * y + 7.0, 0) for y in range(10) for x in range(20)]
    targets = targets_of([grid, grid[:3], []], input_hw=(96, 160))
    assert targets.valid.shape == (3, 200)
    assert targets.valid.sum(dim=1).tolist() == [200, 3, 0]
    assert (targets.heatmap == 1).sum(dim=(1, 2, 3)).tolist() == [200, 3, 0]
    assert targets.index.dtype == torch.int64
    assert len(targets.index[0].unique()) == 200


def test_padding_slots_are_harmless():
    targets = targets_of([[(8, 8, 24, 24, 0)] * 4, []])
    assert targets.valid[1].tolist() == [False] * 4
    assert torch.all((targets.index >= 0) & (targets.index < 16 * 16))
    assert torch.isfinite(targets.size).all()


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_without_objects(count):
    targets = targets_of([[] for _ in range(count)])
    assert targets.heatmap.abs().max() == 0
    assert targets.weight.min() == 1
    assert targets.index.shape == targets.valid.shape == (count, 0)
    assert targets.size.shape == targets.offset.shape == (count, 0, 2)


def test_the_batch_is_left_alone_and_a_second_call_agrees():
    pictures = random_pictures(9, count=3, objects=10, input_hw=(96, 96))
    batch, untouched = (make_batch(pictures, input_hw=(96, 96), ignore=[[1], [], [3]]) for _ in range(2))
    first, second = (targets_in(batch) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for name in ("image", "boxes", "labels", "ignore"):
        assert torch.equal(getattr(batch.objects, name), getattr(untouched.objects, name))
    assert torch.equal(batch.supervised, untouched.supervised)


# Reach


def test_reach_asks_for_the_box_at_the_neighbouring_cells_by_hand():
    batch = make_batch([[(10, 17, 22, 27, 0)]])  # centre (16, 22) pixels = (4, 5.5) cells
    targets = targets_in(batch, reach=1)
    cells = [(x, y) for y in (4, 5, 6) for x in (3, 4, 5)]
    offsets = {16 * y + x: [4 - x, 5.5 - y] for x, y in cells}
    assert dict(zip(targets.index[0].tolist(), targets.offset[0].tolist(), strict=True)) == offsets
    assert targets.size[0].tolist() == [[3, 2.5]] * 9
    assert targets.valid.tolist() == [[True] * 9]


@pytest.mark.parametrize(("box", "places"), [((0, 0, 4, 4), 4), ((60, 60, 64, 64), 4), ((0, 0, 6, 64), 6)])
def test_reach_stops_at_the_border(box, places):
    targets = targets_in(make_batch([[(*box, 0)]]), reach=1)
    assert int(targets.valid.sum()) == places
    assert len(targets.index[0].unique()) == places


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), reach=st.integers(0, 3))
def test_every_place_leads_to_its_box(seed, reach):
    """At each place index, size and offset spell one of the picture's boxes; each box has its centre cell's place."""
    pictures = random_pictures(seed, count=2, objects=5, input_hw=(64, 96))
    batch = make_batch(pictures, input_hw=(64, 96))
    targets = targets_in(batch, reach)
    plain = targets_in(batch)
    assert torch.equal(targets.heatmap, plain.heatmap)
    assert torch.equal(targets.weight, plain.weight)
    for k, picture in enumerate(pictures):
        index = targets.index[k, targets.valid[k]]
        cells = torch.stack([index % 24, index // 24], dim=1)
        centres = cells + targets.offset[k, targets.valid[k]]
        half = targets.size[k, targets.valid[k]] / 2
        spelt = torch.cat([centres - half, centres + half], dim=1) * STRIDE
        distance = (spelt[:, None] - torch.tensor(picture)[None, :, :4]).abs().amax(dim=2)
        assert distance.amin(dim=1).max() < 1e-3
        at_home = ((centres >= cells) & (centres < cells + 1)).all(dim=1)
        assert (distance[at_home].amin(dim=0) < 1e-3).all()
        assert (targets.offset[k].abs() < reach + 1).all()


# Weight


def test_unannotated_channels_weigh_nothing_and_hold_nothing():
    objects = [(8.0, 8.0, 24.0, 24.0, 0), (30.0, 30.0, 50.0, 50.0, 1)]
    targets = targets_of([objects, objects], annotated=[[True, False, True], [True, True, True]])
    assert targets.weight[0, 1].max() == 0
    assert targets.heatmap[0, 1].max() == 0
    assert targets.valid.tolist() == [[True, False], [True, True]]
    assert targets.index[0, 0] == 4 * 16 + 4
    assert targets.weight[0, [0, 2]].min() == targets.weight[1].min() == 1


def test_a_picture_without_any_annotated_class_asks_for_nothing():
    targets = targets_of([[(8, 8, 24, 24, 0)]], annotated=[[False] * 3])
    assert targets.weight.max() == 0
    assert not targets.valid.any()


def test_ignored_boxes_weigh_nothing_where_they_lie():
    targets = targets_of([[(9, 8, 22, 24, 1)]], ignore=[[0]])  # cells 2.25 to 5.5 across, 2 to 6 down
    expected = torch.ones(1, 3, 16, 16)
    expected[0, 1, 2:6, 2:6] = 0
    assert torch.equal(targets.weight, expected)
    assert targets.heatmap.max() == 0
    assert not targets.valid.any()


def test_an_object_inside_an_ignored_crowd_still_counts_at_its_centre():
    crowd, inside = (0.0, 0.0, 64.0, 64.0, 1), (16.0, 16.0, 40.0, 40.0, 1)
    targets = targets_of([[crowd, inside]], ignore=[[0]])
    expected = torch.ones(1, 3, 16, 16)
    expected[0, 1] = 0
    expected[0, 1, 7, 7] = 1
    assert torch.equal(targets.weight, expected)
    assert targets.heatmap[0, 1, 7, 7] == 1
    assert targets.valid.tolist() == [[True]]


def test_an_ignored_box_of_an_unannotated_class_changes_nothing():
    targets = targets_of([[(8, 8, 24, 24, 1)]], ignore=[[0]], annotated=[[True, False, True]])
    assert targets.weight[0, 1].max() == 0
    assert targets.weight[0, [0, 2]].min() == 1


# Fates


@pytest.mark.parametrize(
    ("box", "cell"),
    [
        ((0, 0, 4, 4), (0, 0)),
        ((60, 60, 64, 64), (15, 15)),
        ((60, 0, 64, 40), (15, 5)),
        ((0, 0, 64, 64), (8, 8)),
        ((-20, 10, 30, 20), (1, 3)),  # reaches out, centred inside
        ((62, 62, 65.9, 65.9), (15, 15)),
    ],
)
def test_boxes_at_the_border_are_trained(box, cell):
    targets = targets_of([[(*box, 0)]])
    assert targets.index.tolist() == [[cell[1] * 16 + cell[0]]]
    assert targets.heatmap[0, 0, cell[1], cell[0]] == 1
    assert torch.all((targets.offset >= 0) & (targets.offset < 1))
    assert targets.weight.min() == 1


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((-20, -20, 10, 10), slice(0, 3), slice(0, 3)),  # centred outside
        ((62, 30, 66, 34), slice(7, 9), slice(15, 16)),  # centred exactly on the edge
        ((20.2, 20.2, 20.9, 40), slice(5, 10), slice(5, 6)),  # thinner than a pixel
        ((200, 200, 240, 240), slice(0, 0), slice(0, 0)),  # far away
    ],
)
def test_boxes_that_cannot_be_trained_are_ignored_not_negative(box, rows, columns):
    targets = targets_of([[(*box, 0)]])
    expected = torch.ones(16, 16)
    expected[rows, columns] = 0
    assert torch.equal(targets.weight[0, 0], expected)
    assert targets.heatmap.max() == 0
    assert not targets.valid.any()


def test_a_mixed_batch_equals_its_pictures_one_by_one():
    pictures = random_pictures(3, count=4, objects=7, input_hw=(64, 96))
    pictures[1], pictures[2] = [], pictures[2][:2]
    ignore = [[0, 3], [], [1], []]
    annotated = [[True] * 3, [False, True, True], [True, False, True], [True] * 3]
    together = targets_of(pictures, input_hw=(64, 96), ignore=ignore, annotated=annotated)
    for k, picture in enumerate(pictures):
        alone = targets_of([picture], input_hw=(64, 96), ignore=[ignore[k]], annotated=[annotated[k]])
        count = int(alone.valid.sum())
        assert int(together.valid[k].sum()) == count
        assert torch.equal(together.heatmap[k], alone.heatmap[0])
        assert torch.equal(together.weight[k], alone.weight[0])
        for name in ("index", "size", "offset"):
            assert torch.equal(getattr(together, name)[k, :count], getattr(alone, name)[0, :count])


# Round trip


def perfect_outputs(targets: Flat) -> Maps:
    """What a network that answers the targets exactly would say."""
    batch, _, height, width = targets.heatmap.shape
    maps = torch.zeros(batch, 4, height * width)
    values = torch.cat([targets.size, targets.offset], dim=2).transpose(1, 2)
    for k in range(batch):
        maps[k][:, targets.index[k, targets.valid[k]]] = values[k][:, targets.valid[k]]
    maps = maps.view(batch, 4, height, width)
    return box_maps(targets.heatmap.clamp(1e-4, 1 - 1e-4).logit(), maps[:, :2], maps[:, 2:])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 5), columns=st.integers(2, 6))
def test_decoding_the_targets_gives_the_boxes_back(seed, rows, columns):
    input_hw = (rows * 32, columns * 32)
    boxes, taken = [], np.zeros((rows * 8 + 2, columns * 8 + 2), bool)
    for row in random_pictures(seed, 1, 12, input_hw)[0]:
        x, y = (int((row[k] + row[k + 2]) / 2 / STRIDE) for k in (0, 1))
        if not taken[y : y + 3, x : x + 3].any():  # neighbouring centres of one class are one peak
            taken[y : y + 3, x : x + 3] = True
            boxes.append(row)
    outputs = perfect_outputs(targets_of([boxes, []], input_hw=input_hw))
    found = Decode(top_k=50, stride=STRIDE, task=BOXES)(outputs, input_hw)
    sure = found.scores > 0.99
    assert sure.sum(dim=1).tolist() == [len(boxes), 0]
    got = torch.cat([found.values["boxes"][0, sure[0]], found.labels[0, sure[0], None].float()], dim=1).tolist()
    assert np.abs(np.array(sorted(got)) - np.array(sorted(map(list, boxes)))).max() < 1e-3


def test_a_gaussian_larger_than_its_map_is_drawn_in_the_memory_of_the_map() -> None:
    radius, sigma = 10.0**6, (2 * 10.0**6 + 1) / 6
    planes = torch.zeros(2, 5, 7)
    cell = torch.tensor([[3.0, 2.0], [6.0, 0.0]])
    draw_gaussians(planes, torch.tensor([0, 1]), cell, torch.full((2,), radius))
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    expected = torch.stack([torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)) for cx, cy in cell.tolist()])
    torch.testing.assert_close(planes, expected)


def test_a_window_that_leaves_a_small_map_draws_what_a_large_map_shows() -> None:
    generator = torch.Generator().manual_seed(0)
    cell = torch.stack([torch.randint(0, side, (50,), generator=generator) for side in (9, 6)], dim=1).float()
    radius = torch.rand(50, generator=generator) * 40
    plane = torch.zeros(50, dtype=torch.long)
    small, large = torch.zeros(1, 6, 9), torch.zeros(1, 206, 209)
    draw_gaussians(small, plane, cell, radius)
    draw_gaussians(large, plane, cell + 100, radius)
    assert torch.equal(small, large[:, 100:106, 100:109])
