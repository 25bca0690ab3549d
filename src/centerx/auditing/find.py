"""Labels beside what detectors find: which are probably missing, wrong in class or place, doubled, or of nothing.

Scores of detections become rates first: how often a detection of such a score agrees with a label of these very data
(`evaluation/calibrate.py`). With r the rate of a detection, s the best rate of a detection of the label's class on the
label (its support) and e = FOUND, the score of a suspicion, in [0, 1], is

missing: r times the share of IoU that no label covers; the detection is no label's.
class: r / (r + s + e), with r of another class on the label. An object is likely where somebody has put a label, so a
    small rate says much where its own class is not found. Less where the models hardly know the label's class: times
    the share of its labels with a support above e over ENOUGH, at most 1.
place: r / (r + e) times how unusual the IoU is for the class, 1 - exp(-z^2 / SPREAD^2) of z deviations below the
    median; times 1 - s where the detection is not the label's.
doubled: IoU of two labels times 1 - r, with r of the second one's own detection.
spurious: how far the best rate near the label is below e, times ERRORS / u, at most 1, with u the share of labels of
    its class and about its size that are below e. By Bayes' rule this is the share of labels of nothing among those
    that are not found, if ERRORS of all labels are of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from centerx.data.source import Entry
from centerx.data.stored import store_detections
from centerx.evaluation.calibrate import fit_calibration
from centerx.evaluation.fuse import OVERLAP, fuse, same_objects
from centerx.geometry import box_area, box_iou
from centerx.tasks import BOXES
from centerx.types import Detections

MISSING, CLASS, PLACE, DOUBLED, SPURIOUS = KINDS = ("missing", "class", "place", "doubled", "spurious")
NEAR = 0.2  # IoU from which on a detection may be of an object whose label is badly placed
ALIKE = 0.6  # IoU from which on two labels may be of one object
THERE = 0.3  # IoU from which on a detection of any class is a sign of a label's object
FOUND = 0.1  # rate of such a detection, from which on the object counts as found
ENOUGH = 0.25  # share of a class's labels that are supported, from which on a lack of support says something
ERRORS = 0.05  # share of labels that are of nothing, before anything is known of them
ALIKE_SIZES = 100  # labels of a class, nearest in area, among which it is counted how many are found
SPREAD = 4.0  # deviations from the usual IoU of a class, at which 63 % of all doubt is reached
LEAST_DEVIATION = 0.05  # of IoU, however well the detections of a class fit
LEAST_RATE = 0.01  # of a detection that says anything
LEAST_SCORE = 0.1  # of a suspicion


class Suspicion(NamedTuple):
    """Something about a label, or the place of a missing one, that is probably wrong.

    Attributes:
        kind: one of KINDS.
        picture: number of the picture.
        score: in [0, 1], how sure it is.
        row: number of the label among the picture's objects; -1 if it is missing.
        other: number of the label that it doubles, else -1.
        label: class of the label; of a missing one, what it should be.
        box: (4,) xyxy pixels of the label; of a missing one, where it should be.
        found_label: class of the detection that tells; -1 without one.
        found_box: (4,) xyxy pixels of that detection, None without one.
        iou: of the label and that detection, or of two labels; of a missing one with the label that covers most of it.
        rate: of the detection, in [0, 1].
    """

    kind: str
    picture: int
    score: float
    row: int
    other: int
    label: int
    box: np.ndarray
    found_label: int
    found_box: np.ndarray | None
    iou: float
    rate: float


class Usual(NamedTuple):
    """What is usual for each of C classes where detections and labels agree.

    Attributes:
        iou: (C,) median.
        deviation: (C,) standard deviation of IoU, from the median absolute one.
        supported: (C,) share of the labels that a detection of their class supports.
    """

    iou: np.ndarray
    deviation: np.ndarray
    supported: np.ndarray


def find_suspicions(
    entries: Sequence[Entry], models: Sequence[Sequence[Detections]], known: Sequence[np.ndarray], num_classes: int
) -> list[Suspicion]:
    """Return what is suspicious about the labels of pictures, the surest first.

    Ignored objects are not judged, and hide what is found on them. A class that a picture does not label, or no model
    knows, is not judged there.

    Args:
        entries: P pictures with their labels.
        models: of each model, at least one, P times what it finds, best first, in the classes of the labels.
        known: of each model, (C,) bool: the classes that it looks for.
        num_classes: C.
    """
    found = join_models(entries, models, known, num_classes)
    judged = np.logical_or.reduce(known)
    pictures = [_compare(*pair, judged) for pair in zip(entries, found, strict=True)]
    usual = _usual(pictures, num_classes)
    lost = _share_lost(pictures, num_classes)
    some = [
        _chosen(number, picture, _candidates(picture, usual, part))
        for number, (picture, part) in enumerate(zip(pictures, lost, strict=True))
    ]
    return sorted((each for part in some for each in part), key=lambda each: -each.score)  # stable: by picture


def join_models(
    entries: Sequence[Entry], models: Sequence[Sequence[Detections]], known: Sequence[np.ndarray], num_classes: int
) -> list[Detections]:
    """Return what all models together find on each picture, with rates for scores, best first.

    The scores of each model become rates, then boxes of one object are fused, where only models that know its class
    count; the mean of their rates becomes a rate again, so that what several find is surer.

    Args:
        entries: as for `find_suspicions`.
        models: as for `find_suspicions`.
        known: as for `find_suspicions`.
        num_classes: as for `find_suspicions`.
    """
    rated = [_rated(entries, found, num_classes) for found in models]
    if len(rated) == 1:
        return rated[0]
    groups: dict[tuple[int, ...], list[int]] = {}  # models -> the classes that these and no others know
    for label in range(num_classes):
        groups.setdefault(tuple(i for i, mine in enumerate(known) if mine[label]), []).append(label)
    joined = []
    for picture in range(len(entries)):
        parts = [
            fuse([rated[i][picture].where(np.isin(rated[i][picture].labels, labels)) for i in members])
            for members, labels in groups.items()
            if members
        ]
        joined.append(_sorted(parts))
    return _rated(entries, joined, num_classes)


def _rated(entries: Sequence[Entry], found: Sequence[Detections], num_classes: int) -> list[Detections]:
    """The detections with rates for scores, best first; scores of a class with few right ones stay."""
    curves = fit_calibration(entries, found, num_classes)
    rated = store_detections([str(label) for label in range(num_classes)], BOXES.name, found).calibrated(curves)
    return [rated.detections(picture) for picture in range(len(found))]


def _sorted(parts: Sequence[Detections]) -> Detections:
    """Detections of all parts, best first."""
    columns = zip(*((each.boxes, each.scores, each.labels) for each in parts), strict=True)
    boxes, scores, labels = map(np.concatenate, columns)
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order], labels[order])


class _Picture(NamedTuple):
    """The judged labels of a picture beside its detections.

    Attributes:
        rows: (M,) number of each label among the picture's objects.
        labels: (M,) their classes.
        boxes: (M, 4) their boxes.
        found: K detections of judged classes that the picture labels.
        iou: (K, M) of detections and labels.
        match: (K,) the label that a detection is of, -1 for none.
        covered: (K,) the largest IoU of a detection with any object, judged or not; 1 on an ignored one.
    """

    rows: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    found: Detections
    iou: np.ndarray
    match: np.ndarray
    covered: np.ndarray

    @property
    def same(self) -> np.ndarray:
        """(K, M) bool: whether detection and label are of one class."""
        return np.asarray(self.found.labels[:, None] == self.labels)

    @property
    def support(self) -> np.ndarray:
        """(M,) best rate of a detection of the label's class on the label."""
        return self.best_rate(self.same & (self.iou >= OVERLAP))

    @property
    def there(self) -> np.ndarray:
        """(M,) best rate of a detection of any class near the label."""
        return self.best_rate(self.iou >= THERE)

    @property
    def partner(self) -> np.ndarray:
        """(M,) the detection that is matched with the label, -1 for none."""
        partner = np.full(len(self.rows), -1)
        matched = np.flatnonzero(self.match >= 0)
        partner[self.match[matched]] = matched
        return partner

    def best_rate(self, where: np.ndarray) -> np.ndarray:
        """Return (M,) the best rate of the detections that a mask (K, M) selects."""
        return np.asarray((self.found.scores[:, None] * where).max(axis=0, initial=0.0))


