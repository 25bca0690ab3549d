"""Feature maps of strides 4 to 32 -> one map of stride 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FpnNeck(nn.Module):
    """A light top-down pyramid: lateral 1x1, upsample, add, depthwise-separable smoothing.

    Args:
        in_channels: of the maps, finest first.
        channels: width throughout, and of the output.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.out_channels = channels
        self.laterals = nn.ModuleList(conv_norm(width, channels, 1) for width in in_channels)
        self.smooths = nn.ModuleList(
            nn.Sequential(
                conv_norm(channels, channels, 3, groups=channels),
                conv_norm(channels, channels, 1),
                nn.ReLU(inplace=True),
            )
            for _ in in_channels[:-1]
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """One (B, in_channels[i], h / 2^i, w / 2^i) a stage -> (B, channels, h, w)."""
        top = self.laterals[-1](features[-1])
        for level in reversed(range(len(features) - 1)):
            lateral = self.laterals[level](features[level])
            top = self.smooths[level](lateral + F.interpolate(top, scale_factor=2.0, mode="nearest"))
        return top


class DeconvNeck(nn.Module):
    """The article's neck: 3x3 convolution and 4x4 transposed convolution, three times, on the coarsest map.

    Args:
        in_channels: of the maps, finest first; only the last is used.
        channels: width of each stage; the last is the output's.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = channels[-1]
        stages: list[nn.Module] = []
        for before, after in pairwise([in_channels[-1], *channels]):
            up = nn.ConvTranspose2d(after, after, 4, stride=2, padding=1, bias=False)
            bilinear_init(up)
            stages += [conv_norm(before, after, 3), nn.ReLU(inplace=True)]
            stages += [up, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.stages = nn.Sequential(*stages)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Only the last map, (B, in_channels[-1], h / 8, w / 8), is read -> (B, channels[-1], h, w)."""
        return self.stages(features[-1])


def conv_norm(before: int, after: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, and batch norm."""
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


def bilinear_init(up: nn.ConvTranspose2d) -> None:
    """Start a 4x4 stride-2 transposed convolution as bilinear upsampling of each channel by itself."""
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        up.weight.zero_()
        channels = torch.arange(up.weight.shape[0])
        up.weight[channels, channels] = torch.outer(ramp, ramp)
