"""`centerx train` as a user runs it, and stops it."""

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_habits import documented, keys_of

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


@pytest.mark.soak
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
        assert process.returncode == 130
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


@pytest.mark.soak
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
    assert process.returncode == 130
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

    model = tmp_path / "last.safetensors"  # a model without its checkpoint, such as a teacher put there
    for path in ("last.ckpt", "best.safetensors"):
        (tmp_path / path).unlink()
    status, _, err = centerx(*command)
    assert (status, err) == (
        2,
        f"error: {tmp_path}: ended in its first epoch, begin it anew by --resume, or remove {model}\n",
    )
    assert model.read_bytes() == before[model]
    (tmp_path / "config.yaml").unlink()  # of no run at all
    status, _, err = centerx(*command)
    assert (status, err) == (
        2,
        f"error: {model}: is there already and would be overwritten, name another folder with --out\n",
    )
    assert model.read_bytes() == before[model]


def test_a_run_that_goes_on_otherwise_says_so(centerx: CommandLine, small_overrides: list[str], tmp_path: Path) -> None:
    command = ["train", "nano", *small_overrides, "data.val=[]", "--out", tmp_path]
    assert centerx(*command)[0] == 0
    status, _, err = centerx(*command, "--resume", "train.epochs=2", "loss.balance=constant")
    assert (status, err.count("\n")) == (0, 1)
    changes = "loss.balance=constant (was fixed), train.epochs=2 (was 1); unless"
    assert err.startswith(f"warning: {tmp_path}: goes on with another configuration: {changes}")

    (tmp_path / "config.yaml").write_text("{")  # lost or cut: nothing to compare with
    assert centerx(*command, "--resume", "train.epochs=3") == (0, ANY, "")


def test_labels_without_their_pictures_are_refused_before_training(
    centerx: CommandLine, scenes: Path, small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lone").mkdir()
    labels = shutil.copy(scenes, "lone/labels.json")
    first = json.loads(scenes.read_text())["images"][0]["file_name"]
    says = f"error: {labels}: none of its 24 pictures is there, the first would be lone/{first}; check where they are"
    for part in ("train", "val"):
        status, out, err = centerx("train", "nano", *small_overrides, f"data.{part}=[{labels}]", "--out", "run")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(says)


def test_wrong_annotations_are_counted_and_the_first_is_named(
    centerx: CommandLine, scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    tree = json.loads(scenes.read_text())
    tree["annotations"][3]["bbox"] = [1, 2, "x", 4]
    tree["annotations"][7]["category_id"] = 999
    wrong = scenes.with_name("wrong.json")
    wrong.write_text(json.dumps(tree))
    where = [f"{wrong}: annotation {tree['annotations'][number]['id']}" for number in (3, 7)]
    first = (
        f"malformed_entry: 1 skipped: {where[0]}: bbox must be four numbers, not [1, 2, 'x', 4]",
        f"unknown_reference: 1 skipped: {where[1]}: names the category 999, which is not there",
    )
    says = [f"warning: {wrong}: {line}" for line in first]
    status, _, err = centerx(
        "train", "nano", *small_overrides, f"data.train=[{wrong}]", f"data.val=[{wrong}]", "--out", tmp_path / "run"
    )
    assert (status, err.splitlines()) == (0, says)
    report = json.loads((tmp_path / "run" / "problems.json").read_bytes())
    assert [row["kind"] for row in report] == ["malformed_entry", "unknown_reference"]
    assert [row["where"] for row in report] == where
    status, _, err = centerx("eval", tmp_path / "run" / "last.safetensors", wrong)
    assert (status, err.splitlines()) == (0, says)
    data = [f"data.train=[{wrong}]", "data.on_problem.unknown_reference=fail"]
    status, _, err = centerx("train", "nano", *small_overrides, *data, "--out", tmp_path / "other")
    wrong.unlink()
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {where[1]}: names the category 999")
    assert not (tmp_path / "other").exists()


def test_names_that_are_nearly_one_are_told(
    centerx: CommandLine, scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    renamed = json.dumps([str(scenes), {"path": str(scenes), "classes": {"1": "Red blob", "2": "red_blob"}}])
    words = "train", "nano", *small_overrides, f"data.train={renamed}", "--out", tmp_path, "--json", "-"
    status, out, err = centerx(*words)
    assert (status, err.count("\nwarning: ")) == (0, 0)
    report = json.loads(out)
    assert documented("train") == keys_of(report)
    assert report["best"] == str(tmp_path / "best.safetensors")
    assert set(report["metrics"]["per_class"]) > {"Red blob", "red_blob"}
    assert "\nepoch 1/1  " in err  # the log, as JSON has standard output
    assert err.startswith("warning: data.train: alike_classes: 1 doubtful: classes: 'Red blob' and 'red_blob'")
