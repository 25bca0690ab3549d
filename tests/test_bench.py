"""Timing: in turn, after a warm-up, by the median."""

from collections.abc import Callable

import pytest

from centerx.bench import WARM_UP, median_seconds


def test_calls_are_timed_in_turn_and_the_median_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    order = []
    monkeypatch.setattr("centerx.bench.time.perf_counter", lambda: now)

    def lasting(name: str, *seconds: float) -> Callable[[], None]:
        left = iter([1000.0] * WARM_UP + list(seconds))

        def call() -> None:
            nonlocal now
            order.append(name)
            now += next(left)

        return call

    calls = {"a": lasting("a", 5, 1, 3), "b": lasting("b", 2, 2, 100)}
    assert median_seconds(calls, runs=3) == {"a": 3, "b": 2}
    assert "".join(order) == "a" * WARM_UP + "b" * WARM_UP + "ababab"
