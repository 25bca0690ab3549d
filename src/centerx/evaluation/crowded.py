"""Pictures with more objects than a figure counts: told, since no training changes it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np

from centerx.data.source import Entry

logger = logging.getLogger(__name__)


def warn_of_cap(entries: Sequence[Entry], class_names: Sequence[str], most: int) -> None:
    """Say which pictures have more objects of one class than detections of it are counted."""
    counts = [np.bincount(labels, minlength=len(class_names)) for labels in _labels(entries)]
    larger = [number for number, count in enumerate(counts) if count.max() > most]
    if larger:
        worst = max(larger, key=lambda number: int(counts[number].max()))
        label = int(counts[worst].argmax())
        logger.warning(
            f"more objects of a class than the {most} detections that count, on {len(larger)} of {len(counts)} "
            f"pictures: {entries[worst].record.image} has {counts[worst][label]} of {class_names[label]!r}; a perfect "
            f"detector would stay below AP 1, `centerx eval --max-detections {counts[worst][label]}` counts them all"
        )


def _labels(entries: Sequence[Entry]) -> Iterable[np.ndarray]:
    """Of the objects to find on each picture."""
    return (record.labels[~record.ignore] for record, _ in entries)
