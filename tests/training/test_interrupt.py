"""Ctrl-C, sent by the process to itself at a chosen place."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

from centerx.api.train import fit
from centerx.build import Run, build_run
from centerx.config import load_config


class PressInDestructor:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class PressAfterStep(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *_: object) -> None:
        if trainer.global_step == self.step:
            PressInDestructor()


@pytest.fixture
def sigint() -> Iterator[None]:
    """Puts back what a test sets."""
    former = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, former)


def a_run(small_overrides: list[str], folder: Path, press_after: int) -> Run:
    run = build_run(load_config("nano", [*small_overrides, "data.val=[]", "train.batch_size=8"]), folder)
    run.trainer.callbacks.append(PressAfterStep(press_after))  # type: ignore[attr-defined]
    return run


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("step", [1, 3])
def test_ctrl_c_that_python_drops_still_ends_the_run(
    sigint: None, small_overrides: list[str], tmp_path: Path, step: int
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = a_run(small_overrides, tmp_path, press_after=step)
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert run.trainer.global_step == step  # of three
    assert (tmp_path / "last.ckpt").exists() == (step == 3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_the_background_ignores_ctrl_c(sigint: None, small_overrides: list[str], tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = a_run(small_overrides, tmp_path, press_after=1)
    fit(run)
    assert run.trainer.global_step == 3
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_whole_group_of_processes_ends_in_one_line(
    small_overrides: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    words = [*small_overrides, "train.epochs=1000", "data.workers=2", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "centerx", "train", "nano", *words]
    heard = partial(signal.signal, number, signal.SIG_DFL)  # nohup, under which tests may run, has SIGHUP ignored
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heard
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 2/") for line in process.stdout)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1:] == ["error: interrupted; what was already written is kept"]
    assert "Traceback" not in errors
    assert process.returncode == 128 + number
    assert (tmp_path / "run" / "last.ckpt").is_file()


class PressAndFail(Callback):
    """Ctrl-C in a destructor, after which what was half done fails."""

    def on_train_batch_end(self, *_: object) -> None:
        PressInDestructor()
        raise RuntimeError("half done")


class PressAtTheEnd(Callback):
    def on_train_end(self, *_: object) -> None:
        PressInDestructor()


@pytest.mark.parametrize("press", [PressAndFail, PressAtTheEnd])
def test_ctrl_c_is_an_interruption_whatever_comes_of_it(
    press: type[Callback],
    sigint: None,
    small_overrides: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = a_run(small_overrides, tmp_path, press_after=-1)
    run.trainer.callbacks.append(press())  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        fit(run)
    assert "Traceback" not in capsys.readouterr().err
