"""Helpers that several exporters share: silence for other libraries, and the error for unsupported operators."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING

from centerx.errors import InputError

if TYPE_CHECKING:
    from onnx import NodeProto


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what another library prints, warns and logs up to level WARNING."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def require_supported(format: str, unsupported_ops: Iterable[tuple[str, str]]) -> None:
    """Raise if a network has operators that an export format does not support.

    Args:
        format: name of the format.
        unsupported_ops: name and location in the network of each unsupported operator, in network order.

    Raises:
        InputError: there is an unsupported operator. The message names each operator once, with its first location.
    """
    locations: dict[str, list[str]] = {}
    for operator, location in unsupported_ops:
        locations.setdefault(operator, []).append(location)
    if locations:
        listed = ", ".join(
            f"{operator} ({found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''})"
            for operator, found in locations.items()
        )
        raise InputError(f"{format}: no layer for {listed}; export to onnx, or train without this part")


def node_location(node: NodeProto, constants: Container[str]) -> str:
    """Return where in the network a node is.

    Args:
        node: a node of an ONNX graph.
        constants: names of the graph's constant tensors.

    Returns:
        The name of the module that owns the node's weights, or the node's own name if it has no weights.
    """
    modules = [name.rpartition(".")[0] for name in node.input if name in constants]
    return max(modules, key=len, default="") or node.name or node.output[0]
