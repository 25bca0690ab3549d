"""Deformable 3x3 convolutions: with learned offsets of the taps (v1), and with learned weights too (v2, modulated)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

TAPS = 9  # of a 3x3 kernel


class DeformConv(nn.Conv2d):
    """3x3 convolution of stride 1 whose taps are moved by offsets that an inner convolution predicts.

    Deformable ConvNets (Dai et al., 2017; v2: Zhu et al., 2019). Initially all offsets are 0, and the weights of the
    taps are 0.5 if it is modulated.

    Args:
        before: number of input channels.
        after: number of output channels.
        modulated: whether the inner convolution also predicts a weight in [0, 1] for each tap.
    """

    def __init__(self, before: int, after: int, modulated: bool) -> None:
        super().__init__(before, after, 3, padding=1, bias=False)
        self.offset = nn.Conv2d(before, (3 if modulated else 2) * TAPS, 3, padding=1)
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h, w), computed in the data type of the weights."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(self.weight.dtype)
            offsets = self.offset(wide)
            mask = offsets[:, 2 * TAPS :].sigmoid() if offsets.shape[1] > 2 * TAPS else None
            out = deform_conv2d(wide, offsets[:, : 2 * TAPS], self.weight, padding=1, mask=mask)
        return out.to(x.dtype)


def offset_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that predict the offsets and the weights of taps in a network.

    They need a tenth of the learning rate (Deformable ConvNets v2, section 4). At the full rate the taps scatter before
    the rest of the network has learned anything.
    """
    parts = [part for part in model.modules() if isinstance(part, DeformConv)]
    return [parameter for part in parts for parameter in part.offset.parameters()]
