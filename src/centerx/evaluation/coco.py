"""Detections against ground truth -> COCO metrics, computed by faster-coco-eval.

Ids are renumbered from 1 on the way, so that string ids, ids above 2^32 and annotation id 0 (which COCO's own
matching takes for 'unmatched') all count. Pictures keep the order of their ids: it ranks detections of equal score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from centerx.data.source import Entry
from centerx.evaluation.crowded import warn_of_cap
from centerx.fields import SIZE
from centerx.geometry import box_area, box_intersection, box_iou, xyxy_to_xywh
from centerx.objects import OF_BOXES
from centerx.show import Table, plot_bars
from centerx.tasks import Task
from centerx.types import Detections

COCO_MAX = 100  # detections of a class that COCO counts on a picture
TITLES = {
    "AP": "AP, IoU 0.50:0.95",
    "AP50": "AP, IoU 0.50",
    "AP75": "AP, IoU 0.75",
    "APs": "AP, small objects",
    "APm": "AP, medium objects",
    "APl": "AP, large objects",
    "AR1": "AR, 1 detection a picture",
    "AR10": "AR, 10 detections",
    "AR100": "AR",
    "ARs": "AR, small objects",
    "ARm": "AR, medium objects",
    "ARl": "AR, large objects",
}
CurvesOf = Callable[[Sequence[Entry], Sequence[Detections], Sequence[str], int], COCOeval_faster]
ToCoco = Callable[[Entry, "Found"], list[dict[str, Any]]]  # what lies on a picture -> keys of each in COCO


class Found(Protocol):
    """Objects or detections of a picture."""

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) xyxy pixels."""

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """By name of a field, (N, ...) what they carry beside the box."""


class Metrics(NamedTuple):
    """COCO's figures in [0, 1]; None where there is no object to find.

    Attributes:
        AP: over IoU 0.50 to 0.95. AP50, AP75: at one IoU. APs, APm, APl: small, medium, large objects.
        AR1, AR10, AR100: recall with so many detections a picture. ARs, ARm, ARl: by size, with 100.
        per_class: AP of each class.
        images: how many pictures were evaluated.
        max_detections: of a class on a picture, that were counted where it says 100; None for COCO's own figures.
        AP_boxes: of the boxes; of the task `pose`, whose AP is by the similarity of joints.
        AP_corners: by the distance of corners; of the tasks `quads` and `rotated`.
        count_error: mean absolute error of the number of objects of a class on a picture; of the task `center`.
        AP50_11point: as in VOC2007; of the metric `voc`, whose AP50 is that of VOC2012.
        per_class_11point: the same of each class.
        titles: of the figures that mean something, in the order of the table.
        report: the page of the report, where one was written.
    """

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None = None
    APm: float | None = None
    APl: float | None = None
    AR1: float | None = None
    AR10: float | None = None
    AR100: float | None = None
    ARs: float | None = None
    ARm: float | None = None
    ARl: float | None = None
    per_class: Mapping[str, float | None] = {}
    images: int = 0
    max_detections: int | None = None
    count_error: float | None = None
    AP_corners: float | None = None
    AP_boxes: float | None = None
    AP50_11point: float | None = None
    per_class_11point: Mapping[str, float | None] = {}
    titles: Mapping[str, str] = TITLES
    report: Path | None = None

    def table(self) -> Table:
        """Return the figures, and a row for each class."""
        facts = {title: getattr(self, name) for name, title in self.titles.items()}
        report = {"report": self.report} if self.report else {}
        return Table(
            f"Metrics of {self.images} pictures", facts | report, ("class", "AP"), list(self.per_class.items())
        )

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with the AP of each class.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return self.table().frame()

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of the AP of each class.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return plot_bars(list(self.per_class), {"AP": list(self.per_class.values())}, "AP")

    def to_json(self) -> dict[str, Any]:
        """The figures by name; AR100 has the name of what was counted, and that is said, where it is not COCO's own."""
        tree = self._asdict()
        most, titles = tree.pop("max_detections"), tree.pop("titles")
        shown = {*titles, "per_class", "images", *(["per_class_11point"] if self.per_class_11point else [])}
        tree = {key: value for key, value in tree.items() if key in shown}
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
    evaluation = accumulate(entries, detections, class_names, most)
    evaluation.summarize()
    return coco_figures(evaluation, class_names, len(entries), max_detections)


def coco_figures(
    evaluation: COCOeval_faster, class_names: Sequence[str], images: int, max_detections: int | None
) -> Metrics:
    """Return the figures of an evaluation that is summarised."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, class), all areas, most detections
    per_class = {name: mean(precision[:, :, index]) for index, name in enumerate(class_names)}
    figures = [None if value < 0 else float(value) for value in evaluation.stats[:12]]
    return Metrics(*figures, per_class, images, max_detections)  # type: ignore[call-arg, arg-type]  # twelve figures


def as_boxes(entry: Entry, found: Found) -> list[dict[str, Any]]:
    """Return COCO's keys of boxes."""
    return [{"bbox": box} for box in xyxy_to_xywh(np.asarray(found.boxes, dtype=np.float64)).tolist()]


