"""Trials on a Ray cluster: what each gets, what a machine must have, and, where Ray is installed, a search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from operator import add
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("optuna")

from centerx.errors import InputError
from centerx.tuning.cluster import Cluster, Share, connect, fair_share, require_address, run_there
from centerx.tuning.search import run_trials
from centerx.tuning.study import StudyFile, begin, read_trials
from tests.tuning.test_search import SPACE, judged, search

FIRST = {"x": 0.0, "lr": 0.01, "n": 2, "scale": [0.9, 1.1]}


@pytest.mark.parametrize(
    ("nodes", "jobs", "on_cpu", "share"),
    [
        ([{"CPU": 8.0}], 1, False, Share(8, 0)),
        ([{"CPU": 8.0}], 3, False, Share(2, 0)),
        ([{"CPU": 4.0}, {"CPU": 16.0}], 1, False, Share(16, 0)),  # never more than the largest machine has
        ([{"CPU": 4.0}, {"CPU": 16.0}], 64, False, Share(1, 0)),
        ([{"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}], 2, False, Share(8, 1)),  # all four GPUs may be in use
        ([{"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}], 2, True, Share(18, 0)),
        ([{"CPU": 2.0, "GPU": 4.0}], 4, False, Share(1, 1)),
        ([{}], 1, False, Share(1, 0)),
    ],
)
def test_a_trial_gets_its_share_and_fits_on_a_machine(
    nodes: list[dict[str, float]], jobs: int, on_cpu: bool, share: Share
) -> None:
    assert fair_share(nodes, jobs, on_cpu) == share


def test_a_machine_must_see_the_files_and_have_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = tmp_path / "study.sqlite"
    witness.touch()
    monkeypatch.chdir("/")
    assert run_there(tmp_path, witness, version("centerx"), add, (2, 3), {}) == 5
    assert Path.cwd() == tmp_path
    with pytest.raises(InputError, match=f"does not see {tmp_path / 'gone'}; run the search in a folder that all"):
        run_there(tmp_path, tmp_path / "gone" / "study.sqlite", version("centerx"), add, (2, 3), {})
    with pytest.raises(InputError, match=f"does not see {tmp_path / 'none'}; "):
        run_there(tmp_path / "none", witness, version("centerx"), add, (2, 3), {})
    with pytest.raises(InputError, match=f"has centerx {version('centerx')}, this one 0.0.1; install the same"):
        run_there(tmp_path, witness, "0.0.1", add, (2, 3), {})


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    def init(**_: object) -> None:
        raise ConnectionError("Could not find any\n running Ray instance.")

    with pytest.raises(InputError, match=r"no Ray cluster by 'auto' \(Could not find any running Ray instance\.\)"):
        connect(SimpleNamespace(init=init), "auto")


@pytest.mark.parametrize("address", ["auto", "local"])
def test_these_are_addresses(address: str) -> None:
    require_address(address)


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("ray://head:10001", "ray://head:10001 is the address of a client"),
        ("127.0.0.1:1", "nobody answers at 127.0.0.1:1 \\(Connection refused\\)"),
        (f"{'a' * 100}.example:80", "nobody answers at "),
        ("head", "'head' is neither auto, local nor HOST:PORT"),
        ("", "'' is neither"),
        (":6379", "':6379' is neither"),
        ("head:٣", "is neither"),
        ("head:99999", "'head:99999' is neither"),
    ],
)
def test_a_wrong_address_is_one_line(address: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        require_address(address)


@pytest.fixture
def local(tmp_path: Path) -> Cluster:
    pytest.importorskip("ray")
    return Cluster("local", StudyFile(tmp_path / "study.sqlite", "median", 1), 2, True)


@pytest.mark.slow
def test_a_cluster_searches_as_this_process_does(local: Cluster, tmp_path: Path) -> None:
    answers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)

    def run(task: object) -> object:  # a closure: this module cannot be imported elsewhere
        return judged(local.study, task)

    run_trials(study, SPACE, 0, 9, run, lambda trial, outcome: None, 1, local.connect())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == answers
    here = search(StudyFile(tmp_path / "here.sqlite", "median", 1), 9)
    assert [(each.values, each.state, each.curve) for each in read_trials(study)] == [
        (each.values, each.state, each.curve) for each in here
    ]
    assert "pruned" in {each.state for each in here}


@pytest.mark.slow
def test_a_lost_process_is_one_line_and_its_trial_is_repeated(local: Cluster) -> None:
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)
    parent = os.getpid()

    def killed(task: object) -> object:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    with pytest.raises(InputError, match="cluster: a process or machine of a trial was lost"):
        run_trials(study, SPACE, 0, 2, killed, lambda trial, outcome: None, 1, local.connect())
    assert [each.state for each in read_trials(study)] == ["interrupted"]
    again = Cluster("local", local.file, 2, True)

    def run(task: object) -> object:
        return judged(again.study, task)

    run_trials(study, SPACE, 0, 2, run, lambda trial, outcome: None, 2, again.connect())
    assert [each.state for each in read_trials(study)] == ["interrupted", "complete", "complete"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("the first trial failed"), "^the first trial failed$"),
        (
            ModuleNotFoundError("No module named 'centerx'"),
            "^--cluster: No module named 'centerx' on a machine; install",
        ),
    ],
)
def test_what_a_machine_says_is_told_as_it_is(local: Cluster, error: Exception, line: str) -> None:
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)

    def fails(task: object) -> object:
        raise error

    with pytest.raises(InputError, match=line):
        run_trials(study, SPACE, 0, 2, fails, lambda trial, outcome: None, 1, local.connect())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
def test_a_search_on_a_cluster_can_be_interrupted(
    small_overrides: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("ray")
    words = [*small_overrides, "train.epochs=1000", "--cluster", "local", "--trials", "2", "--out", str(tmp_path / "s")]
    with subprocess.Popen(
        [sys.executable, "-m", "centerx", "tune", "nano", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while not (tmp_path / "s" / "trials" / "0000" / "metrics.csv").exists():
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == "error: interrupted; what was already written is kept"
    assert "Traceback" not in errors
