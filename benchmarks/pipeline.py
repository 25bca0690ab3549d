"""Data pipeline: pictures that one worker process prepares in a second."""

from __future__ import annotations

import tempfile
from collections import deque
from functools import partial
from pathlib import Path

from centerx.bench import median_seconds
from centerx.build_data import build_datasets, build_train_pictures, resolve_classes
from centerx.config import Config, load_config
from centerx.data.batch import EpochBatches, EvalPictures, load_batches
from centerx.data.digits import write_digit_scenes
from centerx.data.source import SampleSource
from centerx.training.processes import keep_freed_memory

from rows import Row, command_line, rows, show

PRESET = "bccd_r18"
PICTURES = 128  # a run
RUNS = 7
SCENE_HW = (480, 640)  # as large as the pictures of bccd


def measure() -> list[Row]:
    """Time a training epoch and a letterboxed one of a single worker."""
    keep_freed_memory()  # as training does
    with tempfile.TemporaryDirectory() as folder:
        config, name = read_config(Path(folder))
        datasets = build_datasets(config.data.train)
        source = SampleSource(datasets, resolve_classes(config, datasets).classes or ())
        batch_size = config.train.batch_size
        train = build_train_pictures(config, source)
        letterboxed = EvalPictures(source, config.data.input_size)
        in_order = {"batch_size": batch_size, "sampler": range(PICTURES)}
        shuffled = {"batch_sampler": EpochBatches(PICTURES, batch_size, seed=0)}
        loaders = {
            f"{name}, letterbox only": load_batches(letterboxed, 1, **in_order, persistent_workers=True),
            f"{name}, training": load_batches(train, 1, **shuffled, persistent_workers=True),
        }
        # A deque of no length runs through an iterable and keeps nothing.
        seconds = median_seconds({case: partial(deque, each, maxlen=0) for case, each in loaders.items()}, RUNS)
        return rows("data pipeline", {case: PICTURES / spent for case, spent in seconds.items()}, "images/s", RUNS)


def read_config(folder: Path) -> tuple[Config, str]:
    """The preset, on its own data where that is present, else on digit scenes written into `folder`."""
    config = load_config(PRESET)
    if Path(config.data.train[0].path).exists():
        return config, "bccd"
    scenes = write_digit_scenes(folder, PICTURES, seed=0, split="train", image_hw=SCENE_HW)
    return load_config(PRESET, [f"data.train=[{scenes}]", "classes=null"]), "digit scenes"


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
