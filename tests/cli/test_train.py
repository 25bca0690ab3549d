"""`centerx train` as a user runs it, and stops it."""

import csv
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.cli.conftest import CommandLine

EPOCHS = 10


def losses(folder: Path) -> list[str]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [row["train/loss"] for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def heeds_ctrl_c() -> Iterator[None]:
    """What a terminal starts does; tests that run in the background inherit that it is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_run_stopped_in_an_epoch_can_be_resumed(
    centerx: CommandLine, small_overrides: list[str], tmp_path: Path, stop: signal.Signals
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    overrides = [f"train.epochs={EPOCHS}", f"train.val_every={EPOCHS}", "train.batch_size=8", "data.workers=1"]
    command = ["train", "nano", *small_overrides, *overrides]
    with subprocess.Popen(
        [sys.executable, "-m", "centerx", *command, "--out", cut],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith(f"epoch 2/{EPOCHS}") for line in process.stdout)
        os.killpg(process.pid, stop)  # as a terminal does: to the workers too
        _, err = process.communicate(timeout=60)
    if stop is signal.SIGINT:
        assert process.returncode == 2
        assert err.startswith("error: interrupted")
        assert err.count("\n") == 1
    assert (cut / "last.ckpt").is_file()
    assert 2 <= len(losses(cut)) < EPOCHS

    status, out, err = centerx(*command, "--resume", "--out", cut)
    assert (status, err) == (0, "")
    assert "epoch 1/" not in out
    assert centerx(*command, "--out", whole)[0] == 0
    assert len(losses(whole)) == EPOCHS
    assert losses(cut) == losses(whole)


def test_ctrl_c_leaves_the_terminal_as_it_was(small_overrides: list[str], tmp_path: Path) -> None:
    terminal, there = pty.openpty()
    command = ["-m", "centerx", "train", "nano", *small_overrides, "train.epochs=1000", "data.val=[]"]
    with subprocess.Popen(
        [sys.executable, *command, "--out", tmp_path], stdout=there, stderr=there, env=os.environ | {"TERM": "xterm"}
    ) as process:
        os.close(there)
        shown = b""
        while b"epoch 2/" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while more := os.read(terminal, 4096):
                shown += more
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(terminal)
    assert process.returncode == 2
    assert shown.endswith(b"error: interrupted; what was already written is kept\r\n")
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1  # the cursor, hidden and shown again


def test_a_run_is_neither_overwritten_nor_mixed_with_another(
    centerx: CommandLine, small_overrides: list[str], tmp_path: Path
) -> None:
    command = ["train", "nano", *small_overrides, "data.val=[]", "--out", tmp_path]
    assert centerx(*command)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    status, _, err = centerx(*command, "train.seed=1")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {tmp_path}: holds a run already")
    assert centerx(*command, "model.head_channels=8", "--resume")[0] == 2  # of another network
    assert {path: path.read_bytes() for path in before} == before
    status, _, err = centerx(*command, "--resume")
    assert (status, err) == (0, f"warning: {tmp_path / 'last.ckpt'}: train.epochs=1 is reached, nothing is left\n")
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_that_goes_on_otherwise_says_so(centerx: CommandLine, small_overrides: list[str], tmp_path: Path) -> None:
    command = ["train", "nano", *small_overrides, "data.val=[]", "--out", tmp_path]
    assert centerx(*command)[0] == 0
    status, _, err = centerx(*command, "--resume", "train.epochs=2", "loss.balance=constant")
    assert (status, err.count("\n")) == (0, 1)
    changes = "loss.balance=constant (was fixed), train.epochs=2 (was 1); unless"
    assert err.startswith(f"warning: {tmp_path}: goes on with another configuration: {changes}")

    (tmp_path / "config.yaml").write_text("{")  # lost or cut: nothing to compare with
    assert centerx(*command, "--resume", "train.epochs=3") == (0, ANY, "")
