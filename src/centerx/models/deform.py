"""Deformable convolutions: a 3x3 kernel whose taps move, v1, and whose taps are weighed as well, v2 (modulated)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

TAPS = 9  # of a 3x3 kernel


class DeformConv(nn.Conv2d):
    """3x3 convolution, stride 1, that reads where an inner convolution of the same input points to.

    Deformable ConvNets (Dai et al., 2017; v2: Zhu et al., 2019). It starts undeformed: no tap is moved, and where it
    is modulated each counts half.

    Args:
        before, after: channels.
        modulated: the inner convolution gives a weight in [0, 1] for each tap besides its shift.
    """

    def __init__(self, before: int, after: int, modulated: bool) -> None:
        super().__init__(before, after, 3, padding=1, bias=False)
        self.offset = nn.Conv2d(before, (3 if modulated else 2) * TAPS, 3, padding=1)
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h, w), computed in the type of the weights."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x.to(self.weight.dtype)
            moves = self.offset(wide)
            mask = moves[:, 2 * TAPS :].sigmoid() if moves.shape[1] > 2 * TAPS else None
            out = deform_conv2d(wide, moves[:, : 2 * TAPS], self.weight, padding=1, mask=mask)
        return out.to(x.dtype)


def offset_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What moves and weighs the taps of a network's deformable convolutions.

    They are to learn at a tenth of the rate (Deformable ConvNets v2, section 4): at the full one they scatter the taps
    before the rest has learned anything.
    """
    parts = [part for part in model.modules() if isinstance(part, DeformConv)]
    return [parameter for part in parts for parameter in part.offset.parameters()]
