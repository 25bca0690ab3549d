"""YAML of strangers: bounded, one line, wherever it is read."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from centerx.config import load_config
from centerx.config.load import parse_text
from centerx.data.read import scan_dataset
from centerx.errors import InputError
from centerx.interop.configs import read_with_bases
from centerx.problems import Kind
from centerx.runtime.foreign.adapter import read_tree
from centerx.yaml_text import parse_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join(['*' + before] * 10)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{after}: &{after}\n  <<: [{','.join(['*' + before] * 10)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
NONSENSE = {
    "date": "names: 2026-02-30",
    "time": "names: 2026-01-01 25:00:00",
    "timestamp": "names: !!timestamp x",
    "float": "names: !!float abc",
    "bool": "names: !!bool abc",
    "int": "names: !!int ''",
    "binary": "names: !!binary é",
    "python": "names: !!python/object/apply:os.system [ls]",
    "brackets": "names: " + "[" * 20_000,
    "braces": "names: " + "{a: " * 20_000,
    "sequences": "- " * 20_000,
    "bomb": BOMB,
    "merges": MERGES,
    "itself": "names: &a [*a]",
    "digits": "names: " + "9" * 5000,
    "sixties": "names: 1" + ":1" * 400_000,
    "long": "names: " + "x" * 5_000_000,
    "key": "? [a]\n: b",
    "control": "names: \x1b",
    "documents": "names: a\n---\nnames: b",
}


@pytest.mark.parametrize("kind", sorted(NONSENSE))
def test_nonsense_is_one_line_soon(kind: str, tmp_path: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - any message
        parse_yaml(NONSENSE[kind])
    assert "\n" not in str(raised.value)
    assert 0 < len(str(raised.value)) < 400
    file = tmp_path / "data.yaml"
    file.write_text(NONSENSE[kind], encoding="utf-8")
    for read in (
        load_config,
        lambda path: read_with_bases(path, ()),
        read_tree,
        lambda path: parse_text(NONSENSE[kind], path),
    ):
        with pytest.raises(InputError, match=r"data\.yaml"):
            read(file)
    problems = scan_dataset(file).problems
    assert [problem.kind for problem in problems] == [Kind.UNREADABLE_LABELS]
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("text", ["1: a", ".inf: a", "null: a", "true: a", "{[a]: b}", "a", "[]", "5"])
def test_configurations_of_other_keys_or_kinds(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    for read in (load_config, lambda path: parse_text(text, path)):
        with pytest.raises(InputError) as raised:
            read(file)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["[" * 5000, "!!float abc", "2026-02-30", "&a [*a]", "'", "9" * 5000])
def test_overrides(value: str) -> None:
    with pytest.raises(InputError) as raised:
        load_config("nano", [f"train.epochs={value}"])
    assert "\n" not in str(raised.value)


def test_aliases_of_people_are_read() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize("text", ["1:30", "-1:30.5", "010", "+0_7"])
def test_a_number_that_yaml_takes_for_another_is_refused(text: str) -> None:
    said = re.escape(f"{text} is no plain number")
    with pytest.raises(ValueError, match=said):
        parse_yaml(f"a: {text}")
    with pytest.raises(InputError, match=said):
        load_config("nano", [f"train.epochs={text}"])
    assert parse_yaml(f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize(
    ("text", "due"), [("0", 0), ("-0", 0), ("1_000", 1000), ("0x1F", 31), ("00.5", 0.5), ("07:30 x", "07:30 x")]
)
def test_other_numbers_and_texts_are_taken(text: str, due: object) -> None:
    assert parse_yaml(f"a: {text}") == {"a": due}
