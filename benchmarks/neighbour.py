"""Busy neighbours: steps a second of a training beside other processes that each keep a core busy, and alone.

Waiting threads of OpenMP spin by default. Where cores are fewer than busy threads, they spin while the thread that they
wait for has no core. The cases differ in how long they spin and in how many threads there are. Not part of
`benchmarks/run.py`: it needs a machine on which nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rows import Row, rows, show, write

RESULTS = Path(__file__).parent / "results" / "neighbour.csv"
STEP = "channels-last bf16"  # of training.py
CASES = {
    "as libgomp is": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
KNOBS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS"


def measure(steps: int, rounds: int, threads: int, neighbours: Sequence[int]) -> list[Row]:
    """Time the steps of all cases in turn."""
    spent: dict[str, list[float]] = {}
    with ExitStack() as stack:
        runs = {case: stack.enter_context(training(knobs, threads)) for case, knobs in CASES.items()}
        for run in runs.values():
            burst(run, 2)
        for _ in range(rounds):
            for number in neighbours:
                with ExitStack() as others:
                    for _ in range(number):
                        others.enter_context(neighbour())
                    for case, run in runs.items():
                        name = f"{case}, {f'beside {number} busy' if number else 'alone'}"
                        spent.setdefault(name, []).append(burst(run, steps))
    speeds = {name: steps / statistics.median(seconds) for name, seconds in spent.items()}
    return rows(f"training step, ResNet-18, 256 px, batch 8, bf16, {threads} threads", speeds, "steps/s", rounds)


@contextmanager
def training(knobs: dict[str, str], threads: int) -> Iterator[subprocess.Popen[str]]:
    """A process of training.py, which does a step for every line."""
    kept = {name: value for name, value in os.environ.items() if name not in KNOBS}
    command = [sys.executable, str(Path(__file__).with_name("training.py")), STEP]
    environment = kept | {"OMP_NUM_THREADS": str(threads)} | knobs
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    ) as process:
        yield process


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that does nothing but count, on any core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def burst(process: subprocess.Popen[str], steps: int) -> float:
    """Return the seconds that some steps take."""
    assert process.stdin is not None
    assert process.stdout is not None
    started = time.perf_counter()
    for _ in range(steps):
        process.stdin.write("\n")
        if not process.stdout.readline():
            raise RuntimeError(f"{process.args}: ended, its message is above")
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="of a burst")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 4], help="how many busy processes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    words = parser.parse_args()
    measured = measure(words.steps, words.rounds, words.threads, words.neighbours)
    show(measured)
    write(words.out, measured)
