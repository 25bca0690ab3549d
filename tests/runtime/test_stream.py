"""Steps that overlap: order, errors in their place, and threads that end."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from centerx.runtime.stream import groups, prefetch


def test_all_items_in_order() -> None:
    assert list(prefetch(range(50), most=3)) == list(range(50))
    assert list(prefetch([])) == []


def test_the_thread_is_never_further_ahead_than_asked() -> None:
    made = 0

    def count() -> Iterator[int]:
        nonlocal made
        for made in range(100):  # noqa: UP028 - the number made is looked at
            yield made

    with closing(prefetch(count(), most=3)) as items:
        assert next(items) == 0
        time.sleep(0.3)
        assert made == 4  # 1 to 3 wait, 4 has no place yet


def test_two_steps_take_the_time_of_the_slower_one() -> None:
    def slow(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            time.sleep(0.05)
            yield item

    started = time.perf_counter()
    for _ in prefetch(slow(prefetch(slow(iter(range(8)))))):
        time.sleep(0.05)
    assert time.perf_counter() - started < 0.8 * 3 * 8 * 0.05


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("here")

    items = prefetch(broken())
    assert (next(items), next(items)) == (1, 2)
    with pytest.raises(ValueError, match="here"):
        next(items)


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    with closing(prefetch(iter(int, 1))) as items:
        next(items)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_groups() -> None:
    assert list(groups(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(groups([], 2)) == []
