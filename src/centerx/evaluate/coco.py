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
from centerx.geometry import xyxy_to_xywh
from centerx.types import Detections


class Metrics(NamedTuple):
    """COCO's figures in [0, 1]; None where there is no object to find.

    Attributes:
        AP: over IoU 0.50 to 0.95. AP50, AP75: at one IoU. APs, APm, APl: small, medium, large objects.
        AR1, AR10, AR100: recall with so many detections a picture. ARs, ARm, ARl: by size, with 100.
        per_class: AP of each class.
        images: how many pictures were evaluated.
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


def coco_metrics(entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str]) -> Metrics:
    """Evaluate detections in source pixels, one `Detections` an entry.

    Ignored objects are treated as COCO treats crowds: neither found nor missed. Detections of a class that a
    picture's data set does not annotate are left out, since nobody can say whether they are right.
    """
    evaluation = _accumulated(entries, detections, class_names)
    evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class), all areas, 100 detections
    per_class = {name: _mean(precision[:, :, index]) for index, name in enumerate(class_names)}
    figures = [None if value < 0 else float(value) for value in evaluation.stats[:12]]
    return Metrics(*figures, per_class, len(entries))  # type: ignore[call-arg, arg-type]  # twelve figures


def best_thresholds(
    entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, float | None]:
    """The score of each class from which on its F1 at IoU 0.50 is best; None where no object is found.

    Args:
        entries, detections, class_names: as for `coco_metrics`.
    """
    curves = _accumulated(entries, detections, class_names)
    recall = curves.params.recThrs[:, None]
    precision, scores = (curves.eval[name][0, :, :, 0, -1] for name in ("precision", "scores"))  # (recall, class)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1.argmax(axis=0)
    return {
        name: float(scores[best[index], index]) if f1[best[index], index] > 0 else None
        for index, name in enumerate(class_names)
    }


def _accumulated(entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str]) -> Any:
    """COCO's evaluation with its curves filled in."""
    order = sorted(range(len(entries)), key=lambda index: _rank(entries[index].record.image_id))
    entries = [entries[index] for index in order]
    truth = COCO(_ground_truth(entries, class_names))
    found = truth.loadRes(_results(entries, [detections[index] for index in order]))
    evaluation = COCOeval_faster(truth, found, iouType="bbox")
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
        boxes = xyxy_to_xywh(record.boxes).tolist()
        for box, label, ignore, area in zip(boxes, record.labels, record.ignore, record.area, strict=True):
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
        known = entry.annotated[found.labels]
        boxes = xyxy_to_xywh(np.asarray(found.boxes, dtype=np.float64))[known].tolist()
        for box, score, label in zip(boxes, found.scores[known], found.labels[known], strict=True):
            results.append({"image_id": image_id, "category_id": int(label) + 1, "bbox": box, "score": float(score)})
    return results
