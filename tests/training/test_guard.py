import copy
import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from timm.optim import list_optimizers
from torch import nn

from centerx.api.train import fit
from centerx.build import Run, build_guard, build_run
from centerx.config import load_config
from centerx.errors import InputError
from centerx.training.guard import LossGuard
from centerx.training.optim import LEFT_OUT, build_optimizer


def test_a_jump_is_measured_against_the_running_mean() -> None:
    guard = LossGuard(10, 3.0)
    assert [guard.jumps(value) for value in (1.0, 1.2, 0.8, 2.9, 3.5, 1.0)] == [
        False, False, False, False, True, False,
    ]  # fmt: skip


def test_the_state_in_earlier_checkpoints_is_found() -> None:
    assert LossGuard(10, 3.0).state_key == "SkipJumps"
    guard = LossGuard(10, 3.0)
    guard.load_state_dict({"mean": 2.0, "skipped": 1})
    assert guard.jumps(7.0)


def test_one_lucky_batch_does_not_stop_training() -> None:
    guard = LossGuard(10, 3.0)
    losses = [1.0] * 20 + [1e-3] + [1.0] * 20
    assert not any(guard.jumps(loss) for loss in losses)


def test_a_lasting_change_of_level_is_accepted_after_a_while() -> None:
    guard = LossGuard(10, 3.0)
    for _ in range(20):
        guard.jumps(1.0)
    skipped = [guard.jumps(100.0) for _ in range(60)]
    assert skipped[0]
    assert not skipped[-1]


@pytest.mark.parametrize("losses", [[0.0] + [1.0] * 50, ([0.0] * 19 + [1.0]) * 20])
def test_batches_that_nobody_teaches_do_not_stop_training(losses: list[float]) -> None:
    guard = LossGuard(10, 3.0)
    assert not any(guard.jumps(loss) for loss in losses)


class Spoil(Callback):
    """Makes losses something else at some steps; records all that a step may change before and after them.

    Args:
        steps: counted from 0.
        how: the loss and the raw terms to those in their place.
    """

    def __init__(self, steps: range, how: Any) -> None:
        self.steps, self.how = steps, how
        self.before: list[dict[str, torch.Tensor]] = []
        self.after: list[dict[str, torch.Tensor]] = []
        self.names: list[tuple[str, ...]] = []

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        balance = pl_module.balance

        def spoilt(terms: Any, decay: Any) -> Any:
            loss, weights = balance(terms, decay)
            return (self.how(loss, terms) if trainer.global_step in self.steps else loss), weights

        pl_module.balance = spoilt

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step in self.steps:
            self.before.append(snapshot(pl_module))
            self.names.append(batch.names)
        elif trainer.global_step - 1 in self.steps:
            self.after.append(snapshot(pl_module))


def snapshot(module: Any) -> dict[str, Any]:
    """Weights, statistics, average, and what the optimiser counts and remembers."""
    state = module.optimizer.state_dict()
    moments = {f"{key}/{name}": value for key, each in state["state"].items() for name, value in each.items()}
    counts = {
        f"group/{number}/{name}": value
        for number, group in enumerate(state["param_groups"])
        for name, value in group.items()
        if name not in ("lr", "params")
    }
    return copy.deepcopy({**module.state_dict(), **moments, **counts})


def equal(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before.keys() == after.keys() and all(
        torch.equal(value, after[name]) if isinstance(value, torch.Tensor) else value == after[name]
        for name, value in before.items()
    )


def poisoned(loss: torch.Tensor, terms: Any) -> torch.Tensor:
    return loss * math.nan


def finite_but_its_gradient(loss: torch.Tensor, terms: Any) -> torch.Tensor:
    same = loss * 1
    same.register_hook(lambda gradient: gradient * math.inf)
    return same


def a_hundredfold(loss: torch.Tensor, terms: Any) -> torch.Tensor:
    return loss * 100


def a_run(overrides: list[str], folder: Path, spoil: Spoil) -> Run:
    words = [*overrides, "data.val=[]", "train.optimizer.lr=1e-4"]
    run = build_run(load_config("nano", words), folder)
    run.trainer.callbacks.insert(0, spoil)  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(
    ("how", "more", "says"),
    [
        (poisoned, ["augment.mosaic=1"], "1 not finite"),
        (poisoned, ["train.optimizer.name=rangerlars", "train.ema=0"], "1 not finite"),
        (finite_but_its_gradient, [], "1 not finite"),
        (a_hundredfold, ["train.skip_jumps=5", "train.clip_value=0.1", "train.clip_each=1"], "1 by train.skip_jumps"),
    ],
)
def test_a_skipped_step_changes_nothing(
    how: Any, more: list[str], says: str, small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil = Spoil(range(7, 8), how)
    run = a_run([*small_overrides, "train.epochs=2", *more], tmp_path, spoil)
    start = snapshot(run.module)
    fit(run)
    assert equal(spoil.before[0], spoil.after[0])
    assert not equal(start, spoil.before[0])  # other steps do change something
    assert f"1 of 12 steps were left out: {says}" in caplog.text
    assert len(spoil.names[0]) == (16 if "augment.mosaic=1" in more else 4)
    told = [each.getMessage() for each in caplog.records if "left out: its" in each.getMessage()]
    if how is not a_hundredfold:
        assert len(told) == 1
        assert told[0].startswith("epoch 2, step 8 left out: its ")
        assert told[0].endswith(f"; its pictures: {', '.join(spoil.names[0])}")
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["skipped_steps"]) for row in rows] == [0, 1]
    assert all(math.isfinite(float(row["train/loss"])) for row in rows)


