"""Parsing a JSON file in parts is parsing it whole, and fails where that does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from centerx.data.json_parts import JsonList, parse_parts
from centerx.data.text import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
TREES = st.dictionaries(st.sampled_from(["images", "annotations", "categories", ""]), VALUES, max_size=4)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def in_parts(file: Path) -> tuple[Any, dict[str, list[Any]]]:
    """The file with its lists as plain ones, and what was visited."""
    seen: dict[str, list[Any]] = {"images": [], "annotations": []}
    tree = parse_parts(file, {key: some.append for key, some in seen.items()})
    if isinstance(tree, dict):
        tree = {key: list(value) if isinstance(value, JsonList) else value for key, value in tree.items()}
    return tree, seen


@SETTINGS
@given(tree=TREES | VALUES, indent=st.sampled_from([None, 0, 2]), blank=st.sampled_from(["", " ", "\n\t\r "]))
def test_a_file_in_parts_is_the_file(tmp_path: Path, tree: Any, indent: int | None, blank: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(blank + json.dumps(tree, indent=indent) + blank, encoding="utf-8")
    found, seen = in_parts(file)
    assert found == tree
    for key, some in seen.items():
        assert some == (tree[key] if isinstance(tree, dict) and isinstance(tree.get(key), list) else [])


@SETTINGS
@given(tree=TREES, data=st.data())
def test_a_malformed_file_is_refused_in_the_same_words(tmp_path: Path, tree: Any, data: st.DataObject) -> None:
    text = json.dumps(tree)
    place = data.draw(st.integers(0, len(text)))
    text = (
        text[:place] + data.draw(st.sampled_from(["", ",", "]", "}", '"', ":", "{", "[", " ", "1"])) + text[place + 1 :]
    )
    file = tmp_path / "a.json"
    file.write_text(text, encoding="utf-8")
    assert outcome(lambda: in_parts(file)[0]) == outcome(lambda: parse_json(file))


def outcome(parse: Callable[[], Any]) -> Any:
    """What parsing returns, or what it says."""
    try:
        return parse()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    "text", ['{"images": [1], "images": [2]}', '{"images": [{"a": 1, "a": 2}]}', '{"images": [' + "[" * 10**5]
)
def test_keys_that_are_there_twice_and_depth_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"twice|deep"):
        parse_parts(file, {"images": lambda each: None})


def test_marks_of_byte_order_and_elements_by_place(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        file.write_bytes('{"images": ["é", {"b": [2]}, 3 ]}'.encode(encoding))
        images = parse_parts(file, {"images": lambda each: None})["images"]
        assert (len(images), images[0], images[-1], images[1:]) == (3, "é", 3, [{"b": [2]}, 3])
        with pytest.raises(IndexError):
            images[3]
