import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from centerx.build import build_guard, build_run
from centerx.config import load_config
from centerx.errors import InputError
from centerx.training.guard import PATIENCE, LossSpikeGuard


def test_a_jump_is_measured_against_the_running_mean() -> None:
    guard = LossSpikeGuard(3.0)
    assert [guard.jumps(value) for value in (1.0, 1.2, 0.8, 2.9, 3.5, 1.0, math.nan, math.inf)] == [
        False, False, False, False, True, False, True, True,
    ]  # fmt: skip


def test_the_state_in_earlier_checkpoints_is_found() -> None:
    assert LossSpikeGuard(3.0).state_key == "SkipJumps"
    guard = LossSpikeGuard(3.0)
    guard.load_state_dict({"mean": 2.0, "skipped": 1})
    assert guard.jumps(7.0)


def test_one_lucky_batch_does_not_stop_training() -> None:
    guard = LossSpikeGuard(3.0)
    losses = [1.0] * 20 + [1e-3] + [1.0] * 20
    assert not any(guard.jumps(loss) for loss in losses)


def test_a_lasting_change_of_level_is_accepted_after_a_while() -> None:
    guard = LossSpikeGuard(3.0)
    for _ in range(20):
        guard.jumps(1.0)
    skipped = [guard.jumps(100.0) for _ in range(60)]
    assert skipped[0]
    assert not skipped[-1]


@pytest.mark.parametrize("losses", [[0.0] + [1.0] * 50, ([0.0] * 19 + [1.0]) * 20])
def test_batches_that_nobody_teaches_do_not_stop_training(losses: list[float]) -> None:
    guard = LossSpikeGuard(3.0)
    assert not any(guard.jumps(loss) for loss in losses)


class Spoil(Callback):
    """Makes the loss of one step a hundred times as large; records weights and optimiser state before and after it."""

    def __init__(self, step: int, factor: float) -> None:
        self.step, self.factor = step, factor
        self.before: list[torch.Tensor] = []
        self.after: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]
        if trainer.global_step == self.step:
            balance = pl_module.balance
            self.kept, self.before = balance, snapshot(pl_module)
            pl_module.balance = lambda terms, decay: (balance(terms, decay)[0] * self.factor, {})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]
        if trainer.global_step == self.step + 1:
            pl_module.balance, self.after = self.kept, snapshot(pl_module)


def snapshot(module) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    state = module.optimizer.state
    moments = [value.clone() for each in state.values() for value in each.values()]
    return [p.detach().clone() for p in module.detector.parameters()] + moments


@pytest.mark.parametrize(
    ("factor", "more"), [(100.0, []), (math.nan, []), (100.0, ["train.clip_value=0.1", "train.clip_each=1"])]
)
def test_a_skipped_step_moves_neither_weights_nor_moments(
    factor: float, more: list[str], small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = [*small_overrides, "data.val=[]", "train.epochs=2", "train.skip_jumps=5", "train.optimizer.lr=1e-4"]
    overrides += more
    run = build_run(load_config("nano", overrides), tmp_path)
    spoil = Spoil(step=7, factor=factor)
    run.trainer.callbacks.insert(0, spoil)  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.batches)
    assert spoil.before
    assert len(spoil.before) == len(spoil.after)
    for before, after in zip(spoil.before, spoil.after, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert "train.skip_jumps left out 1 of 12 steps" in caplog.text
    assert all(bool(p.isfinite().all()) for p in run.module.detector.parameters())


def test_a_run_without_a_finite_loss_is_given_up(small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "data.val=[]", f"train.epochs={PATIENCE}", "train.skip_jumps=5"]
    run = build_run(load_config("nano", overrides), tmp_path)
    run.module.balance = lambda terms, decay: (torch.stack(list(terms.values())).sum() * math.nan, {})
    with pytest.raises(InputError, match=f"the loss became nan .* left out {PATIENCE} steps in a row"):
        run.trainer.fit(run.module, run.batches)
    assert run.trainer.global_step == PATIENCE - 1


@pytest.mark.parametrize(
    ("overrides", "says"),
    [(["train.skip_jumps=0.5"], "set it above 1"), (["train.skip_jumps=3", "loss.balance=constant"], "balance=fixed")],
)
def test_settings_that_make_no_sense_are_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_guard(load_config("nano", overrides))
