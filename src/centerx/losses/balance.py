"""How loss terms are weighed against each other: with fixed weights, at constant magnitude, or by learned uncertainty.

Each turns raw terms, scalars, into the scalar to minimise, and tells the weights that change from step to step. Terms
whose weight decays over the run come with a further factor each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from centerx.losses.terms import Term, Terms, mean_over_processes

LEAST = 1e-12  # a smaller term is as good as none: it gets no weight; means over all cells of many classes are 1e-7
Decay = Mapping[Term, float]
NO_DECAY: Decay = {}
Balance = Callable[[Terms, Decay], tuple[Tensor, dict[Term, Tensor]]]


class FixedWeights:
    """Weighted sum.

    Args:
        factors: the weight of each term.
    """

    def __init__(self, factors: Mapping[Term, float]) -> None:
        self.factors = factors

    def __call__(self, terms: Terms, decay: Decay = NO_DECAY) -> tuple[Tensor, dict[Term, Tensor]]:
        """Return the sum of factor times term; no weight changes but by decay."""
        factors = {term: self.factors[term] * decay.get(term, 1.0) for term in terms}
        return torch.stack([factors[term] * value for term, value in terms.items()]).sum(), {}


class ConstantMagnitude:
    """Every term counts for a constant: its weight is target / term, so its gradient is target * grad(log term).

    The adaptive loss of the original centerX. The total is constant, so it is the raw terms that say how training goes.
    A term that is zero or not finite gets no weight and adds nothing, where the plain formula would give infinity times
    zero.

    Args:
        targets: the constant of each term.
    """

    def __init__(self, targets: Mapping[Term, float]) -> None:
        self.targets = targets

    def __call__(self, terms: Terms, decay: Decay = NO_DECAY) -> tuple[Tensor, dict[Term, Tensor]]:
        """Return the sum of weight times term, and the weights: the same on every data-parallel process."""
        values = torch.stack(list(terms.values())).float()
        means = mean_over_processes(values.detach())
        usable = means.isfinite() & (means > LEAST)
        targets = values.new_tensor([self.targets[term] * decay.get(term, 1.0) for term in terms])
        weights = torch.where(usable, targets / means.where(usable, torch.ones_like(means)), 0.0)
        total = (weights * values.where(usable, torch.zeros_like(values))).sum()
        return total, dict(zip(terms, weights, strict=True))


class Uncertainty(nn.Module):
    """Learned weights: the sum of exp(-s) * term + s / 2 with one s a term (Kendall et al., 2018, section 3.2).

    A term of zero, which nothing in the batch asks for, leaves its s alone: it would sink for ever. What decays is
    the whole summand, as s would make up for a term that decays alone.

    Args:
        factors: the weight of each term at the start, above 0.
    """

    def __init__(self, factors: Mapping[Term, float]) -> None:
        super().__init__()
        self.places = {term: index for index, term in enumerate(factors)}
        self.log_variance = nn.Parameter(-torch.tensor(list(factors.values())).log())

    def forward(self, terms: Terms, decay: Decay = NO_DECAY) -> tuple[Tensor, dict[Term, Tensor]]:
        """Return the sum, and exp(-s) of each term."""
        log_variance = self.log_variance[[self.places[term] for term in terms]]
        precision = (-log_variance).exp()
        values = torch.stack(list(terms.values())).float()
        asked = mean_over_processes(values.detach()) != 0
        factors = values.new_tensor([decay.get(term, 1.0) for term in terms])
        total = (factors * (precision * values + log_variance / 2)).where(asked, torch.zeros_like(values)).sum()
        return total, dict(zip(terms, precision.detach(), strict=True))
