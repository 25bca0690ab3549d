"""Merge data sets into one: classes by name, each picture with the classes that its own set labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.data.dataset import Dataset, Track, arrange_joints, relabel
from centerx.data.records import Record
from centerx.data.similar import describe_pictures, find_similar
from centerx.data.source import union_of_classes
from centerx.geometry import box_iou
from centerx.joints import Joints, join_joints
from centerx.objects import Objects, join_objects
from centerx.problems import Kind, Problem

SAME = 0.9  # IoU above which two sets mean one object by two boxes


class _Part(NamedTuple):
    """A picture and the data set that it is of."""

    record: Record
    path: Path


def merge_datasets(
    datasets: Sequence[Dataset], exact: bool = False, near: bool = False, track: Track = iter
) -> Dataset:
    """Return one data set of the pictures of all.

    A picture labels the classes that its set labels, whichever others have. One file that several sets have is one
    picture: each class has the objects of the first set that labels it, and other objects of it are told as a conflict.

    Args:
        datasets: at least one. Their problems are not those of the result.
        exact: whether pictures with equal bytes are one picture too.
        near: whether to leave out pictures that are nearly the same as an earlier one, with their labels.
        track: iterator that shows progress.
    """
    names = union_of_classes(datasets)
    joints = join_joints([(dataset.joints, dataset.class_names) for dataset in datasets], names)
    problems: list[Problem] = []
    parts = [part for dataset in datasets for part in _parts(dataset, names, joints)]
    same: dict[Hashable, list[_Part]] = {}
    for part, key in zip(parts, _keys([part.record for part in parts], exact, track), strict=True):
        same.setdefault(key, []).append(part)
    records = [_joined(some, names, problems) for some in same.values()]
    if near:
        records = _without_alike(records, problems, track)
    if all(record.labelled is not None and len(record.labelled) == len(names) for record in records):
        records = [record._replace(labelled=None) for record in records]
    ids = tuple(range(1, len(names) + 1))
    return Dataset(datasets[0].path, "merged", names, ids, records, problems, joints=joints)


def _parts(dataset: Dataset, names: Sequence[str], joints: Joints) -> list[_Part]:
    new_label = np.array([names.index(name) for name in dataset.class_names], dtype=np.int64)
    every = frozenset(new_label.tolist())
    order = dataset.joints.order(joints.names)
    records = (arrange_joints(relabel(record, new_label), order) for record in dataset.records)
    return [
        _Part(record._replace(labelled=every if record.labelled is None else record.labelled), dataset.path)
        for record in records
    ]


def _keys(records: Sequence[Record], exact: bool, track: Track) -> list[Hashable]:
    """Return what is equal for records of one picture: its file, or its content."""
    files = [os.path.realpath(record.image) for record in records]
    if not exact:
        return list(files)
    hashes = {file: _content_hash(Path(file)) for file in map(os.path.realpath, _images(records, track))}
    return [hashes[file] or file for file in files]


def _content_hash(picture: Path) -> bytes | None:
    """Return a hash of the bytes of a file; None if it cannot be read."""
    if not picture.is_file():
        return None
    try:
        with picture.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _images(records: Sequence[Record], track: Track) -> list[Path]:
    return [record.image for record in track(records)]


def _joined(parts: Sequence[_Part], names: Sequence[str], problems: list[Problem]) -> Record:
    """Return the record of one picture that has several."""
    first = parts[0].record
    if len(parts) == 1:
        return first
    objects: list[Objects] = []
    labelled: set[int] = set()
    for record, path in parts:
        known = record.labelled or frozenset()
        conflicts = [label for label in sorted(known & labelled) if not _alike(_of(record, label), objects, label)]
        if conflicts:
            what = (
                f"{path} has other objects of {', '.join(names[label] for label in conflicts)} than the sets before it"
            )
            problems.append(Problem(Kind.CONFLICTING_LABELS, str(first.image), f"{what}, whose are used"))
        fresh = np.isin(record.labels, list(known - labelled))
        objects.append(record.objects.where(fresh))
        labelled |= known
    places = ", ".join(str(record.image) for record, _ in parts[1:])
    problems.append(Problem(Kind.REPEATED_PICTURE, str(first.image), f"is the same picture as {places}; used once"))
    return first._replace(objects=join_objects(objects), labelled=frozenset(labelled))


def _of(record: Record, label: int) -> Objects:
    return record.objects.where(record.labels == label)


def _alike(objects: Objects, former: Sequence[Objects], label: int) -> bool:
    """Return whether the objects of a class are those of the sets before."""
    before = join_objects([some.where(some.labels == label) for some in former])
    if len(before.labels) != len(objects.labels):
        return False
    if not len(before.labels):
        return True
    iou = box_iou(objects.boxes, before.boxes)
    return bool((iou.max(axis=1) >= SAME).all() and (iou.max(axis=0) >= SAME).all())


def _without_alike(records: list[Record], problems: list[Problem], track: Track) -> list[Record]:
    """Leave out records whose picture looks like an earlier one that is kept."""
    like: dict[int, int] = {}
    pairs = find_similar(describe_pictures(records, track=track))
    for first, second, _ in sorted(pairs, key=lambda pair: (pair.second, pair.first)):
        if first not in like:
            like.setdefault(second, first)
    for second, first in like.items():
        count = len(records[second].labels)
        what = f"looks like {records[first].image} and is left out with its {count} objects"
        problems.append(Problem(Kind.NEAR_DUPLICATE, str(records[second].image), what))
    return [record for index, record in enumerate(records) if index not in like]
