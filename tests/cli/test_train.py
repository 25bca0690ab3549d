"""`centerx train` as a user runs it, and stops it."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import CommandLine

EPOCHS = 6


def losses(folder: Path) -> list[str]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [row["train/loss"] for row in csv.DictReader(file)]


def test_an_interrupted_run_says_so_and_can_be_resumed(
    centerx: CommandLine, small_overrides: list[str], tmp_path: Path
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
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, err = process.communicate(timeout=60)
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
