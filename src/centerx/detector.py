"""CenterNet + decode in one module: what evaluation, prediction and every export run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from centerx.decode import Decode
from centerx.fields import Field, Peaks
from centerx.models.centernet import CenterNet
from centerx.types import Maps, RawDetections


class Detector(nn.Module):
    """Pixels in, boxes out.

    Args:
        model: the network.
        top_k: the most detections of one picture.
    """

    def __init__(self, model: CenterNet, top_k: int) -> None:
        super().__init__()
        self.model = model
        self.decode = Decode(top_k, model.stride, model.task)

    def forward(self, images: Tensor, picture_hw: Tensor | None = None) -> RawDetections:
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

    def forward(self, images: Tensor, picture_hw: Tensor | None = None) -> RawDetections:
        """As `Detector.forward`, at twice the cost."""
        maps = mean_with_mirror(self.model(images), self.model(images.flip(-1)), self.model.task.branches)
        return self.decode(maps, images.shape[-2:], picture_hw)


def to_numpy(found: RawDetections) -> RawDetections:
    """Return detections of torch as arrays."""
    values = {name: each.cpu().numpy() for name, each in found.values.items()}
    return RawDetections(values, found.scores.cpu().numpy(), found.labels.cpu().numpy())


def mean_with_mirror(maps: Maps, mirrored: Maps, branches: Sequence[Field]) -> Maps:
    """Return the mean of the maps of pictures and of their mirror images: of probabilities and of fields.

    Args:
        maps: of the pictures.
        mirrored: of their mirror images.
        branches: the fields in the maps.
    """
    means = {}
    for each in branches:
        ours, theirs = maps.fields[each.name], mirror(mirrored.fields[each.name], each)
        means[each.name] = mean_logit(ours, theirs) if each.kind is Peaks else (ours + theirs) / 2
    return Maps(mean_logit(maps.heatmap, mirrored.heatmap.flip(-1)), means)


def mean_logit(first: Tensor, second: Tensor) -> Tensor:
    """Return the logit of the mean of two probabilities, given as logits; finite however sure both are."""
    first, second = first.float(), second.float()
    yes, no = (torch.logaddexp(F.logsigmoid(sign * first), F.logsigmoid(sign * second)) for sign in (1, -1))
    return yes - no


def mirror(values: Tensor, field: Field) -> Tensor:
    """Return the map (B, D, h, w) of a field on the mirror image."""
    factor, summand = values.new_tensor(field.kind.mirror * field.num_values).T[..., None, None]
    order = field.flip or range(field.num_values)
    pairs = (values.flip(-1) * factor + summand).unflatten(1, (field.num_values, -1))
    return pairs[:, list(order)].flatten(1, 2)


def first_not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is not finite, or None."""
    return next((name for name, value in state.items() if not bool(value.float().isfinite().all())), None)
