"""Looking at mirror images: what a symmetric network says twice, and what the mean of two answers is."""

import pytest
import torch
from torch import Tensor, nn

from centerx.decode import Decode
from centerx.detector import Detector, MirrorDetector, mean_with_mirror
from centerx.tasks import BOXES
from centerx.types import Maps
from tests.made import box_maps


class Blobs(nn.Module):
    """A network that is as good left as right: it finds squares of 8 pixels by their brightness, at any place."""

    stride, task = 4, BOXES

    def forward(self, images: Tensor) -> Maps:
        light = images[:, :1].float() / 255
        heat = nn.functional.avg_pool2d(light, 8, stride=4, padding=2)
        share = light / light.sum((2, 3), keepdim=True).clamp(min=1)
        rows, columns = images.shape[-2:]
        y = (share * (torch.arange(rows) + 0.5)[:, None]).sum((2, 3), keepdim=True) / 4  # the centre of all light
        x = (share * (torch.arange(columns) + 0.5)).sum((2, 3), keepdim=True) / 4
        across, down = x - torch.arange(columns // 4), y - torch.arange(rows // 4)[:, None]
        offset = torch.cat([across.expand_as(heat), down.expand_as(heat)], dim=1)
        return box_maps(8 * heat - 4, torch.full_like(offset, 2.0), offset)


def scene(left: int, top: int) -> Tensor:
    image = torch.zeros((1, 3, 64, 96), dtype=torch.uint8)
    image[:, :, top : top + 8, left : left + 8] = 255
    return image


@pytest.mark.parametrize("place", [(8, 8), (40, 20), (71, 45), (21, 33)])
def test_a_symmetric_network_says_the_same_of_the_mirror_image(place: tuple[int, int]) -> None:
    detector = Detector(Blobs(), top_k=1)  # type: ignore[arg-type]
    once, twice = detector(scene(*place)), MirrorDetector(detector)(scene(*place))
    torch.testing.assert_close(
        once.values["boxes"][0, 0], torch.tensor([place[0], place[1], place[0] + 8, place[1] + 8]).float()
    )
    torch.testing.assert_close(once, twice, rtol=1e-5, atol=1e-4)


class Bright(nn.Module):
    """A network that finds every bright cell, 4 pixels wide."""

    stride, task = 4, BOXES

    def forward(self, images: Tensor) -> Maps:
        heat = nn.functional.avg_pool2d(images[:, :1].float() / 255, 4)
        pair = torch.cat([heat, heat], dim=1)
        return box_maps(8 * heat - 4, torch.ones_like(pair), torch.full_like(pair, 0.5))


@pytest.mark.parametrize("mirror", [False, True])
def test_the_padding_is_not_searched(mirror: bool) -> None:
    """The brightest spot lies right of a picture of 40 pixels, the fainter one in it; the mirror has it on the left."""
    images = torch.zeros((1, 3, 32, 64), dtype=torch.uint8)
    images[..., 8:12, 48:52] = 255
    images[..., 20:24, 16:20] = 200
    detector = Detector(Bright(), top_k=1)  # type: ignore[arg-type]
    seen = MirrorDetector(detector) if mirror else detector
    assert seen(images).values["boxes"][0, 0].tolist() == [48, 8, 52, 12]
    assert seen(images, torch.tensor([[32.0, 40.0]])).values["boxes"][0, 0].tolist() == [16, 20, 20, 24]


def maps(score: float, size: tuple[float, float], offset: tuple[float, float], cell: tuple[int, int]) -> Maps:
    """One object on a grid of 4 x 6 cells of 4 pixels; the heatmap's logit is low elsewhere."""
    heatmap = torch.full((1, 1, 4, 6), -20.0)
    heatmap[0, 0, cell[1], cell[0]] = torch.logit(torch.tensor(score))
    pair = [torch.tensor(values).view(1, 2, 1, 1).expand(1, 2, 4, 6) for values in (size, offset)]
    return box_maps(heatmap, *pair)


def test_the_mean_of_two_answers_by_hand() -> None:
    """Cell 1 of 6 is cell 4 in the mirror, and a centre 0.2 into it lies 0.8 into its mirror image."""
    seen = maps(0.8, (2.0, 1.0), (0.2, 0.5), (1, 2))
    mirrored = maps(0.4, (1.0, 1.0), (0.6, 0.7), (4, 2))
    mean = mean_with_mirror(seen, mirrored, BOXES.branches)
    found = Decode(top_k=1, stride=4, task=BOXES)(mean, (16, 24))
    assert found.scores.item() == pytest.approx(0.6)
    # centre x 1 + (0.2 + (1 - 0.6)) / 2 = 1.3 cells, y 2 + 0.6; width 1.5, height 1
    expected = [(1.3 - 0.75) * 4, (2.6 - 0.5) * 4, (1.3 + 0.75) * 4, (2.6 + 0.5) * 4]
    assert found.values["boxes"][0, 0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_sure_answers_stay_finite(logit: float) -> None:
    sure = maps(0.5, (1.0, 1.0), (0.5, 0.5), (1, 1))
    sure = sure._replace(heatmap=torch.full_like(sure.heatmap, logit))
    assert mean_with_mirror(sure, sure, BOXES.branches).heatmap == pytest.approx(sure.heatmap)
