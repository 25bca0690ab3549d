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
    ends after its current item, and closes a generator, so that nothing of it runs any longer.

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
                    if isinstance(items, Generator):
                        items.close()
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


def newest(items: Iterable[Item], stopped: threading.Event) -> Generator[Item, None, None]:
    """Iterate over `items` in a thread, as fast as they come, and yield the newest each time the consumer is ready.

    An exception of the iteration is raised here, after the last item.

    Args:
        items: iterated in the thread, which ends after its current item.
        stopped: ends the iteration once it is set; it is set here when the consumer stops.
    """
    changed = threading.Condition()
    slot: list[Item] = []
    end: list[_End] = []

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                with changed:
                    slot[:] = [item]
                    changed.notify()
                if stopped.is_set():
                    break
        except BaseException as caught:
            error = caught
        with changed:
            end.append(_End(error))
            changed.notify()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while not stopped.is_set():
            with changed:
                changed.wait_for(lambda: slot or end, timeout=PATIENCE)
                item, slot[:] = slot[:], []
            if item:
                yield item[0]
            elif end:
                if end[0].error is not None:
                    raise end[0].error
                return
    finally:
        stopped.set()
        worker.join(timeout=10 * PATIENCE)  # it may hang in a read


def groups(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
