"""Detections beside labels: what is right, and of what kind each mistake is.

The kinds are those of TIDE (Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, 2020), with
its limits. The overlap of boxes is their IoU, that of points COCO's similarity, see `evaluation.points`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from centerx.data.source import Entry
from centerx.evaluation.coco import Found, judged_entry, known_classes
from centerx.evaluation.run import named_function
from centerx.objects import Objects
from centerx.tasks import Task
from centerx.types import Detections

NEAR = 0.5  # overlap from which on a detection finds an object
FAR = 0.1  # overlap below which a detection has nothing to do with an object
KINDS = ("doubled", "wrong class", "badly placed", "wrong class and badly placed", "background", "missed")
DOUBLED, WRONG_CLASS, BADLY_PLACED, BOTH, BACKGROUND, MISSED = range(len(KINDS))
NONE = -1


class Items(NamedTuple):
    """Detections, or objects, of all pictures.

    Attributes:
        pictures: (N,) int64 index of the picture, ascending.
        boxes: (N, 4) xyxy pixels; of a point twice the same.
        labels: (N,) int64 class indices.
        scores: (N,) in [0, 1], falling within a picture; of objects all 1.
    """

    pictures: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def where(self, keep: np.ndarray) -> Items:
        """Return the rows that a mask or an index selects."""
        return Items(*(rows[keep] for rows in self))


class Pairs(NamedTuple):
    """Detections and objects that overlap by FAR or more.

    Attributes:
        found: (P,) int64 indices of detections, ascending.
        objects: (P,) int64 indices of objects.
        overlaps: (P,) in [FAR, 1].
    """

    found: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray

    def where(self, keep: np.ndarray) -> Pairs:
        """Return the rows that a mask or an index selects."""
        return Pairs(*(rows[keep] for rows in self))


class Matched(NamedTuple):
    """Detections matched with the objects that they find.

    Attributes:
        found: the detections of classes that their picture labels, without those of ignored objects.
        objects: the objects to find.
        pairs: of both.
        right: (D,) the object of its own class that each detection finds, as COCO matches at overlap NEAR; else NONE.
    """

    found: Items
    objects: Items
    pairs: Pairs
    right: np.ndarray


class Mistakes(NamedTuple):
    """What is wrong with the detections that score enough.

    Attributes:
        kinds: (D,) index into KINDS of each detection; NONE where it is right or scores less.
        objects: (D,) the object that the mistake is about, else NONE.
        overlaps: (D,) with that object, else 0.
        right: (D,) bool; whether a detection scores enough and is right.
        missed: (M,) indices of the objects that are missed.
        confusion: (C + 1, C + 1) objects by their class (row) and the class that they were found as (column). The last
            row counts detections that find no object, the last column objects that are not found.
    """

    kinds: np.ndarray
    objects: np.ndarray
    overlaps: np.ndarray
    right: np.ndarray
    missed: np.ndarray
    confusion: np.ndarray

    def by_class(self, matched: Matched, num_classes: int) -> np.ndarray:
        """Return (KINDS, C) how many mistakes of each kind there are; of a missed object under its own class."""
        wrong = self.kinds != NONE
        kinds = np.append(self.kinds[wrong], np.full(len(self.missed), MISSED))
        labels = np.append(matched.found.labels[wrong], matched.objects.labels[self.missed])
        return np.bincount(kinds * num_classes + labels, minlength=len(KINDS) * num_classes).reshape(-1, num_classes)


def match(entries: Sequence[Entry], detections: Sequence[Detections], task: Task) -> Matched:
    """Match detections with labels.

    What a picture does not label counts neither as right nor as a mistake: detections and objects of other classes,
    ignored objects, and detections on these, as COCO says: of the same class where half of the detection lies on them.
    A detection of another class counts as on an ignored object where it overlaps it by NEAR.

    Args:
        entries: the pictures with their labels.
        detections: of each picture, in its pixels.
        task: of the detector.
    """
    found, objects, pairs, hidden = [], [], [Pairs(*np.zeros((3, 0)))], []
    num_found = num_objects = 0
    for picture, (entry, some) in enumerate(zip(entries, detections, strict=True)):
        entry = judged_entry(entry, task)
        known = known_classes(entry, task.needed)
        record = entry.record
        some = some.where(known[some.labels])
        some = some.where(np.argsort(-some.scores, kind="stable"))
        labelled = record.objects.where(known[record.labels])
        ignored, there = labelled.where(labelled.ignore), labelled.where(~labelled.ignore)
        overlap = overlaps(entry, some, there, task)
        rows, columns = np.nonzero(overlap >= FAR)
        pairs.append(Pairs(rows + num_found, columns + num_objects, overlap[rows, columns]))
        hidden.append(on_ignored(entry, some, ignored, task))
        found.append(Items(np.full(len(some), picture), some.boxes, some.labels, some.scores))
        objects.append(
            Items(np.full(len(there.labels), picture), there.boxes, there.labels, np.ones(len(there.labels)))
        )
        num_found, num_objects = num_found + len(some), num_objects + len(there.labels)
    all_found, all_objects = (Items(*map(np.concatenate, zip(*parts, strict=True))) for parts in (found, objects))
    rows, columns, values = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    all_pairs = Pairs(rows.astype(np.int64), columns.astype(np.int64), values)
    same = all_found.labels[all_pairs.found] == all_objects.labels[all_pairs.objects]
    right = best_first(all_pairs.where(same & (all_pairs.overlaps >= NEAR)), num_found, num_objects)
    kept = (right != NONE) | ~np.concatenate(hidden)
    number = np.cumsum(kept) - 1
    all_pairs = all_pairs.where(kept[all_pairs.found])
    return Matched(all_found.where(kept), all_objects, all_pairs._replace(found=number[all_pairs.found]), right[kept])


def overlaps(entry: Entry, found: Found, objects: Found, task: Task) -> np.ndarray:
    """Return (N, M) in [0, 1] how far detections and objects of a picture are the same."""
    return np.asarray(named_function(task.overlap)(entry, found, objects))


def on_ignored(entry: Entry, found: Detections, ignored: Objects, task: Task) -> np.ndarray:
    """Return (N,) bool: whether each detection lies on an ignored object."""
    covered = overlaps(entry, found, ignored, task)
    if task.cover:
        share = named_function(task.cover)(entry, found, ignored)
        covered = np.where(found.labels[:, None] == ignored.labels, np.maximum(share, covered), covered)
    return np.asarray((covered >= NEAR).any(axis=1))


def best_first(pairs: Pairs, num_found: int, num_objects: int) -> np.ndarray:
    """Return (D,) the object that each detection gets, NONE for none.

    In the order of their numbers, detections take of the objects that are left the one that they overlap most. All
    choose at once here, and those that lose an object to an earlier detection choose again, which comes to the same.

    Args:
        pairs: what may be matched.
        num_found: detections.
        num_objects: objects.
    """
    pairs = pairs.where(np.lexsort((pairs.objects, -pairs.overlaps, pairs.found)))
    place = np.full(num_found, NONE)
    while len(pairs.found):
        rows, first = np.unique(pairs.found, return_index=True)
        owner = np.full(num_objects, num_found)
        np.minimum.at(owner, pairs.objects[first], rows)
        lost = first[owner[pairs.objects[first]] < rows]
        if not len(lost):
            place[rows] = pairs.objects[first]
            break
        pairs = pairs.where(np.delete(np.arange(len(pairs.found)), lost))
    return place


def find_mistakes(matched: Matched, thresholds: np.ndarray) -> Mistakes:
    """Say what is wrong with the detections that score enough, and which objects are missed.

    A detection that is not right is, by the first that applies: `doubled`, where it overlaps an object of its class by
    NEAR, which a better one has found; of the `wrong class`, where it overlaps an object of another by NEAR; `badly
    placed`, where it overlaps one of its class by FAR; both of these, where it overlaps one of another class by FAR;
    else it is on the `background`. Of several objects it is about one that is not found, and about the one that it
    overlaps most. An object is `missed` that is not found, and which no detection of the wrong class or badly placed
    is about.

    Args:
        matched: detections and objects.
        thresholds: (C,) the score from which on detections of each class count.
    """
    found, objects, pairs, right = matched
    counted = found.scores >= thresholds[found.labels]
    hit = counted & (right != NONE)
    seen = np.zeros(len(objects.labels), dtype=bool)
    seen[right[hit]] = True
    wrong = counted & ~hit

    pairs = pairs.where(wrong[pairs.found])
    near = pairs.overlaps >= NEAR
    same = found.labels[pairs.found] == objects.labels[pairs.objects]
    kind = np.where(near, np.where(same, DOUBLED, WRONG_CLASS), np.where(same, BADLY_PLACED, BOTH))
    order = np.lexsort((-pairs.overlaps, seen[pairs.objects], kind, pairs.found))
    rows, first = np.unique(pairs.found[order], return_index=True)
    chosen = order[first]

    kinds, about, overlap = np.full(len(right), NONE), np.full(len(right), NONE), np.zeros(len(right))
    kinds[wrong] = BACKGROUND
    kinds[rows], about[rows], overlap[rows] = kind[chosen], pairs.objects[chosen], pairs.overlaps[chosen]
    explained = seen.copy()
    explained[about[(kinds == WRONG_CLASS) | (kinds == BADLY_PLACED)]] = True

    taken = best_first(pairs.where(near & ~same & ~seen[pairs.objects]), len(right), len(seen))
    place = np.where(hit, right, taken)[counted]
    background = len(thresholds)
    truth = np.append(objects.labels, background)[place]  # NONE is the last
    lost = np.delete(objects.labels, place[place != NONE])
    cells = np.append(truth * (background + 1) + found.labels[counted], lost * (background + 1) + background)
    confusion = np.bincount(cells, minlength=(background + 1) ** 2).reshape(background + 1, background + 1)
    return Mistakes(kinds, about, overlap, hit, np.flatnonzero(~explained), confusion)
