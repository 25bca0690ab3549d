"""The loss on the fields of objects: one function for labels and for teachers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from centerx.decode import at_cells
from centerx.models import Branch
from centerx.types import Places


def field_terms(
    branches: Mapping[str, Branch],
    maps: Mapping[str, Tensor],
    places: Places,
    totals: Mapping[str, Tensor],
    relative: bool = False,
) -> dict[str, Tensor]:
    """Return the term of each field that the places teach: errors by weight, summed and divided by its total.

    Args:
        branches: of the network, by field.
        maps: of the network, by field, (B, D, h, w) in cells.
        places: where to look, and what should be there.
        totals: by field, a scalar.
        relative: of lengths, see `Branch.loss`.
    """
    terms = {}
    for name, goal in places.goals.items():
        said = maps[name].flatten(2) if places.cells is None else at_cells(maps[name], places.cells)
        error = branches[name].loss(said, goal, relative)
        terms[name] = (error * places.weights[name]).sum() / totals[name]
    return terms
