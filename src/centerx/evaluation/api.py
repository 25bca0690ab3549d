"""A model file, or results made elsewhere, on a data set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from centerx.data.batch import EvalPictures, load_batches
from centerx.data.check import crowded_pictures
from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource, require_judging, union_of_classes
from centerx.data.stored import StoredDetections
from centerx.errors import InputError
from centerx.evaluation.coco import Metrics, best_thresholds
from centerx.evaluation.fuse import FUSED, fuse
from centerx.evaluation.report import make_report
from centerx.evaluation.report_page import write_report
from centerx.evaluation.results import read_results
from centerx.evaluation.run import (
    COCO,
    detect_all,
    detect_each,
    evaluate_found,
    metric_function,
    named_function,
    picture_sizes,
)
from centerx.fields import SIZE
from centerx.geometry import INPUT_MULTIPLE
from centerx.problems import log_problems
from centerx.progress import track
from centerx.runtime import Session, TiledPredictor, Tiles, open_session
from centerx.runtime.session import run_session
from centerx.tasks import BOXES, CENTER, POSE, task_of
from centerx.types import Batch, Detections, RawDetections

logger = logging.getLogger(__name__)

WORKERS = 2


def evaluate_model(
    model: str | Path,
    datasets: Sequence[Dataset],
    batch_size: int,
    session: Session | None = None,
    scales: Sequence[float] = (1.0,),
    max_detections: int | None = None,
    input_hw: tuple[int, int] | None = None,
    metric: str = COCO,
    tiles: Tiles | None = None,
    report: Path | None = None,
) -> Metrics:
    """Run a model file over data sets, whatever its backend; arguments as for `run_model` and `measure`.

    Raises:
        InputError: model and data have no class name in common, no picture can be read, or as `metric_function`.
        OSError: the report cannot be written.
    """
    session = session or open_session(model)
    metric_function(metric, session.info.made_task, max_detections)  # raises before the work
    source, found = run_model(model, datasets, batch_size, session, scales, input_hw, tiles)
    return measure(model, datasets, source, found, max_detections, metric, report)


def measure(
    model: str | Path,
    datasets: Sequence[Dataset],
    source: SampleSource,
    found: Mapping[int, Detections],
    max_detections: int | None = None,
    metric: str = COCO,
    report: Path | None = None,
) -> Metrics:
    """Return the metrics of detections, and write a report of them where asked.

    Args:
        model: what to call the detector.
        datasets: the data.
        source: its pictures.
        found: detections by the picture's index.
        max_detections: as for `coco_metrics`.
        metric: as for `metric_function`.
        report: the folder of the report; None for none.

    Raises:
        InputError: as `metric_function`.
        OSError: the report cannot be written.
    """
    metrics = evaluate_found(source, source.task, dict(found), max_detections, metric=metric)
    if report is None:
        return metrics
    data = ", ".join(str(dataset.path) for dataset in datasets)
    page = write_report(report, make_report(str(model), data, source, found, metrics))
    return metrics._replace(report=page)


def thresholds_of(
    model: str | Path,
    datasets: Sequence[Dataset],
    batch_size: int,
    session: Session | None = None,
    tiles: Tiles | None = None,
) -> dict[str, float | None]:
    """The score of each class from which on a model file's F1 on data sets is best; None where it finds nothing.

    Arguments as for `run_model`.

    Raises:
        InputError: as `evaluate_model`.
    """
    session = session or open_session(model)
    source, found = run_model(model, datasets, batch_size, session, tiles=tiles)
    entries, curves = [source.entries[i] for i in found], named_function(session.info.made_task.curves)
    return best_thresholds(entries, list(found.values()), source.class_names, curves)


def run_model(
    model: str | Path,
    datasets: Sequence[Dataset],
    batch_size: int,
    session: Session | None = None,
    scales: Sequence[float] = (1.0,),
    input_hw: tuple[int, int] | None = None,
    tiles: Tiles | None = None,
) -> tuple[SampleSource, dict[int, Detections]]:
    """Run a model file over data sets: the pictures in its classes, and what it finds on those that can be read.

    Args:
        model: the file; with a session, what to call it in messages.
        datasets: to run it on.
        batch_size: pictures at once.
        session: the file opened already, where it is to run otherwise than usual.
        scales: of the model's input size, to fuse what is found at each; other than 1 where the session takes it.
        input_hw: height and width of the input in pixels, where the session takes any; its own without it.
        tiles: how pictures are cut; None to look at them as a whole.

    Raises:
        InputError: model and data have no class name in common, or no picture can be read.
    """
    session = session or open_session(model)
    names, task = session.info.class_names, session.info.made_task
    labelled, where = union_of_classes(datasets), ", ".join(str(dataset.path) for dataset in datasets)
    if not set(names) & set(labelled):
        raise InputError(
            f"{where}: labels {', '.join(labelled) or 'no classes'}, but {model} detects "
            f"{', '.join(names)}; rename the classes in one of them"
        )
    source = SampleSource(datasets, names, session.info.value_range, task)
    require_judging(source, task, where)
    if len(scales) > 1 and not {each.name for each in task.outputs} <= FUSED:
        raise InputError(f"--scales: joins boxes and corners alone, not what task {task.name} finds; leave it out")
    if tiles is None:
        log_problems(crowded_pictures([entry.record for entry in source.entries], session.info.top_k), where)

    parts: list[dict[int, Detections]] = []
    for size in scaled_sizes(input_hw or session.info.input_hw, scales):
        found, broken = run_source(session, source, batch_size, size, tiles)
        parts.append(found)
    for message in broken:
        logger.warning(f"not evaluated: {message}")
    if not found:
        raise InputError(f"{where}: not one of {len(source)} pictures can be read")
    return source, found if len(parts) == 1 else {index: fuse([part[index] for part in parts]) for index in found}


def run_source(
    session: Session, source: SampleSource, batch_size: int, size: tuple[int, int], tiles: Tiles | None = None
) -> tuple[dict[int, Detections], list[str]]:
    """Run a session over pictures; returns what `detect_all` does.

    Args:
        session: of the model.
        source: the pictures.
        batch_size: pictures at once, or tiles.
        size: height and width of the input in pixels.
        tiles: as for `run_model`.
    """

    def detect(batch: Batch) -> RawDetections:
        return run_session(session, batch.images.contiguous().numpy(), picture_sizes(batch))

    if tiles is not None:
        predictor = TiledPredictor(session, size, None, tiles, batch_size)
        return detect_each(predictor, source, track(range(len(source)), "evaluating"))
    pictures = EvalPictures(source, size, session.info.resize)
    loader = load_batches(pictures, WORKERS, batch_size=1 if session.info.resize.varies else batch_size)
    return detect_all(detect, source.task, track(loader, "evaluating"))


def scaled_sizes(input_hw: tuple[int, int], scales: Sequence[float]) -> list[tuple[int, int]]:
    """The nearest multiples of 32 of a scaled height and width, for each scale; as they are for the scale 1."""
    height, width = input_hw
    step = INPUT_MULTIPLE
    return [
        (max(round(height * each / step), 1) * step, max(round(width * each / step), 1) * step)
        if each != 1
        else input_hw
        for each in scales
    ]


def evaluate_stored(stored: StoredDetections, datasets: Sequence[Dataset]) -> Metrics:
    """Evaluate what a teacher found on those pictures of data sets for which it has an answer.

    Args:
        stored: of the pictures in their order; it has a class name in common with the data, and an answer.
        datasets: with labels.
    """
    source = SampleSource(datasets, stored.class_names, task=task_of(stored))
    found = {index: stored.detections(index) for index in np.flatnonzero(stored.answered).tolist()}
    return evaluate_found(source, source.task, found)


def taught_names(own: Sequence[str], classes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the student's name of each class of a teacher; of one that is not taught, a name that nobody has."""
    return tuple(classes.get(name, f"{name}, not taught") for name in own)


def evaluate_results(
    results: Path,
    dataset: Dataset,
    max_detections: int | None = None,
    metric: str = COCO,
    report: Path | None = None,
) -> Metrics:
    """Evaluate a COCO results json on the data set it was made on; where that has points alone, as points.

    Results with keypoints of data with joints are judged as poses.

    Args:
        results: the file.
        dataset: whose pictures it is of.
        max_detections: as for `coco_metrics`.
        metric: as for `metric_function`.
        report: as for `measure`.

    Raises:
        InputError: the file is unusable, or as `metric_function`.
        OSError: the report cannot be written.
    """
    points = [record.objects.known.get(SIZE.name) for record in dataset.records if len(record.objects.labels)]
    task = CENTER if points and all(known is not None and not known.any() for known in points) else BOXES
    found = dict(enumerate(read_results(results, dataset)))
    task = next((task_of(each) for each in found.values() if each.task == POSE.name), task)
    source = SampleSource([dataset], dataset.class_names, task=task)
    return measure(results, [dataset], source, found, max_detections, metric, report)
