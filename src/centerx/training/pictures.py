"""Draw val.png: ground truth beside detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from centerx.data.source import SampleSource
from centerx.draw import contact_sheet, save_image
from centerx.errors import InputError
from centerx.tasks import Task
from centerx.types import Detections

PAIRS = 6
SCORE = 0.3  # detections with lower scores are not drawn


def compare_with_truth(path: Path, source: SampleSource, found: dict[int, Detections], task: Task) -> None:
    """Draw a few pictures, evenly spread over the data: truth on the left, detections on the right."""
    shown = sorted(found)
    cells: list[np.ndarray] = []
    for index in [shown[i] for i in np.linspace(0, len(shown) - 1, min(PAIRS, len(shown))).astype(int)]:
        try:
            sample = source.sample(index)
        except InputError:
            continue
        best = found[index].above(SCORE)
        for each, scores in ((sample.objects, None), (best, best.scores)):
            cells.append(task.draw(sample.image, each, source.class_names, scores))
    save_image(path, contact_sheet(cells, columns=4, cell_hw=(300, 400)))
