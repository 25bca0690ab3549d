"""The table of known families: what their files declare, and their adapters."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from centerx.runtime.foreign.runner import Declared, Tensor

Dim = int | str | None


class Pattern(NamedTuple):
    """What an output of a family looks like.

    Attributes:
        name: in the family's adapter.
        shape: of each side: a number; None for any; a letter, which is the same number everywhere, such as `C`, the
            number of classes; or a letter and a number more, such as `C+5`.
        called: pattern of the name in files, as of file names: `*` is any text.
    """

    name: str
    shape: tuple[Dim, ...]
    called: str = "*"


class Family(NamedTuple):
    """Files that one adapter reads.

    Attributes:
        outputs: of a file, in its order.
        adapter: keys as in YAML, with the names of `outputs`; without `classes` where these vary.
        input: pattern of the shape of the first input.
    """

    outputs: tuple[Pattern, ...]
    adapter: dict[str, Any]
    input: tuple[Dim, ...] | None = None


FAMILIES: dict[str, Family] = {}


def match(family: Family, declared: Declared) -> dict[str, int] | None:
    """Compare what a file declares with a family.

    Returns:
        What the letters of the patterns are; None where the file is none of the family's.
    """
    if len(family.outputs) != len(declared.outputs):
        return None
    letters: dict[str, int] = {}
    pairs = [(pattern.shape, tensor) for pattern, tensor in zip(family.outputs, declared.outputs, strict=True)]
    if family.input is not None:
        pairs.append((family.input, declared.inputs[0]))
    named = all(
        fnmatchcase(tensor.name, pattern.called)
        for pattern, tensor in zip(family.outputs, declared.outputs, strict=True)
    )
    return letters if named and all(_fits(shape, tensor, letters) for shape, tensor in pairs) else None


def _fits(shape: tuple[Dim, ...], tensor: Tensor, letters: dict[str, int]) -> bool:
    """Whether a tensor has a shape; notes what the letters are. A side that the file leaves free fits any."""
    if len(shape) != len(tensor.shape):
        return False
    for due, side in zip(shape, tensor.shape, strict=True):
        if due is None or side is None:
            continue
        if isinstance(due, str):
            letter, _, more = due.partition("+")
            due = letters.setdefault(letter, side - int(more or 0)) + int(more or 0)
        if due != side:
            return False
    return True
