"""Detections against ground truth -> COCO metrics, computed by faster-coco-eval.

Ids are renumbered from 1 on the way, so that string ids, ids above 2^32 and annotation id 0 (which COCO's own
matching takes for 'unmatched') all count. Pictures keep the order of their ids: it ranks detections of equal score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from centerx.data.source import Entry
from centerx.detections import Detections
from centerx.evaluation.crowded import warn_of_cap
from centerx.geometry import xyxy_to_xywh

COCO_MAX = 100  # detections of a class that COCO counts on a picture


class Metrics(NamedTuple):
    """COCO's figures in [0, 1]; None where there is no object to find.

    Attributes:
        AP: over IoU 0.50 to 0.95. AP50, AP75: at one IoU. APs, APm, APl: small, medium, large objects.
        AR1, AR10, AR100: recall with so many detections a picture. ARs, ARm, ARl: by size, with 100.
        per_class: AP of each class.
        images: how many pictures were evaluated.
        max_detections: of a class on a picture, that were counted where it says 100; None for COCO's own figures.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    AR1: float | None
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None
    per_class: dict[str, float | None]
    images: int
    max_detections: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures by name; AR100 has the name of what was counted, and that is said, where it is not COCO's own."""
        tree = self._asdict()
        most = tree.pop("max_detections")
        if most is None:
            return tree
        renamed = {f"AR{most}" if key == "AR100" else key: value for key, value in tree.items()}
        return renamed | {"max_detections": most}


def coco_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
) -> Metrics:
    """Evaluate detections in source pixels, one `Detections` an entry.

    Ignored objects are treated as COCO treats crowds: neither found nor missed. Detections of a class that a
    picture's data set does not annotate are left out, since nobody can say whether they are right. Pictures with more
    objects of a class than detections are counted are told as a warning.

    Args:
        entries, detections: one of each a picture. class_names: of the labels.
        max_detections: to count of a class on a picture, 10 or more; COCO's 100 without it.
        quiet: whether they were told before.
    """
    most = max_detections or COCO_MAX
    if not quiet:
        warn_of_cap(entries, class_names, most)
    evaluation = _accumulated(entries, detections, class_names, most)
    evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class), all areas, most detections
    per_class = {name: _mean(precision[:, :, index]) for index, name in enumerate(class_names)}
    figures = [None if value < 0 else float(value) for value in evaluation.stats[:12]]
    return Metrics(*figures, per_class, len(entries), max_detections)  # type: ignore[call-arg, arg-type]  # twelve figures


def best_thresholds(
    entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, float | None]:
    """The score of each class from which on its F1 at IoU 0.50 is best, of all detections; None where none is right.

    Args:
        entries, detections, class_names: as for `coco_metrics`.
    """
    most = max([COCO_MAX, *(len(found.scores) for found in detections)])
    curves = _accumulated(entries, detections, class_names, most)
    recall = curves.params.recThrs[:, None]
    precision, scores = (curves.eval[name][0, :, :, 0, -1] for name in ("precision", "scores"))  # (recall, class)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1.argmax(axis=0)
    return {
        name: float(scores[best[index], index]) if f1[best[index], index] > 0 else None
        for index, name in enumerate(class_names)
    }


def _accumulated(
    entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str], most: int
) -> Any:
    """COCO's evaluation with its curves filled in, of at most so many detections of a class on a picture."""
    order = sorted(range(len(entries)), key=lambda index: _rank(entries[index].record.image_id))
    entries = [entries[index] for index in order]
    truth = COCO(_ground_truth(entries, class_names))
    found = truth.loadRes(_results(entries, [detections[index] for index in order]))
    evaluation = COCOeval_faster(truth, found, iouType="bbox")
    evaluation.params.maxDets = [1, 10, most]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _rank(image_id: int | str) -> tuple[bool, int | str]:
    return isinstance(image_id, str), image_id


def _mean(values: np.ndarray) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _ground_truth(entries: Sequence[Entry], class_names: Sequence[str]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, (record, _) in enumerate(entries, start=1):
        boxes = xyxy_to_xywh(record.objects.boxes).tolist()
        areas = record.objects.values["area"]
        for box, label, ignore, area in zip(boxes, record.objects.labels, record.objects.ignore, areas, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(label) + 1,
                    "bbox": box,
                    "area": float(area),
                    "iscrowd": int(ignore),
                }
            )
    return {
        "info": {},
        "images": [{"id": image_id} for image_id in range(1, len(entries) + 1)],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(class_names)],
        "annotations": annotations,
    }


def _results(entries: Sequence[Entry], detections: Sequence[Detections]) -> list[dict[str, Any]]:
    results = []
    for image_id, (entry, found) in enumerate(zip(entries, detections, strict=True), start=1):
        known = entry.supervised[found.labels, 0]
        boxes = xyxy_to_xywh(np.asarray(found.boxes, dtype=np.float64))[known].tolist()
        for box, score, label in zip(boxes, found.scores[known], found.labels[known], strict=True):
            results.append({"image_id": image_id, "category_id": int(label) + 1, "bbox": box, "score": float(score)})
    return results
