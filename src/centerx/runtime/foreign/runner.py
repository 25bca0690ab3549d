"""What runs a file of another project: inputs and outputs by name, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from centerx.errors import InputError


class Tensor(NamedTuple):
    """An input or an output as a file declares it.

    Attributes:
        name: of it.
        shape: its sides, None where free; None where nothing is declared.
        type: of NumPy.
    """

    name: str
    shape: tuple[int | None, ...]
    type: str

    def __str__(self) -> str:
        sides = "x".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} {sides or 'of unknown shape'} {self.type}"


class Declared(NamedTuple):
    """What a file declares.

    Attributes:
        inputs: in its order.
        outputs: in its order.
        metadata: its own strings.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str] = {}


def require_arrays(declared: Declared) -> None:
    """Raise where a file takes or gives anything but arrays of NumPy, such as sequences, texts or bfloat16.

    Raises:
        InputError: it does.
    """
    for tensor in (*declared.inputs, *declared.outputs):
        try:
            known = np.dtype(tensor.type).kind in "biuf"
        except TypeError:
            known = False
        if not known:
            raise InputError(f"has {tensor}, which is no array of numbers that NumPy knows, export it in float32")


class Runner(Protocol):
    """A loaded file.

    Attributes:
        declared: its inputs, outputs and metadata.
    """

    declared: Declared

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the file: arrays of all inputs by name -> arrays of all outputs by name.

        Raises:
            InputError: the runtime refuses the inputs.
        """
        ...
