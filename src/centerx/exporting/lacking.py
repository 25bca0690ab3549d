"""Operators that a format has no layer for, told in one line."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from centerx.errors import InputError

if TYPE_CHECKING:
    from onnx import NodeProto


def refuse(format: str, lacking: Iterable[tuple[str, str]]) -> None:
    """Raise if a network has operators that a format lacks.

    Args:
        format: its name.
        lacking: each operator and its place in the network, in order.

    Raises:
        InputError: names every operator once, with the place where it is first met.
    """
    places: dict[str, list[str]] = {}
    for operator, place in lacking:
        places.setdefault(operator, []).append(place)
    if places:
        told = ", ".join(
            f"{operator} ({where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''})"
            for operator, where in places.items()
        )
        raise InputError(f"{format}: no layer for {told}; export to onnx, or train without this part")


def place_of(node: NodeProto, constants: Container[str]) -> str:
    """Where in the network a node is: the module of its weights, or its own name where it has none."""
    modules = [name.rpartition(".")[0] for name in node.input if name in constants]
    return max(modules, key=len, default="") or node.name or node.output[0]
