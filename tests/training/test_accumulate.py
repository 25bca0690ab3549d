"""`train.accumulate`: the pictures of a step go through the network in parts."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from centerx.api.train import fit
from centerx.build import Run, build_run
from centerx.config import load_config
from centerx.data.batch import collate, split_batch
from centerx.errors import InputError
from centerx.objects import Objects
from centerx.types import Batch

BATCH = 6


@pytest.fixture
def make_run(small_overrides: list[str], tmp_path: Path) -> Any:
    def make(name: str, *words: str) -> Run:
        settings = ["data.val=[]", f"train.batch_size={BATCH}", "train.precision=fp32", "train.epochs=1", *words]
        return build_run(load_config("nano", [*small_overrides, *settings]), tmp_path / name)

    return make


def same(one: Objects, other: Objects) -> bool:
    return all(torch.equal(mine, theirs) for mine, theirs in zip(one[:4], other[:4], strict=True))


@pytest.mark.parametrize(("count", "sizes"), [(2, [3, 3]), (4, [2, 2, 1, 1]), (9, [1] * BATCH)])
def test_the_parts_of_a_batch_make_the_batch(make_run: Any, onnx_file: Path, count: int, sizes: list[int]) -> None:
    run = make_run("run", f"distill.teachers={onnx_file}", 'classes=["0","1",red,green,blue]')
    batch = next(iter(run.batches))
    parts = split_batch(batch, count)
    assert [len(part.images) for part in parts] == sizes
    again = collate(parts)
    assert torch.equal(again.images, batch.images)
    assert torch.equal(again.supervised, batch.supervised)
    assert same(again.objects, batch.objects)
    assert batch.detections
    assert all(map(same, again.detections, batch.detections))
    assert (again.image_ids, again.names, again.letterboxes) == (batch.image_ids, batch.names, batch.letterboxes)


class Gradients(Callback):
    """Keeps the gradients of the first step."""

    def __init__(self) -> None:
        self.found: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        named = pl_module.named_parameters()
        self.found = self.found or {name: each.grad.clone() for name, each in named if each.grad is not None}


def gradients(run: Run, batch: Batch) -> dict[str, torch.Tensor]:
    run.module.zero_grad()
    run.module.training_step(batch, 0).backward()
    return {name: each.grad.clone() for name, each in run.module.named_parameters() if each.grad is not None}


def test_the_gradient_of_a_step_is_the_mean_of_its_parts(make_run: Any) -> None:
    whole, parted = make_run("whole"), make_run("parted", "train.accumulate=2")
    first, second = (gradients(whole, part) for part in split_batch(next(iter(whole.batches)), 2))
    step = Gradients()
    parted.trainer.callbacks.append(step)
    parted.trainer.limit_train_batches = 1
    fit(parted)
    assert step.found.keys() == first.keys() == second.keys()
    for name, value in step.found.items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2, rtol=1e-4, atol=1e-6)


def test_a_step_of_one_picture_forgets_the_step_before(make_run: Any) -> None:
    plain, parted = make_run("plain"), make_run("parted", "train.accumulate=2")
    (one, *_) = split_batch(next(iter(plain.batches)), BATCH)
    due = gradients(plain, one)
    parted.module.training_step(one, 0).backward()
    parted.module.optimizer_zero_grad(0, 0, parted.module.optimizer)
    parted.module.training_step(one, 0).backward()
    found = {name: each.grad for name, each in parted.module.named_parameters() if each.grad is not None}
    for name, value in due.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


def test_a_run_counts_steps_not_parts(make_run: Any, tmp_path: Path) -> None:
    rows = []
    for parts in (1, 3):
        run = make_run(f"run{parts}", f"train.accumulate={parts}", "train.ema=0.9")
        fit(run)
        assert run.module.average is not None
        rate = run.trainer.optimizers[0].param_groups[0]["lr"]
        rows.append((run.trainer.global_step, int(run.module.average.n_averaged), rate))
        with (tmp_path / f"run{parts}" / "metrics.csv").open() as file:
            (row,) = csv.DictReader(file)
            assert math.isfinite(float(row["train/loss"]))
    assert rows[0] == rows[1]


def test_a_step_is_left_out_when_one_of_its_parts_is_not_finite(
    make_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run("run", "train.accumulate=3")
    balance, calls = run.module.balance, []

    def spoilt(terms: Any, decay: Any) -> Any:
        loss, weights = balance(terms, decay)
        calls.append(loss)
        return (loss * math.nan if len(calls) == 1 else loss), weights

    run.module.balance = spoilt
    before = {name: value.clone() for name, value in run.module.detector.named_parameters()}
    run.trainer.limit_train_batches = 1
    fit(run)
    assert len(calls) == 3
    assert "left out: its loss is nan" in caplog.text
    assert all(torch.equal(value, before[name]) for name, value in run.module.detector.named_parameters())


def test_more_parts_than_pictures_are_an_error(make_run: Any) -> None:
    with pytest.raises(InputError, match=r"train.accumulate: 7 parts of 6 pictures, which train.batch_size gives"):
        make_run("run", "train.accumulate=7")
