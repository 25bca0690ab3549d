"""Kinds of problems: how they are counted, told and refused."""

import json
from pathlib import Path

import pytest

from centerx.errors import InputError
from centerx.problems import Kind, Problem, log_problems, summarise, write_problems

PROBLEMS = [
    Problem(Kind.BOX_WITHOUT_AREA, "a.json: annotation 3", "box of 0 x 5 pixels has no area"),
    Problem(Kind.REPEATED_BOX, "b.png", "has the box 1 2 3 4 more than once", 2),
    Problem(Kind.BOX_WITHOUT_AREA, "a.json: annotation 7", "box of 1 x 0 pixels has no area"),
]


def test_every_kind_has_a_meaning_of_its_own_and_a_fate() -> None:
    assert len({kind.meaning for kind in Kind}) == len(Kind.__members__), "kinds with one value would be one kind"
    assert {kind.action for kind in Kind} == {"fixed", "skipped", "doubtful", "fatal"}


def test_a_summary_counts_and_keeps_the_first() -> None:
    assert [(s.kind, s.times, s.first.where) for s in summarise(PROBLEMS)] == [
        (Kind.BOX_WITHOUT_AREA, 2, "a.json: annotation 3"),
        (Kind.REPEATED_BOX, 2, "b.png"),
    ]
    assert summarise([]) == []


def test_one_line_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    log_problems(PROBLEMS, "a.json")
    assert caplog.messages == [
        "a.json: box_without_area: 2 skipped, the first: a.json: annotation 3: box of 0 x 5 pixels has no area",
        "a.json: repeated_box: 2 doubtful, the first: b.png: has the box 1 2 3 4 more than once",
    ]
    log_problems(PROBLEMS, "a.json", silent=True)
    assert len(caplog.messages) == 2


def test_a_kind_can_end_the_work(caplog: pytest.LogCaptureFixture) -> None:
    log_problems(PROBLEMS[:1], "a.json", {Kind.REPEATED_BOX: "fail", Kind.BOX_WITHOUT_AREA: "warn"})
    assert len(caplog.messages) == 1
    with pytest.raises(InputError) as caught:
        log_problems(PROBLEMS, "a.json", {Kind.REPEATED_BOX: "fail"}, silent=True)
    what = "b.png: has the box 1 2 3 4 more than once (and 1 more)"
    assert str(caught.value) == f"{what}; repair it, or set data.on_problem.repeated_box=warn to go on"


def test_a_report_reads_back(tmp_path: Path) -> None:
    write_problems(tmp_path / "problems.json", [*PROBLEMS, Problem(Kind.NO_BOXES, "stra\udcdfe", "none")])
    rows = json.loads((tmp_path / "problems.json").read_bytes())
    assert rows[1] == {
        "kind": "repeated_box",
        "fate": "doubtful",
        "where": "b.png",
        "what": "has the box 1 2 3 4 more than once",
        "count": 2,
    }
    assert rows[3]["where"] == "stra\udcdfe"
