"""Suspicions -> labels in which suspicious places teach nothing, or are changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from centerx.auditing.find import CLASS, DOUBLED, MISSING, PLACE, SPURIOUS, Suspicion
from centerx.data.dataset import Dataset
from centerx.data.records import Record
from centerx.data.write import coco_tree
from centerx.geometry import box_area
from centerx.objects import join_objects, make_objects

IGNORE, DECLARE, APPLY = FIXES = ("ignore", "declare", "apply")
CHANGES = {  # by fix and kind: what becomes of the label, or of the place where one is missing
    IGNORE: {
        MISSING: "place ignored",
        CLASS: "label and place of the other class ignored",
        PLACE: "label and place found ignored",
        DOUBLED: "label dropped",
        SPURIOUS: "label ignored",
    },
    APPLY: {
        MISSING: "label added",
        CLASS: "class changed",
        PLACE: "box moved",
        DOUBLED: "label dropped",
        SPURIOUS: "label dropped",
    },
}
CHANGES[DECLARE] = CHANGES[IGNORE] | {MISSING: "class declared unlabelled on the picture"}


def fixed_tree(dataset: Dataset, suspicions: Mapping[int, Sequence[Suspicion]], fix: str, home: Path) -> dict[str, Any]:
    """Return a data set as a COCO mapping, changed where it is suspicious.

    Args:
        dataset: as read; not changed.
        suspicions: of each record that has some, by its number; their classes are those of the data set.
        fix: one of FIXES.
        home: folder of the file to write.
    """
    records = [fix_record(record, suspicions.get(number, ()), fix) for number, record in enumerate(dataset.records)]
    unlabelled = {number: _unlabelled(some, fix) for number, some in suspicions.items()}
    if any(unlabelled.values()):  # where one picture says which classes it labels, all have to
        every = frozenset(range(len(dataset.class_names)))
        records = [each if each.labelled is not None else each._replace(labelled=every) for each in records]
    tree = coco_tree(dataset._replace(records=records), home)
    for number, labels in unlabelled.items():
        if labels:
            tree["images"][number]["not_exhaustive_category_ids"] = [dataset.category_ids[each] for each in labels]
    return tree


def fix_record(record: Record, suspicions: Sequence[Suspicion], fix: str) -> Record:
    """Return a picture with its labels changed.

    Args:
        record: the picture.
        suspicions: about it, with classes of its data set.
        fix: one of FIXES.
    """
    if not suspicions:
        return record
    labels, boxes, ignore = record.labels.copy(), record.boxes.copy(), record.ignore.copy()
    keep = np.ones(len(labels), dtype=bool)
    added: list[tuple[np.ndarray, int]] = []
    for each in suspicions:
        if each.kind == DOUBLED or (each.kind == SPURIOUS and fix == APPLY):
            keep[each.row] = False
        elif each.kind == SPURIOUS:
            ignore[each.row] = True
        elif each.found_box is None or (each.kind == MISSING and fix == DECLARE):
            continue
        elif fix != APPLY or each.kind == MISSING:
            added.append((each.found_box, each.found_label))
            if each.kind != MISSING:
                ignore[each.row] = True
        elif each.kind == CLASS:
            labels[each.row] = each.found_label
        else:
            boxes[each.row] = each.found_box
    moved = (boxes != record.boxes).any(axis=1)
    area = np.where(moved, box_area(boxes), record.objects.values["area"])
    values = {**record.objects.values, "area": area}
    objects = record.objects._replace(labels=labels, boxes=boxes, ignore=ignore, values=values).where(keep)
    if added:
        extra = np.array([box for box, _ in added], dtype=np.float64)
        names = np.array([label for _, label in added], dtype=np.int64)
        ignored = np.full(len(added), fix != APPLY)
        objects = join_objects([objects, make_objects(extra, names, ignored, {"area": box_area(extra)})])
    return record._replace(objects=objects)


def _unlabelled(suspicions: Sequence[Suspicion], fix: str) -> list[int]:
    """Classes to declare unlabelled on a picture."""
    return sorted({each.label for each in suspicions if each.kind == MISSING}) if fix == DECLARE else []
