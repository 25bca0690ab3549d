"""A detector over a data set: the one loop behind `centerx eval` and the evaluation during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import numpy as np

from centerx.data.source import SampleSource
from centerx.errors import InputError, nearest
from centerx.evaluation.coco import Metrics
from centerx.geometry import placed_sizes
from centerx.runtime import Predictor
from centerx.runtime.outputs import detections_of
from centerx.tasks import Task
from centerx.types import Batch, Detections, RawDetections

COCO, VOC = "coco", "voc"
Detect = Callable[[Batch], RawDetections]  # a batch -> (B, K, ...) detections in input pixels, NumPy


def detect_all(detect: Detect, task: Task, batches: Iterable[Batch]) -> tuple[dict[int, Detections], list[str]]:
    """Run a detector over letterboxed batches of `EvalPictures`.

    Args:
        detect: a batch -> raw detections.
        task: of the detector.
        batches: of letterboxed pictures.

    Returns:
        Detections in source pixels by the picture's index, and what was wrong with pictures that are missing there.
    """
    found: dict[int, Detections] = {}
    broken: list[str] = []
    for batch in batches:
        broken += batch.skipped
        if len(batch.images):
            letterboxes = [each for each in batch.letterboxes if each is not None]
            some = detections_of(detect(batch), letterboxes, task)
            found.update(zip(map(int, batch.image_ids), some, strict=True))
    return found, broken


def detect_each(
    predictor: Predictor, source: SampleSource, indices: Iterable[int]
) -> tuple[dict[int, Detections], list[str]]:
    """Run a predictor over pictures one by one; returns what `detect_all` does."""
    found: dict[int, Detections] = {}
    broken: list[str] = []
    for index in indices:
        try:
            found[index] = predictor(source.sample(index).image)
        except InputError as error:
            broken.append(str(error))
    return found, broken


def picture_sizes(batch: Batch) -> np.ndarray:
    """(B, 2) float32: height and width of each letterboxed picture in input pixels."""
    return placed_sizes([each for each in batch.letterboxes if each is not None])


def evaluate_found(
    source: SampleSource,
    task: Task,
    found: dict[int, Detections],
    max_detections: int | None = None,
    quiet: bool = False,
    metric: str = COCO,
) -> Metrics:
    """Return the metrics of the task over the pictures that could be read.

    Args:
        source: the pictures.
        task: whose metrics.
        found: detections by the picture's index.
        max_detections: as for `coco_metrics`.
        quiet: as for `coco_metrics`.
        metric: see `metric_function`.

    Raises:
        InputError: as `metric_function`.
    """
    order = sorted(found)
    metrics: Metrics = metric_function(metric, task, max_detections)(
        [source.entries[i] for i in order], [found[i] for i in order], source.class_names, max_detections, quiet
    )
    return metrics


def metric_function(metric: str, task: Task, max_detections: int | None) -> Callable[..., Any]:
    """Return the function that measures detections.

    Args:
        metric: `coco`, or its counterpart of a task without boxes; or `voc`.
        task: of the detections.
        max_detections: as for `coco_metrics`.

    Raises:
        InputError: there is no such metric, or it does not go with the task or with `max_detections`.
    """
    if metric not in (COCO, VOC):
        raise InputError(f"--metric: unknown {metric!r}{nearest(metric, (COCO, VOC))}, known: {COCO}, {VOC}")
    if metric == COCO:
        return named_function(task.metrics)
    if not task.has_area:
        raise InputError("--metric voc: goes with boxes only, leave it out")
    if max_detections is not None:
        raise InputError("--metric voc: counts all detections, leave --max-detections out")
    return named_function("centerx.evaluation.voc:voc_metrics")


def named_function(name: str) -> Callable[..., Any]:
    """Import what `module:function` names."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
