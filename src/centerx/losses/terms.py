"""Loss terms: what each is about, those of labels, and that of a field, for labels and for teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch.distributed as dist
from torch import Tensor

from centerx.decode import at_cells
from centerx.fields import JOINT_HEATMAP, JOINT_OFFSET, OFFSET
from centerx.losses.heatmap import heatmap_focal, heatmap_squared
from centerx.models import Branch
from centerx.models.lengths import distribution_loss
from centerx.types import Maps, Places, Targets

JOINT_TERMS = {"heatmap": JOINT_HEATMAP.name, OFFSET.name: JOINT_OFFSET.name}
FEATURES = "features"  # the term of a teacher's features, which is about no field


class Term(NamedTuple):
    """The name of a loss term.

    Attributes:
        field: `heatmap`, a field of the task, or `features`.
        teacher: the name of the teacher; None of labels.
        classes: the classes that the teacher teaches; empty where it is about all.
    """

    field: str
    teacher: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name in metrics.csv and logs."""
        return self.field if self.teacher is None else f"kd/{self.teacher}/{self.field}"

    def __str__(self) -> str:
        """Its name in messages."""
        return f"{self.label} ({', '.join(self.classes)})" if self.classes else self.label


Terms = Mapping[Term, Tensor]


def label_terms(
    maps: Maps,
    targets: Targets,
    branches: Mapping[str, Branch],
    squared_heatmap: bool = False,
    relative_size: bool = False,
    class_weights: Sequence[float] = (),
) -> Terms:
    """Return the raw terms of heatmap and fields, Objects as Points, eq. 4: means over the whole batch.

    Joints have the terms of centres, under names of their own.

    The heatmap's divisor is the number of positive cells, that of a field the number of places where it is known, both
    of all processes.

    Args:
        maps: of the network.
        targets: of the batch.
        branches: of the network, by field.
        squared_heatmap: squared error instead of the focal loss; its divisor is the number of supervised cells.
        relative_size: divide the error of lengths by the object's, see `Branch.loss`.
        class_weights: factor of each class in the heatmap's term; the divisor stays. Empty: 1 for all.
    """
    heatmap = heatmap_squared if squared_heatmap else heatmap_focal
    divisor = loss_normalizer(targets.weight.sum() if squared_heatmap else (targets.heatmap == 1).sum())
    totals = {name: loss_normalizer(weight.sum()) for name, weight in targets.places.weights.items()}
    weight = targets.weight
    if class_weights:
        weight = weight * weight.new_tensor(class_weights)[:, None, None]
    terms = {"heatmap": heatmap(maps.heatmap, targets.heatmap, weight) / divisor}
    terms |= field_terms(branches, maps.fields, targets.places, totals, relative_size, maps.logits)
    own = {Term(name): value for name, value in terms.items()}
    if targets.joints is not None:
        of_joints = label_terms(joint_maps(maps), targets.joints, joint_branches(branches), squared_heatmap)
        own |= {Term(JOINT_TERMS[term.field]): value for term, value in of_joints.items()}
    return own


def joint_maps(maps: Maps) -> Maps:
    """Return the maps of joints as those of centres, a class each."""
    return Maps(maps.fields[JOINT_HEATMAP.name], {OFFSET.name: maps.fields[JOINT_OFFSET.name]})


def joint_branches(branches: Mapping[str, Branch]) -> dict[str, Branch]:
    """Return the branch of the joints' offset as that of centres."""
    return {OFFSET.name: branches[JOINT_OFFSET.name]}


def field_terms(
    branches: Mapping[str, Branch],
    maps: Mapping[str, Tensor],
    places: Places,
    totals: Mapping[str, Tensor],
    relative: bool = False,
    logits: Mapping[str, Tensor] = {},
) -> dict[str, Tensor]:
    """Return the term of each field that the places teach: errors by weight, summed and divided by its total.

    Args:
        branches: of the network, by field.
        maps: of the network, by field, (B, D, h, w) in cells.
        places: where to look, and what should be there.
        totals: by field, a scalar.
        relative: of lengths, see `Branch.loss`.
        logits: of fields that are said as distributions, whose loss comes to their error.
    """
    terms = {}
    for name, goal in places.goals.items():
        error = branches[name].loss(at_places(maps[name], places), goal, relative)
        if name in logits:
            error = error + distribution_loss(at_places(logits[name], places), goal)
        terms[name] = (error * places.weights[name]).sum() / totals[name]
    return terms


def at_places(values: Tensor, places: Places) -> Tensor:
    """Return the values of a map (B, D, h, w) at the places, (B, D, P)."""
    return values.flatten(2) if places.cells is None else at_cells(values, places.cells)


def loss_normalizer(count: Tensor) -> Tensor:
    """Return the number to divide a summed loss by, so that gradients are those of the mean over the whole batch.

    Data-parallel training averages gradients over processes. The number is therefore the total count over processes,
    at least 1, divided by the number of processes.

    Args:
        count: scalar of this process, such as its number of objects.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return count.clamp(min=1)
    total = count.clone()
    dist.all_reduce(total)
    return total.clamp(min=1) / dist.get_world_size()


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of a tensor over data-parallel processes, or the tensor itself in a single process."""
    if not (dist.is_available() and dist.is_initialized()):
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
