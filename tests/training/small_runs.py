"""A training of a few steps, and what its folder tells."""

import csv
from pathlib import Path

from centerx.build import Run, build_run
from centerx.config import load_config


def train(overrides: list[str], folder: Path, preset: str = "nano", resume: bool = False) -> Run:
    run = build_run(load_config(preset, overrides), folder)
    run.trainer.fit(run.module, run.batches, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    return run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[float]:
    return [float(row["train/loss"]) for row in rows(folder)]
