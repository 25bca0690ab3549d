"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Protocol, TypeVar

PAUSE = 10.0  # seconds between two plain lines, so that short work prints none
Item = TypeVar("Item", covariant=True)


class Countable(Protocol[Item]):
    """Iterable with a known length."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Item]: ...


def track(work: Countable[Item], what: str) -> Iterator[Item]:
    """Iterate over items and show the progress.

    Plain lines go to standard error, because standard output is for results.

    Args:
        work: the items.
        what: name of the work in the display.
    """
    if sys.stdout.isatty():
        from rich.progress import track as bar

        yield from bar(work, what, transient=True)
        return
    told = time.monotonic()
    for done, item in enumerate(work):
        if time.monotonic() - told >= PAUSE:
            told = time.monotonic()
            print(f"{what}: {done} of {len(work)}", file=sys.stderr, flush=True)
        yield item
