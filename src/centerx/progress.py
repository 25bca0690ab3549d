"""Long work shows how far it is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Protocol, TypeVar

PAUSE = 10.0  # seconds between two plain lines: short work tells nothing, the log of long work stays short
Item = TypeVar("Item", covariant=True)


class Countable(Protocol[Item]):
    """Something to go through whose length is known."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Item]: ...


def track(work: Countable[Item], what: str) -> Iterator[Item]:
    """Go through `work`; `what` names it. Lines go to stderr, apart from what the command answers."""
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
