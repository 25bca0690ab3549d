"""Long work says how far it is to a display. A library has a silent one; the command line puts its own in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item", covariant=True)


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


_display = Display()


def current_display() -> Display:
    """Return the display in use."""
    return _display


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
    return _display.track(work, what)
