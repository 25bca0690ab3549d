"""What is known of a code base whose checkpoints can be converted, and what of the network in one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Shapes = Mapping[str, tuple[int, ...]]
Names = tuple[tuple[str, str], ...]  # (pattern in our tensor names, what stands there), applied one after the other

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network(NamedTuple):
    """A network as found in a checkpoint.

    Attributes:
        name: in the words of its origin.
        model: the `model` section of a configuration, for ours of the same arithmetic.
        names: of our tensors there.
        unused: patterns of tensors there that its detections do not depend on.
        biased: whether convolutions of its neck have a bias in front of a batch norm.
        left: parts there that a detector has no use for, in words with what it means.
        pixels: mean and deviation, where it is not trained with those of its origin.
    """

    name: str
    model: Mapping[str, Any]
    names: Names
    unused: tuple[str, ...] = ()
    biased: bool = False
    left: tuple[str, ...] = ()
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def theirs(self, name: str) -> str:
        """What our tensor is called there."""
        return translate(name, self.names)

    def ignores(self, name: str) -> bool:
        """Whether their tensor has no use."""
        return any(re.match(pattern, name) for pattern in self.unused)


class SourceCode(NamedTuple):
    """One code base.

    Attributes:
        name: of it.
        networks: what it can be asked for, in words.
        recognise: from names and shapes of tensors to the network that they are of; None where it is not its own.
        colour: `RGB` or `BGR`, the order of channels that it reads pictures in.
        mean, std: of pixels in [0, 1], in that order.
        resize: how it brings a picture to the network's input.
    """

    name: str
    networks: str
    recognise: Callable[[Shapes], Network | None]
    colour: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str


def translate(name: str, names: Names) -> str:
    """Rename by all patterns, in their order."""
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


def has(shapes: Iterable[str], start: str) -> bool:
    """Whether any tensor's name starts so."""
    return any(name.startswith(start) for name in shapes)


def rows(shapes: Shapes, name: str, default: int, axis: int = 0) -> int:
    """The first side of a tensor, or another; the default where it is missing, so that it can be named later."""
    return shapes[name][axis] if len(shapes.get(name, ())) > axis else default
