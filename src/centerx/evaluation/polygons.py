"""Quadrilaterals and rotated boxes against ground truth: AP by the IoU of polygons, and by the distance of corners.

The areas that polygons have in common are Shapely's, the matching is COCO's. The similarity of corners is 1 - d / s: d
is the mean distance of the four corners, s the square root of the object's area, which is the side of a square. So an
AP over similarities 0.50 to 0.95 is one over distances 0.50 to 0.05 of the side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import shapely
from faster_coco_eval import COCOeval_faster

from centerx.data.source import Entry
from centerx.evaluation.coco import COCO_MAX, TITLES, Found, Metrics, accumulate, as_boxes, coco_figures, mean
from centerx.evaluation.crowded import warn_of_cap
from centerx.fields import CORNERS
from centerx.geometry import BOX_CORNERS, box_intersection, spanned_boxes
from centerx.types import Detections

POLYGON_TITLES = {key: title.replace("IoU", "IoU of polygons") for key, title in TITLES.items()}
POLYGON_TITLES["AP_corners"] = "AP, mean distance of corners 0.50:0.05 of the object's side"
logger = logging.getLogger(__name__)
Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


def polygon_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
    in_order: bool = False,
) -> Metrics:
    """Evaluate detections with corners against objects with corners; arguments as for `coco_metrics`.

    Args:
        entries: as there. detections: as there. class_names: as there. max_detections: as there. quiet: as there.
        in_order: whether the first corner must be the first; else the order counts up to where it begins.
    """
    most = max_detections or COCO_MAX
    if not quiet:
        warn_of_cap(entries, class_names, most)
        warn_of_lacking(entries)
    evaluation = curves(entries, detections, class_names, most)
    evaluation.summarize()
    near = evaluate(entries, detections, class_names, most, ordered_similarity if in_order else corner_similarity)
    metrics = coco_figures(evaluation, class_names, len(entries), max_detections)
    return metrics._replace(AP_corners=mean(near.eval["precision"][:, :, :, 0, -1]), titles=POLYGON_TITLES)


def warn_of_lacking(entries: Sequence[Entry]) -> None:
    """Say on which pictures a class is not judged, as an object of it has no corners."""
    lacking = [
        record.image
        for record, supervised in entries
        if (~record.ignore & ~record.objects.outlined & supervised[record.labels, 0]).any()
    ]
    if lacking:
        logger.warning(
            f"objects without corners on {len(lacking)} of {len(entries)} pictures, where their classes are not "
            f"judged; the first: {lacking[0]}"
        )


def labelled_polygon_metrics(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    max_detections: int | None = None,
    quiet: bool = False,
) -> Metrics:
    """The same of detectors that say which corner is the first."""
    return polygon_metrics(entries, detections, class_names, max_detections, quiet, in_order=True)


def curves(
    entries: Sequence[Entry], detections: Sequence[Detections], class_names: Sequence[str], most: int
) -> COCOeval_faster:
    """Return COCO's evaluation by the IoU of polygons with its curves filled in; arguments as for `accumulate`."""
    return evaluate(entries, detections, class_names, most, polygon_iou)


def evaluate(
    entries: Sequence[Entry],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    most: int,
    compare: Compare,
) -> COCOeval_faster:
    """Return COCO's evaluation by some similarity of corners (N, 8) and (M, 8); other arguments as for `accumulate`."""

    class Evaluation(COCOeval_faster):  # COCO's own is chosen by name, and by subclassing alone
        def computeIoU(self, imgId: int, catId: int) -> Any:  # the names are COCO's
            found, objects = (
                data.get_instances([imgId], [catId], True)[0][0] for data in (self.dt_dataset, self.gt_dataset)
            )
            if not found or not objects:
                return []
            order = np.argsort([-each["score"] for each in found], kind="mergesort")[: self.params.maxDets[-1]]
            first = np.array([found[place]["corners"] for place in order])
            second = np.array([each["corners"] for each in objects])
            crowd = np.array([each["iscrowd"] for each in objects], dtype=bool)
            return np.where(crowd, covered(first, second), compare(first, second))

    return accumulate(
        entries, detections, class_names, most, to_coco=as_corners, fields=(CORNERS.name,), evaluator=Evaluation
    )


def as_corners(entry: Entry, found: Found) -> list[dict[str, Any]]:
    """Return COCO's keys of objects with corners, and these."""
    return [
        box | {"corners": corners}
        for box, corners in zip(as_boxes(entry, found), corners_of(found).tolist(), strict=True)
    ]


def corners_of(found: Found) -> np.ndarray:
    """Return the corners (N, 8) of objects or detections; of an object without them, those of its box."""
    boxes = np.asarray(found.boxes, dtype=np.float64)
    around = boxes[:, BOX_CORNERS]
    if CORNERS.name not in found.values:
        return around
    own = np.asarray(found.values[CORNERS.name], dtype=np.float64).reshape(-1, CORNERS.channels)
    known = getattr(found, "known", {}).get(CORNERS.name)
    return own if known is None else np.where(known[:, None], own, around)


def polygon_overlap(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return the IoU (K, N) of detections and objects of a picture."""
    return polygon_iou(corners_of(found), corners_of(objects))


def polygon_cover(entry: Entry, found: Found, objects: Found) -> np.ndarray:
    """Return the share (K, N) of each detection that lies on each object of a picture."""
    return covered(corners_of(found), corners_of(objects))


def polygon_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU (N, M) of quadrilaterals (N, 8) and (M, 8); 0 where both are empty."""
    common, ours, theirs = areas(first, second)
    union = ours[:, None] + theirs - common
    return np.where(union > 0, common / np.maximum(union, 1e-12), 0.0)


def covered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the share (N, M) of each quadrilateral (N, 8) that lies in each of (M, 8)."""
    common, ours, _ = areas(first, second)
    return np.asarray(common / np.maximum(ours, 1e-12)[:, None])


def areas(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the areas (N, M) that quadrilaterals (N, 8) and (M, 8) have in common, and their own (N,) and (M,)."""
    ours, theirs = polygons(first), polygons(second)
    rows, columns = np.nonzero(box_intersection(spanned_boxes(first), spanned_boxes(second)) > 0)
    common = np.zeros((len(first), len(second)))
    common[rows, columns] = shapely.area(shapely.intersection(ours[rows], theirs[columns]))
    return common, np.asarray(shapely.area(ours)), np.asarray(shapely.area(theirs))


def polygons(corners: np.ndarray) -> np.ndarray:
    """Return Shapely's polygons (N,) of quadrilaterals (N, 8); of one whose sides cross, its two triangles."""
    return np.asarray(shapely.make_valid(shapely.polygons(corners.reshape(-1, 4, 2))))


def ordered_similarity(found: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return 1 - d / s (K, N) of corners (K, 8) and (N, 8), 0 where that is less: d their mean distance.

    s is the square root of the object's area, at least a pixel.
    """
    points, truth = found.reshape(-1, 1, 4, 2), objects.reshape(1, -1, 4, 2)
    distance = np.linalg.norm(points - truth, axis=-1).mean(axis=-1)
    side = np.sqrt(shapely.area(polygons(objects)))
    return np.maximum(1 - distance / np.maximum(side, 1.0), 0.0)


def corner_similarity(found: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return the largest `ordered_similarity` (K, N) over where the order begins and which way it goes."""
    points = found.reshape(-1, 4, 2)
    ways = [np.roll(each, turn, axis=1).reshape(-1, 8) for each in (points, points[:, ::-1]) for turn in range(4)]
    return np.max([ordered_similarity(each, objects) for each in ways], axis=0)