def box_overlap(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return the IoU (K, N) of detections and objects of a picture."""
    return box_iou(found.boxes, objects.boxes)


def box_cover(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return the share (K, N) of each detection that lies on each object of a picture."""
    shared = box_intersection(found.boxes, objects.boxes)
    return np.asarray(shared / np.maximum(box_area(found.boxes), 1e-12)[:, None])


def best_thresholds(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    curves_of: CurvesOf | None = None,
) -> dict[str, float | None]:
    """Return the score of each class from which on its F1 is best; None where no detection is right.

    Args:
        entries: as for `coco_metrics`.
        detections: as for `coco_metrics`.
        class_names: as for `coco_metrics`.
        curves_of: of the task's metrics; those of boxes at IoU 0.50 without it.
    """
    most = max([COCO_MAX, *map(len, detections)])
    return thresholds_of_curves((curves_of or accumulate)(entries, detections, class_names, most), class_names)


def thresholds_of_curves(curves: COCOeval_faster, class_names: Sequence[str]) -> dict[str, float | None]:
    """Return the score of each class from which on its F1 is best, by the curves of `accumulate`; None without any."""
    recall = curves.params.recThrs[:, None]
    precision, scores = (curves.eval[name][0, :, :, 0, -1] for name in ("precision", "scores"))  # (recall, class)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = f1.argmax(axis=0)
    return {
        name: float(scores[best[index], index]) if f1[best[index], index] > 0 else None
        for index, name in enumerate(class_names)
    }


def accumulate(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    most: int,
    kind: str = "bbox",
    to_coco: ToCoco = as_boxes,
    sigmas: Sequence[float] = (),
    fields: Sequence[str] = (SIZE.name,),
    evaluator: type[COCOeval_faster] = COCOeval_faster,
) -> COCOeval_faster:
    """Return COCO's evaluation with its curves filled in.

    Args:
        entries: the pictures with their labels.
        detections: of each picture, in its pixels.
        class_names: of the labels.
        most: detections of a class on a picture that count.
        kind: of COCO's evaluation.
        to_coco: what that takes of objects and of detections.
        sigmas: of its keypoints.
        fields: that objects must have to be measured, see `known_classes`.
        evaluator: the class that evaluates.
    """
    order = sorted(range(len(entries)), key=lambda index: _rank(entries[index].record.image_id))
    entries = [entries[index] for index in order]
    known = [known_classes(entry, fields) for entry in entries]
    truth = COCO(_ground_truth(entries, known, class_names, to_coco))
    found = truth.loadRes(_results(entries, known, [detections[index] for index in order], to_coco))
    evaluation = evaluator(truth, found, iouType=kind, kpt_oks_sigmas=list(sigmas) or None)
    evaluation.params.catIds = list(range(1, len(class_names) + 1))  # of keypoints it leaves out those without objects
    evaluation.params.maxDets = [1, 10, most]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def mean(values: np.ndarray) -> float | None:
    """Return the mean of the values that are known, which -1 are not."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _rank(image_id: int | str) -> tuple[bool, int | str]:
    return isinstance(image_id, str), image_id


def _ground_truth(
    entries: Sequence[Entry], known: Sequence[np.ndarray], class_names: Sequence[str], to_coco: ToCoco
) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, (entry, classes) in enumerate(zip(entries, known, strict=True), start=1):
        objects = entry.record.objects
        objects = objects.where(classes[objects.labels])
        boxes = as_boxes(entry, objects)
        rows = zip(boxes, objects.values["area"], to_coco(entry, objects), strict=True)
        for index, (box, area, own) in enumerate(rows):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(objects.labels[index]) + 1,
                    "area": float(area),
                    "iscrowd": int(objects.ignore[index]),
                }
                | box
                | own
            )
    return {
        "info": {},
        "images": [{"id": image_id} for image_id in range(1, len(entries) + 1)],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(class_names)],
        "annotations": annotations,
    }


def known_classes(entry: Entry, fields: Sequence[str] = (SIZE.name,)) -> np.ndarray:
    """(C,) bool: the classes of which a picture labels all objects, with some fields beside the centre.

    An ignored object may lack them.
    """
    if not fields:
        return entry.supervised[:, 0]
    known = np.asarray(entry.supervised.all(axis=1))
    objects = entry.record.objects
    for name in fields:
        absent = name not in OF_BOXES and name not in objects.values
        told = objects.known.get(name, np.array(True))
        lacks = np.full(len(objects.labels), absent) | ~(told.any(axis=1) if told.ndim == 2 else told)
        known[objects.labels[lacks & ~objects.ignore]] = False
    return known


def judged_entry(entry: Entry, task: Task) -> Entry:
    """Return a picture by which detections of a task can be judged: objects without a labelled joint are ignored."""
    objects = entry.record.objects
    ignore = objects.ignore
    for field in task.carried:
        if field.apart:
            ignore = ignore | ~objects.known.get(field.name, np.zeros((len(ignore), 1), dtype=bool)).any(axis=1)
    return entry._replace(record=entry.record._replace(objects=objects._replace(ignore=ignore)))


def _results(
    entries: Sequence[Entry], known: Sequence[np.ndarray], detections: Sequence[Detections], to_coco: ToCoco
) -> list[dict[str, Any]]:
    results = []
    for image_id, (entry, classes, every) in enumerate(zip(entries, known, detections, strict=True), start=1):
        found = every.where(classes[every.labels])
        for keys, score, label in zip(to_coco(entry, found), found.scores, found.labels, strict=True):
            results.append({"image_id": image_id, "category_id": int(label) + 1, "score": float(score)} | keys)
    return results
