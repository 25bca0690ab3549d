"""Time model files. Their calls alternate, so that changes of the machine's speed affect all of them equally."""

from __future__ import annotations

import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from centerx.errors import InputError
from centerx.processor import facts
from centerx.runtime import BACKENDS, Session, open_all, open_session
from centerx.runtime.compute import PLAIN, Compute

logger = logging.getLogger(__name__)

WARM_UP = 3  # calls before the measurement
Name = TypeVar("Name", bound=Hashable)


class Timing(NamedTuple):
    """One row of a benchmark.

    Attributes:
        model: path of the file.
        backend: name of the backend.
        version: version of the backend's package.
        height: height of the input in pixels.
        width: width of the input in pixels.
        batch: pictures per call.
        ms: median time of a call in milliseconds.
        pictures_per_second: from the same median.
        runs: number of measured calls.
        machine: processor and number of cores.
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


def bench_models(
    models: Sequence[Path],
    batches: Sequence[int],
    runs: int,
    backend: str | None = None,
    compute: Compute = PLAIN,
) -> list[Timing]:
    """Time the session calls of each model with each installed backend at each batch size.

    If a backend cannot open a model that another backend can, a warning is logged.

    Args:
        models: model files.
        batches: numbers of pictures per call.
        runs: measured calls of each model, backend and batch size.
        backend: name of the only backend to time; all that are installed by default.
        compute: threads and devices.

    Returns:
        A row for each batch size, model and backend.

    Raises:
        InputError: a file is missing, or no installed backend runs it.
    """
    sessions: dict[tuple[Path, str], Session] = {}
    for model in models:
        opened, refusals = _opened(model, backend, compute)
        if not opened:
            open_session(model, compute=compute)  # raises the error of the default backend
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


def _opened(model: Path, backend: str | None, compute: Compute) -> tuple[dict[str, Session], list[InputError]]:
    """Open a file as `open_all` does, or with one backend."""
    if backend is None:
        return open_all(model, compute=compute)
    return {backend: open_session(model, backend, compute=compute)}, []


def median_seconds(calls: dict[Name, Callable[[], object]], runs: int) -> dict[Name, float]:
    """Time several functions in alternation, A B C A B C ..., after a warm-up.

    Args:
        calls: functions by name.
        runs: measured calls of each.

    Returns:
        The median time of each in seconds.
    """
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
    """Describe the machine: processor, number of cores and GPU.

    Args:
        gpu: name of the GPU; left out if empty.
    """
    name = facts().get("model name") or platform.processor() or platform.machine()
    return ", ".join([name, f"{os.cpu_count()} cores", *([gpu] if gpu else [])])


def _call(session: Session, batch: int) -> Callable[[], object]:
    height, width = session.info.input_hw
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)
    return lambda: session(images)
