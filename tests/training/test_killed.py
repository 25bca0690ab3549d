"""Trainings that are killed by SIGKILL, resumed until they end, and compared with one that was left alone."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lightning as L
import pytest
import torch

import centerx
from centerx.cli.main import run_and_exit
from tests.conftest import give_structure
from tests.equality.cases import SMALL

EPOCHS, STEPS = 3, 6  # of the scenes in batches of four
KILLS = 5  # of each of six runs
PATIENCE = 300  # seconds after which a training hangs
OTHERS = "seconds", "dirpath", "best_model_path"  # of a checkpoint, which are of a run's time and place
WRITTEN = ("val.png", "last.safetensors", "metrics.csv", "last.ckpt")  # in this order at the end of an epoch

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")

# Every training is a process of its own, forked from one that has imported everything.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["centerx.build", "lightning.pytorch.loggers", "tensorboard", "tests.conftest"])


class Tell(L.Callback):
    """Counts the steps that begin, and the last steps of epochs that are over."""

    def __init__(self, steps: Any, epochs: Any) -> None:
        self.steps, self.epochs = steps, epochs

    def on_train_batch_start(self, *_: object) -> None:
        self.steps.value += 1

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        self.epochs.value += trainer.is_last_batch


def train(words: list[str], folder: Path, scratch: Path, resume: bool, steps: Any, epochs: Any) -> None:
    """Train as the first process of a session, with its own folder for temporary files."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, under which tests may run, has it ignored
    multiprocessing.set_start_method("fork", force=True)  # of data workers; it would be that of this process
    with (folder.parent / "errors").open("wb") as errors:
        os.dup2(errors.fileno(), 2)
    tempfile.tempdir = str(scratch)
    multiprocessing.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]  # of the parent
    callbacks = [Tell(steps, epochs)]
    run_and_exit(partial(centerx.train, "nano", out=folder, overrides=words, resume=resume, callbacks=callbacks))


