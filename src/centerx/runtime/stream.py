"""Run the steps of a pipeline at the same time: each in its own thread, a few items ahead of the next."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from queue import Empty, Full, Queue
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")
PATIENCE = 0.1  # seconds between two checks whether the items are still wanted


class _End(NamedTuple):
    """Marks the end of the items in the queue.

    Attributes:
        error: exception that ended the iteration, None if it was complete.
    """

    error: BaseException | None


def prefetch(items: Iterable[Item], most: int = 4) -> Generator[Item, None, None]:
    """Iterate over `items` in a thread, ahead of the consumer.

    An exception of the iteration is raised here, after the items before it. If the consumer stops early, the thread
    ends after its current item.

    Args:
        items: iterated in the thread.
        most: largest number of items that wait for the consumer.
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
                item = waiting.get(timeout=PATIENCE)  # without a timeout, Ctrl-C would wait for the next item
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
    """Yield lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
