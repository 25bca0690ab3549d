"""The loss of a student that differs from its teacher, on the classes that the teacher teaches.

Losses on maps take those of student and teacher with the same T channels of the heatmap, in the same order, and return
raw terms: `heatmap`, and each field that both have. They are means over the whole batch, of all processes.
Where a teacher does not know everything, `known` (B, T, h, w) is 0 in the cells in which it teaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from centerx.decode import peaks
from centerx.losses.heatmap import quality_focal
from centerx.losses.terms import field_terms, loss_normalizer, mean_over_processes
from centerx.models import Branch
from centerx.types import Maps, Places

Weights = Mapping[str, Tensor]
DistillLoss = Callable[[Maps, Maps, Weights, Mapping[str, Branch], Tensor | None], dict[str, Tensor]]
DEAD = 1e-6  # deviation of a channel up to which it counts as constant
RIDGE = 1e-3  # relative to the mean variance of the student's features
LEAST_PEAK = 2e-4  # a peak is above it: maps rendered from no boxes are at 1e-4 everywhere
RADIUS = 1  # fields are learned at cells up to this far from a teacher's peak


def response_terms(
    student: Maps, teacher: Maps, weights: Weights, branches: Mapping[str, Branch], known: Tensor | None = None
) -> dict[str, Tensor]:
    """Every cell of the heatmap learns the teacher's probability; fields where the teacher sees an object.

    Heatmap: the quality focal loss with the teacher's probability, divided by the number of objects that the teacher
    expects: the sum of the probabilities of its peaks.
    Fields: absolute error around the teacher's peaks, weighted by their probability; of those that the student says as
    distributions also their loss, see `distribution_loss`.

    Args:
        student: its maps, (B, T, h, w) logits.
        teacher: its maps, likewise.
        weights: of `heatmap` and of each field, (T,) of each class, below 1 where several teachers teach it.
        branches: of the student, by field.
        known: cells in which the teacher teaches; all without it.
    """
    target = teacher.heatmap.float().sigmoid()
    error = where_known(quality_focal(student.heatmap.float(), target), known)
    peak = where_known(at_peaks(target, teacher.heatmap), known)
    objects = loss_normalizer(peak.sum())
    places, totals = places_at_peaks(peak, weights, teacher, branches, RADIUS)
    heatmap = (error.sum(dim=(0, 2, 3)) * weights["heatmap"]).sum() / objects
    return {"heatmap": heatmap} | field_terms(branches, student.fields, places, totals, logits=student.logits)


def article_terms(
    student: Maps,
    teacher: Maps,
    weights: Weights,
    branches: Mapping[str, Branch],
    known: Tensor | None = None,
    relative_size: bool = False,
) -> dict[str, Tensor]:
    """The losses of centerX's published code: squared error of probabilities, absolute error at the teacher's peaks.

    That code rectifies what has been through a sigmoid, which changes nothing, and knows no distributions: their loss
    comes to the error as above. Its means run over all cells, so the heatmap's term is smaller than the others by
    orders of magnitude and needs a large weight.

    Args:
        student: its maps, (B, T, h, w) logits.
        teacher: its maps, likewise.
        weights: of `heatmap` and of each field, (T,) of each class, below 1 where several teachers teach it.
        branches: of the student, by field.
        known: cells in which the teacher teaches; all without it.
        relative_size: divide the error of lengths by the teacher's mean length, at least one cell.
    """
    target = teacher.heatmap.float().sigmoid()
    peak = where_known(at_peaks(target, teacher.heatmap), known)
    error = weights["heatmap"][:, None, None] * (student.heatmap.float().sigmoid() - target) ** 2
    mean = error.mean() if known is None else (error * known).sum() / loss_normalizer(known.sum())
    places, totals = places_at_peaks(peak, weights, teacher, branches)
    terms = field_terms(branches, student.fields, places, totals, relative_size, student.logits)
    return {"heatmap": mean} | {name: 2 * term for name, term in terms.items()}


def where_known(values: Tensor, known: Tensor | None) -> Tensor:
    """Values (B, T, h, w), 0 where they are not known."""
    return values if known is None else values * known


def at_peaks(probability: Tensor, logits: Tensor) -> Tensor:
    """The probability (B, T, h, w) at the peaks of its logits, 0 elsewhere and where nothing is seen."""
    return probability * (peaks(logits) & (probability > LEAST_PEAK)).float()


def places_at_peaks(
    peak: Tensor, weights: Weights, teacher: Maps, branches: Mapping[str, Branch], radius: int = 0
) -> tuple[Places, dict[str, Tensor]]:
    """Return all cells, weighted by the teacher's peaks up to `radius` cells away, and what to divide weighted sums by.

    A field whose values are known apart has a weight of each: how sure the teacher is of it.

    Args:
        peak: (B, T, h, w) probability at the teacher's peaks, 0 elsewhere.
        weights: of each field, (T,) of each class, (T, parts) of a field whose values are known apart. No part of the
            divisor, or it would cancel out.
        teacher: its maps.
        branches: of the student, by field.
        radius: in cells.

    Returns:
        Places with the fields that both have, and a scalar of each field.
    """

    def spread(weight: Tensor) -> Tensor:
        best = (peak[:, :, None] * weight.view(len(weight), -1, 1, 1)).amax(dim=1)
        return F.max_pool2d(best, 2 * radius + 1, stride=1, padding=radius).flatten(2)

    goals = {name: teacher.fields[name].float().flatten(2) for name in branches if name in teacher.fields}
    apart = [name for name in goals if branches[name].field.apart]
    different = {id(weights[name]): weights[name] for name in goals if name not in apart}  # most often one
    spreads = {key: spread(weight)[:, 0] for key, weight in different.items()}
    whole = loss_normalizer(spread(torch.ones_like(weights["heatmap"])).sum())
    of_cells = {name: spreads[id(weights[name])] for name in goals if name not in apart}
    totals = dict.fromkeys(of_cells, whole)
    for name in apart:
        sure = teacher.sure[name].flatten(2) if name in teacher.sure else torch.ones_like(whole)
        of_cells[name] = spread(weights[name]) * sure
        totals[name] = loss_normalizer((spread((weights[name] > 0).float()) * sure).sum())
    return Places(None, goals, of_cells), totals


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
        grad = torch.cat([of_seen, -(linear / deviation).T]) * (2 / len(rows) / channels)
        ctx.save_for_backward(rows.to(student.dtype), grad)
        ctx.map_size = student.shape[0], *student.shape[2:]
        return 1 - (cross * linear).sum() / channels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows, grad = ctx.saved_tensors
        of_rows = rows @ (gradients[0] * grad).to(rows.dtype)
        return of_rows.unflatten(0, ctx.map_size).permute(0, 3, 1, 2), None


DISTILL_LOSSES: dict[str, DistillLoss] = {"response": response_terms, "article": article_terms}
