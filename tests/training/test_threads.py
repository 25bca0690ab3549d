"""Threads of a training beside other programs."""

import logging
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from centerx.build import build_run
from centerx.config import load_config
from centerx.training.threads import PERIOD, LeaveBusyCores, Seconds, free_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("most", "cores", "busy", "threads"),
    [
        (2, 2, 0.0, 2),
        (2, 2, 0.25, 2),
        (2, 2, 1.0, 1),
        (2, 2, 7.0, 1),
        (8, 16, 3.0, 8),
        (16, 16, 3.0, 13),
        (16, 16, 15.0, 4),
        (1, 4, 0, 1),
    ],
)
def test_a_thread_for_every_core_that_is_left(most: int, cores: int, busy: float, threads: int) -> None:
    assert free_threads(most, cores, busy) == threads


class Machine:
    """Made-up clocks of two cores."""

    def __init__(self) -> None:
        self.now = Seconds(time.monotonic() - 100 * PERIOD, 2, 0.0, 0.0)

    def passes(self, ours: float, others: float) -> None:
        clock, cores, everyone, own = self.now
        self.now = Seconds(clock + PERIOD, cores, everyone + (ours + others) * PERIOD, own + ours * PERIOD)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(Seconds, "now", lambda: made.now)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return made


def test_threads_follow_the_cores_that_others_leave(
    machine: Machine, two_threads: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "centerx")
    watch = LeaveBusyCores()
    watch.on_train_start()
    found = []
    for ours, others in ((2, 0), (1, 1), (1, 1), (1.9, 0.1), (1, 1)):
        machine.passes(ours, others)
        watch.on_train_batch_end()
        found.append(torch.get_num_threads())
    assert found == [2, 1, 1, 2, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "other programs keep 1.0 of 2 cores busy: training goes on with 1 of 2 threads until they leave them; "
        "OMP_NUM_THREADS gives a number that stays"
    ]
    watch.on_train_end()
    assert torch.get_num_threads() == 2


def test_a_training_on_a_cpu_watches_others(small_overrides: list[str], tmp_path: Path) -> None:
    run = build_run(load_config("nano", [*small_overrides, "train.device=cpu"]), tmp_path)
    assert sum(isinstance(each, LeaveBusyCores) for each in run.trainer.callbacks) == 1  # type: ignore[attr-defined]


def test_a_failed_training_gives_its_threads_back(machine: Machine, two_threads: None) -> None:
    watch = LeaveBusyCores()
    watch.on_train_start()
    machine.passes(1, 1)
    watch.on_train_batch_end()
    assert torch.get_num_threads() == 1
    watch.on_exception()
    assert torch.get_num_threads() == 2


def test_a_chosen_number_stays(machine: Machine, two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    watch = LeaveBusyCores()
    watch.on_train_start()
    machine.passes(1, 1)
    watch.on_train_batch_end()
    assert torch.get_num_threads() == 2


def spin(seconds: float) -> None:
    started = time.process_time()
    while time.process_time() - started < seconds:
        pass


def spin_and_stay(spun: object, end: object) -> None:
    spin(0.5)
    spun.set()  # type: ignore[attr-defined]
    end.wait()  # type: ignore[attr-defined]


def test_processor_time_of_this_process_and_its_workers_is_ours() -> None:
    before = Seconds.now()
    if before is None:
        pytest.skip("this system has no /proc")
    spin(0.3)
    context = multiprocessing.get_context("spawn")
    spun, end = context.Event(), context.Event()
    worker = context.Process(target=spin_and_stay, args=(spun, end))
    worker.start()
    assert spun.wait(60)
    running = Seconds.now()
    end.set()
    worker.join()
    ended = Seconds.now()
    assert running is not None
    assert ended is not None
    assert running.ours - before.ours >= 0.75  # ticks are of 10 ms
    assert ended.ours - before.ours >= running.ours - before.ours - 0.05
    assert running.all - before.all >= 0.6
    assert before.busy_until(running) <= before.cores
