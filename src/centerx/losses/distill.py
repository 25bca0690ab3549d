"""What a student pays for answering otherwise than its teacher, on the classes that the teacher teaches.

Every function takes the maps of student and teacher with the same T channels, in the same order, and returns raw terms
`heatmap`, `size` and `offset`: means over the whole batch, of all data-parallel processes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from centerx.decode import peaks
from centerx.losses.reduce import share_of_total
from centerx.types import HeadOutputs

DistillLoss = Callable[[HeadOutputs, HeadOutputs, Tensor], dict[str, Tensor]]
REACH = 1  # size and offset are learned at cells up to this far from a teacher's peak


def response_terms(student: HeadOutputs, teacher: HeadOutputs, share: Tensor) -> dict[str, Tensor]:
    """Every cell of the heatmap learns the teacher's probability; size and offset where the teacher sees an object.

    Heatmap: cross-entropy with the teacher's probability t, weighted by (s - t)^2, so that the many cells that agree
    cost nothing (the quality focal loss of Li et al., Generalized Focal Loss, 2020, eq. 2, with beta = 2), divided by
    the number of objects that the teacher expects: the sum of the probabilities of its peaks.
    Size and offset: absolute error around the teacher's peaks, weighted by their probability.

    Args:
        student, teacher: heatmap (B, T, h, w) logits; size and offset (B, 2, h, w) cells.
        share: (T,) weight of each class, below 1 where several teachers teach it.
    """
    logits = student.heatmap.float()
    target = teacher.heatmap.float().sigmoid()
    share = share[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    peak = target * peaks(teacher.heatmap) * share
    objects = share_of_total(peak.sum())
    near = F.max_pool2d(peak.amax(dim=1, keepdim=True), 2 * REACH + 1, stride=1, padding=REACH)
    return {
        "heatmap": (share * (logits.sigmoid() - target) ** 2 * entropy).sum() / objects,
        "size": weighted_l1(student.size, teacher.size, near),
        "offset": weighted_l1(student.offset, teacher.offset, near),
    }


def article_terms(
    student: HeadOutputs, teacher: HeadOutputs, share: Tensor, relative_size: bool = False
) -> dict[str, Tensor]:
    """The article's losses as its published code has them: squared error of probabilities, L1 at the teacher's peaks.

    That code rectifies what has been through a sigmoid, which changes nothing. Its means run over all cells, so the
    heatmap's term is smaller than the others by orders of magnitude and needs a large weight.

    Args:
        student, teacher: heatmap (B, T, h, w) logits; size and offset (B, 2, h, w) cells.
        share: (T,) weight of each class, below 1 where several teachers teach it.
        relative_size: divide the error of the size by the teacher's mean side, at least one cell.
    """
    target = teacher.heatmap.float().sigmoid()
    share = share[:, None, None]
    weight = (target * peaks(teacher.heatmap) * share).amax(dim=1, keepdim=True)
    error = (student.heatmap.float().sigmoid() - target) ** 2
    scale = teacher.size.float().mean(dim=1, keepdim=True).clamp(min=1) if relative_size else 1.0
    return {
        "heatmap": (share * error).mean(),
        "size": 2 * weighted_l1(student.size / scale, teacher.size / scale, weight),
        "offset": 2 * weighted_l1(student.offset, teacher.offset, weight),
    }


def weighted_l1(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Absolute error of (B, 2, h, w) maps, averaged over the two channels and over cells with `weight` (B, 1, h, w)."""
    error = (student.float() - teacher.float()).abs().mean(dim=1, keepdim=True)
    return (error * weight).sum() / share_of_total(weight.sum())


DISTILL_LOSSES: dict[str, DistillLoss] = {"response": response_terms, "article": article_terms}
