"""Split the pictures of a data set so that each part has its share of every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from centerx.data.dataset import Dataset
from centerx.data.records import Records
from centerx.errors import InputError


def split_dataset(
    dataset: Dataset, shares: Mapping[str, float], groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Dataset]:
    """Return the parts of a data set.

    Args:
        dataset: the data set.
        shares: name of each part and its share of the pictures, above 0; together 1.
        groups: (N,) integers; pictures of one group come into one part. Default: every picture is its own.
        seed: decides between parts that are equally good.

    Raises:
        InputError: a share is not above 0, or a part would be empty.
    """
    if min(shares.values()) <= 0:
        raise InputError(f"the shares {_shown(shares)} must all be above 0 and together 1")
    counts = object_counts(dataset)
    alone = np.arange(len(counts)) if groups is None else groups
    part = stratify(counts, alone, list(shares.values()), np.random.default_rng(seed))
    parts = {}
    for number, name in enumerate(shares):
        records = Records(dataset.records[index] for index in np.flatnonzero(part == number).tolist())
        if not records:
            units = f"{len(counts)} pictures in {len(np.unique(alone))} groups"
            raise InputError(
                f"{dataset.path}: {units} are too few for the shares {_shown(shares)}: {name} would be empty"
            )
        parts[name] = dataset._replace(records=records)
    return parts


def object_counts(dataset: Dataset) -> np.ndarray:
    """Return (N, C) int64: the objects of each class on each picture, without ignored ones."""
    classes = len(dataset.class_names)
    rows = [np.bincount(record.labels[~record.ignore], minlength=classes) for record in dataset.records]
    return np.array(rows, dtype=np.int64).reshape(len(rows), classes)


def stratify(counts: np.ndarray, groups: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Assign pictures to parts, those of the rarest classes first.

    The order is that of iterative stratification: the class with the fewest objects left is next, its groups with most
    of them first (Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, 2011, algorithm 1).
    There a group goes to the part that lacks most of that class, which leaves a frequent class to chance where most
    pictures have several. Here it goes where it adds least to the sum of (fill of a class in a part)^2 times the part's
    share, over all classes and the number of pictures.

    Args:
        counts: (N, C) objects of each class on each picture.
        groups: (N,) integers; pictures of one group come into one part.
        shares: of each part.
        rng: decides between parts that are equally good.

    Returns:
        (N,) int64 number of the part of each picture.
    """
    names, member = np.unique(groups, return_inverse=True)
    content = np.zeros((len(names), counts.shape[1] + 1))  # objects of each class, and pictures
    np.add.at(content, member, np.column_stack([counts, np.ones(len(counts))]))
    content /= np.maximum(content.sum(axis=0), 1)
    number = np.maximum(counts.sum(axis=0), 1)
    part = np.full(len(names), -1)
    filled = np.zeros((len(shares), content.shape[1]))
    order = rng.permutation(len(names))
    while (part < 0).any():
        left = content[part < 0, :-1].sum(axis=0) * number
        column = int(np.argmin(np.where(left > 0.5, left, np.inf))) if (left > 0.5).any() else -1
        waiting = order[(part[order] < 0) & (content[order, column] > 0)]
        for group in waiting[np.argsort(-content[waiting, column], kind="stable")]:
            cost = ((2 * filled + content[group]) * content[group]).sum(axis=1) / shares
            part[group] = np.lexsort((rng.random(len(cost)), cost.round(12)))[0]
            filled[part[group]] += content[group]
    return part[member]


def folder_groups(dataset: Dataset) -> np.ndarray:
    """Return (N,) int64: the number of the folder of each picture."""
    return np.unique([str(record.image.parent) for record in dataset.records], return_inverse=True)[1]


def _shown(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in shares.items())
