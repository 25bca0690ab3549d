"""The inputs that the fuzzer kept, read again."""

import time

import pytest

from tests.dirty.targets import TARGETS, kept_inputs, read_safely


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_are_read_or_refused_in_one_line(target: str) -> None:
    count = 0
    for name, content in kept_inputs(target):
        started = time.perf_counter()
        read_safely(target, content)
        assert time.perf_counter() - started < 10, name
        count += 1
    assert count
