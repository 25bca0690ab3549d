"""Maps -> boxes, against numbers worked out by hand."""

import itertools

import pytest
import torch
from torch import Tensor

from centerx.decode import Decode, peaks
from centerx.targets import center_targets
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.made import box_batch, box_maps, every_map

HALVES = [torch.float32, torch.float16, torch.bfloat16]


def peak_cells(rows: list[list[float]], dtype: torch.dtype = torch.float32) -> list[tuple[int, int]]:
    """(row, column) of each peak."""
    return [tuple(cell) for cell in peaks(torch.tensor([[rows]], dtype=dtype))[0, 0].nonzero().tolist()]


def maps(heatmap: Tensor, size: tuple[float, float] = (2, 2), offset: tuple[float, float] = (0.5, 0.5)) -> Maps:
    """A network's answer with the same size and offset everywhere."""
    shape = heatmap.shape[0], 2, *heatmap.shape[-2:]
    return box_maps(heatmap, *(torch.tensor(pair)[None, :, None, None].expand(shape) for pair in (size, offset)))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    ("rows", "cells"),
    [
        ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], [(1, 1)]),
        ([[5, 0, 0, 4], [0, 0, 0, 0], [3, 0, 0, 2]], [(0, 0), (0, 3), (2, 0), (2, 3)]),  # corners have fewer neighbours
        ([[1, 2, 3, 4]], [(0, 3)]),
        ([[-9]], [(0, 0)]),
        ([[3, 0, 0], [0, 2, 0], [0, 0, 3]], [(0, 0), (2, 2)]),  # diagonal neighbours count
        ([[1, 0, 1], [0, 0, 0], [1, 0, 1]], [(0, 0), (0, 2), (2, 0), (2, 2)]),  # equal, but no neighbours
    ],
)
def test_peaks_are_the_maxima_of_their_neighbourhoods(rows, cells, dtype) -> None:
    assert peak_cells(rows, dtype) == cells


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("height", "width"), [(1, 2), (2, 1), (2, 2), (3, 3), (1, 9), (9, 1), (5, 7)])
def test_a_plateau_is_one_peak(height: int, width: int, dtype: torch.dtype) -> None:
    heatmap = torch.full((1, 2, 12, 13), -4.0, dtype=dtype)
    heatmap[:, 1, 2 : 2 + height, 3 : 3 + width] = 17.4
    flat, raised = peaks(heatmap)[0]
    assert flat.nonzero().tolist() == [[0, 0]]
    assert raised[2 : 2 + height, 3 : 3 + width].nonzero().tolist() == [[0, 0]]


@pytest.mark.parametrize("diagonal", [[(0, 0), (1, 1)], [(0, 1), (1, 0)], [(0, 0), (0, 1), (1, 1)]])
def test_cells_that_touch_at_a_corner_are_one_plateau(diagonal: list[tuple[int, int]]) -> None:
    heatmap = torch.zeros(1, 1, 2, 2)
    for row, column in diagonal:
        heatmap[0, 0, row, column] = 1
    assert int(peaks(heatmap).sum()) == 1


@pytest.mark.parametrize("dtype", HALVES)
def test_bumps_rounded_to_half_precision_are_one_peak_each(dtype: torch.dtype) -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    bumps = [8.4 - ((x - cx) / 6) ** 2 - ((y - cy) / 4) ** 2 for cx, cy in ((15.3, 20.1), (44.5, 19.5))]
    heatmap = torch.maximum(*bumps)[None, None].to(dtype)
    assert int(peaks(heatmap).sum()) == 2


def test_peaks_agree_with_a_cell_by_cell_judge() -> None:
    """Few different values, so that ties are everywhere."""
    heatmap = torch.randint(0, 4, (2, 3, 9, 8), generator=torch.Generator().manual_seed(0)).float()
    for image, channel, row, column in itertools.product(*map(range, heatmap.shape)):
        plane = heatmap[image, channel]
        around = [
            (plane[r, c].item(), -r, -c)
            for r in range(max(row - 1, 0), min(row + 2, 9))
            for c in range(max(column - 1, 0), min(column + 2, 8))
        ]
        expected = max(around) == (plane[row, column].item(), -row, -column)
        assert peaks(heatmap)[image, channel, row, column].item() is expected


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("values", [2, 4, 40, 10_000])
def test_decoding_finds_those_peaks(values: int, dtype: torch.dtype) -> None:
    """Ties are told apart in another way there; sides of 1 have cells without most neighbours."""
    generator = torch.Generator().manual_seed(values)
    for height, width in ((9, 8), (1, 7), (6, 1), (1, 1)):
        heatmap = (torch.randint(0, values, (2, 3, height, width), generator=generator) - values / 2).to(dtype) / 100
        outputs = maps(heatmap, size=(1, 1), offset=(0, 0))
        found = Decode(top_k=3 * height * width, stride=1, task=BOXES)(outputs, (height, width))
        for image in range(2):
            expected = peaks(heatmap)[image].nonzero().tolist()
            kept = found.scores[image] > 0
            right, bottom = found.values["boxes"][image, kept, 2:].unbind(-1)
            cells = torch.stack([found.labels[image, kept], bottom - 0.5, right - 0.5], dim=-1)
            assert sorted(cells.int().tolist()) == expected