class _Candidates(NamedTuple):
    """N possible suspicions of one kind; numbers of labels and detections are those of a `_Picture`, -1 for none."""

    kind: str
    scores: np.ndarray
    label: np.ndarray
    detection: np.ndarray
    other: np.ndarray
    iou: np.ndarray


def _compare(entry: Entry, found: Detections, judged: np.ndarray) -> _Picture:
    objects, here = entry.record.objects, judged & entry.supervised[:, 0]
    rows = np.flatnonzero(~objects.ignore & here[objects.labels] & ~objects.is_point)
    mine = objects.where(rows)
    found = found.where(here[found.labels] & (found.scores >= LEAST_RATE))
    hidden = _inside(found.boxes, objects.boxes) >= OVERLAP
    covered = np.where(objects.ignore, hidden, box_iou(found.boxes, objects.boxes)).max(axis=1, initial=0.0)
    iou = box_iou(found.boxes, mine.boxes)
    return _Picture(rows, mine.labels, mine.boxes, found, iou, same_objects(found, mine), covered)


def _inside(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of the area of boxes (N, 4) that lies in boxes (M, 4) -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=-1) / np.maximum(box_area(first), 1e-12)[:, None])


def _usual(pictures: Sequence[_Picture], num_classes: int) -> Usual:
    """What is usual where detections and labels agree; a class of which nothing is found gets IoU 1."""
    labels = np.concatenate([each.labels for each in pictures])
    supported = np.concatenate([each.support >= FOUND for each in pictures])
    parts = [each for each in pictures if (each.match >= 0).any()]
    iou = np.concatenate([np.zeros(0), *(each.iou[each.match >= 0, each.match[each.match >= 0]] for each in parts)])
    of = np.concatenate([np.zeros(0, dtype=np.int64), *(each.found.labels[each.match >= 0] for each in parts)])
    usual = Usual(np.ones(num_classes), np.full(num_classes, LEAST_DEVIATION), np.zeros(num_classes))
    for label in range(num_classes):
        mine = iou[of == label]
        if len(mine):
            usual.iou[label] = np.median(mine)
            deviation = 1.4826 * np.median(np.abs(mine - usual.iou[label]))  # of a normal distribution
            usual.deviation[label] = max(deviation, LEAST_DEVIATION)
        some = supported[labels == label]
        usual.supported[label] = some.mean() if len(some) else 0
    return usual


