"""CenterNet + decode in one module: what evaluation, prediction and every export run."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.decode import Decode
from centerx.models.centernet import CenterNet
from centerx.types import Detections, HeadOutputs


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

    def forward(self, images: Tensor, picture_hw: Tensor | None = None) -> Detections:
        """(B, 3, H, W) uint8 RGB -> detections in input pixels, best first, K = min(top_k, C * h * w).

        Args:
            images: pictures in their letterboxes.
            picture_hw: (B, 2) float32 height and width of each in input pixels; beyond them nothing is found.
        """
        return self.decode(self.model(images), images.shape[-2:], picture_hw)


class MirrorDetector(Detector):
    """A detector that looks at each picture and at its mirror image, and decodes the mean of both: flip testing.

    Args:
        detector: whose network and decoder to use.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__(detector.model, detector.decode.top_k)

    def forward(self, images: Tensor, picture_hw: Tensor | None = None) -> Detections:
        """As `Detector.forward`, at twice the cost."""
        maps = mean_with_mirror(self.model(images), self.model(images.flip(-1)))
        return self.decode(maps, images.shape[-2:], picture_hw)


def mean_with_mirror(outputs: HeadOutputs, mirrored: HeadOutputs) -> HeadOutputs:
    """The mean of the maps of pictures and of their mirror images: of probabilities, sizes and centres.

    A centre a share x into its cell lies 1 - x into the mirrored one.
    """
    first, second = outputs.heatmap.float(), mirrored.heatmap.float().flip(-1)
    yes, no = (torch.logaddexp(F.logsigmoid(sign * first), F.logsigmoid(sign * second)) for sign in (1, -1))
    across, down = mirrored.offset.flip(-1).unbind(1)
    return HeadOutputs(
        yes - no,  # the logit of the mean probability, finite however sure both are
        (outputs.size + mirrored.size.flip(-1)) / 2,
        (outputs.offset + torch.stack([1 - across, down], dim=1)) / 2,
    )
