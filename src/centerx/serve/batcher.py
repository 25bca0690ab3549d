"""Dynamic batching: items that arrive while the network is busy form the next batch. An idle network starts at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Runs items in batches, in one thread.

    Args:
        run: function from a batch to the result of each item. Its calls never overlap. If it raises, every item of the
            batch gets the exception.
        max_batch: largest number of items of one call.
        observe: called with the size of every batch.
    """

    def __init__(
        self, run: Callable[[list[Item]], Sequence[Result]], max_batch: int, observe: Callable[[int], object]
    ) -> None:
        self._run, self._max_batch, self._observe = run, max_batch, observe
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")

    def submit(self, item: Item) -> Future[Result]:
        """Queue an item. If its future is cancelled before its batch starts, the item is left out."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        self._thread.submit(self._next)
        return future

    def waiting(self) -> int:
        """Return how many items wait for a batch."""
        return len(self._waiting)

    def close(self) -> None:
        """Finish all submitted items and end the thread."""
        self._thread.shutdown()

    def _next(self) -> None:
        """Run one batch of waiting items, if an earlier call has not taken them all."""
        batch: list[tuple[Item, Future[Result]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                batch.append((item, future))
        if not batch:
            return
        self._observe(len(batch))
        try:
            answers = list(zip(batch, self._run([item for item, _ in batch]), strict=True))
        except Exception as error:  # of any type, for all that wait
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), result in answers:
                future.set_result(result)
