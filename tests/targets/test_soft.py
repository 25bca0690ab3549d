"""Boxes rendered as maps decode back to the same boxes."""

import torch
from torch import Tensor

from centerx.decode import Decode
from centerx.losses.heatmap import heatmap_focal, quality_focal
from centerx.targets import center_targets
from centerx.targets.soft import maps_from_detections
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.made import box_batch


def rendered(boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, input_hw: tuple[int, int]) -> Maps:
    return maps_from_detections(boxes, scores, labels, BOXES, num_classes, 4, input_hw, 0.3, 2.0).maps


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


def test_a_sure_detection_teaches_the_heatmap_as_a_label_does() -> None:
    """The focal loss on labels is the loss on what a teacher says that scores 1, cell by cell."""
    boxes = torch.tensor([[[8.0, 8, 40, 56], [50, 20, 90, 44]]])
    labels = torch.tensor([[1, 0]])
    maps, weight = maps_from_detections(boxes, torch.ones(1, 2), labels, BOXES, 2, 4, (96, 96), 0.3, 2.0)
    logits = torch.randn(1, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    images = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    batch = box_batch(
        images, [boxes[0]], [labels[0]], [torch.zeros(2, dtype=torch.bool)], torch.ones(1, 2, dtype=torch.bool)
    )
    truth = center_targets(batch, 2, 4, 0.3, 0, BOXES, 2.0)
    due = heatmap_focal(logits, truth.heatmap, truth.weight)
    taught = (quality_focal(logits, maps.heatmap.sigmoid()) * weight).sum()
    torch.testing.assert_close(taught, due, rtol=2e-3, atol=0)


def test_an_unsure_detection_leaves_more_of_the_background_around_it() -> None:
    boxes, labels = torch.tensor([[[8.0, 8, 40, 56]]]), torch.tensor([[0]])
    weights = [
        maps_from_detections(boxes, torch.tensor([[score]]), labels, BOXES, 1, 4, (96, 96), 0.3, 2.0).weight
        for score in (0.9, 0.2)
    ]
    column, row = 6, 8
    assert weights[0][0, 0, row, column] == weights[1][0, 0, row, column] == 1
    assert weights[0][0, 0, row, column + 1] < weights[1][0, 0, row, column + 1] < 1
    assert weights[0][0, 0, 0, 0] == 1


def test_nothing_found_is_an_empty_map() -> None:
    maps = rendered(torch.zeros(2, 5, 4), torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.int64), 3, (32, 64))
    assert maps.heatmap.shape == (2, 3, 8, 16)
    assert maps.heatmap.sigmoid().max() < 2e-4
    assert not maps.fields["size"].any()
    assert not maps.fields["offset"].any()
