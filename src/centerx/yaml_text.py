"""Parse YAML that may be from a stranger: in bounded time and memory, and what is wrong is a ValueError of one line."""

from __future__ import annotations

import re
from typing import Any

import yaml

LARGEST = 4_000_000  # characters; PyYAML reads about a million a second
MOST_NODES = 200_000  # one that aliases name again counts again
DEEPEST = 100  # brackets within each other
LONGEST_VALUE = 400  # characters of a number or a time
NUMBERS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float")}
PLAIN = {*NUMBERS, "tag:yaml.org,2002:timestamp"}
OCTAL = re.compile(r"[+-]?0[0-9_]+")
# PyYAML raises errors of any of these types for a value that does not fit its tag.
WRONG = (
    yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, AssertionError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    def fetch_flow_collection_start(self, token_class: Any) -> None:
        """Raise on brackets within each other that PyYAML would take seconds to give up."""
        if self.flow_level > DEEPEST:
            raise yaml.YAMLError("nested too deep")
        super().fetch_flow_collection_start(token_class)


def parse_yaml(text: str | bytes) -> Any:
    """Parse a text as plain values.

    Raises:
        ValueError: it is no YAML, has values that do not fit their tags, is too large, or aliases make it too large.
    """
    try:
        check_yaml(text)
        return yaml.safe_load(text)
    except WRONG as error:
        raise ValueError(one_line(error)) from None


def check_yaml(text: str | bytes, names: bool = False) -> None:
    """Raise unless a text can be parsed in bounded time and memory, its values aside.

    Args:
        text: in YAML.
        names: whether what looks like a number may be a name that is taken as written. Otherwise one that YAML 1.1
            takes for another than people do is wrong: 1:30, which is 90, and 010, which is 8.

    Raises:
        ValueError: it cannot.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} characters, {LARGEST} are the most")
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        if root is not None:
            _count(root, {}, set(), names)
    except WRONG as error:
        raise ValueError(one_line(error)) from None


def one_line(error: Exception) -> str:
    """Return what an error says, as the end of a message of one line."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _count(node: yaml.Node, counts: dict[int, int], above: set[int], names: bool) -> int:
    """Return the number of nodes, each as often as aliases name it.

    Raises:
        ValueError: they are too many, one is within itself, or a number is too long or not plain.
    """
    if isinstance(node, yaml.ScalarNode):
        if node.tag in PLAIN and len(node.value) > LONGEST_VALUE:
            raise ValueError(f"a number of {len(node.value)} characters{node.start_mark}")
        if not names and node.tag in NUMBERS and (":" in node.value or OCTAL.fullmatch(node.value)):
            raise ValueError(f"{node.value} is no plain number, write it in decimals, or in quotes if it is a text")
        return 1
    key = id(node)
    if key in above:
        raise ValueError(f"an alias within what it names{node.start_mark}")
    if key not in counts:
        inside = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        above.add(key)
        counts[key] = 1 + sum(_count(each, counts, above, names) for each in inside)
        above.discard(key)
    if counts[key] > MOST_NODES:
        raise ValueError(f"more than {MOST_NODES} values, counting what aliases name")
    return counts[key]
