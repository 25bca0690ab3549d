"""Try a model file in a process of its own first, where the library that reads it can crash on a corrupt one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from centerx.errors import InputError
from centerx.runtime.compute import Compute

if TYPE_CHECKING:
    from centerx.runtime.foreign.session import AdapterSource

LONGEST = 60.0  # seconds
MOST_MEMORY, STACK = 2 << 30, 8 << 20  # bytes: of all, and beside it of each thread
REFUSED = 2  # exit status of the process where it says itself what is wrong
PROGRAM = (
    "import pickle, sys; sys.path[:], *words = pickle.load(sys.stdin.buffer); "
    "from centerx.runtime.apart import answer; answer(*words)"
)


def try_apart(backend: str, path: Path, adapter: AdapterSource, compute: Compute) -> None:
    """Open a file and run it once in another process, which may have MOST_MEMORY and LONGEST.

    Args:
        backend: a name of BACKENDS.
        path: the file.
        adapter: as for `open_session`.
        compute: as for `open_session`.

    Raises:
        InputError: the file is refused, crashes its library, or takes more.
    """
    if not sys.executable or getattr(sys, "frozen", False):  # there is no Python to start
        return
    words = pickle.dumps((sys.path, backend, path, adapter, compute))
    quiet = {"OPENBLAS_NUM_THREADS": "1"}  # whose memory is not that of the file
    remedy = f"export it again, or add --trust (in Python trust=True) where you trust who made {path.name}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=words, capture_output=True, timeout=LONGEST, check=False,
            env=os.environ | quiet,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: takes more than {LONGEST:.0f} s for one picture, {remedy}") from None
    if done.returncode == REFUSED:
        raise InputError(done.stdout.decode(errors="replace").rpartition("\0")[2])
    if done.returncode:
        raise InputError(
            f"{path}: the library of {backend} crashes on it ({_reason(done)}) or takes more than "
            f"{MOST_MEMORY >> 30} GB, {remedy}"
        )


def answer(backend: str, path: Path, adapter: AdapterSource, compute: Compute) -> None:
    """Be that process: its exit status is 0, or REFUSED behind the message."""
    from centerx.runtime.session import BACKENDS

    _limit_memory()
    try:
        BACKENDS[backend].open(path, adapter, compute, trust=True)
    except InputError as error:
        sys.stdout.write(f"\0{error}")
        sys.stdout.flush()
        os._exit(REFUSED)
    os._exit(0)  # without the clean-up of the library


def _limit_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return
    most = MOST_MEMORY + STACK * (os.cpu_count() or 1)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > most:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The name of the signal that ended a process, or the last line that it said."""
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"status {done.returncode}"