def test_neighbours_that_are_equal_leave_room_for_the_rest() -> None:
    heatmap = torch.full((1, 1, 40, 40), -5.0)
    heatmap[0, 0, 0:40:4, 0:40:4] = 3.0
    heatmap[0, 0, 0:40:4, 1:40:4] = 3.0
    found = Decode(top_k=100, stride=4, task=BOXES)(maps(heatmap), (160, 160))
    torch.testing.assert_close(found.scores, torch.full((1, 100), 3.0).sigmoid())


def test_two_objects_by_hand() -> None:
    outputs = maps(torch.full((1, 2, 4, 5), -5.0))
    outputs.heatmap[0, 1, 2, 3] = 2.0
    outputs.heatmap[0, 0, 1, 1] = 1.0
    size, offset = outputs.fields["size"].clone(), outputs.fields["offset"].clone()
    size[0, :, 2, 3], offset[0, :, 2, 3] = torch.tensor([1.0, 3.0]), torch.tensor([0.25, 0.5])
    found = Decode(top_k=2, stride=4, task=BOXES)(box_maps(outputs.heatmap, size, offset), (16, 20))
    # cell (x 3, y 2) + offset = (3.25, 2.5); minus and plus half of (1, 3): (2.75, 1, 3.75, 4), times 4
    torch.testing.assert_close(found.values["boxes"], torch.tensor([[[11.0, 4, 15, 16], [2, 2, 10, 10]]]))
    torch.testing.assert_close(found.scores, torch.tensor([[2.0, 1.0]]).sigmoid())
    assert found.labels.tolist() == [[1, 0]]
    assert (found.values["boxes"].dtype, found.scores.dtype, found.labels.dtype) == (
        torch.float32,
        torch.float32,
        torch.int64,
    )


