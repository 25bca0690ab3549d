"""Types that describe a code base whose checkpoints can be converted, and the network in a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Shapes = Mapping[str, tuple[int, ...]]
Names = tuple[tuple[str, str], ...]  # (pattern in our names, replacement in theirs), applied in order

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Network(NamedTuple):
    """The network in a checkpoint.

    Attributes:
        name: its name in the code base.
        model: section `model` of a configuration for the same network here.
        names: patterns that turn our names of tensors into those of the checkpoint.
        unused: patterns of tensors that do not affect detections.
        biased: whether convolutions of the neck have a bias before a batch norm.
        left: descriptions of parts that a detector does not need.
        pixels: mean and standard deviation of pixels, if they are not those of the code base.
        others: further sections of the configuration.
        class_names: of the network, where it says them by what it is.
    """

    name: str
    model: Mapping[str, Any]
    names: Names
    unused: tuple[str, ...] = ()
    biased: bool = False
    left: tuple[str, ...] = ()
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    others: Mapping[str, Any] = {}
    class_names: tuple[str, ...] = ()

    def theirs(self, name: str) -> str:
        """Return the name of one of our tensors in the checkpoint."""
        return translate(name, self.names)

    def ignores(self, name: str) -> bool:
        """Return whether a tensor of the checkpoint is not needed."""
        return any(re.match(pattern, name) for pattern in self.unused)


class SourceCode(NamedTuple):
    """A code base.

    Attributes:
        name: its name.
        networks: its supported networks, for messages.
        recognise: function from shapes of tensors by name to the network, or None if it is of another code base.
        colour: order of channels of its pictures, `RGB` or `BGR`.
        mean: mean of pixels in [0, 1], in that order.
        std: standard deviation of pixels in [0, 1], in that order.
        resize: how it resizes a picture to the network's input, in words.
    """

    name: str
    networks: str
    recognise: Callable[[Shapes], Network | None]
    colour: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str


def translate(name: str, names: Names) -> str:
    """Apply all patterns to a name, in their order."""
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


def has(shapes: Iterable[str], start: str) -> bool:
    """Return whether the name of any tensor starts with `start`."""
    return any(name.startswith(start) for name in shapes)


def rows(shapes: Shapes, name: str, default: int, axis: int = 0) -> int:
    """Return the size of a tensor along an axis; the default if it is missing, so that a later error names it."""
    return shapes[name][axis] if len(shapes.get(name, ())) > axis else default
