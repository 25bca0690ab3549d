"""The loss on labels."""

from __future__ import annotations

from collections.abc import Mapping

from centerx.losses.fields import field_terms
from centerx.losses.heatmap import heatmap_focal, heatmap_squared
from centerx.losses.reduce import loss_normalizer
from centerx.losses.term import Term, Terms
from centerx.models import Branch
from centerx.types import Maps, Targets


def label_terms(
    maps: Maps,
    targets: Targets,
    branches: Mapping[str, Branch],
    squared_heatmap: bool = False,
    relative_size: bool = False,
) -> Terms:
    """Return the raw terms of heatmap and fields, Objects as Points, eq. 4: means over the whole batch.

    The heatmap's divisor is the number of positive cells, that of a field the number of places where it is known, both
    of all processes.

    Args:
        maps: of the network.
        targets: of the batch.
        branches: of the network, by field.
        squared_heatmap: squared error instead of the focal loss; its divisor is the number of supervised cells.
        relative_size: divide the error of lengths by the object's, see `Branch.loss`.
    """
    heatmap = heatmap_squared if squared_heatmap else heatmap_focal
    divisor = loss_normalizer(targets.weight.sum() if squared_heatmap else (targets.heatmap == 1).sum())
    totals = {name: loss_normalizer(weight.sum()) for name, weight in targets.places.weights.items()}
    terms = {"heatmap": heatmap(maps.heatmap, targets.heatmap, targets.weight) / divisor}
    terms |= field_terms(branches, maps.fields, targets.places, totals, relative_size)
    return {Term(name): value for name, value in terms.items()}
