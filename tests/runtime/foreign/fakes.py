"""Files of other projects without a file: what they declare, and the arrays that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from centerx.runtime.foreign.runner import Declared, Tensor
from centerx.runtime.foreign.session import ForeignSession, open_foreign

PATH = Path("m.onnx")
PICTURE = Tensor("images", (1, 3, 64, 96), "float32")
PLAIN: dict[str, Any] = {"boxes": {"outputs": "boxes"}, "scores": {"outputs": "scores"}, "classes": ["cat", "dog"]}


class FakeRunner:
    """Gives the same arrays for any picture, and keeps what it was given.

    Args:
        outputs: by name.
        inputs: as declared.
        check: called with the arrays of the inputs.
    """

    def __init__(
        self,
        outputs: Mapping[str, Any],
        inputs: tuple[Tensor, ...] = (PICTURE,),
        metadata: Mapping[str, str] | None = None,
        check: Callable[[Mapping[str, np.ndarray]], object] = lambda _: None,
    ) -> None:
        self.outputs = {name: np.asarray(array) for name, array in outputs.items()}
        declared = tuple(Tensor(name, array.shape, array.dtype.name) for name, array in self.outputs.items())
        self.declared = Declared(inputs, declared, metadata or {})
        self.check = check
        self.given: Mapping[str, np.ndarray] = {}

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.given = inputs
        self.check(inputs)
        return self.outputs


def opened(runner: FakeRunner, adapter: Mapping[str, Any] | None = None) -> ForeignSession:
    return open_foreign(PATH, lambda _: runner, adapter)
