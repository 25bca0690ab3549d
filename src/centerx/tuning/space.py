"""A search space: for each key of a configuration a range of numbers or a list of values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from centerx.errors import InputError, nearest
from centerx.files import json_text

WORDS = ("low", "high", "log", "step")


class Range(NamedTuple):
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the least.
        high: the largest.
        log: whether each factor counts the same, instead of each difference.
        step: between neighbours, from `low` on; None: any number.
        whole: whether the numbers are whole.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __contains__(self, value: Any) -> bool:
        """Whether a value of a configuration is one of them."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9) and (not self.whole or value == int(value))

    def probes(self) -> tuple[float, ...]:
        """Return values that stand for all: the ends, and one step from the first where there are steps."""
        ends = self.low, self.high, *([self.low + self.step] if self.step else [])
        return tuple(map(int, ends)) if self.whole else ends

    def to_yaml(self) -> dict[str, Any]:
        """Return what a file of a space has for it."""
        tree = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        return {word: value for word, value in tree.items() if value not in (None, False) or word in ("low", "high")}


class Choice(NamedTuple):
    """Values without an order.

    Attributes:
        values: as in a configuration.
    """

    values: tuple[Any, ...]

    def __contains__(self, value: Any) -> bool:
        """Whether a value of a configuration is one of them."""
        return json_text(value) in map(json_text, self.values)

    def probes(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.values

    def to_yaml(self) -> list[Any]:
        """Return what a file of a space has for it."""
        return list(self.values)


Space: TypeAlias = dict[str, Range | Choice]


def parse_space(tree: Any, where: object) -> Space:
    """Read a space.

    Args:
        tree: a mapping of dotted keys to `{low, high}`, with `log: true` or `step` where wanted, or to lists.
        where: names it in errors.

    Raises:
        InputError: it is no mapping, is empty, or an entry is no range or list of at least two different values.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"{where}: a space is a mapping of keys, not {type(tree).__name__}")
    if not tree:
        raise InputError(f"{where}: is empty, name a key such as train.optimizer.lr: {{low: 1e-4, high: 1e-2}}")
    space = {str(key): parse_entry(entry, f"{where}: {key}") for key, entry in tree.items()}
    for key in space:
        holder = next((each for each in space if key.startswith(f"{each}.")), None)
        if holder:
            raise InputError(f"{where}: {key} is a part of {holder}, which is searched too, leave one of them out")
    return space


def parse_entry(entry: Any, where: str) -> Range | Choice:
    """Read what a key may be.

    Raises:
        InputError: see `parse_space`.
    """
    if isinstance(entry, list | tuple):
        return _parse_choice(entry, where)
    if not isinstance(entry, Mapping):
        raise InputError(
            f"{where}: {entry!r} is no range {{low: ..., high: ...}} and no list; "
            "a value that stays goes behind the configuration as key=value"
        )
    for word in entry:
        if word not in WORDS:
            raise InputError(
                f"{where}: unknown word {word!r}{nearest(str(word), WORDS)}, a range has {', '.join(WORDS)}, and "
                "keys are written with dots, such as train.optimizer.lr"
            )
    return _parse_range(entry, where)


def _parse_choice(entry: list[Any] | tuple[Any, ...], where: str) -> Choice:
    texts = [json_text(value) for value in entry]
    if len(set(texts)) < max(len(texts), 2):
        raise InputError(f"{where}: a list has at least two values, each different from the others")
    return Choice(tuple(entry))


def _parse_range(entry: Mapping[str, Any], where: str) -> Range:
    low, high = (_number(entry, word, where) for word in ("low", "high"))
    step = _number(entry, "step", where) if entry.get("step") is not None else None
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{where}: log is true or false, not {log!r}")
    if low >= high:
        raise InputError(f"{where}: low {low} is not below high {high}")
    if log and low <= 0:
        raise InputError(f"{where}: low {low} is not above 0, as log: true needs")
    if log and step is not None:
        raise InputError(f"{where}: log and step do not go together, leave one of them out")
    if step is not None:
        steps = (high - low) / step if step > 0 else 0.5
        if not math.isclose(steps, round(steps), rel_tol=1e-9):
            raise InputError(f"{where}: no whole number of steps of {step} leads from {low} to {high}")
    return Range(low, high, log, step)


def _number(entry: Mapping[str, Any], word: str, where: str) -> float:
    value = entry.get(word)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        told = f"{value!r} is no number" if word in entry else "is missing"
        raise InputError(f"{where}: {word} {told}, a range is written {{low: 0.1, high: 1}}")
    return value
