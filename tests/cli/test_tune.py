"""`centerx tune` as a user runs it, stops it, and goes on."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("optuna")

import centerx as library
from centerx.cli.tune import short_names
from centerx.config import load_config
from centerx.data.read import read_dataset
from centerx.training.judge import Judge
from tests.cli.conftest import CommandLine
from tests.cli.test_habits import documented, keys_of

SPACE = "train.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}\naugment.scale: [[0.7, 1.4], [0.9, 1.1]]\n"


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path / "space.yaml"


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_goes_on_and_its_best_configuration_trains(
    centerx: CommandLine, small_overrides: list[str], space: Path, tmp_path: Path
) -> None:
    out = tmp_path / "search"
    words = ["tune", "nano", *small_overrides, "--space", space, "--out", out]
    status, told, err = centerx(*words, "--trials", 2, "--json", tmp_path / "a.json")
    assert (status, err) == (0, "")
    assert told.startswith("2 trials of 1 epoch, evaluated at the end; without evaluation a trial trains for about ")
    assert "epoch 1/1" not in told
    assert "epoch 1/1" in (out / "trials" / "0001" / "log.txt").read_text()
    first = json.loads((tmp_path / "a.json").read_bytes())
    assert ("no trial found anything" in told) == all(trial["AP"] == 0 for trial in first["trials"])
    assert documented("tune") == keys_of(first)
    assert first["trials"][0]["values"] == {"train.optimizer.lr": 0.002, "augment.scale": [0.7, 1.4]}
    assert first["own"] == 0

    status, told, err = centerx(*words, "--trials", 3, "--json", "-")
    assert status == 0
    assert f"{out}: goes on after 2 trials\n" in err
    result = json.loads(told)
    assert result["trials"][:2] == first["trials"]
    assert [row["state"] for row in rows_of(out)] == ["complete"] * 3
    assert [float(row["AP"]) for row in rows_of(out)] == [trial["AP"] for trial in result["trials"]]
    best = result["trials"][result["best"]]
    assert best["AP"] == max(trial["AP"] for trial in result["trials"])
    kept = [(out / "trials" / f"{n:04d}" / "best.safetensors").is_file() for n in range(3)]
    assert kept == [n == result["best"] for n in range(3)]
    assert not list(out.rglob("last.*"))
    assert "Importances" in (out / "report.html").read_text()

    config = load_config(out / "best.yaml")
    assert config.train.optimizer.lr == best["values"]["train.optimizer.lr"]
    assert list(config.augment.scale) == best["values"]["augment.scale"]
    changed = {"train.optimizer.lr": 0.002, "augment.scale": [0.7, 1.4]}
    assert load_config(config, changed) == load_config("nano", small_overrides)
    status, _, err = centerx("train", out / "best.yaml", "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[-1].split(",")
    with (out / "trials" / f"{best['number']:04d}" / "metrics.csv").open() as file:
        assert last[4:] == file.read().splitlines()[-1].split(",")[4:]  # the same training, but for its seconds

    before = {path: path.read_bytes() for path in (out / "best.yaml", out / "trials.csv")}
    status, told, _ = centerx(*words, "--trials", 3)
    assert status == 0
    assert "3 complete are there, nothing is left to do; more --trials go on" in told
    for other in (["train.ema=0.9"], ["--seed", 1], ["--prune", "none"]):
        status, told, err = centerx(*words, *other, "--trials", 4)
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith(f"error: {out}: holds a search with another ")
    assert {path: path.read_bytes() for path in before} == before


def test_keys_are_shown_by_their_last_part_where_that_is_enough() -> None:
    keys = ["train.optimizer.lr", "loss.size", "distill.size"]
    assert short_names(keys) == ["lr", "loss.size", "distill.size"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optim.lr: [1, 2]", "unknown key 'optim.lr' (did you mean 'train.optimizer.lr'?)"),
        ("train.optimizer.lr: {low: 1, high: 0.1}", "train.optimizer.lr: low 1 is not below high 0.1"),
        ("train.optimizer.lr: {low: -1, high: 0.1}", "Input should be greater than 0 (got -1)"),
        ("train.batch_size: [2, 4]", "train.batch_size: train.batch_size=... is given too"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_a_space_that_is_wrong_is_told_and_nothing_written(
    centerx: CommandLine, small_overrides: list[str], space: Path, text: str, says: str
) -> None:
    space.write_text(text)
    status, out, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", space.parent / "search")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {space}: ")
    assert says in err
    assert [path.name for path in space.parent.iterdir()] == ["space.yaml"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--trials", "0"], "trials: 0 is less than 1"),
        (["--jobs", "0"], "jobs: 0 is less than 1"),
        (["--prune", "mean"], "prune: no way 'mean' (did you mean 'median'?), there are: median, halving, none"),
        (["data.val=[]"], "data.val: a search judges by it"),
        (["train.optimizer.lrr=1"], "unknown key"),
    ],
)
def test_words_that_are_wrong(
    centerx: CommandLine, small_overrides: list[str], space: Path, words: list[str], says: str
) -> None:
    command = ["tune", "nano", *small_overrides, "--space", space, "--out", space.parent / "search", *words]
    status, out, err = centerx(*command)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not (space.parent / "search").exists()


def test_without_optuna_the_extra_is_named(
    centerx: CommandLine, small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, out, err = centerx("tune", "nano", *small_overrides, "--out", tmp_path / "search")
    assert (status, out) == (2, "")
    assert err == "error: this needs the package 'optuna', run `pip install 'centerx[tune]'`\n"


def test_a_dry_run_writes_nothing(
    centerx: CommandLine, small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = centerx("tune", "nano", *small_overrides, "--dry-run", "--trials", 7, "--json", "-")
    assert (status, err) == (0, "")
    plan = json.loads(out)
    assert documented("tune --dry-run") == keys_of(plan)
    assert plan["folder"] == "runs/nano_tune"
    assert plan["evaluations"] == [1]
    assert plan["minutes"] == pytest.approx(7 * plan["train"]["minutes"])
    assert plan["space"]["train.optimizer.lr"] == {"low": 0.00025, "high": 0.016, "log": True}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
def test_failures_end_a_search_at_its_first_trial_and_are_counted_later(
    centerx: CommandLine, small_overrides: list[str], space: Path, tmp_path: Path
) -> None:
    words = ["tune", "nano", *small_overrides, "--out", tmp_path / "search", "--space", space]
    space.write_text("model.backbone: [no_such_network, none_such_network]")
    status, out, err = centerx(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert "no_such_network" in err or "none_such_network" in err
    assert "the configuration's own regnetx_002 is not in the space, so it is no trial itself" in out
    space.write_text("model.backbone: [regnetx_002, no_such_network, none_such_network, not_such_network]")
    status, out, err = centerx(*words, "--trials", 3)  # a search without a trial that ended well is begun anew
    assert status == 0
    states = [row["state"] for row in rows_of(tmp_path / "search")]
    assert states[0] == "complete"
    assert states.count("failed") == err.count("warning: trial ") == err.count("failed: model.backbone") >= 1


def test_only_one_process_searches_in_a_folder(
    centerx: CommandLine, small_overrides: list[str], space: Path, tmp_path: Path
) -> None:
    from filelock import FileLock

    out = tmp_path / "search"
    out.mkdir()
    with FileLock(out / "lock"):
        status, _, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "another process searches here" in err
    (out / "best.yaml").touch()
    (out / "study.sqlite").touch()  # emptied: its trials must not be forgotten in silence
    status, _, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "study.sqlite: has no trial that ended well, but best.yaml" in err
    (out / "best.yaml").unlink()
    os.mkfifo(out / "trials.csv")
    status, _, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", out)
    assert (status, err) == (2, f"error: {out / 'trials.csv'}: is no ordinary file, name another folder with --out\n")
    (out / "trials.csv").unlink()
    (out / "study.sqlite").write_text("no database")
    status, _, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", out)
    assert (status, err.count("\n")) == (2, 1)
    assert "study.sqlite: is no file of a search" in err


@pytest.mark.soak
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_stopped_by_ctrl_c_tells_what_it_knows_and_goes_on(
    centerx: CommandLine, small_overrides: list[str], space: Path, tmp_path: Path, jobs: int
) -> None:
    out = tmp_path / "search"
    words = ["tune", "nano", *small_overrides, "--space", str(space), "--out", str(out), "--trials", "4"]
    words += ["--jobs", str(jobs)]
    with subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)\n"
         "from centerx.cli.main import main; main()", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any(line.startswith("trial 1 (2 of 4)") or "(2 of 4): AP" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        shown, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert err == "error: interrupted; what was already written is kept\n"
    assert "best configuration: " in shown
    assert (out / "best.yaml").is_file()
    assert (out / "report.html").is_file()
    status, told, err = centerx(*words)
    assert (status, err) == (0, "")
    assert f"{out}: goes on after 2 trials\n" in told
    states = [row["state"] for row in rows_of(out)]
    assert states.count("complete") == 4
    interrupted = [row for row in rows_of(out) if row["state"] == "interrupted"]
    keys = list(yaml.safe_load(SPACE))
    for row in interrupted:
        assert sum(all(each[key] == row[key] for key in keys) for each in rows_of(out)) == 2


@pytest.fixture(scope="module")
def settings(scenes: Path) -> dict[str, Any]:
    """A configuration that trains in seconds, with a data set that is an object."""
    data = read_dataset(scenes)
    return {
        "base": "nano",
        "data": {"train": [data], "val": [data], "input_size": 96, "workers": 0},
        "model": {"pretrained": False},
        "train": {"batch_size": 8, "epochs": 2, "val_every": 1, "report": False},
    }


@pytest.mark.soak
def test_the_function_takes_objects_and_its_result_shows_itself(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"loss.size": {"low": 0.05, "high": 0.5}}
    with caplog.at_level(logging.INFO, "centerx"):
        result = library.tune(settings, space=space, trials=2, out=tmp_path / "search")
    assert capsys.readouterr() == ("", "")
    assert [record.getMessage()[:9] for record in caplog.records][-2:] == ["trial 0 (", "trial 1 ("]
    assert (tmp_path / "search" / "data" / "train.json").is_file()
    assert result.config == tmp_path / "search" / "best.yaml"
    assert result.own is not None
    assert result.best is not None
    assert list(result.best.curve) == [1, 2]
    assert repr(result).startswith("Search\n")
    assert "loss.size" in repr(result)
    assert "<table>" in result._repr_html_()
    assert list(result.to_pandas()["trial"]) == [0, 1]
    assert len(result.plot().axes[0].lines) >= 2
    assert result.importances == {}
    with pytest.raises(library.InputError, match="has no name for a run folder"):
        library.tune(settings)


def test_a_judge_ends_a_training(settings: dict[str, Any], tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []

    def ends(epoch: int, AP: float) -> bool:
        told.append((epoch, AP))
        return epoch == 2

    judge = Judge(ends)
    result = library.train(settings, out=tmp_path / "run", overrides={"train.epochs": 3}, callbacks=[judge])
    assert judge.ended
    assert [epoch for epoch, _ in told] == [1, 2]
    assert result.metrics is not None
    assert judge.curve == dict(told)
    assert told[-1][1] == pytest.approx(result.metrics.AP)
    last = Judge(lambda epoch, AP: epoch == 2)
    library.train(settings, out=tmp_path / "other", callbacks=[last])
    assert not last.ended


def test_the_folder_of_a_training_is_refused(
    centerx: CommandLine, small_overrides: list[str], space: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "best.safetensors").write_bytes(b"")
    (out / "config.yaml").write_text("task: boxes\n")
    status, _, err = centerx("tune", "nano", *small_overrides, "--space", space, "--out", out)
    assert (status, err) == (
        2,
        f"error: {out / 'best.safetensors'}: is of a training, name another folder with --out\n",
    )
    assert (out / "config.yaml").read_text() == "task: boxes\n"
