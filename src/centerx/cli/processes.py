"""`--processes`: the same command in several processes of this machine, which train together."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import IO, Annotated

import typer

from centerx.errors import InputError

NumProcesses = Annotated[
    int, typer.Option("--processes", min=1, help="train in so many processes of this machine, one for each GPU")
]

ALIKE = 5.0  # seconds in which the others find the fault that one has found
GRACE = 15.0  # seconds in which a process ends after SIGTERM
PAUSE = 0.05  # seconds


def train_in(count: int) -> None:
    """Run the words of this command in several processes, and exit with the status of the first that fails.

    Returns at once where there is one process, and in those that are started.

    Raises:
        InputError: torchrun has started another number.
        SystemExit: all have ended.
    """
    world = os.environ.get("WORLD_SIZE")
    if world is not None and count not in (1, int(world)):
        raise InputError(f"--processes: {count}, and torchrun started {world}; leave one of the two out")
    if count > 1 and world is None:
        sys.exit(_run(count))  # as typer.Exit, 130 would be told once more


def _run(count: int) -> int:
    """Start the processes, wait for them, and return the status of the first that failed, else 0.

    The first process writes to the terminal. What another one says is shown where it failed first and otherwise.

    Raises:
        InputError: a process was killed.
    """
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        shared = os.environ | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
        }
        started: list[subprocess.Popen[bytes]] = []
        try:
            for rank, stderr in enumerate([None, *said]):
                started.append(_start(rank, stderr, shared))
            failed = _first_failed(started)
            if failed is not None and started[failed].returncode > 0:
                _wait(started, ALIKE)
        except KeyboardInterrupt:  # a terminal interrupts all of them, others this process alone
            _wait(started, ALIKE / 2)
            _end(started)
            if started and started[0].returncode > 0:  # it has told so
                return started[0].returncode
            raise
        finally:
            _end(started)
        if failed is None:
            return 0
        status = started[failed].returncode
        if status < 0:
            raise InputError(f"--processes: process {failed} of {count} was ended by {signal.Signals(-status).name}")
        if status != started[0].returncode:
            said[failed - 1].seek(0)
            shutil.copyfileobj(said[failed - 1], sys.stderr.buffer)
        return int(status)


def _first_failed(started: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait until one has failed, or all are done."""
    while True:
        states = [each.poll() for each in started]
        failed = next((rank for rank, state in enumerate(states) if state), None)
        if failed is not None or None not in states:
            return failed
        time.sleep(PAUSE)


def _wait(started: list[subprocess.Popen[bytes]], seconds: float) -> bool:
    """Whether all have ended in that time."""
    deadline = time.monotonic() + seconds
    while any(each.poll() is None for each in started) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return all(each.poll() is not None for each in started)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    """Let the processes that still run end, and end those that do not."""
    running = [each for each in started if each.poll() is None]
    for each in running:
        each.send_signal(signal.SIGTERM)
    if not _wait(running, GRACE):
        for each in running:
            each.kill()
            each.wait()


def _start(rank: int, stderr: IO[bytes] | None, shared: dict[str, str]) -> subprocess.Popen[bytes]:
    names = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    return subprocess.Popen([sys.executable, "-m", "centerx", *sys.argv[1:]], env=shared | names, stderr=stderr)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
