"""Three branches on the stride-4 map: class heatmap, size, offset."""

from __future__ import annotations

import math

from torch import Tensor, nn

from centerx.types import HeadOutputs

PRIOR = 0.1  # probability of an object at a cell before training: sigmoid(-2.19)
CLASS_PARAMETERS = ("heatmap.2.weight", "heatmap.2.bias")  # of CenterHead: those with a row for each class


class CenterHead(nn.Module):
    """Heatmap logits, size and offset, each from a 3x3 convolution and a 1x1 one.

    Args:
        in_channels: of the map.
        num_classes: heatmap channels, one independent binary classifier each.
        channels: width of the hidden layer of each branch.
    """

    def __init__(self, in_channels: int, num_classes: int, channels: int) -> None:
        super().__init__()
        self.heatmap = branch(in_channels, channels, num_classes)
        self.size = branch(in_channels, channels, 2)
        self.offset = branch(in_channels, channels, 2)
        bias = self.heatmap[-1].bias
        assert isinstance(bias, Tensor)
        nn.init.constant_(bias, math.log(PRIOR / (1 - PRIOR)))

    def forward(self, features: Tensor) -> HeadOutputs:
        """(B, in_channels, h, w) -> the three maps of the same size."""
        return HeadOutputs(self.heatmap(features), self.size(features), self.offset(features))


def branch(in_channels: int, channels: int, out_channels: int) -> nn.Sequential:
    """One output of the head; starts near its bias."""
    last = nn.Conv2d(channels, out_channels, 1)
    nn.init.normal_(last.weight, std=0.001)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU(inplace=True), last)
