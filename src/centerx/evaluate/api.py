"""A model file, or results made elsewhere, on a data set."""

from __future__ import annotations

import sys
from pathlib import Path

from torch.utils.data import DataLoader

from centerx.data.batch import EvalPictures, collate
from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.evaluate.coco import Metrics, coco_metrics
from centerx.evaluate.results import read_results
from centerx.evaluate.run import detect_all, evaluate_found
from centerx.progress import track
from centerx.runtime import open_session
from centerx.types import Batch, Detections

WORKERS = 2


def evaluate_model(model: Path, dataset: Dataset, batch_size: int) -> Metrics:
    """Run a model file over a data set, whatever its backend.

    Raises:
        InputError: model and data have no class name in common, or no picture can be read.
    """
    session = open_session(model)
    names = session.info.class_names
    if not set(names) & set(dataset.class_names):
        raise InputError(
            f"{dataset.path}: labels {', '.join(dataset.class_names) or 'no classes'}, but {model} detects "
            f"{', '.join(names)}; rename the classes in one of them"
        )
    source = SampleSource([dataset], names)
    pictures = EvalPictures(source, session.info.input_hw)
    loader = DataLoader(pictures, batch_size=batch_size, collate_fn=collate, num_workers=WORKERS)

    def detect(batch: Batch) -> Detections:
        return session(batch.images.contiguous().numpy())

    found, broken = detect_all(detect, track(loader, "evaluating"))
    for message in broken:
        print(f"warning: not evaluated: {message}", file=sys.stderr)
    if not found:
        raise InputError(f"{dataset.path}: not one of {len(source)} pictures can be read")
    return evaluate_found(source, found)


def evaluate_results(results: Path, dataset: Dataset) -> Metrics:
    """Evaluate a COCO results json on the data set it was made on."""
    source = SampleSource([dataset], dataset.class_names)
    return coco_metrics(source.entries, read_results(results, dataset), dataset.class_names)
