"""Read a large JSON file without keeping what it holds: elements of its lists are parsed when they are asked for."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from json.decoder import WHITESPACE, JSONDecodeError  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from centerx.contents import read_plain
from centerx.data.text import parse_json, to_mapping, uncollected
from centerx.lazy import LazySequence

DECODER = json.JSONDecoder(object_pairs_hook=to_mapping)


class JsonList(LazySequence[Any]):
    """A list in a JSON text.

    Args:
        text: in JSON.
        starts: where each element starts; all are well formed.
    """

    def __init__(self, text: str, starts: Sequence[int]) -> None:
        self._text, self._starts = text, starts

    def __len__(self) -> int:
        return len(self._starts)

    def make(self, place: int) -> Any:
        """Return an element, parsed."""
        return DECODER.raw_decode(self._text, self._starts[place])[0]


def parse_parts(file: Path, visit: Mapping[str, Callable[[Any], object]]) -> Any:
    """Parse a JSON file; of a mapping at its top, the lists of some keys become a `JsonList` each.

    Args:
        file: the file.
        visit: by key of such a list, what is called with each of its elements in order.

    Raises:
        ValueError: as `parse_json`; some elements may have been visited.
        OSError: likewise.
    """
    content = read_plain(file)
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    del content
    if text[_skip(text, 0) :][:1] != "{":
        return parse_json(text)
    try:
        with uncollected():
            return _mapping(text, visit)
    except (ValueError, RecursionError):
        parse_json(text)  # tells what is wrong in its own words
        raise


def _mapping(text: str, visit: Mapping[str, Callable[[Any], object]]) -> dict[str, Any]:
    pairs: list[tuple[str, Any]] = []
    where = _skip(text, _skip(text, 0) + 1)
    while text[where : where + 1] != "}":
        key, where = DECODER.raw_decode(text, where)
        where = _skip(text, _expect(text, _skip(text, where), ":"))
        value: Any
        if key in visit and text[where : where + 1] == "[":
            value, where = _list(text, where, visit[key])
        else:
            value, where = DECODER.raw_decode(text, where)
        pairs.append((key, value))
        where = _skip(text, where)
        if text[where : where + 1] != "}":
            where = _skip(text, _expect(text, where, ","))
            _expect(text, where, '"')
    if _skip(text, where + 1) < len(text):
        raise JSONDecodeError("Extra data", text, where + 1)
    return to_mapping(pairs)


def _list(text: str, where: int, visit: Callable[[Any], object]) -> tuple[JsonList, int]:
    """Return the list that starts at a place, and where it ends."""
    starts = array("q")
    where = _skip(text, where + 1)
    while text[where : where + 1] != "]":
        starts.append(where)
        element, where = DECODER.raw_decode(text, where)
        visit(element)
        where = _skip(text, where)
        if text[where : where + 1] != "]":
            where = _skip(text, _expect(text, where, ","))
            if text[where : where + 1] == "]":
                raise JSONDecodeError("Illegal trailing comma", text, where)
    return JsonList(text, starts), where + 1


def _expect(text: str, where: int, mark: str) -> int:
    """Return the place after a mark."""
    if text[where : where + 1] != mark:
        raise JSONDecodeError(f"Expecting {mark!r}", text, where)
    return where + 1


def _skip(text: str, where: int) -> int:
    """Return the place of the next character that is no blank."""
    return int(WHITESPACE.match(text, where).end())
