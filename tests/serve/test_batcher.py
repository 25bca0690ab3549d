"""Batches are made of what waits, and everybody gets the own answer, whatever becomes of the others."""

import threading
from concurrent.futures import Future

import pytest

from centerx.serve.batcher import Batcher


class Gate:
    """Ten times each item; the first call waits until it is opened. An item that is no number breaks its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered, self.opened = threading.Event(), threading.Event()
        self.threads: set[int] = set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.opened.wait(10)
        return [10 * int(item) for item in items]


def waiting(gate: Gate, batcher: Batcher[int, int], items: list[int]) -> list[Future[int]]:
    """The futures of `items`, of which the first is being worked on."""
    first = batcher.submit(items[0])
    assert gate.entered.wait(10)
    return [first, *map(batcher.submit, items[1:])]


def test_what_waits_goes_together_in_order_and_in_one_thread() -> None:
    gate, sizes = Gate(), []
    batcher = Batcher(gate, 4, sizes.append)
    futures = waiting(gate, batcher, list(range(8)))
    assert batcher.waiting() == 7
    gate.opened.set()
    assert [future.result(10) for future in futures] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert gate.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
    assert sizes == [1, 4, 3]
    assert len(gate.threads) == 1
    assert threading.get_ident() not in gate.threads
    assert batcher.waiting() == 0
    batcher.close()


def test_who_gave_up_is_left_out() -> None:
    gate = Gate()
    batcher = Batcher(gate, 4, lambda _: None)
    futures = waiting(gate, batcher, [0, 1, 2])
    assert futures[1].cancel()
    assert not futures[0].cancel()  # under way
    gate.opened.set()
    assert [futures[0].result(10), futures[2].result(10)] == [0, 20]
    assert gate.batches == [[0], [2]]
    batcher.close()


@pytest.mark.parametrize(
    ("run", "error"),
    [(lambda items: [1 / item for item in items], ZeroDivisionError), (lambda items: items[1:], ValueError)],
    ids=["raises", "too few"],
)
def test_a_failed_call_is_told_to_those_in_it_and_the_work_goes_on(run, error) -> None:
    batcher = Batcher(run, 1, lambda _: None)
    assert isinstance(batcher.submit(0).exception(10), error)
    later = batcher.submit(4)
    if error is ZeroDivisionError:
        assert later.result(10) == 0.25
    batcher.close()


def test_closing_finishes_what_was_submitted() -> None:
    gate = Gate()
    batcher = Batcher(gate, 2, lambda _: None)
    futures = waiting(gate, batcher, [1, 2, 3, 4])
    gate.opened.set()
    batcher.close()
    assert [future.result(0) for future in futures] == [10, 20, 30, 40]
