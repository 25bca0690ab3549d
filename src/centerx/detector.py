"""CenterNet + decode in one module: what evaluation, prediction and every export run."""

from __future__ import annotations

from torch import Tensor, nn

from centerx.decode import Decode
from centerx.models.centernet import CenterNet
from centerx.types import Detections


class Detector(nn.Module):
    """Pixels in, boxes out.

    Args:
        model: the network.
        top_k: the most detections of one picture.
    """

    def __init__(self, model: CenterNet, top_k: int) -> None:
        super().__init__()
        self.model = model
        self.decode = Decode(top_k, model.stride)

    def forward(self, images: Tensor) -> Detections:
        """(B, 3, H, W) uint8 RGB -> detections in input pixels, best first, K = min(top_k, C * h * w)."""
        return self.decode(self.model(images), images.shape[-2:])
