"""Dynamic batching: what waits while the network is busy goes into it together; nothing waits while it is idle."""

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
        run: batch -> the result of each item; never called twice at a time. Each item gets what it raises.
        max_batch: the most items of one call.
        observe: told the size of every batch.
    """

    def __init__(
        self, run: Callable[[list[Item]], Sequence[Result]], max_batch: int, observe: Callable[[int], object]
    ) -> None:
        self._run, self._max_batch, self._observe = run, max_batch, observe
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")

    def submit(self, item: Item) -> Future[Result]:
        """Queue an item; it is left out where its future is cancelled in time."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        self._thread.submit(self._next)
        return future

    def waiting(self) -> int:
        """How many items no batch has taken yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Finish what was submitted and end the thread."""
        self._thread.shutdown()

    def _next(self) -> None:
        """Run one batch of what waits; nothing is left for this call where earlier ones took its item along."""
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
        except Exception as error:  # whatever it is, those who wait must hear of it
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), result in answers:
                future.set_result(result)
