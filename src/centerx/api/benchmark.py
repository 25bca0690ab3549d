"""`centerx.benchmark`: how fast model files are in the runtimes that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.bench import Timing

MOST_PICTURES, MOST_CALLS = 1024, 1_000_000


def benchmark(
    models: Sequence[str | Path],
    batch: Sequence[int] = (1, 8),
    runs: int = 20,
    backend: str | None = None,
    *,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
) -> list[Timing]:
    """Measure latency and throughput of models in every runtime that is installed, side by side.

    Args:
        models: model files of any backend.
        batch: numbers of pictures a call.
        runs: calls of each, taken in turn.
        backend: only this one, by name; all that are installed without it.
        threads: as for `centerx.load`.
        providers: as for `centerx.load`.

    Returns:
        A row for each batch size, model and backend.

    Raises:
        InputError: a file is missing, no installed backend runs it, a number is less than 1, or a provider is not
            there.
    """
    from centerx.bench import bench_models
    from centerx.runtime import Compute
    from centerx.runtime.session import AUTO

    if not batch or min(batch) < 1 or max(batch) > MOST_PICTURES:
        raise InputError(f"--batch: {','.join(map(str, batch))}: from one to {MOST_PICTURES} pictures a call")
    if not 1 <= runs <= MOST_CALLS:
        raise InputError(f"--runs: {runs}: from one to {MOST_CALLS} calls")
    if backend == AUTO:
        raise InputError("--backend: without a name all that are installed are measured, leave auto out")
    return bench_models([Path(model) for model in models], batch, runs, backend, Compute.of(threads, providers))
