"""Steps that overlap: each runs in a thread of its own, a few items ahead of the next."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from queue import Empty, Full, Queue
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
PATIENCE = 0.1  # seconds between two looks at whether anybody still wants the items


class _End(NamedTuple):
    """What follows the last item.

    Attributes:
        error: what ended the items, None where they were all.
    """

    error: BaseException | None


def prefetch(items: Iterable[Item], most: int = 4) -> Generator[Item, None, None]:
    """Pass items on that a thread takes from `items`, at most so many before they are asked for.

    What the iteration raises is raised here, after the items before it. Where the taker stops early, the thread does
    so too, after the item at hand.
    """
    waiting: Queue[Item | _End] = Queue(most)
    unwanted = threading.Event()

    def put(item: Item | _End) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        end = _End(None)
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            end = _End(error)
        put(end)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while True:
            try:
                item = waiting.get(timeout=PATIENCE)  # without one, Ctrl-C waits for the item
            except Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unwanted.set()
        worker.join()


def groups(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of so many items, the last maybe shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
