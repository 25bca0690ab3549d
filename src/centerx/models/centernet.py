"""The network: backbone, neck, head."""

from __future__ import annotations

from torch import Tensor, nn

from centerx.models.backbone import Backbone
from centerx.models.head import CenterHead
from centerx.models.neck import Neck
from centerx.types import HeadOutputs


class CenterNet(nn.Module):
    """Objects as Points (Zhou et al., 2019): no anchors, no NMS, every object its centre.

    Args:
        backbone: pixels to feature maps.
        neck: feature maps to one map of stride 4.
        head: that map to heatmap, size and offset.
    """

    stride = 4

    def __init__(self, backbone: Backbone, neck: Neck, head: CenterHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, images: Tensor) -> HeadOutputs:
        """(B, 3, H, W) uint8 RGB, H and W multiples of 32 -> maps of (H / 4, W / 4)."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB -> what the head sees, (B, F, H / 4, W / 4)."""
        return self.neck(self.backbone(images))
