"""Stacked Hourglass (Newell et al., 2016) as in CornerNet and CenterNet: one map of stride 4 with 256 channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import FeatureInfo
from torch import Tensor, nn

WIDTHS, DEPTHS = (256, 256, 384, 384, 384, 512), (2, 2, 2, 2, 2, 4)  # at strides 4 to 128


class Hourglass(nn.Module):
    """Stacked hourglasses, with the attributes of a timm model with feature maps.

    Args:
        stacks: number of hourglasses.
    """

    def __init__(self, stacks: int = 2) -> None:
        super().__init__()
        width = WIDTHS[0]
        self.feature_info = FeatureInfo([{"num_chs": width, "reduction": 4, "module": "outs"}], (0,))
        self.pretrained_cfg = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
        self.stem = nn.Sequential(norm(nn.Conv2d(3, 128, 7, 2, 3, bias=False), relu=True), Residual(128, width, 2))
        self.stacks = nn.ModuleList(Stack(WIDTHS, DEPTHS) for _ in range(stacks))
        self.outs = nn.ModuleList(norm(nn.Conv2d(width, width, 3, 1, 1, bias=False), relu=True) for _ in range(stacks))
        later = range(stacks - 1)
        self.from_in = nn.ModuleList(norm(nn.Conv2d(width, width, 1, bias=False)) for _ in later)
        self.from_out = nn.ModuleList(norm(nn.Conv2d(width, width, 1, bias=False)) for _ in later)
        self.between = nn.ModuleList(Residual(width, width) for _ in later)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised pixels, H and W multiples of 128 -> one map (B, 256, H / 4, W / 4)."""
        x = self.stem(x)
        out = self.outs[0](self.stacks[0](x))
        for index, between in enumerate(self.between):
            x = between(F.relu(self.from_in[index](x) + self.from_out[index](out)))
            out = self.outs[index + 1](self.stacks[index + 1](x))
        return [out]


class Stack(nn.Module):
    """One hourglass: downsampling to the last width and upsampling again, with a side path at each size.

    Args:
        widths: number of channels at each size, finest first.
        depths: number of residual blocks at each size, finest first.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        (here, below), depth = widths[:2], depths[0]
        self.side = blocks(here, depth)
        self.down = nn.Sequential(Residual(here, below, 2), *blocks(below, depth - 1))
        self.inner = Stack(widths[1:], depths[1:]) if len(widths) > 2 else blocks(below, depths[1])
        self.up = nn.Sequential(*blocks(below, depth - 1), Residual(below, here))

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0], h, w) -> (B, widths[0], h, w)."""
        return self.side(x) + F.interpolate(self.up(self.inner(self.down(x))), scale_factor=2.0, mode="nearest")


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Args:
        before: number of input channels.
        after: number of output channels.
        stride: stride of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.first = norm(nn.Conv2d(before, after, 3, stride, 1, bias=False), relu=True)
        self.second = norm(nn.Conv2d(after, after, 3, 1, 1, bias=False))
        same = stride == 1 and before == after
        self.skip = nn.Identity() if same else norm(nn.Conv2d(before, after, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h / stride, w / stride)."""
        return F.relu(self.second(self.first(x)) + self.skip(x))


def blocks(width: int, count: int) -> nn.Sequential:
    """Return a sequence of residual blocks of one width."""
    return nn.Sequential(*(Residual(width, width) for _ in range(count)))


def norm(conv: nn.Conv2d, relu: bool = False) -> nn.Sequential:
    """Return a convolution with batch norm and, optionally, a ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), *([nn.ReLU(inplace=True)] if relu else []))
