"""Boxes rendered as maps decode back to the same boxes."""

import math

import pytest
import torch
from torch import Tensor

from centerx.decode import Decode, peaks
from centerx.targets.soft import FLOOR, maps_from_detections
from centerx.tasks import BOXES
from centerx.types import Maps


def rendered(boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, input_hw: tuple[int, int]) -> Maps:
    return maps_from_detections(boxes, scores, labels, BOXES, num_classes, 4, input_hw)


def test_boxes_come_back() -> None:
    boxes = torch.tensor(
        [[[8.0, 8, 40, 56], [61, 20, 90, 44], [10, 70, 19, 80]], [[0, 0, 16, 16], [64, 64, 96, 96], [0] * 4]]
    )
    scores = torch.tensor([[0.9, 0.5, 0.2], [0.7, 0.6, 0.0]])
    labels = torch.tensor([[1, 0, 2], [2, 2, 0]])
    maps = rendered(boxes, scores, labels, 3, (96, 96))
    back = Decode(top_k=3, stride=4, task=BOXES)(maps, (96, 96))
    torch.testing.assert_close(back.scores[0], scores[0])
    torch.testing.assert_close(back.labels[0], labels[0])
    torch.testing.assert_close(back.values["boxes"][0], boxes[0])
    torch.testing.assert_close(back.values["boxes"][1, :2], boxes[1, :2])
    assert back.scores[1, 2] == 0  # elsewhere there is no size, and so no box


def test_the_better_box_has_the_cell() -> None:
    boxes = torch.tensor([[[0.0, 0, 16, 16], [4, 0, 28, 16]]])  # peaks in cells 2 and 4 of row 2
    for scores, width in (([0.9, 0.4], 4.0), ([0.4, 0.9], 6.0)):
        maps = rendered(boxes, torch.tensor([scores]), torch.tensor([[0, 1]]), 2, (32, 32))
        assert maps.fields["size"][0, 0, 2, 3] == width  # the cell between them


def test_a_peak_falls_off_about_the_centre_itself() -> None:
    """A Gaussian of one cell, as high as the score in the cell of the centre, cell by cell."""
    x, y, score = 24.0 + 3, 32.0 + 1, 0.6  # 3/4 and 1/4 of the way through cell (6, 8)
    boxes = torch.tensor([[[x - 10, y - 10, x + 10, y + 10]]])
    found = rendered(boxes, torch.tensor([[score]]), torch.tensor([[0]]), 1, (96, 96)).heatmap[0, 0].sigmoid()

    def due(column: int, row: int) -> float:
        square = (column + 0.5 - x / 4) ** 2 + (row + 0.5 - y / 4) ** 2
        return score * math.exp(-(square - 2 * 0.25**2) / 2)

    for column in range(3, 10):
        for row in range(5, 12):
            assert found[row, column].item() == pytest.approx(max(due(column, row), FLOOR), rel=1e-3)
    assert found[8, 6].item() == pytest.approx(score)
    assert found[8, 6] > found[8, 7] > found[8, 5], "the cell on the side of the centre is the higher one"
    assert found[8, 2].item() == pytest.approx(FLOOR, rel=1e-3)


def test_a_centre_between_cells_has_one_peak() -> None:
    boxes = torch.tensor([[[16.0, 16, 32, 32], [0, 0, 8, 64], [90, 90, 102, 102]]])  # the last one on the corner
    found = rendered(boxes, torch.tensor([[0.9, 0.5, 0.3]]), torch.tensor([[0, 1, 2]]), 3, (96, 96)).heatmap
    high = peaks(found) & (found.sigmoid() > 0.01)
    assert high.nonzero().tolist() == [[0, 0, 6, 6], [0, 1, 8, 1], [0, 2, 23, 23]]


def test_where_peaks_overlap_the_higher_one_counts() -> None:
    boxes = torch.tensor([[[0.0, 0, 20, 20], [8, 0, 28, 20]]])  # centres in cells 2 and 4 of row 2
    for scores in ([0.9, 0.4], [0.4, 0.9]):
        both, first, second = (
            rendered(boxes, torch.tensor([each]), torch.zeros(1, 2, dtype=torch.int64), 1, (32, 32)).heatmap
            for each in (scores, [scores[0], 0.0], [0.0, scores[1]])
        )
        torch.testing.assert_close(both, torch.maximum(first, second))


def test_nothing_found_is_an_empty_map() -> None:
    maps = rendered(torch.zeros(2, 5, 4), torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.int64), 3, (32, 64))
    assert maps.heatmap.shape == (2, 3, 8, 16)
    assert maps.heatmap.sigmoid().max() < 2e-4
    assert not maps.fields["size"].any()
    assert not maps.fields["offset"].any()
