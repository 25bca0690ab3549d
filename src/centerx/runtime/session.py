"""A model file of any backend -> something that takes pixels and returns boxes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from centerx.errors import InputError, nearest
from centerx.runtime.info import ModelInfo
from centerx.types import Detections


class Session(Protocol):
    """A loaded model.

    Attributes:
        info: class names, input size and stride.
    """

    info: ModelInfo

    def __call__(self, images: np.ndarray) -> Detections:
        """(B, 3, H, W) uint8 RGB of the model's input size -> (B, K, ...) detections in input pixels, best first."""
        ...


class Backend(NamedTuple):
    """One way to run a model file.

    Attributes:
        suffix: of its files. opener: module and function, imported when needed.
    """

    suffix: str
    opener: str


BACKENDS = {
    "onnxruntime": Backend(".onnx", "centerx.runtime.onnx:open_session"),
    "torch": Backend(".safetensors", "centerx.build_model:open_session"),
}


def open_session(path: str | Path, backend: str | None = None) -> Session:
    """Load a model file.

    Args:
        path: the file; its suffix chooses the backend.
        backend: one of BACKENDS, to choose by name.

    Raises:
        InputError: the file is missing, corrupt, of an unknown kind or not one of this project.
    """
    path = Path(path)
    if backend is not None and backend not in BACKENDS:
        raise InputError(f"backend: unknown {backend!r}{nearest(backend, BACKENDS)}, known: {', '.join(BACKENDS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such model file, check the path")
    suffix = path.suffix.lower()
    fitting = [entry for name, entry in BACKENDS.items() if entry.suffix == suffix and backend in (None, name)]
    if not fitting:
        known = ", ".join(entry.suffix for entry in BACKENDS.values())
        raise InputError(f"{path}: not a model file{f' of {backend}' if backend else ''}, known are: {known}")
    module, function = fitting[0].opener.split(":")
    session: Session = getattr(import_module(module), function)(path)
    return session
