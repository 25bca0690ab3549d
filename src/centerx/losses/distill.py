"""What a student pays for answering otherwise than its teacher, on the classes that the teacher teaches.

Losses on maps take those of student and teacher with the same T channels, in the same order, and return raw terms
`heatmap`, `size` and `offset`: means over the whole batch, of all data-parallel processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from centerx.decode import peaks
from centerx.losses.heatmap import quality_focal
from centerx.losses.reduce import loss_normalizer, mean_over_processes
from centerx.types import HeadOutputs

DistillLoss = Callable[[HeadOutputs, HeadOutputs, Tensor], dict[str, Tensor]]
DEAD = 1e-6  # deviation of a channel up to which it counts as constant
RIDGE = 1e-3  # relative to the mean variance of the student's features
LEAST_PEAK = 2e-4  # a peak is above it: maps rendered from no boxes are at 1e-4 everywhere
REACH = 1  # size and offset are learned at cells up to this far from a teacher's peak


def response_terms(student: HeadOutputs, teacher: HeadOutputs, share: Tensor) -> dict[str, Tensor]:
    """Every cell of the heatmap learns the teacher's probability; size and offset where the teacher sees an object.

    Heatmap: the quality focal loss with the teacher's probability, divided by the number of objects that the teacher
    expects: the sum of the probabilities of its peaks.
    Size and offset: absolute error around the teacher's peaks, weighted by their probability.

    Args:
        student, teacher: heatmap (B, T, h, w) logits; size and offset (B, 2, h, w) cells.
        share: (T,) weight of each class, below 1 where several teachers teach it.
    """
    target = teacher.heatmap.float().sigmoid()
    error = quality_focal(student.heatmap.float(), target)
    peak = at_peaks(target, teacher.heatmap)
    objects = loss_normalizer(peak.sum())
    weights = weights_at_peaks(peak, share[:, None, None], REACH)
    return {
        "heatmap": (error.sum(dim=(0, 2, 3)) * share).sum() / objects,
        "size": weighted_l1(student.size, teacher.size, *weights),
        "offset": weighted_l1(student.offset, teacher.offset, *weights),
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
    peak = at_peaks(target, teacher.heatmap)
    error = (student.heatmap.float().sigmoid() - target) ** 2
    weights = weights_at_peaks(peak, share)
    scale = teacher.size.float().mean(dim=1, keepdim=True).clamp(min=1) if relative_size else 1.0
    return {
        "heatmap": (share * error).mean(),
        "size": 2 * weighted_l1(student.size / scale, teacher.size / scale, *weights),
        "offset": 2 * weighted_l1(student.offset, teacher.offset, *weights),
    }


def at_peaks(probability: Tensor, logits: Tensor) -> Tensor:
    """The probability (B, T, h, w) at the peaks of its logits, 0 elsewhere and where nothing is seen."""
    return probability * (peaks(logits) & (probability > LEAST_PEAK)).float()


def weights_at_peaks(peak: Tensor, share: Tensor, reach: int = 0) -> tuple[Tensor, Tensor]:
    """Weights of cells at peaks and up to `reach` cells around, and what to divide a weighted sum by.

    Args:
        peak: (B, T, h, w) probability at the teacher's peaks, 0 elsewhere.
        share: (T, 1, 1) weight of each class. No part of the divisor, or it would cancel out.
        reach: cells.

    Returns:
        (B, 1, h, w) and a scalar.
    """
    weight, whole = (
        F.max_pool2d(each.amax(dim=1, keepdim=True), 2 * reach + 1, stride=1, padding=reach)
        for each in (peak * share, peak)
    )
    return weight, loss_normalizer(whole.sum())


def weighted_l1(student: Tensor, teacher: Tensor, weight: Tensor, total: Tensor) -> Tensor:
    """Absolute error of (B, 2, h, w), averaged over the two channels, and over cells by weight (B, 1, h, w)."""
    error = (student.float() - teacher.float()).abs().mean(dim=1, keepdim=True)
    return (error * weight).sum() / total


def ridge_residual(student: Tensor, teacher: Tensor) -> Tensor:
    """Share of the variance of a teacher's features that no linear map of the student's explains, in [0, 1].

    The map is the ridge regression over all cells of the batch, of all processes, solved anew at every step. So widths
    may differ, several teachers may each find what they know, and no adapter is learned beside the student. A teacher's
    channels count alike, but for those that the whole batch leaves constant, which do not count.

    In bf16 the gradient is good to 1 or 2 %, until all but a thousandth is explained: there it is rounding.

    Args:
        student: (B, F, h, w). teacher: (B, G, h, w).
    """
    with torch.autocast(student.device.type, enabled=False):
        return _RidgeResidual.apply(student, teacher)


class _RidgeResidual(torch.autograd.Function):
    """`ridge_residual` with its gradient by hand: one product, in the precision of the student's features.

    With x, y the n rows of features less their means, d the deviations of the teacher's channels, of which G live,
    covariance C = x'x/n + ridge, A = x'y/n/d and M = C^-1 A, the term is 1 - tr(A'M)/G. Its gradient in x is
    2/(n G) (x (MM' + r I) - (y/d) M'), where r is what the ridge adds, as it grows with the variance of x.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        width = student.shape[1]
        rows = torch.cat([student, teacher], dim=1).permute(0, 2, 3, 1).flatten(0, 2).float()
        rows -= mean_over_processes(rows.mean(dim=0))
        moments = mean_over_processes(rows[:, :width].T @ rows / len(rows))
        deviation = mean_over_processes(rows[:, width:].square().mean(dim=0)).sqrt().clamp(min=DEAD)
        channels = (deviation > DEAD).sum().clamp(min=1)
        covariance, cross = moments[:, :width], moments[:, width:] / deviation
        unit = torch.eye(width, device=rows.device)
        ridge = (RIDGE * covariance.diagonal().mean()).clamp(min=1e-12)
        linear = torch.linalg.solve(covariance + ridge * unit, cross)
        of_seen = linear @ linear.T + RIDGE * linear.square().sum() / width * unit
        slope = torch.cat([of_seen, -(linear / deviation).T]) * (2 / len(rows) / channels)
        ctx.save_for_backward(rows.to(student.dtype), slope)
        ctx.map_size = student.shape[0], *student.shape[2:]
        return 1 - (cross * linear).sum() / channels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows, slope = ctx.saved_tensors
        of_rows = rows @ (gradients[0] * slope).to(rows.dtype)
        return of_rows.unflatten(0, ctx.map_size).permute(0, 3, 1, 2), None


DISTILL_LOSSES: dict[str, DistillLoss] = {"response": response_terms, "article": article_terms}
