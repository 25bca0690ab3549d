"""Trials on a Ray cluster: what each gets, what a machine must have, and, where Ray is installed, a search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from operator import add
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("optuna")

import centerx as package
from centerx.errors import InputError
from centerx.tuning.cluster import Cluster, Share, connect, fair_share, require_address, run_there
from centerx.tuning.search import run_trials
from centerx.tuning.study import StudyFile, begin, read_trials
from tests.tuning.test_search import SPACE, judged, search

NO_ERRORS = SimpleNamespace(RayError=ArithmeticError)
FIRST = {"x": 0.0, "lr": 0.01, "n": 2, "scale": [0.9, 1.1]}


@pytest.mark.parametrize(
    ("nodes", "jobs", "on_cpu", "share"),
    [
        ([{"CPU": 8.0}], 1, False, Share(8, 0)),
        ([{"CPU": 8.0}], 3, False, Share(2, 0)),
        ([{"CPU": 4.0}, {"CPU": 16.0}], 1, False, Share(16, 0)),  # never more than the largest machine has
        ([{"CPU": 4.0}, {"CPU": 16.0}], 64, False, Share(1, 0)),
        ([{"CPU": 4.0}, {"CPU": 16.0}], 2, False, Share(8, 0)),  # both have room at once
        ([{"CPU": 4.0}] * 3, 4, False, Share(2, 0)),
        ([{"CPU": 8.0}] * 2, 3, False, Share(4, 0)),
        ([{"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}], 2, False, Share(16, 1)),
        ([{"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}], 2, True, Share(16, 0)),
        ([{"CPU": 4.0, "GPU": 1.0}, {"CPU": 32.0, "GPU": 4.0}], 5, False, Share(4, 1)),
        ([{"CPU": 2.0, "GPU": 4.0}], 4, False, Share(1, 1)),
    ],
)
def test_a_trial_gets_its_share_and_fits_on_a_machine(
    nodes: list[dict[str, float]], jobs: int, on_cpu: bool, share: Share
) -> None:
    assert fair_share(nodes, jobs, on_cpu) == share


@pytest.mark.parametrize("nodes", [[{}], [{"CPU": 0.5}], [{"CPU": 4.0}, {"GPU": 1.0}]])
def test_where_no_trial_fits_the_search_does_not_wait_for_ever(nodes: list[dict[str, float]]) -> None:
    with pytest.raises(InputError, match="no machine has a core"):
        fair_share(nodes, 1, False)


def test_a_machine_must_see_the_files_and_have_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "train.json"
    data.touch()
    monkeypatch.chdir("/")
    assert run_there(tmp_path, [tmp_path, data], package.__version__, add, (2, 3), {}) == 5
    assert Path.cwd() == tmp_path
    with pytest.raises(InputError, match=f"machine .+ does not see {tmp_path / 'gone'}; keep data and the search"):
        run_there(tmp_path, [data, tmp_path / "gone"], package.__version__, add, (2, 3), {})
    with pytest.raises(InputError, match=f"has centerx {package.__version__}, this one 0.0.1; install the same"):
        run_there(tmp_path, [data], "0.0.1", add, (2, 3), {})


def test_a_machine_with_a_folder_of_its_own_at_the_path_of_the_search_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = StudyFile(tmp_path / "study.sqlite", "median", 1)
    file.open()
    needed = Cluster("local", file, 1, True).needed
    assert run_there(tmp_path, needed, package.__version__, add, (2, 3), {}) == 5
    file.path.unlink()
    with pytest.raises(InputError, match=r"does not see .+study\.sqlite"):
        run_there(tmp_path, needed, package.__version__, add, (2, 3), {})


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    def init(**_: object) -> None:
        raise ConnectionError("Could not find any\n running Ray instance.")

    with pytest.raises(InputError, match=r"no Ray cluster by 'auto' \(Could not find any running Ray instance\.\)"):
        connect(SimpleNamespace(init=init, is_initialized=lambda: False, exceptions=NO_ERRORS), "auto")
    with pytest.raises(InputError, match=r"connected to Ray already, call ray.shutdown\(\) before the search"):
        connect(SimpleNamespace(init=init, is_initialized=lambda: True, exceptions=NO_ERRORS), "auto")


def test_sigterm_while_ray_starts_is_an_interruption() -> None:
    def init(**_: object) -> None:
        raise SystemExit(15)  # Ray's own answer

    with pytest.raises(KeyboardInterrupt):
        connect(SimpleNamespace(init=init, is_initialized=lambda: False, exceptions=NO_ERRORS), "local")


@pytest.mark.parametrize("address", ["auto", "local"])
def test_these_are_addresses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    require_address(address)


def test_ray_address_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"nobody answers at 127\.0\.0\.1:1"):
        require_address("auto")
    require_address("local")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("ray://head:10001", "ray://head:10001 is the address of a client"),
        ("127.0.0.1:1", "nobody answers at 127.0.0.1:1 \\(Connection refused\\)"),
        ("[::1]:1", r"nobody answers at \[::1\]:1 \((Connection refused|Cannot assign|Address family|Network is unr)"),
        ("http://head:1", "nobody answers at http://head:1 "),
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
def test_what_a_machine_says_is_told_as_it_is(local: Cluster) -> None:
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)

    def fails(task: object) -> object:
        raise InputError("the first trial failed")

    with pytest.raises(InputError, match=r"^the first trial failed$"):
        run_trials(study, SPACE, 0, 2, fails, lambda trial, outcome: None, 1, local.connect())


@pytest.mark.slow
def test_our_own_fault_is_told_as_such(local: Cluster) -> None:
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)

    def faulty(task: object) -> float:
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        run_trials(study, SPACE, 0, 2, faulty, lambda trial, outcome: None, 1, local.connect())


@pytest.mark.slow
def test_a_machine_without_a_package_is_one_line(
    local: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def run(task): return None")
    monkeypatch.syspath_prepend(tmp_path)
    study = local.file.open()
    begin(study, {}, SPACE, FIRST)

    def run(task: object) -> object:
        sys.path[:] = [path for path in sys.path if path != str(tmp_path)]
        import only_here

        return only_here.run(task)

    with pytest.raises(InputError, match=r"^--cluster: a machine has no package 'only_here'; install the same version"):
        run_trials(study, SPACE, 0, 2, run, lambda trial, outcome: None, 1, local.connect())


def test_a_relative_folder_is_the_same_in_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "search").mkdir()
    monkeypatch.chdir(tmp_path)
    cluster = Cluster("local", StudyFile(Path("search/study.sqlite"), "median", 1), 1, True)
    assert cluster.file.path == tmp_path / "search" / "study.sqlite"


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
