"""The numbers of a report: what a detector does on labelled pictures, beyond its metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from centerx.data.source import Entry, SampleSource
from centerx.evaluation.coco import (
    COCO_MAX,
    Metrics,
    best_thresholds,
    known_classes,
    mean,
    thresholds_of_curves,
)
from centerx.evaluation.mistakes import KINDS, MISSED, NONE, Matched, Mistakes, find_mistakes, match
from centerx.evaluation.run import named_function
from centerx.geometry import box_area
from centerx.types import Detections

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}  # COCO's, square pixels
WORST = 12  # mistakes shown of each kind
USUAL_SCORE = 0.3  # from which on detections count of a class of which none is right, as in `predict`
BINS = np.linspace(0, 1, 11)  # of scores
LEAST_SCORE = 0.1  # detections below are many and nearly all wrong, and would hide the calibration of the others
CURVES = {"AP50": 0, "AP75": 5}  # figure -> which of COCO's overlaps 0.50, 0.55 to 0.95 its curve is of


class ClassReport(NamedTuple):
    """Figures of a class, in [0, 1]; None where there is no object of it, or no detection is right.

    Attributes:
        name: of the class.
        objects: that are to be found.
        AP: over overlaps 0.50 to 0.95. AP50, AP75: at one.
        threshold: the score from which on F1 is best, at overlap 0.5.
        precision, recall, F1: there.
        calibration_error: see `Calibration`.
    """

    name: str
    objects: int
    AP: float | None
    AP50: float | None
    AP75: float | None
    threshold: float | None
    precision: float | None
    recall: float | None
    F1: float | None
    calibration_error: float | None


class SizeReport(NamedTuple):
    """AP of objects of some size.

    Attributes:
        name: of the size.
        low, high: area in square pixels, `high` infinite for the last.
        objects: that are to be found.
        AP: over overlaps 0.50 to 0.95; None where there is no such object.
        per_class: that of each class.
    """

    name: str
    low: float
    high: float
    objects: int
    AP: float | None
    per_class: Mapping[str, float | None]


class Calibration(NamedTuple):
    """How often detections of a score are right.

    Attributes:
        edges: (B + 1,) of the bins of scores.
        counts: (B,) detections in each bin.
        scores: (B,) their mean score, NaN without detections.
        rates: (B,) the share of them that is right, NaN without detections.
        error: expected calibration error, the mean of |score - rate| of the bins weighted by their counts; None
            without detections.
    """

    edges: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    rates: np.ndarray
    error: float | None


class Mistake(NamedTuple):
    """A mistake.

    Attributes:
        kind: index into KINDS.
        picture: index of the entry.
        label: of the detection, None for an object that is missed. score, box: its own, xyxy in pixels.
        object_label: of the object that it is about, None for the background. object_box: its own.
        overlap: of both.
    """

    kind: int
    picture: int
    label: int | None
    score: float | None
    box: np.ndarray | None
    object_label: int | None
    object_box: np.ndarray | None
    overlap: float | None


class Report(NamedTuple):
    """What a detector does on labelled pictures.

    Attributes:
        model: what to call it.
        data: what to call the pictures.
        source: the pictures with their labels.
        indices: of those that could be read, in the source.
        entries: of these.
        found: detections of each of them, in its pixels.
        metrics: of the task.
        classes: figures of each class.
        sizes: AP by size of the objects; empty for a task without areas.
        recalls: (R,) of the curves.
        precisions: by figure, (R, C) interpolated precision at each recall; -1 for a class without objects.
        calibration: of all classes together.
        matched, mistakes: at the thresholds of `classes`.
        thresholds: (C,) those that were used.
        worst: some of each kind, the worst first.
    """

    model: str
    data: str
    source: SampleSource
    indices: Sequence[int]
    entries: Sequence[Entry]
    found: Sequence[Detections]
    metrics: Metrics
    classes: Sequence[ClassReport]
    sizes: Sequence[SizeReport]
    recalls: np.ndarray
    precisions: Mapping[str, np.ndarray]
    calibration: Calibration
    matched: Matched
    mistakes: Mistakes
    thresholds: np.ndarray
    worst: Sequence[Sequence[Mistake]]

    @property
    def counts(self) -> np.ndarray:
        """(KINDS, C) mistakes of each kind, by the class of the detection, or of the object that is missed."""
        return self.mistakes.by_class(self.matched, len(self.classes))

    def to_json(self) -> dict[str, Any]:
        """Return every number, None where there is none."""
        names = self.source.class_names
        curves = {
            figure: {name: _known(values[:, index]) for index, name in enumerate(names)}
            for figure, values in self.precisions.items()
        }
        tree: dict[str, Any] = {
            "model": self.model,
            "data": self.data,
            "task": self.source.task.name,
            "metrics": self.metrics.to_json(),
            "classes": {each.name: {k: v for k, v in each._asdict().items() if k != "name"} for each in self.classes},
        }
        if self.sizes:
            tree["sizes"] = {
                each.name: {
                    "area": [each.low, None if math.isinf(each.high) else each.high],
                    "objects": each.objects,
                    "AP": each.AP,
                    "per_class": each.per_class,
                }
                for each in self.sizes
            }
        calibration = self.calibration
        return tree | {
            "curves": {"recall": self.recalls.tolist(), "precision": curves},
            "confusion": {"classes": [*names, None], "matrix": self.mistakes.confusion.tolist()},
            "calibration": {
                "error": calibration.error,
                "bins": [
                    {"low": low, "high": high, "count": count, "score": score, "right": rate}
                    for low, high, count, score, rate in zip(
                        calibration.edges[:-1].tolist(),
                        calibration.edges[1:].tolist(),
                        calibration.counts.tolist(),
                        _known(calibration.scores),
                        _known(calibration.rates),
                        strict=True,
                    )
                ],
            },
            "mistakes": {
                kind: {
                    "count": int(counts.sum()),
                    "per_class": dict(zip(names, counts.tolist(), strict=True)),
                    "worst": [self._to_dict(each) for each in worst],
                }
                for kind, counts, worst in zip(KINDS, self.counts, self.worst, strict=True)
            },
        }

    def _to_dict(self, mistake: Mistake) -> dict[str, Any]:
        names = self.source.class_names
        return {
            "image": str(self.entries[mistake.picture].record.image),
            "label": None if mistake.label is None else names[mistake.label],
            "score": mistake.score,
            "box": None if mistake.box is None else mistake.box.tolist(),
            "object_label": None if mistake.object_label is None else names[mistake.object_label],
            "object_box": None if mistake.object_box is None else mistake.object_box.tolist(),
            "overlap": mistake.overlap,
        }


def make_report(
    model: str, data: str, source: SampleSource, found: Mapping[int, Detections], metrics: Metrics, worst: int = WORST
) -> Report:
    """Return what a detector does on labelled pictures.

    Args:
        model: what to call the detector.
        data: what to call the pictures.
        source: the pictures, for the task of the detector.
        found: detections by the picture's index, of those that could be read.
        metrics: of these detections.
        worst: mistakes to show of each kind.
    """
    task, names = source.task, source.class_names
    order = sorted(found)
    entries, detections = [source.entries[index] for index in order], [found[index] for index in order]
    curves = named_function(task.curves)
    most = metrics.max_detections or COCO_MAX
    evaluation = curves(entries, detections, names, most)
    precision = evaluation.eval["precision"]  # (overlap, recall, class, size, detections)
    more = max(map(len, detections), default=0) > most
    best = best_thresholds(entries, detections, names, curves) if more else thresholds_of_curves(evaluation, names)
    thresholds = np.array([USUAL_SCORE if (score := best[name]) is None else score for name in names])
    matched = match(entries, detections, task)
    mistakes = find_mistakes(matched, thresholds)
    return Report(
        model,
        data,
        source,
        order,
        entries,
        detections,
        metrics,
        class_reports(names, precision[..., 0, -1], best, matched, mistakes),
        size_reports(entries, names, precision[..., -1]) if task.has_area else [],
        evaluation.params.recThrs,
        {figure: precision[place, :, :, 0, -1] for figure, place in CURVES.items()},
        calibrate(matched.found.scores, matched.right != NONE),
        matched,
        mistakes,
        thresholds,
        worst_mistakes(matched, mistakes, worst),
    )


def class_reports(
    names: Sequence[str],
    precision: np.ndarray,
    best: Mapping[str, float | None],
    matched: Matched,
    mistakes: Mistakes,
) -> list[ClassReport]:
    """Return the figures of each class.

    Args:
        names: of the classes.
        precision: (overlap, recall, class) of COCO.
        best: the threshold of each class.
        matched: detections and objects.
        mistakes: at these thresholds.
    """
    found, reports = matched.found, []
    counted = mistakes.right | (mistakes.kinds != NONE)
    for index, name in enumerate(names):
        mine = found.labels == index
        objects = int((matched.objects.labels == index).sum())
        right, some = int(mistakes.right[mine].sum()), int(counted[mine].sum())
        reports.append(
            ClassReport(
                name,
                objects,
                mean(precision[:, :, index]),
                mean(precision[CURVES["AP50"], :, index]),
                mean(precision[CURVES["AP75"], :, index]),
                best[name],
                right / some if right else None,
                right / objects if right else None,
                2 * right / (some + objects) if right else None,
                calibrate(found.scores[mine], matched.right[mine] != NONE).error,
            )
        )
    return reports


def size_reports(entries: Sequence[Entry], names: Sequence[str], precision: np.ndarray) -> list[SizeReport]:
    """Return AP by size.

    Args:
        entries: the pictures with their labels.
        names: of the classes.
        precision: (overlap, recall, class, size) of COCO, whose first size is all; of keypoints it has no small ones.
    """
    sizes = list(SIZES.items())[len(SIZES) + 1 - precision.shape[-1] :]
    parts = [np.zeros(0)]
    for entry in entries:
        objects = entry.record.objects
        parts.append(objects.values["area"][known_classes(entry)[objects.labels] & ~objects.ignore])
    areas = np.concatenate(parts)
    return [
        SizeReport(
            name,
            low,
            high,
            int(((areas >= low) & (areas < high)).sum()),
            mean(precision[..., place]),
            {each: mean(precision[:, :, index, place]) for index, each in enumerate(names)},
        )
        for place, (name, (low, high)) in enumerate(sizes, start=1)
    ]


def calibrate(scores: np.ndarray, right: np.ndarray) -> Calibration:
    """Return how often detections of a score are right, of those that score LEAST_SCORE or more.

    Args:
        scores: (N,) in [0, 1].
        right: (N,) bool.
    """
    edges = BINS[BINS >= LEAST_SCORE]
    keep = scores >= edges[0]
    scores, right = scores[keep], right[keep]
    place = np.minimum(np.searchsorted(edges, scores, side="right"), len(edges) - 1) - 1
    counts, sums, hits = (
        np.bincount(place, weights, minlength=len(edges) - 1) for weights in (None, scores, right.astype(float))
    )
    with np.errstate(invalid="ignore"):
        means, rates = sums / counts, hits / counts
    error = float(np.abs(sums - hits).sum() / len(scores)) if len(scores) else None
    return Calibration(edges, counts, means, rates, error)


def worst_mistakes(matched: Matched, mistakes: Mistakes, most: int) -> list[list[Mistake]]:
    """Return some mistakes of each kind: those that score most, and the largest objects that are missed.

    Args:
        matched: detections and objects.
        mistakes: of them.
        most: of each kind.
    """
    found, objects = matched.found, matched.objects
    worst: list[list[Mistake]] = []
    for kind in range(MISSED):
        some = np.flatnonzero(mistakes.kinds == kind)
        worst.append([])
        for row in some[np.argsort(-found.scores[some], kind="stable")][:most].tolist():
            about = int(mistakes.objects[row])
            there = about != NONE
            worst[-1].append(
                Mistake(
                    kind,
                    int(found.pictures[row]),
                    int(found.labels[row]),
                    float(found.scores[row]),
                    found.boxes[row],
                    int(objects.labels[about]) if there else None,
                    objects.boxes[about] if there else None,
                    float(mistakes.overlaps[row]) if there else None,
                )
            )
    largest = mistakes.missed[np.argsort(-box_area(objects.boxes[mistakes.missed]), kind="stable")][:most]
    missed = [
        Mistake(
            MISSED, int(objects.pictures[row]), None, None, None, int(objects.labels[row]), objects.boxes[row], None
        )
        for row in largest.tolist()
    ]
    return [*worst, missed]


def _known(values: np.ndarray) -> list[float | None]:
    """Return numbers, None where they are -1 or NaN."""
    return [value if value > -1 else None for value in values.tolist()]
