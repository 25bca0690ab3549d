"""What a run leaves behind when it fails, and what it goes on from."""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from centerx.api.train import checkpoint_of, fit
from centerx.build import build_run
from centerx.build_model import build_detector, save_named
from centerx.config import load_config
from centerx.errors import InputError
from tests.scripts import load_script


class Spoil(L.Callback):
    """Makes a weight infinite at the end of an epoch, as a gradient does that is not finite though the loss is."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                next(pl_module.detector.model.parameters()).fill_(torch.inf)


@pytest.mark.slow
def test_weights_that_are_not_finite_replace_nothing(small_overrides: list[str], tmp_path: Path) -> None:
    config = load_config("nano", [*small_overrides, "train.epochs=2", "data.val=[]"])
    run = build_run(config, tmp_path)
    run.trainer.callbacks.insert(0, Spoil(1))
    kept = ("last.safetensors", "best.safetensors", "last.ckpt", "metrics.csv")
    seen: dict[str, bytes] = {}

    class Look(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                seen.update({name: (tmp_path / name).read_bytes() for name in kept})

    run.trainer.callbacks.insert(0, Look())
    with pytest.raises(InputError, match=r"not finite"):
        fit(run)
    assert seen
    assert {name: (tmp_path / name).read_bytes() for name in kept} == seen


def test_a_model_of_weights_that_are_not_finite_is_not_written(tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "data.input_size=96"])
    detector = build_detector(config)
    save_named(tmp_path, config, detector, "last")
    before = (tmp_path / "last.safetensors").read_bytes()
    with torch.no_grad():
        next(detector.model.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match=r"last\.safetensors: not written"):
        save_named(tmp_path, config, detector, "last")
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    for name in ("config.yaml", "last.safetensors"):
        (tmp_path / name).write_text("")
    (tmp_path / "metrics.csv").write_text("epoch,step\n1,4\n")
    with pytest.raises(InputError, match=r"begin it anew by --resume, or remove .*last\.safetensors"):
        checkpoint_of(tmp_path, resume=False)
    assert checkpoint_of(tmp_path, resume=True) is None
    (tmp_path / "last.safetensors").rename(tmp_path / "gone")
    assert checkpoint_of(tmp_path, resume=True) is checkpoint_of(tmp_path, resume=False) is None
    (tmp_path / "gone").rename(tmp_path / "last.safetensors")
    (tmp_path / "metrics.csv").write_text("epoch,step\n1,4\n2,8\n")  # its last.ckpt was removed
    for resume, says in ((True, "nothing to resume"), (False, "would be overwritten")):
        with pytest.raises(InputError, match=says):
            checkpoint_of(tmp_path, resume=resume)


@pytest.mark.slow
def test_a_crafted_checkpoint_is_one_line(small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "train.epochs=1", "data.val=[]"]
    fit(build_run(load_config("nano", overrides), tmp_path))
    file = tmp_path / "last.ckpt"
    content = torch.load(file, weights_only=True)
    changes: list[dict[str, Any]] = [
        {"epoch": "x"}, {"epoch": -1}, {"epoch": True}, {"epoch": None}, {"state_dict": []}, {"state_dict": {"a": 1}},
        {"state_dict": None}, {"optimizer_states": [7]}, {"optimizer_states": []}, {"lr_schedulers": [[]]},
        {"callbacks": {"RunRecord": {}}}, {"loops": []}, {"loops": {"fit_loop": {}}},
    ]  # fmt: skip
    for change in changes:
        torch.save(content | change, file)
        with pytest.raises(InputError, match=r"last\.ckpt"):
            fit(build_run(load_config("nano", [*overrides, "train.epochs=2"]), tmp_path), file)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")


@linux
@pytest.mark.soak
def test_a_training_leaves_no_handle_process_thread_or_temporary_file(
    small_overrides: list[str], tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descendants = load_script("benchmarks/long_run.py").descendants
    get_temp_dir()  # of this process, for good
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def held() -> tuple[int, int, list[int]]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), descendants(os.getpid())

    def train(name: str) -> None:
        fit(build_run(load_config("nano", [*small_overrides, "data.workers=2"]), tmp_path / name))

    train("first")  # torch and its libraries keep some for good
    before = held()
    train("second")
    assert held() == before
    assert not any(scratch.iterdir())
    assert not [path for path in (tmp_path / "second").rglob("*") if path.name.startswith(".")]


@linux
@pytest.mark.soak
def test_rounds_of_everything_leave_nothing() -> None:
    """A short one of `benchmarks/long_run.py`: the second half of six minutes needs no more than the first."""
    long_run = load_script("benchmarks/long_run.py")
    held = list(long_run.rounds(6.0))
    assert len(held) > 2
    assert {each.children for each in held} == {1}  # the server
    assert not [line for line in long_run.growth(held) if not line.startswith("memory")]
