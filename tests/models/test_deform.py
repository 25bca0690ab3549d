"""Deformable convolutions: what they are where nothing is deformed, and how far a tap moves."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from centerx.models import Backbone, CenterHead, CenterNet, DeconvNeck, DlaUpNeck
from centerx.models.deform import DeformConv
from centerx.tasks import BOXES
from tests.made import every_map


@pytest.mark.parametrize(("modulated", "share"), [(False, 1.0), (True, 0.5)])
def test_it_starts_as_a_plain_convolution(modulated: bool, share: float) -> None:
    conv, x = DeformConv(3, 4, modulated), torch.randn(2, 3, 6, 7)
    torch.testing.assert_close(conv(x), share * F.conv2d(x, conv.weight, padding=1), atol=1e-5, rtol=1e-5)


def test_taps_move_down_then_right() -> None:
    """Every tap moved by (1 down, 2 right) reads the picture moved by as much."""
    conv, x = DeformConv(3, 4, modulated=False), torch.randn(1, 3, 9, 9)
    with torch.no_grad():
        conv.offset.bias.copy_(torch.tensor([1.0, 2.0]).repeat(9))
    moved = F.conv2d(x, conv.weight, padding=1).roll((-1, -2), (2, 3))
    torch.testing.assert_close(conv(x)[..., 1:6, 1:5], moved[..., 1:6, 1:5], atol=1e-5, rtol=1e-5)


def test_the_mask_weighs_each_tap() -> None:
    conv, x = DeformConv(3, 4, modulated=True), torch.randn(2, 3, 6, 7)
    with torch.no_grad():
        conv.offset.bias[18:] = -100  # no tap
        conv.offset.bias[18 + 4] = 100  # but the middle one
    expected = F.conv2d(x, conv.weight[..., 1:2, 1:2])
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


def test_it_computes_in_float32_where_others_do_not() -> None:
    conv, x = DeformConv(3, 4, modulated=True), torch.randn(1, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x.bfloat16())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), conv(x), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("conv", ["plain", "deformable", "modulated"])
@pytest.mark.parametrize("neck", ["deconv", "dla_up"])
def test_networks_with_them_learn(neck: str, conv: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone("dla34" if neck == "dla_up" else "resnet18")
    body: DlaUpNeck | DeconvNeck
    body = DlaUpNeck(backbone.channels, conv) if neck == "dla_up" else DeconvNeck(backbone.channels, (16, 12, 8), conv)
    model = CenterNet(backbone, body, CenterHead(body.out_channels, 2, 8, BOXES.branches), BOXES)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        out = model(images)
        assert out.heatmap.shape == (2, 2, 16, 24)
        loss = sum((each - 1).square().mean() for each in every_map(out))
        loss.backward()
        assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


def test_aggregation_by_hand() -> None:
    """With identities for convolutions a map of stride 4 collects all coarser ones, each as often as it is joined."""
    neck = DlaUpNeck([1, 1, 1, 1]).eval()
    for module in neck.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.eps = 0
    ones = [torch.full((1, 1, 64 >> level, 64 >> level), 10.0**level) for level in range(4)]
    out = neck(ones)[0, 0, 32, 32].item()
    # round 1: 16: 100 + 1000 = 1100; round 2: 8: 10 + 100 = 110, then + 1100 = 1210;
    # round 3: 4: 1 + 10 = 11, + 110 = 121, + 1210 = 1331; last: 1331 + 1210 + 1100
    assert out == pytest.approx(1331 + 1210 + 1100)
