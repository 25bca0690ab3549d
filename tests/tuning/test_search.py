"""The loop of a search, with functions in place of trainings: what is suggested, ended early, repeated, and told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("optuna")

from centerx.errors import InputError
from centerx.tuning.report import search_page, trials_csv
from centerx.tuning.search import Task, processes, run_trials
from centerx.tuning.space import Choice, Range, Space
from centerx.tuning.study import Outcome, StudyFile, Trial, begin, best_trial, importances, interrupt, read_trials

SPACE: Space = {
    "x": Range(-1.0, 1.0),
    "lr": Range(1e-4, 1e-1, log=True),
    "n": Range(1, 5, whole=True),
    "scale": Choice(([0.9, 1.1], [0.7, 1.4], None, "text", True)),
}
EPOCHS = 3


def height(values: dict[str, Any]) -> float:
    return 0.9 - 0.4 * abs(values["x"] - 0.3) - (0.1 if values["scale"] == "text" else 0)


def judged(file: StudyFile, task: Task) -> Outcome:
    """A trial whose AP rises to `height`; it ends where it is told to."""
    for epoch in range(1, EPOCHS + 1):
        AP = height(task.trial.values) * epoch / EPOCHS
        if file.ends(task.id, epoch, AP) and epoch < EPOCHS:
            return Outcome(AP, True, 1.0)
    return Outcome(AP, False, 1.0)


def search(
    file: StudyFile, most: int, run: Callable[..., Outcome] = judged, seed: int = 0, jobs: int = 1
) -> list[Trial]:
    study = file.open()
    if not study.get_trials():
        begin(study, {}, SPACE, {"x": 0.0, "lr": 0.01, "n": 2, "scale": [0.9, 1.1]})
    run_trials(study, SPACE, seed, most, partial(run, file), lambda trial, outcome: None, jobs, processes(jobs, 1))
    return read_trials(study)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: every step of a search waits for the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def file(tmp_path: Path) -> StudyFile:
    return StudyFile(tmp_path / "a b?#%{x}.sqlite", "none", 1)


def test_the_first_trial_is_the_configuration_and_all_values_are_in_the_space(file: StudyFile) -> None:
    trials = search(file, 6)
    assert trials[0].values == {"x": 0.0, "lr": 0.01, "n": 2, "scale": [0.9, 1.1]}
    assert [trial.number for trial in trials] == list(range(6))
    assert all(trial.state == "complete" for trial in trials)
    assert all(trial.values[key] in entry for trial in trials for key, entry in SPACE.items())
    assert len({trial.values["x"] for trial in trials}) == 6
    assert trials[3].curve == {n: pytest.approx(height(trials[3].values) * n / EPOCHS) for n in (1, 2, 3)}
    best = best_trial(trials)
    assert best is not None
    assert best.AP == pytest.approx(max(height(trial.values) for trial in trials))
    assert file.path.is_file()
    file.path.unlink()
    assert search(file, 2) == trials[:2]  # a new search


@pytest.mark.soak
def test_suggestions_are_those_of_the_seed_and_build_on_what_was_found(tmp_path: Path) -> None:
    files = [StudyFile(tmp_path / f"{n}.sqlite", "none", 1) for n in range(3)]
    first, again, other = (
        [trial.values for trial in search(file, 24, seed=seed)] for file, seed in zip(files, (0, 0, 1), strict=True)
    )
    assert first == again
    assert all(one != two for one, two in zip(first[1:], other[1:], strict=True))
    early, late = ([height(values) for values in some] for some in (first[1:8], first[-8:]))
    assert sum(late) / len(late) > sum(early) / len(early) + 0.05


def test_a_search_that_goes_on_is_the_search_that_was_not_interrupted(tmp_path: Path) -> None:
    whole = search(StudyFile(tmp_path / "whole.sqlite", "median", 1), 11)
    cut = StudyFile(tmp_path / "cut.sqlite", "median", 1)

    def stops(file: StudyFile, task: Task) -> Outcome:
        if task.place in (4, 10):
            raise KeyboardInterrupt
        return judged(file, task)

    with pytest.raises(KeyboardInterrupt):
        search(cut, 11, stops)
    assert [trial.state for trial in read_trials(cut.open())] == [*["complete"] * 3, "interrupted"]
    with pytest.raises(KeyboardInterrupt):
        search(cut, 11, lambda file, task: judged(file, task) if task.place < 10 else stops(file, task))
    trials = search(cut, 11)
    assert sum(trial.state == "interrupted" for trial in trials) == 2
    repeated = [trial for trial in trials if trial.state != "interrupted"]
    assert [trial._replace(number=0) for trial in repeated] == [trial._replace(number=0) for trial in whole]
    assert search(cut, 11) == trials  # nothing is left


def test_a_trial_of_a_killed_process_is_repeated(tmp_path: Path) -> None:
    file = StudyFile(tmp_path / "a.sqlite", "none", 1)
    code = (
        "import os\nfrom tests.tuning.test_search import *\n"
        "def dies(file, task):\n    if task.place == 3: os.kill(os.getpid(), 9)\n    return judged(file, task)\n"
        f"search(StudyFile(Path({str(file.path)!r}), 'none', 1), 5, dies)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [trial.state for trial in read_trials(file.open())] == ["complete", "complete", "running"]
    trials = search(file, 5)
    assert [trial.state for trial in trials] == ["complete", "complete", "interrupted", *["complete"] * 3]
    assert trials[3].values == trials[2].values


@pytest.mark.parametrize("prune", ["median", "halving", "none"])
def test_worse_trials_are_ended_early(tmp_path: Path, prune: str) -> None:
    trials = search(StudyFile(tmp_path / "a.sqlite", prune, 1), 16)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert bool(pruned) == (prune != "none")
    for trial in pruned:
        assert max(trial.curve) < EPOCHS
        assert trial.AP == max(trial.curve.values())
    if prune == "median":
        for trial in pruned:
            before = [each for each in trials[: trial.number] if each.state == "complete"]
            epoch = max(trial.curve)
            assert len(before) >= 4
            assert trial.curve[epoch] < sorted(each.curve[epoch] for each in before)[len(before) // 2]


def fails(file: StudyFile, task: Task, places: tuple[int, ...] = (2, 3)) -> Outcome:
    return Outcome(None, False, 1.0, "model.neck: no") if task.place in places else judged(file, task)


def test_a_trial_that_fails_is_counted_and_its_values_are_avoided(file: StudyFile) -> None:
    trials = search(file, 5, fails)
    assert [trial.state for trial in trials] == ["complete", "failed", "failed", "complete", "complete"]
    assert (trials[1].error, trials[1].AP, trials[1].counts) == ("model.neck: no", None, True)
    assert trials[1].to_json()["error"] == "model.neck: no"
    best = best_trial(trials)
    assert best is not None
    assert best.state == "complete"


def test_a_failure_of_the_first_trial_ends_the_search(file: StudyFile) -> None:
    with pytest.raises(InputError, match=r"model\.neck: no"):
        search(file, 5, partial(fails, places=(1,)))
    assert [trial.state for trial in read_trials(file.open())] == ["failed"]


def slow(file: StudyFile, task: Task) -> Outcome:
    (file.path.parent / f"{task.trial.number}.pid").write_text(str(os.getpid()))
    if task.place == 3 and (file.path.parent / "die").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (file.path.parent / "hang").exists():
        time.sleep(60)
    return judged(file, task)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z (" not in Path(f"/proc/{pid}/status").read_text()


def pids(folder: Path, count: int) -> list[int]:
    """The processes of so many trials, once they run."""
    for _ in range(600):
        found = [each.read_text() for each in folder.glob("*.pid")]
        if len(found) == count and all(found):
            return list(map(int, found))
        time.sleep(0.05)
    raise AssertionError("no trials")


@pytest.mark.soak
@pytest.mark.slow
def test_several_processes_share_a_search(tmp_path: Path) -> None:
    file = StudyFile(tmp_path / "a.sqlite", "median", 1)
    trials = search(file, 7, slow, jobs=2)
    assert len(trials) == 7
    assert all(trial.counts for trial in trials)
    used = set(pids(tmp_path, 7))
    assert len(used) == 2
    assert os.getpid() not in used
    (tmp_path / "die").touch()
    other = StudyFile(tmp_path / "b.sqlite", "none", 1)
    with pytest.raises(InputError, match="--jobs: a process of a trial was killed"):
        search(other, 6, slow, jobs=2)
    (tmp_path / "die").unlink()
    trials = search(other, 6, slow, jobs=2)
    assert sum(trial.counts for trial in trials) == 6
    assert any(trial.state == "interrupted" for trial in trials)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_the_one_that_searches(tmp_path: Path, stop: signal.Signals) -> None:
    (tmp_path / "hang").touch()
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tests.tuning.test_search import *\n"
        f"file = StudyFile(Path({str(tmp_path / 'a.sqlite')!r}), 'none', 1)\n"
        "if __name__ == '__main__':\n    search(file, 4, slow, jobs=2)\n"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, program], env=environment, stderr=subprocess.PIPE, text=True) as process:
        found = pids(tmp_path, 2)
        process.send_signal(stop)
        _, err = process.communicate(timeout=30)
    for _ in range(100):
        if not any(map(is_there, found)):
            break
        time.sleep(0.05)
    assert not any(map(is_there, found))
    if stop is signal.SIGINT:
        assert "KeyboardInterrupt" in err
    study = StudyFile(tmp_path / "a.sqlite", "none", 1).open()
    interrupt(study)
    assert [trial.state for trial in read_trials(study)] == ["interrupted"] * 2


def test_data_workers_of_a_trial_start_as_those_of_a_training() -> None:
    with processes(2, 1) as pool:
        assert pool.submit(multiprocessing.get_start_method).result() == multiprocessing.get_start_method()


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_ctrl_c_while_processes_start_is_quiet(tmp_path: Path, wait: float) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from centerx.tuning.search import processes\n"
        "if __name__ == '__main__':\n"
        "    try:\n        with processes(2, 1):\n            print('begun', flush=True)\n            time.sleep(20)\n"
        "    except KeyboardInterrupt:\n        print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, program], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    assert (said, errors) == ("interrupted\n", "")


@pytest.mark.slow
def test_importances_name_what_matters(file: StudyFile) -> None:
    assert importances(file.open()) == {}
    search(file, 16)
    found = importances(file.open())
    assert set(found) == set(SPACE)
    assert next(iter(found)) == "x"
    assert sum(found.values()) == pytest.approx(1)
    assert found["x"] > 0.3


@pytest.mark.slow
def test_rows_and_page_of_a_search(file: StudyFile) -> None:
    trials = search(StudyFile(file.path, "median", 1), 14, partial(fails, places=(5,)))
    lines = trials_csv(trials, list(SPACE)).splitlines()
    assert lines[0] == "trial,state,AP,epochs,seconds,x,lr,n,scale,error"
    assert lines[1].startswith("0,complete,")
    assert lines[1].endswith(',0.0,0.01,2,"[0.9, 1.1]",')
    assert lines[5].endswith("model.neck: no")
    pytest.importorskip("matplotlib")
    from centerx.page import render_page

    shares = importances(file.open())
    text = render_page(search_page("Search", ["lead"], trials, SPACE, trials[0].values, shares))
    assert text.count("<h2>") == 6
    assert "Trial 4 failed: model.neck: no" in text
    assert text.count("<img ") == 3 + len(SPACE)
    empty = render_page(search_page("Search", [], [], SPACE, {}, {}))
    assert "No trial is complete yet." in empty
