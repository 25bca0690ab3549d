"""Detections against ground truth -> AP of the PASCAL VOC challenge, at IoU 0.5.

Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, 2010, section 4.2, and the development kits of
VOC2007 and VOC2012. A detection belongs to the object of its class that it overlaps most; the first in the order of
scores is right, any further one of the same object is wrong. Sides are lengths, where the kits count pixels (+ 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from centerx.data.source import Entry
from centerx.evaluation.coco import Metrics, judged_entry, known_classes
from centerx.evaluation.run import named_function
from centerx.objects import Objects
from centerx.tasks import task_of
from centerx.types import Detections

OVERLAP = 0.5  # least IoU of a right detection
POINTS = 11  # recalls 0, 0.1, ..., 1 at which VOC2007 reads the precision
TITLES = {
    "AP50": "AP, IoU 0.50, all points (from VOC2010 on)",
    "AP50_11point": "AP, IoU 0.50, 11 points (VOC2007)",
}


def voc_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
) -> Metrics:
    """Evaluate detections in source pixels.

    Ignored objects are VOC's difficult ones: neither found nor missed. Detections of a class that a picture's data set
    does not label are left out.

    Args:
        entries: the pictures with their labels.
        detections: of each picture, in its pixels.
        class_names: of the labels.
        max_detections: None: VOC counts all.
        quiet: has no effect, as there is nothing to report.
    """
    due = np.zeros(len(class_names), dtype=np.int64)
    scores, labels, right = [np.zeros(0)], [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=bool)]
    for entry, found in zip(entries, detections, strict=True):
        task = task_of(found)
        entry = judged_entry(entry, task)
        known = known_classes(entry, task.needed)
        objects = entry.record.objects.where(known[entry.record.labels])
        due += np.bincount(objects.labels[~objects.ignore], minlength=len(due))
        judged = found.where(known[found.labels])
        judged = judged.where(np.argsort(-judged.scores, kind="stable"))
        counted, is_right = _judge(judged, objects, named_function(task.overlap)(entry, judged, objects))
        scores.append(judged.scores[counted])
        labels.append(judged.labels[counted])
        right.append(is_right[counted])
    order = np.argsort(-np.concatenate(scores), kind="stable")
    all_labels, all_right = np.concatenate(labels)[order], np.concatenate(right)[order]
    areas, points = {}, {}
    for label, name in enumerate(class_names):
        areas[name], points[name] = _average_precisions(all_right[all_labels == label], int(due[label]))
    return Metrics(
        AP=None,
        AP75=None,
        AP50=_mean(areas),
        AP50_11point=_mean(points),
        per_class=areas,
        per_class_11point=points,
        images=len(entries),
        titles=TITLES,
    )


def _judge(found: Detections, objects: Objects, overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare the detections of a picture, best first, with its objects, which they overlap by (K, N).

    Returns:
        (K,) bool whether a detection counts, which one of a difficult object does not, and (K,) bool whether it is
        right.
    """
    right = np.zeros(len(found), dtype=bool)
    if not overlap.size:
        return ~right, right
    overlap = overlap * (found.labels[:, None] == objects.labels)
    nearest = overlap.argmax(axis=1)
    hits = overlap.max(axis=1) >= OVERLAP
    counted = ~(hits & objects.ignore[nearest])
    candidates = np.flatnonzero(hits & counted)
    _, first = np.unique(nearest[candidates], return_index=True)
    right[candidates[first]] = True
    return counted, right


def _average_precisions(right: np.ndarray, due: int) -> tuple[float | None, float | None]:
    """Return the area under the curve and the mean at 11 recalls, of a class.

    Args:
        right: (N,) bool, in the order of scores.
        due: number of objects to find.
    """
    if not due:
        return None, None
    count = np.cumsum(right)
    precision = count / np.arange(1, len(right) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)  # at this recall or beyond
    area = (right * best[:-1]).sum() / due
    places = np.searchsorted(count * (POINTS - 1), due * np.arange(POINTS))  # whole numbers, as 0.3 is no 3 * 0.1
    return float(area), float(best[places].mean())


def _mean(values: Mapping[str, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return float(np.mean(known)) if known else None
