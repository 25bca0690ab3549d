"""How far long work is, as a person sees it: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from centerx.cli.output import console, stream
from centerx.progress import Countable, Display, Item

if TYPE_CHECKING:
    from rich.progress import Progress

PAUSE = 10.0  # seconds between two plain lines: short work tells nothing, the log of long work stays short
TRAINING_PAUSE = 30.0  # seconds between two plain lines within an epoch of training


class Terminal(Display):
    """Shows a bar where text goes to a terminal, and a line now and then where it does not."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._told = 0.0

    def track(self, work: Countable[Item], what: str) -> Iterator[Item]:
        """Go through `work`. Lines go to standard error, apart from what the command answers."""
        if stream().isatty():
            from rich.progress import track as bar

            yield from bar(work, what, transient=True, console=console())
            return
        told = time.monotonic()
        for done, item in enumerate(work):
            if time.monotonic() - told >= PAUSE:
                told = time.monotonic()
                print(f"{what}: {done} of {len(work)}", file=sys.stderr, flush=True)
            yield item

    def start_training(self, steps: int, done: int) -> None:
        """Open the bar, or start the clock of the lines."""
        self._told = time.monotonic()
        if not stream().isatty():
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console(),
        )
        self._task = self._bar.add_task("training", total=steps, completed=done, note="")
        self._bar.start()

    def show_step(self, step: int, epoch: str, note: str, line: str) -> None:
        """Move the bar, or print a line where the last one is long ago."""
        if self._bar is not None:
            self._bar.update(self._task, description=epoch, completed=step, note=note)
        elif time.monotonic() - self._told >= TRAINING_PAUSE:
            self._told = time.monotonic()
            print(line, file=stream(), flush=True)

    def end_training(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
