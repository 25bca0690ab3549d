"""Long work says how far it is to a display: a bar in notebooks, none elsewhere. The command line has its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item", covariant=True)
PAUSE = 0.5  # seconds between two changes of a bar in a notebook


class Countable(Protocol[Item]):
    """Iterable with a known length."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Item]: ...


class Display:
    """Is told how far long work is, and shows nothing."""

    def track(self, work: Countable[Item], what: str) -> Iterator[Item]:
        """Go through `work`; `what` names it."""
        yield from work

    def start_training(self, steps: int, done: int) -> None:
        """Learn that a training starts.

        Args:
            steps: of the whole training.
            done: those before this start.
        """

    def show_step(self, step: int, epoch: str, note: str, line: str) -> None:
        """Learn that a training step is done.

        Args:
            step: how many are done.
            epoch: which epoch it is, such as `epoch 3/40`.
            note: loss and speed, for a bar.
            line: the same and more, for where there is no bar.
        """

    def end_training(self) -> None:
        """Learn that the training has ended, or failed; more than once does not matter."""


class Notebook(Display):
    """Shows a bar in the output of a notebook's cell, once work takes longer than a moment."""

    def __init__(self) -> None:
        self._steps = 0
        self._begin()

    def track(self, work: Countable[Item], what: str) -> Iterator[Item]:
        """Go through `work`."""
        bar = Notebook()
        for done, item in enumerate(work):
            bar._show(done, len(work), what)
            yield item
        bar._show(len(work), len(work), what, last=True)

    def start_training(self, steps: int, done: int) -> None:
        """Begin a bar."""
        self._begin()
        self._steps = steps

    def show_step(self, step: int, epoch: str, note: str, line: str) -> None:
        """Move the bar."""
        self._show(step, self._steps, f"{epoch}  {note}", last=step == self._steps)

    def _begin(self) -> None:
        self._handle: Any = None
        self._shown = time.monotonic()

    def _show(self, done: int, of: int, text: str, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._shown < PAUSE and not (last and self._handle is not None):
            return
        from IPython.display import HTML, display

        self._shown = now
        bar = HTML(f'<progress value="{done}" max="{of}"></progress> {done} of {of} {escape(text)}')
        if self._handle is None:
            self._handle = display(bar, display_id=True)
        else:
            self._handle.update(bar)


_display: Display | None = None


def current_display() -> Display:
    """Return the display in use."""
    return usual_display() if _display is None else _display


@cache
def usual_display() -> Display:
    """Return the display of a program that has put none in its place."""
    return Notebook() if in_notebook() else Display()


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Use a display inside the `with`, in all threads of the process."""
    global _display
    former, _display = _display, display
    try:
        yield
    finally:
        _display = former


def track(work: Countable[Item], what: str) -> Iterator[Item]:
    """Go through `work` and say how far it is; `what` names it."""
    return current_display().track(work, what)
