"""How fast model files run here: figures taken in turn, so that a drifting machine touches all alike."""

from __future__ import annotations

import logging
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from centerx.runtime import BACKENDS, Session, open_all, open_session

logger = logging.getLogger(__name__)

WARM_UP = 3
Name = TypeVar("Name", bound=Hashable)


class Timing(NamedTuple):
    """One row of a benchmark.

    Attributes:
        model: file. backend: what ran it. version: of that.
        height, width: of the input in pixels. batch: pictures a call.
        ms: median milliseconds a call. pictures_per_second: from the same median.
        runs: calls measured. machine: processor and cores.
    """

    model: str
    backend: str
    version: str
    height: int
    width: int
    batch: int
    ms: float
    pictures_per_second: float
    runs: int
    machine: str


def bench_models(models: Sequence[Path], batches: Sequence[int], runs: int, backend: str | None = None) -> list[Timing]:
    """Time the bare session call of each model, by each backend that runs it here, at each batch size.

    What is installed and does not run a model that another runs is told on stderr.

    Args:
        models: files. batches: pictures a call. runs: calls of each, interleaved. backend: only this one, by name.

    Raises:
        InputError: a file is missing, or nothing that is installed runs it.
    """
    sessions: dict[tuple[Path, str], Session] = {}
    for model in models:
        opened, refusals = open_all(model) if backend is None else ({backend: open_session(model, backend)}, [])
        if not opened:
            open_session(model)  # says what is wrong
        for refusal in refusals:
            logger.warning(f"left out: {refusal}")
        sessions |= {(model, name): session for name, session in opened.items()}
    rows = []
    for batch in batches:
        calls = {key: _call(session, batch) for key, session in sessions.items()}
        for (model, name), seconds in median_seconds(calls, runs).items():
            height, width = sessions[model, name].info.input_hw
            used = getattr(import_module(BACKENDS[name].needs), "__version__", "")
            rows.append(
                Timing(
                    str(model), name, used, height, width, batch, round(seconds * 1e3, 3),
                    round(batch / seconds, 2), runs, machine(),
                )
            )  # fmt: skip
    return rows


def median_seconds(calls: dict[Name, Callable[[], object]], runs: int) -> dict[Name, float]:
    """Time several calls in turn, A B C A B C ..., after a warm-up; the median of each."""
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    spent: dict[Name, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def machine(gpu: str = "") -> str:
    """Processor, number of cores and, where it is named, the GPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    cores = f"{sum(line.startswith('processor') for line in lines)} cores"
    return ", ".join([name, cores, *([gpu] if gpu else [])])


def _call(session: Session, batch: int) -> Callable[[], object]:
    height, width = session.info.input_hw
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)
    return lambda: session(images)
