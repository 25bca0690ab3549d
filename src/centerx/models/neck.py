"""Necks: modules from feature maps of strides 4 to 32 to one map of stride 4."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.models.deform import DeformConv


class FpnNeck(nn.Module):
    """Light top-down pyramid: lateral 1x1 convolutions, upsampling, addition and depthwise-separable smoothing.

    Args:
        in_channels: number of channels of each map, finest first.
        channels: number of channels inside and of the output.
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
        """Maps (B, in_channels[i], h / 2^i, w / 2^i) -> (B, channels, h, w)."""
        top = self.laterals[-1](features[-1])
        for level in reversed(range(len(features) - 1)):
            lateral = self.laterals[level](features[level])
            top = self.smooths[level](lateral + F.interpolate(top, scale_factor=2.0, mode="nearest"))
        return top


class DeconvNeck(nn.Module):
    """The neck of Objects as Points: stages of a 3x3 and a 4x4 transposed convolution on the coarsest map.

    Args:
        in_channels: number of channels of each map, finest first; only the last map is used.
        channels: number of channels of each stage, which doubles height and width; the last is that of the output.
        conv: kind of the 3x3 convolutions: `plain`, `deformable`, `modulated`, or `none` to leave them out.
    """

    def __init__(self, in_channels: Sequence[int], channels: Sequence[int], conv: str = "plain") -> None:
        super().__init__()
        self.out_channels = channels[-1]
        stages: list[nn.Module] = []
        for before, after in pairwise([in_channels[-1], *channels]):
            up = nn.ConvTranspose2d(before if conv == "none" else after, after, 4, stride=2, padding=1, bias=False)
            bilinear_init(up)
            if conv != "none":
                stages += [conv3_norm(before, after, conv), nn.ReLU(inplace=True)]
            stages += [up, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.stages = nn.Sequential(*stages)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps, of which the last is (B, in_channels[-1], h / 2^n, w / 2^n) for n stages -> (B, channels[-1], h, w)."""
        return self.stages(features[-1])


class DlaUpNeck(nn.Module):
    """Iterative deep aggregation (Deep Layer Aggregation, Yu et al., 2018), as in CenterNet with DLA-34.

    Coarse maps are aggregated into finer ones in three rounds. Then the last map of each round is aggregated into one.

    Args:
        in_channels: number of channels of four maps of strides 4 to 32, finest first; the output has the first.
        conv: kind of the 3x3 convolutions: `plain`, `deformable` or `modulated`.
    """

    def __init__(self, in_channels: Sequence[int], conv: str = "plain") -> None:
        super().__init__()
        self.out_channels = in_channels[0]
        widths = list(in_channels)
        rounds = []
        for level in reversed(range(len(widths) - 1)):
            coarser = widths[level + 1 :]
            rounds.append(Aggregation(coarser, widths[level], [2] * len(coarser), conv))
            widths[level + 1 :] = [widths[level]] * len(coarser)
        self.rounds = nn.ModuleList(rounds)
        self.last = Aggregation(in_channels[1:-1], in_channels[0], [2, 4], conv)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps (B, in_channels[i], h / 2^i, w / 2^i) -> (B, in_channels[0], h, w)."""
        maps, results = list(features), []
        for level, aggregation in zip(reversed(range(len(maps) - 1)), self.rounds, strict=True):
            maps[level:] = aggregation(maps[level:])
            results.append(maps[-1])
        return self.last(results[::-1])[-1]


class Aggregation(nn.Module):
    """Bring maps to the size and width of the first, and add the map before to each.

    Args:
        in_channels: number of channels of each map but the first.
        channels: number of channels of the first map and of the results.
        factors: upsampling factor of each map but the first.
        conv: kind of the 3x3 convolutions, as for `DlaUpNeck`.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, factors: Sequence[int], conv: str) -> None:
        super().__init__()
        self.projects = nn.ModuleList(conv3_norm_act(width, channels, conv) for width in in_channels)
        self.ups = nn.ModuleList(depthwise_up(channels, factor) for factor in factors)
        self.nodes = nn.ModuleList(conv3_norm_act(channels, channels, conv) for _ in in_channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The first map and n others -> the first, unchanged, and n of its size and width."""
        joined = maps[:1]
        for each, project, up, node in zip(maps[1:], self.projects, self.ups, self.nodes, strict=True):
            joined.append(node(up(project(each)) + joined[-1]))
        return joined


class DlaConcatNeck(nn.Module):
    """Iterative deep aggregation in the first version of its authors, as in CenterNet's `dlav0`.

    It differs from `DlaUpNeck` in that maps are concatenated, convolutions are plain, and the last map of the last
    round is the result.

    Args:
        in_channels: number of channels of four maps of strides 4 to 32, finest first; the output has the first.
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = in_channels[0]
        widths = list(in_channels)
        rounds = []
        for level in reversed(range(len(widths) - 1)):
            rounds.append(ConcatAggregation(widths[level + 1 :], widths[level]))
            widths[level + 1 :] = [widths[level]] * (len(widths) - level - 1)
        self.rounds = nn.ModuleList(rounds)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps (B, in_channels[i], h / 2^i, w / 2^i) -> (B, in_channels[0], h, w)."""
        maps = list(features)
        for level, aggregation in zip(reversed(range(len(maps) - 1)), self.rounds, strict=True):
            maps[level:] = aggregation(maps[level:])
        return maps[-1]


class ConcatAggregation(nn.Module):
    """Bring maps of half the size of the first to its size and width, and concatenate each with the map before.

    Args:
        in_channels: number of channels of each map but the first.
        channels: number of channels of the first map and of the results.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.projects = nn.ModuleList(
            nn.Sequential(*conv_norm(width, channels, 1), nn.ReLU(inplace=True)) for width in in_channels
        )
        self.ups = nn.ModuleList(depthwise_up(channels, 2) for _ in in_channels)
        self.nodes = nn.ModuleList(conv3_norm_act(2 * channels, channels, "plain") for _ in in_channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The first map and n others -> the first, unchanged, and n of its size and width."""
        joined = maps[:1]
        for each, project, up, node in zip(maps[1:], self.projects, self.ups, self.nodes, strict=True):
            joined.append(node(torch.cat([joined[-1], up(project(each))], dim=1)))
        return joined


class NoNeck(nn.Module):
    """Neck for a backbone with one map of stride 4: returns the map.

    Args:
        in_channels: number of channels of the map, as a sequence of one.
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = in_channels[0]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the first map."""
        return features[0]


Neck = FpnNeck | DeconvNeck | DlaUpNeck | DlaConcatNeck | NoNeck


def conv_norm(before: int, after: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Return a convolution of stride 1 that keeps the size, with batch norm."""
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


def conv3_norm(before: int, after: int, conv: str) -> nn.Sequential:
    """Return a 3x3 convolution, `plain`, `deformable` or `modulated`, with batch norm."""
    if conv == "plain":
        return conv_norm(before, after, 3)
    return nn.Sequential(DeformConv(before, after, modulated=conv == "modulated"), nn.BatchNorm2d(after))


def conv3_norm_act(before: int, after: int, conv: str) -> nn.Sequential:
    """Return `conv3_norm` with a ReLU."""
    return nn.Sequential(*conv3_norm(before, after, conv), nn.ReLU(inplace=True))


def depthwise_up(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a depthwise transposed convolution that upsamples by a factor, initialised as bilinear."""
    up = nn.ConvTranspose2d(
        channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels, bias=False
    )
    bilinear_init(up)
    return up


def bilinear_init(up: nn.ConvTranspose2d) -> None:
    """Initialise a transposed convolution, with a kernel of twice its stride, as bilinear upsampling; in place."""
    side = up.kernel_size[0]
    ramp = 1 - ((torch.arange(side) + 0.5) * 2 / side - 1).abs()
    with torch.no_grad():
        up.weight.zero_()
        channels = torch.arange(up.weight.shape[0])
        up.weight[channels, channels % up.weight.shape[1]] = torch.outer(ramp, ramp)
