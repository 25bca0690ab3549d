"""The network: backbone, neck, and a head with a branch for the heatmap and one for each field."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from centerx.fields import JOINT_HEATMAP, KEYPOINTS, Field, Lengths, Peaks
from centerx.models.backbone import Backbone
from centerx.models.lengths import LENGTHS, SLOPE, bounded, mean_lengths
from centerx.models.neck import Neck, conv_norm
from centerx.tasks import Task
from centerx.types import Maps

PRIOR = 0.1  # probability of an object at a cell before training: sigmoid(-2.19)
CLASS_PARAMETERS = ("heatmap.2.weight", "heatmap.2.bias")  # of CenterHead: those with a row for each class
JOINT_PARAMETERS = tuple(
    f"{field.name}.2.{kind}" for field in (KEYPOINTS, JOINT_HEATMAP) for kind in ("weight", "bias")
)  # those with rows for each joint


class CenterNet(nn.Module):
    """Objects as Points (Zhou et al., 2019): no anchors, no NMS, every object its centre.

    Args:
        backbone: pixels to feature maps.
        neck: feature maps to one map of stride 4.
        head: that map to the heatmap and the fields.
        task: whose fields the head answers for.
    """

    stride = 4

    def __init__(self, backbone: Backbone, neck: Neck, head: CenterHead, task: Task) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.task = task

    def forward(self, images: Tensor) -> Maps:
        """(B, 3, H, W) uint8 RGB, H and W multiples of 32 -> maps of (H / 4, W / 4)."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> what the head sees, (B, F, H / 4, W / 4)."""
        return self.neck(self.backbone(images))


class CenterHead(nn.Module):
    """The heatmap's branch and one for each field, beside each other.

    Args:
        in_channels: of the map.
        num_classes: heatmap channels, one independent binary classifier each.
        channels: width of the hidden layer of each branch.
        fields: of the branches.
        conv: kind of the hidden layer: `plain` or `depthwise`, see `hidden_layer`.
        distributions: whether lengths are said as distributions.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int,
        fields: tuple[Field, ...],
        conv: str = "plain",
        distributions: bool = False,
    ) -> None:
        super().__init__()
        self.heatmap = nn.Sequential(*branch_layers(in_channels, channels, num_classes, conv))
        self.names = tuple(field.name for field in fields)
        for field in fields:
            self.add_module(field.name, Branch(in_channels, channels, field, conv, distributions))
        for heatmap in (self.heatmap, *(each for each in self.branches.values() if each.field.kind is Peaks)):
            bias = heatmap[-1].bias
            assert isinstance(bias, Tensor)
            nn.init.constant_(bias, math.log(PRIOR / (1 - PRIOR)))

    @property
    def branches(self) -> Mapping[str, Branch]:
        """The branch of each field, by name."""
        return {name: self.get_submodule(name) for name in self.names}  # type: ignore[misc]

    def forward(self, features: Tensor) -> Maps:
        """(B, in_channels, h, w) -> maps of the same size."""
        said = {name: branch(features) for name, branch in self.branches.items()}
        logits = {name: bounded(each) for name, each in said.items() if self.branches[name].is_distribution}
        means = {name: mean_lengths(each) for name, each in logits.items()}
        return Maps(self.heatmap(features), said | means, logits=logits)


class Branch(nn.Sequential):
    """All that a network does about one field: its map, its loss.

    Args:
        in_channels: of the map that it sees.
        channels: width of the hidden layer.
        field: what it answers for.
        conv: kind of the hidden layer.
        distributions: whether a field of lengths is said as a distribution, in logits.
    """

    def __init__(
        self, in_channels: int, channels: int, field: Field, conv: str = "plain", distributions: bool = False
    ) -> None:
        spread = distributions and field.kind is Lengths
        super().__init__(*branch_layers(in_channels, channels, field.channels * (len(LENGTHS) if spread else 1), conv))
        self.field = field
        self.is_distribution = spread
        if spread:
            last = self[-1]
            assert isinstance(last, nn.Conv2d)
            last.bias = nn.Parameter((torch.arange(len(LENGTHS)) * SLOPE).repeat(field.channels))

    def loss(self, said: Tensor, goal: Tensor, relative: bool = False) -> Tensor:
        """Return the absolute error of each place, averaged over the channels: for labels and for teachers.

        Args:
            said: (B, D, P) values of the map.
            goal: (B, D, P) what they should be.
            relative: of lengths, divide by the mean of the goal's, at least one cell, so that large and small objects
                count alike.

        Returns:
            (B, P) float32; of a field whose values are known apart (B, parts, P).
        """
        if self.field.apart:
            return (said.float() - goal).abs().unflatten(1, (self.field.parts, -1)).mean(dim=2)
        error = (said.float() - goal).abs().mean(dim=1)
        for order in self.field.kind.alike:
            error = error.minimum((said.float() - goal[:, list(order)]).abs().mean(dim=1))
        if relative and self.field.kind is Lengths:
            error = error / goal.mean(dim=1).clamp(min=1)
        return error


def branch_layers(in_channels: int, channels: int, out_channels: int, conv: str) -> tuple[nn.Module, ...]:
    """A hidden layer and a 1x1 convolution that starts near its bias."""
    last = nn.Conv2d(channels, out_channels, 1)
    nn.init.normal_(last.weight, std=0.001)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return hidden_layer(in_channels, channels, conv), nn.ReLU(inplace=True), last


def hidden_layer(in_channels: int, channels: int, conv: str) -> nn.Module:
    """A `plain` 3x3 convolution, or a `depthwise` 5x5 one with a 1x1 one, which computes a tenth of it."""
    if conv == "plain":
        return nn.Conv2d(in_channels, channels, 3, padding=1)
    return nn.Sequential(
        conv_norm(in_channels, in_channels, 5, groups=in_channels), nn.Conv2d(in_channels, channels, 1)
    )
