"""What a student pays for answering otherwise than its teacher, on the classes that the teacher teaches.

Losses on maps take those of student and teacher with the same T channels, in the same order, and return raw terms
`heatmap`, `size` and `offset`: means over the whole batch, of all data-parallel processes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from centerx.decode import peaks
from centerx.losses.reduce import mean_of_parts, share_of_total
from centerx.types import HeadOutputs

DistillLoss = Callable[[HeadOutputs, HeadOutputs, Tensor], dict[str, Tensor]]
RIDGE = 1e-3  # relative to the mean variance of the student's features
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
    peak = target * peaks(teacher.heatmap)
    objects = share_of_total(peak.sum())
    return {
        "heatmap": (share * (logits.sigmoid() - target) ** 2 * entropy).sum() / objects,
        "size": l1_at_peaks(student.size, teacher.size, peak, share, REACH),
        "offset": l1_at_peaks(student.offset, teacher.offset, peak, share, REACH),
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
    peak = target * peaks(teacher.heatmap)
    error = (student.heatmap.float().sigmoid() - target) ** 2
    scale = teacher.size.float().mean(dim=1, keepdim=True).clamp(min=1) if relative_size else 1.0
    return {
        "heatmap": (share * error).mean(),
        "size": 2 * l1_at_peaks(student.size / scale, teacher.size / scale, peak, share),
        "offset": 2 * l1_at_peaks(student.offset, teacher.offset, peak, share),
    }


def l1_at_peaks(student: Tensor, teacher: Tensor, peak: Tensor, share: Tensor, reach: int = 0) -> Tensor:
    """Absolute error at peaks and up to `reach` cells around, averaged over the two channels, and cells by probability.

    Args:
        student, teacher: (B, 2, h, w).
        peak: (B, T, h, w) probability at the teacher's peaks, 0 elsewhere.
        share: (T, 1, 1) weight of each class. No part of the average's divisor, or it would cancel out.
        reach: cells.
    """
    weight, whole = (
        F.max_pool2d(each.amax(dim=1, keepdim=True), 2 * reach + 1, stride=1, padding=reach)
        for each in (peak * share, peak)
    )
    error = (student.float() - teacher.float()).abs().mean(dim=1, keepdim=True)
    return (error * weight).sum() / share_of_total(whole.sum())


def unexplained_features(student: Tensor, teacher: Tensor) -> Tensor:
    """Share of the variance of a teacher's features that no linear map of the student's explains, in [0, 1].

    The map is the ridge regression over all cells of the batch, of all processes, solved anew at every step. So widths
    may differ, several teachers may each find what they know, and no adapter is learned beside the student. A teacher's
    channels count alike.

    Args:
        student: (B, F, h, w). teacher: (B, G, h, w).
    """
    with torch.autocast(student.device.type, enabled=False):
        seen, told = centred(student), centred(teacher)
        told = told / mean_of_parts(told.square().mean(dim=1, keepdim=True)).sqrt().clamp(min=1e-6)
        covariance = mean_of_parts(seen @ seen.T / seen.shape[1])
        ridge = (RIDGE * covariance.diagonal().mean()).clamp(min=1e-12)
        covariance = covariance + ridge * torch.eye(len(seen), device=seen.device)
        cross = mean_of_parts(seen @ told.T / seen.shape[1])
        explained = cross * torch.linalg.solve(covariance, cross)
    return 1 - explained.sum() / len(told)


def centred(features: Tensor) -> Tensor:
    """(B, F, h, w) -> (F, B h w) float32, each row less its mean over the whole batch."""
    rows = features.float().transpose(0, 1).flatten(1)
    return rows - mean_of_parts(rows.mean(dim=1, keepdim=True))


DISTILL_LOSSES: dict[str, DistillLoss] = {"response": response_terms, "article": article_terms}
