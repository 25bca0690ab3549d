"""Losses and graphs are what they were when `trace.json` was written; see `tests.equality.trace`."""

import pytest

from tests.equality.cases import CASES
from tests.equality.trace import count_nodes, differing, machine, stored, train

STORED = stored()
SAME = STORED["machine"] == machine()
TESTED = {"quick": 4, "suite": 3}  # steps; the program compares all


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.when == "quick"])
def test_losses_are_as_before(name: str) -> None:
    assert differing(STORED["losses"][name], train(CASES[name], TESTED["quick"]), SAME) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.when == "suite"])
def test_more_losses_are_as_before(name: str) -> None:
    assert differing(STORED["losses"][name], train(CASES[name], TESTED["suite"]), SAME) == []


def test_the_trace_holds_every_case() -> None:
    assert STORED["losses"].keys() == CASES.keys()


@pytest.mark.slow
def test_the_exported_graph_has_no_more_nodes() -> None:
    assert count_nodes("nano", "detections") <= STORED["nodes"]["nano, detections"]