def test_a_term_that_the_loss_leaves_out_counts_as_not_finite(
    small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil = Spoil(range(2, 3), lambda loss, terms: loss)
    run = a_run([*small_overrides, "loss.balance=constant"], tmp_path, spoil)
    criterion = run.module.criterion

    def broken(maps: Any, targets: Any) -> Any:
        terms = dict(criterion(maps, targets))
        wrong = run.trainer.global_step in spoil.steps
        return {term: value * math.inf if wrong and term.field == "size" else value for term, value in terms.items()}

    run.module.criterion = broken
    fit(run)
    assert equal(spoil.before[0], spoil.after[0])
    assert "first its term size" in caplog.text


def test_a_run_without_a_finite_loss_ends_with_what_was_good(small_overrides: list[str], tmp_path: Path) -> None:
    """The third bad step in a row is the first of the third epoch; a good one between them counts anew."""
    bad = [4, 5, 7, 10, 11, 12]

    class Some(Spoil):
        def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
            self.steps = bad  # type: ignore[assignment]
            super().setup(trainer, pl_module, stage)

    overrides = [*small_overrides, "train.epochs=3", "train.max_not_finite=3"]
    run = a_run(overrides, tmp_path, Some(range(0), poisoned))
    with pytest.raises(
        InputError, match=r"the loss became nan.* at epoch 3, step 13, 3 steps in a row: lower"
    ) as caught:
        fit(run)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "last.safetensors").is_file()
    again = a_run(overrides, tmp_path, Spoil(range(0), poisoned))
    fit(again, tmp_path / "last.ckpt")
    assert again.trainer.global_step == 18
    guard = next(each for each in again.trainer.callbacks if isinstance(each, LossGuard))  # type: ignore[attr-defined]
    assert (guard.skipped, guard.in_a_row) == (5, 0)  # what the checkpoint knew


@pytest.mark.soak
def test_a_run_with_skipped_steps_is_resumed_bit_for_bit(small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "train.epochs=2"]
    steps = range(5, 7)  # the last of an epoch and the first of the next
    whole = a_run(overrides, tmp_path / "whole", Spoil(steps, poisoned))
    fit(whole)

    class End(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    cut = a_run(overrides, tmp_path / "cut", Spoil(steps, poisoned))
    cut.trainer.callbacks.append(End())  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        fit(cut)
    resumed = a_run(overrides, tmp_path / "cut", Spoil(steps, poisoned))
    fit(resumed, tmp_path / "cut" / "last.ckpt")
    assert equal(snapshot(whole.module), snapshot(resumed.module))


@pytest.mark.soak
def test_no_optimiser_moves_without_gradients() -> None:
    """All of them: what a step without gradients changes is what the guard puts back, numbers of their groups."""
    torch.manual_seed(0)
    for name in ("sgd", "adamw", "adam", "rangerlars", *list_optimizers(exclude_filters=LEFT_OUT), "lookahead_adamw"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
        optimizer = build_optimizer(model, str(name), 0.01, 0.01, 0.9)
        for _ in range(2):
            model(torch.randn(2, 3, 8, 8)).pow(2).mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        weights = copy.deepcopy(list(model.parameters()))
        state = copy.deepcopy(optimizer.state_dict()["state"])
        for _ in range(6):  # Lookahead moves its weights every sixth step
            optimizer.step()
        for before, after in zip(weights, model.parameters(), strict=True):
            assert torch.equal(before, after), name
        assert str(state) == str(optimizer.state_dict()["state"]), name


@pytest.mark.parametrize(
    ("overrides", "says"),
    [(["train.skip_jumps=0.5"], "set it above 1"), (["train.skip_jumps=3", "loss.balance=constant"], "balance=fixed")],
)
def test_settings_that_make_no_sense_are_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_guard(load_config("nano", overrides))