def test_pictures_of_a_batch_do_not_mix() -> None:
    heatmap = torch.randn(3, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    outputs = box_maps(heatmap, torch.rand(3, 2, 8, 6, generator=generator) * 4, torch.rand(3, 2, 8, 6))
    decode = Decode(top_k=9, stride=4, task=BOXES)
    together = decode(outputs, (32, 24))
    assert torch.all(together.scores.diff(dim=1) <= 0)
    for k in range(3):
        alone = decode(box_maps(*(each[k : k + 1] for each in every_map(outputs))), (32, 24))
        assert torch.equal(alone.values["boxes"][0], together.values["boxes"][k])
        assert torch.equal(alone.scores[0], together.scores[k])
        assert torch.equal(alone.labels[0], together.labels[k])


def test_k_is_clamped_to_the_grid_and_empty_places_score_zero() -> None:
    heatmap = torch.full((1, 2, 3, 4), -1.0)
    heatmap[0, 0, 1, 1] = 3.0
    found = Decode(top_k=1000, stride=4, task=BOXES)(maps(heatmap), (12, 16))
    assert found.values["boxes"].shape == (1, 2 * 3 * 4, 4)
    torch.testing.assert_close(found.scores[0, :2], torch.tensor([3.0, -1.0]).sigmoid())  # the other channel is flat
    assert torch.all(found.scores[0, 2:] == 0)


@pytest.mark.parametrize(
    ("cell", "size", "box"),
    [
        ((0, 0), (4, 4), [0, 0, 10, 10]),
        ((3, 4), (4, 4), [10, 6, 20, 16]),
        ((1, 2), (50, 50), [0, 0, 20, 16]),
        ((1, 2), (-3, -3), [10, 6, 10, 6]),  # a negative side is none, not an inverted box
    ],
)
def test_boxes_are_clipped_to_the_input(cell, size, box) -> None:
    heatmap = torch.full((1, 1, 4, 5), -5.0)
    heatmap[0, 0, cell[0], cell[1]] = 5.0
    found = Decode(top_k=1, stride=4, task=BOXES)(maps(heatmap, size), (16, 20))
    assert found.values["boxes"][0, 0].tolist() == box


def test_a_peak_without_area_takes_no_place() -> None:
    """Three of them score higher than the one object: without width, of negative height, and beside the input."""
    outputs = maps(torch.full((1, 1, 6, 8), -5.0))
    size, offset = outputs.fields["size"].clone(), outputs.fields["offset"].clone()
    for logit, (row, column) in zip((4.0, 3.0, 2.0, 1.0), ((0, 0), (0, 4), (4, 0), (3, 5)), strict=True):
        outputs.heatmap[0, 0, row, column] = logit
    size[0, 0, 0, 0] = 0
    size[0, 1, 0, 4] = -1
    offset[0, 0, 4, 0] = -1.5  # 2 cells wide: from 2.5 cells left of the input to half a cell left of it
    size[0, :, 3, 5] = torch.tensor([2.0, 1.0])
    found = Decode(top_k=1, stride=4, task=BOXES)(box_maps(outputs.heatmap, size, offset), (24, 32))
    assert found.scores.item() == pytest.approx(torch.tensor(1.0).sigmoid().item())
    assert found.values["boxes"][0, 0].tolist() == [18, 12, 26, 16]  # centre (5.5, 3.5) cells of 4 pixels, sides (2, 1)
    everything = Decode(top_k=48, stride=4, task=BOXES)(box_maps(outputs.heatmap, size, offset), (24, 32))
    assert (everything.scores > 0.5).sum() == 1


def test_where_only_peaks_without_area_are_there_is_no_detection() -> None:
    found = Decode(top_k=5, stride=4, task=BOXES)(maps(torch.randn(2, 3, 6, 8), size=(1, -1)), (24, 32))
    assert not found.scores.any()


def test_what_lies_in_the_padding_takes_no_place() -> None:
    """Pictures of 12 x 32 and 24 x 10 pixels in an input of 24 x 32: three peaks each, the lowest is the object."""
    heatmap = torch.full((2, 1, 6, 8), -5.0)
    for row, column, logit in ((5, 1, 4.0), (5, 5, 3.0), (1, 1, 1.0)):
        heatmap[0, 0, row, column] = logit
    for row, column, logit in ((1, 4, 4.0), (4, 7, 3.0), (3, 1, 1.0)):
        heatmap[1, 0, row, column] = logit
    decode, outputs = Decode(top_k=1, stride=4, task=BOXES), maps(heatmap)
    placed = torch.tensor([[12.0, 32.0], [24.0, 10.0]])
    unknown, known = decode(outputs, (24, 32)), decode(outputs, (24, 32), placed)
    torch.testing.assert_close(unknown.scores[:, 0], torch.tensor([4.0, 4.0]).sigmoid())
    torch.testing.assert_close(known.scores[:, 0], torch.tensor([1.0, 1.0]).sigmoid())
    assert known.values["boxes"][:, 0].tolist() == [[2, 2, 10, 10], [2, 10, 10, 18]]


@pytest.mark.parametrize(("side", "kept"), [(1.0, False), (2.0, False), (2.5, True)])
def test_a_box_that_reaches_from_the_padding_into_the_picture_stays_as_it_is(side: float, kept: bool) -> None:
    """Its centre is 4 pixels beside the picture, 16 pixels wide; so a box of 8 pixels just touches it."""
    heatmap = torch.full((1, 1, 4, 8), -5.0)
    heatmap[0, 0, 2, 4] = 2.0
    outputs = maps(heatmap, size=(side, side), offset=(1.0, 0.5))
    found = Decode(top_k=1, stride=4, task=BOXES)(outputs, (16, 32), torch.tensor([[16.0, 16.0]]))
    assert (found.scores.item() > 0.5) is kept
    if kept:
        assert found.values["boxes"][0, 0].tolist() == [15, 5, 25, 15]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_decoded_in_full(dtype: torch.dtype) -> None:
    """A cell of a large map, whose pixels half precision cannot count, keeps its place."""
    heatmap = torch.full((1, 1, 300, 700), -5.0, dtype=dtype)
    heatmap[0, 0, 298, 697] = 5.0
    outputs = box_maps(*(each.to(dtype) for each in every_map(maps(heatmap))))
    found = Decode(top_k=3, stride=4, task=BOXES)(outputs, (1200, 2800))
    assert found.values["boxes"][0, 0].tolist() == [2786, 1190, 2794, 1198]
    assert (found.values["boxes"].dtype, found.scores.dtype) == (torch.float32, torch.float32)


def test_a_peak_beside_the_centre_still_carries_the_right_box() -> None:
    """What `reach` is for: the targets' maps decode to the same box from the cells around."""
    box = [37.0, 18.0, 71.0, 45.0]
    batch = box_batch(
        torch.zeros(1, 3, 64, 96, dtype=torch.uint8), [torch.tensor([box])], [torch.tensor([1])],
        [torch.tensor([False])], torch.ones(1, 2, dtype=torch.bool),
    )  # fmt: skip
    places = center_targets(batch, 2, stride=4, min_overlap=0.3, reach=1, task=BOXES, point_radius=2.0).places
    size, offset = torch.zeros(1, 2, 16 * 24), torch.zeros(1, 2, 16 * 24)
    size[0, :, places.cells[0]], offset[0, :, places.cells[0]] = places.goals["size"][0], places.goals["offset"][0]
    assert places.cells.shape == (1, 9)
    for cell in places.cells[0].tolist():
        heatmap = torch.full((1, 2, 16 * 24), -9.0)
        heatmap[0, 1, cell] = 4.0
        outputs = box_maps(*(each.view(1, 2, 16, 24) for each in (heatmap, size, offset)))
        found = Decode(top_k=1, stride=4, task=BOXES)(outputs, (64, 96))
        torch.testing.assert_close(found.values["boxes"][0, 0], torch.tensor(box))
