"""Processes that read pictures change nothing of a training."""

from pathlib import Path

import cv2
import pytest
import torch

from centerx.build import build_run
from centerx.config import load_config
from centerx.data.batch import EvalPictures, TrainPictures, empty_batch
from centerx.types import Batch
from tests.training.small_runs import losses, train


def test_a_batch_arrives_whole_from_a_worker(small_overrides: list[str], tmp_path: Path) -> None:
    here, there = (
        next(iter(build_run(load_config("nano", [*small_overrides, f"data.workers={workers}"]), tmp_path).batches))
        for workers in (0, 1)
    )
    assert type(here) is type(there)
    assert type(here.objects) is type(there.objects)
    assert len(here.objects.boxes)
    assert there.objects.fields == here.objects.fields
    for ours, theirs in zip((*here[:1], *here.objects[:6], here.supervised),
                            (*there[:1], *there.objects[:6], there.supervised), strict=True):  # fmt: skip
        torch.testing.assert_close(theirs, ours, rtol=0, atol=0)
    assert there[3:] == here[3:]


def test_a_worker_keeps_opencv_to_one_thread(
    small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of many cores each worker would have as many threads as the machine has cores."""

    def threads(pictures: TrainPictures | EvalPictures, _: object) -> Batch:
        return empty_batch((32, 32), pictures.source)._replace(skipped=[str(cv2.getNumThreads())])

    for pictures in (TrainPictures, EvalPictures):
        monkeypatch.setattr(pictures, "__getitem__", threads)
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)  # a worker begins with those of the process that starts it
    try:
        run = build_run(load_config("nano", [*small_overrides, "data.workers=1"]), tmp_path)
        assert run.evaluation is not None
        for batches in (run.batches, run.evaluation.batches):
            assert set(next(iter(batches)).skipped) == {"1"}
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


def test_the_number_of_workers_changes_nothing(small_overrides: list[str], tmp_path: Path) -> None:
    for workers in (0, 2):
        overrides = [*small_overrides, f"data.workers={workers}", "augment.mosaic=0.5", "train.val_every=9"]
        train(overrides, tmp_path / str(workers))
    assert losses(tmp_path / "0") == losses(tmp_path / "2")