class Training:
    """A training that runs.

    Args:
        words: overrides.
        folder: of the run; it is resumed if it has begun before.
        scratch: for temporary files.
    """

    def __init__(self, words: list[str], folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.steps, self.epochs = PROCESSES.Value("i", 0, lock=False), PROCESSES.Value("i", 0, lock=False)
        resume = (folder / "config.yaml").exists()
        arguments = words, folder, scratch, resume, self.steps, self.epochs
        self.process: BaseProcess = PROCESSES.Process(target=train, args=arguments)
        self.process.start()

    def wait_for(self, happened: Callable[[], bool]) -> bool:
        """Wait for something; return whether it happened before the training ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.is_alive():
            if happened():
                return True
            assert time.monotonic() < deadline, "it hangs"
            time.sleep(0.0003)
        return False

    def writes(self, name: str) -> bool:
        """Return whether a file is being written."""
        return any((scratch / "new" / name).exists() for scratch in self.folder.glob(".centerx-*"))

    def kill(self, whole: bool) -> None:
        """Kill the process, alone or with its workers, and wait until none is there."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.join()
        deadline = time.monotonic() + 60
        while left := session(self.process.pid):
            assert time.monotonic() < deadline, f"processes that are left: {left}"
            time.sleep(0.05)

    def end(self) -> None:
        """Wait until it is finished."""
        assert not self.wait_for(lambda: False)
        self.process.join()
        assert self.process.exitcode == 0


def session(number: int) -> list[int]:
    """Return the processes of a session that run."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == number and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


class Moment(NamedTuple):
    """When a training is killed.

    Attributes:
        at: `start`; `step` or `validation`, counted from the begin of the process; or a file that is being written.
        count: of steps or validations.
        seconds: to wait then.
        whole: whether workers are killed too.
    """

    at: str
    count: int
    seconds: float
    whole: bool

    def comes(self, training: Training) -> bool:
        """Wait for it; return whether the training still ran then."""
        seen = {
            "start": lambda: True,
            "step": lambda: training.steps.value >= self.count,
            "validation": lambda: training.epochs.value >= self.count,
        }.get(self.at, lambda: training.writes(self.at))
        came = training.wait_for(seen)
        time.sleep(self.seconds)
        return came


def moments(seed: int) -> Iterator[Moment]:
    """Yield moments without end; of eight in a row each of WRITTEN is one, and each other kind."""
    draw = random.Random(seed)
    while True:
        kinds = [*WRITTEN, "start", "step", "step", "validation"]
        draw.shuffle(kinds)
        for at in kinds:
            late = {"start": 2.0, "step": 0.05, "validation": 0.3}.get(at, 0.0)
            count = draw.randint(1, STEPS + 2) if at == "step" else 1
            yield Moment(at, count, draw.uniform(0, late), draw.random() < 0.5)


def kill_and_resume(words: list[str], folder: Path, scratch: Path, planned: Sequence[Moment]) -> list[Moment]:
    """Train, killed at one moment after the other; return those at which it was killed."""
    done = []
    for moment in planned:
        training = Training(words, folder, scratch)
        if not moment.comes(training):
            training.end()
            return done
        training.kill(moment.whole)
        done.append(moment)
        if not moment.whole:
            assert not list(scratch.iterdir()), f"{moment} leaves temporary files"
        for left in scratch.iterdir():
            shutil.rmtree(left)  # sockets of workers that were killed too
    Training(words, folder, scratch).end()
    return done


def table(folder: Path) -> list[dict[str, str]]:
    """Return metrics.csv without the seconds that epochs took."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def differing(one: Any, two: Any, place: str = "") -> list[str]:
    """Return the places where two trees differ in a bit, but for OTHERS."""
    if type(one) is not type(two):
        return [place]
    if isinstance(one, torch.Tensor):
        same = one.dtype == two.dtype and one.shape == two.shape and torch.equal(one, two)
        return [] if same else [place]
    if isinstance(one, dict):
        if list(one) != list(two):
            return [place]
        parts = [(one[name], two[name], f"{place}.{name}") for name in one if name not in OTHERS]
        return [each for part in parts for each in differing(*part)]
    if isinstance(one, (list, tuple)):
        if len(one) != len(two):
            return [place]
        parts = [(*pair, f"{place}.{number}") for number, pair in enumerate(zip(one, two, strict=True))]
        return [each for part in parts for each in differing(*part)]
    return [] if one == two else [place]


def assert_same_run(one: Path, two: Path) -> None:
    """Two run folders hold the same models, metrics and states, and nothing that killed ones left."""
    for name in ("last.safetensors", "best.safetensors", "config.yaml", "val.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert table(one) == table(two)
    states = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (one, two)]
    assert not differing(*states)
    names = [{path.name for path in folder.iterdir() if "tfevents" not in path.name} for folder in (one, two)]
    assert names[0] == names[1]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, untrained, that knows the classes of the scenes."""
    from centerx.build_model import build_detector, save_named
    from centerx.config import load_config

    config = load_config("nano", ["classes=['0','1','2','3','4','5','6','7','8','9']", "data.input_size=96", *SMALL])
    torch.manual_seed(0)
    detector = build_detector(config)
    give_structure(detector, (96, 96))
    folder = tmp_path_factory.mktemp("teacher")
    save_named(folder, config, detector, "last")
    return folder / "last.safetensors"


@pytest.fixture(scope="module")
def teacher_onnx(teacher: Path) -> Path:
    """The same as ONNX."""
    from centerx.build_model import load_detector
    from centerx.exporting import export_model

    path = teacher.with_suffix(".onnx")
    export_model(*load_detector(teacher), path, "onnx")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    """Return a function that trains without an end before its time; the same words give the same folder."""
    known: dict[str, Path] = {}

    def run(words: list[str]) -> Path:
        key = " ".join(words)
        if key not in known:
            home = tmp_path_factory.mktemp("whole")
            with TemporaryDirectory(prefix="cx-") as scratch:
                Training(words, home / "run", Path(scratch)).end()
                assert not list(Path(scratch).iterdir())
            known[key] = home / "run"
        return known[key]

    return run


TAUGHT = "labels", "network", "asked once"


def words_of(small_overrides: list[str], workers: int, *teachers: Path) -> list[str]:
    files = ",".join(map(str, teachers))
    more = [f"train.epochs={EPOCHS}", "train.val_every=1", f"data.workers={workers}", f"distill.teachers=[{files}]"]
    return [*small_overrides, *SMALL, *more]


@pytest.mark.soak
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taught", TAUGHT)
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(
    taught: str,
    workers: int,
    small_overrides: list[str],
    tmp_path: Path,
    scratch: Path,
    whole: Callable[..., Path],
    request: pytest.FixtureRequest,
) -> None:
    fixtures = {"labels": [], "network": ["teacher"], "asked once": ["teacher_onnx"]}[taught]
    words = words_of(small_overrides, workers, *map(request.getfixturevalue, fixtures))
    seed = TAUGHT.index(taught) * 2 + workers // 2
    planned = [moment for moment, _ in zip(moments(seed), range(KILLS), strict=False)]
    done = kill_and_resume(words, tmp_path / "run", scratch, planned)
    assert len(done) == KILLS
    assert_same_run(tmp_path / "run", whole(words))


def test_a_run_that_is_killed_ends_as_if_nothing_had_happened(
    small_overrides: list[str], teacher: Path, tmp_path: Path, scratch: Path, whole: Callable[..., Path]
) -> None:
    words = words_of(small_overrides, 2, teacher)
    planned = [Moment("last.ckpt", 1, 0, False), Moment("step", 3, 0, True)]
    assert kill_and_resume(words, tmp_path / "run", scratch, planned) == planned
    assert_same_run(tmp_path / "run", whole(words))


@pytest.mark.parametrize(
    ("number", "of_worker", "status", "says"),
    [
        (signal.SIGKILL, True, 2, "error: data.workers: one of them was killed, perhaps as memory ran out"),
        (signal.SIGTERM, False, 143, "error: interrupted; what was already written is kept"),
        pytest.param(signal.SIGHUP, False, 129, "error: interrupted; what was", marks=pytest.mark.soak),
    ],
)
def test_the_end_by_a_signal_is_one_line_and_leaves_nothing(
    number: int, of_worker: bool, status: int, says: str, small_overrides: list[str], tmp_path: Path, scratch: Path
) -> None:
    training = Training(words_of(small_overrides, 2), tmp_path / "run", scratch)
    assert training.wait_for(lambda: training.steps.value > STEPS)
    process = training.process.pid
    assert process is not None
    os.kill(max(session(process)) if of_worker else process, number)
    training.process.join(PATIENCE)
    assert training.process.exitcode == status
    errors = (tmp_path / "errors").read_text()
    assert errors.startswith(says)
    assert errors.count("\n") == 1
    assert session(process) == []
    assert not list(scratch.iterdir())
    assert (tmp_path / "run" / "last.ckpt").exists()
    assert not list((tmp_path / "run").glob(".centerx-*"))