def _share_lost(pictures: Sequence[_Picture], num_classes: int) -> list[np.ndarray]:
    """Of each picture, (M,) the share of labels of each label's class and about its size near which nothing is found.

    Small objects are often not found although they are there.
    """
    labels = np.concatenate([each.labels for each in pictures])
    area = np.concatenate([box_area(each.boxes) for each in pictures])
    lost = np.concatenate([each.there < FOUND for each in pictures])
    share = np.zeros(len(labels))
    for label in range(num_classes):
        mine = np.flatnonzero(labels == label)
        order = mine[np.lexsort((lost[mine], area[mine]))]  # labels of one size in an order of their own
        window = min(ALIKE_SIZES, len(order))
        before = np.concatenate([[0], np.cumsum(lost[order])])
        start = np.clip(np.arange(len(order)) - window // 2, 0, len(order) - window)
        share[order] = (before[start + window] - before[start]) / max(window, 1)
    return np.split(share, np.cumsum([len(each.labels) for each in pictures])[:-1])


def _candidates(picture: _Picture, usual: Usual, lost: np.ndarray) -> list[_Candidates]:
    return [
        _doubled(picture),
        _wrong_class(picture, usual),
        _wrong_place(picture, usual),
        _missing(picture),
        _spurious(picture, lost),
    ]


def _doubled(picture: _Picture) -> _Candidates:
    iou = box_iou(picture.boxes, picture.boxes)
    first, second = np.nonzero(np.triu(iou >= ALIKE, 1))
    partner = picture.partner
    own = np.where(partner >= 0, np.append(picture.found.scores, 0.0)[partner], 0.0)
    swap = own[first] < own[second]
    worse, better = np.where(swap, first, second), np.where(swap, second, first)
    alike = picture.labels[first] == picture.labels[second]
    overlap = iou[first, second]
    scores = overlap * (1 - own[worse]) * np.where(alike, 1, own[better])
    return _Candidates(DOUBLED, scores, worse, np.full(len(worse), -1), better, overlap)


def _wrong_class(picture: _Picture, usual: Usual) -> _Candidates:
    detection, label = np.nonzero(~picture.same & (picture.iou >= OVERLAP) & (picture.match < 0)[:, None])
    rate = picture.found.scores[detection]
    known = np.minimum(usual.supported[picture.labels[label]] / ENOUGH, 1)
    scores = rate / (rate + picture.support[label] + FOUND) * known
    return _Candidates(CLASS, scores, label, detection, np.full(len(label), -1), picture.iou[detection, label])


def _wrong_place(picture: _Picture, usual: Usual) -> _Candidates:
    free = picture.same & (picture.iou >= NEAR) & (picture.match < 0)[:, None]
    own = picture.match[:, None] == np.arange(len(picture.rows))
    detection, label = np.nonzero(free | own)
    iou, of = picture.iou[detection, label], picture.labels[label]
    unusual = np.maximum(usual.iou[of] - iou, 0) / usual.deviation[of]
    doubt = np.where(own[detection, label], 1, 1 - picture.support[label])
    rate = picture.found.scores[detection]
    scores = rate / (rate + FOUND) * (1 - np.exp(-((unusual / SPREAD) ** 2))) * doubt
    return _Candidates(PLACE, scores, label, detection, np.full(len(label), -1), iou)


def _missing(picture: _Picture) -> _Candidates:
    detection = np.flatnonzero(picture.match < 0)
    nothing = np.full(len(detection), -1)
    covered = picture.covered[detection]
    scores = picture.found.scores[detection] * np.where(covered < OVERLAP, 1 - covered, 0)
    return _Candidates(MISSING, scores, nothing, detection, nothing, covered)


def _spurious(picture: _Picture, lost: np.ndarray) -> _Candidates:
    label = np.arange(len(picture.rows))
    nothing = np.full(len(label), -1)
    scores = np.maximum(1 - picture.there / FOUND, 0) * np.minimum(ERRORS / np.maximum(lost, 1e-9), 1)
    return _Candidates(SPURIOUS, scores, label, nothing, nothing, picture.iou.max(axis=0, initial=0.0))


def _chosen(number: int, picture: _Picture, candidates: Sequence[_Candidates]) -> list[Suspicion]:
    """Return the candidates of a picture, the surest first, with each label and each detection in one at most."""
    kind = np.repeat(np.arange(len(candidates)), [len(each.scores) for each in candidates])
    scores, label, detection, other, iou = (
        np.concatenate([each[column] for each in candidates]) for column in range(1, 6)
    )
    order = np.argsort(-scores, kind="stable")
    chosen: list[Suspicion] = []
    free_label, free_detection = np.ones(len(picture.rows) + 1, dtype=bool), np.ones(len(picture.found) + 1, dtype=bool)
    for row in order[: np.count_nonzero(scores >= LEAST_SCORE)].tolist():
        m, k = int(label[row]), int(detection[row])
        if not free_label[m] or not free_detection[k]:
            continue
        free_label[m], free_detection[k] = m < 0, k < 0
        found = picture.found
        chosen.append(
            Suspicion(
                candidates[kind[row]].kind,
                number,
                float(scores[row]),
                int(picture.rows[m]) if m >= 0 else -1,
                int(picture.rows[other[row]]) if other[row] >= 0 else -1,
                int(picture.labels[m] if m >= 0 else found.labels[k]),
                picture.boxes[m] if m >= 0 else found.boxes[k],
                int(found.labels[k]) if k >= 0 else -1,
                found.boxes[k] if k >= 0 else None,
                float(iou[row]),
                float(found.scores[k]) if k >= 0 else 0.0,
            )
        )
    return chosen
