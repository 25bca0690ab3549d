"""As many threads as there are cores that other programs leave."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import time
from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch

logger = logging.getLogger(__name__)

PERIOD = 10.0  # seconds over which other programs are watched
LITTLE = 0.3  # of a core, which other programs may keep busy without a thread less
FEWEST = 0.25  # of the threads, so that a program which takes all that it gets does not get all
FIXED = "OMP_NUM_THREADS"  # whoever sets it has chosen
BUSY = 0, 1, 2, 5, 6  # columns of a processor in /proc/stat: user, nice, system, irq, softirq


class LeaveBusyCores(L.Callback):
    """Lowers the number of torch's threads while other programs keep cores busy, and raises it again.

    The threads of a step wait for the slowest of them, so that one which shares its core with another program holds up
    all. The number is never above that with which the training begins. It changes sums in their last digits.

    Nothing happens where `OMP_NUM_THREADS` is set or the system has no /proc.
    """

    def __init__(self) -> None:
        self.most = 0
        self._before: Seconds | None = None
        self._told = False

    def on_train_start(self, *_: object) -> None:
        """Begin to watch."""
        self.most = torch.get_num_threads()
        self._before = None if FIXED in os.environ or self.most == 1 else Seconds.now()

    def on_train_batch_end(self, *_: object) -> None:
        """Choose the number of threads once a period."""
        if self._before is None or time.monotonic() - self._before.clock < PERIOD:
            return
        now = Seconds.now()
        if now is None:
            return
        busy, self._before = self._before.busy_until(now), now
        threads = free_threads(self.most, now.cores, busy)
        if threads != torch.get_num_threads():
            self._tell(threads, busy, now.cores)
            torch.set_num_threads(threads)

    def on_train_end(self, *_: object) -> None:
        """Give the threads back."""
        if self.most:
            torch.set_num_threads(self.most)

    def on_exception(self, *_: object) -> None:
        """Give the threads back."""
        self.on_train_end()

    def _tell(self, threads: int, busy: float, cores: int) -> None:
        level = logging.DEBUG if self._told else logging.INFO
        self._told = True
        logger.log(
            level,
            f"other programs keep {busy:.1f} of {cores} cores busy: training goes on with {threads} of {self.most} "
            f"threads until they leave them; {FIXED} gives a number that stays",
        )


def free_threads(most: int, cores: int, busy: float) -> int:
    """Return how many threads find a core of their own.

    Args:
        most: threads where nothing else runs.
        cores: that may be used.
        busy: cores that other programs keep busy on average.
    """
    return max(min(most, cores - math.ceil(busy - LITTLE)), math.ceil(most * FEWEST))


class Seconds(NamedTuple):
    """Processor time until now, in seconds.

    Attributes:
        clock: the time itself.
        cores: on which this process may run.
        all: of all programs on these cores.
        ours: of this process and those that it started by `multiprocessing`.
    """

    clock: float
    cores: int
    all: float
    ours: float

    @classmethod
    def now(cls) -> Seconds | None:
        """Read the clocks; None where the system has none of this kind."""
        try:
            usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
            lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
            ticks = [int(line[1 + column]) for line in lines if line[0] in usable for column in BUSY]
            tick = os.sysconf("SC_CLK_TCK")
            children = [_seconds_of(child.pid, tick) for child in multiprocessing.active_children()]
        except (AttributeError, OSError, ValueError, IndexError):
            return None
        return cls(time.monotonic(), len(usable), sum(ticks) / tick, sum(os.times()[:4]) + sum(children))

    def busy_until(self, later: Seconds) -> float:
        """Return how many cores others kept busy on average until a later time."""
        others = (later.all - self.all) - (later.ours - self.ours)
        return max(others, 0.0) / max(later.clock - self.clock, 1e-9)


def _seconds_of(pid: int | None, tick: float) -> float:
    """Processor time of a process; 0 where it has ended, as it is then part of its parent's."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = line.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / tick
