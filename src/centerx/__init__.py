"""centerX: train, distil, merge and ship CenterNet object detectors.

    import centerx

    detector = centerx.load("model.onnx")
    detections = detector("picture.jpg")

Importing this package, and running an exported model with it, needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from centerx.detections import Detections
    from centerx.errors import InputError
    from centerx.runtime import load

__version__ = "0.1.0"

__all__ = ["Detections", "InputError", "__version__", "load"]

_HOMES = {"Detections": "centerx.detections", "InputError": "centerx.errors", "load": "centerx.runtime"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that `centerx --help` loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
