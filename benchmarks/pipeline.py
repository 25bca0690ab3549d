"""Data pipeline: pictures that one worker process prepares in a second."""

from __future__ import annotations

import tempfile
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Subset

from centerx.bench import median_seconds
from centerx.build import build_datasets, build_train_pictures, resolve_classes
from centerx.config import Config, load_config
from centerx.data.batch import EpochBatches, EvalPictures, collate, one_thread
from centerx.data.digits import write_digit_scenes
from centerx.data.source import SampleSource
from centerx.train.memory import keep_freed_memory

from rows import Row, rows, show

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
        letterboxed = Subset(EvalPictures(source, config.data.input_size), range(PICTURES))
        worker: dict[str, Any] = {
            "num_workers": 1,
            "persistent_workers": True,
            "collate_fn": collate,
            "worker_init_fn": one_thread,
        }
        loaders = {
            f"{name}, letterbox only": DataLoader(letterboxed, batch_size=batch_size, **worker),
            f"{name}, training": DataLoader(train, batch_sampler=EpochBatches(PICTURES, batch_size, seed=0), **worker),
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
    show(measure())
