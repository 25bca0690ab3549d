"""centerX: train, distil, merge and ship CenterNet object detectors.

    import centerx

    detector = centerx.load("model.onnx")
    detections = detector("picture.jpg")

The commands are functions too: `train`, `merge`, `add`, `audit`, `evaluate`, `predict`, `export`, `inspect`, and
`label` for `pseudo`. They return results, print nothing and log through `logging`.

Importing this package, and running an exported model with it, needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from centerx.api.add import AddResult, add
    from centerx.api.audit import AuditResult, audit
    from centerx.api.evaluate import evaluate
    from centerx.api.export import ExportedFile, export
    from centerx.api.inspect import Inspection, inspect
    from centerx.api.label import LabelResult, label
    from centerx.api.merge import MergeResult, merge
    from centerx.api.predict import Prediction, predict
    from centerx.api.train import TrainResult, train
    from centerx.errors import InputError
    from centerx.runtime import load

__version__ = "0.1.0"

__all__ = [
    "AddResult",
    "AuditResult",
    "Detections",
    "ExportedFile",
    "InputError",
    "Inspection",
    "LabelResult",
    "MergeResult",
    "Prediction",
    "TrainResult",
    "__version__",
    "add",
    "audit",
    "evaluate",
    "export",
    "inspect",
    "label",
    "load",
    "merge",
    "predict",
    "train",
]

_HOMES = {
    "AddResult": "centerx.api.add",
    "AuditResult": "centerx.api.audit",
    "Detections": "centerx.types",
    "ExportedFile": "centerx.api.export",
    "InputError": "centerx.errors",
    "Inspection": "centerx.api.inspect",
    "LabelResult": "centerx.api.label",
    "MergeResult": "centerx.api.merge",
    "Prediction": "centerx.api.predict",
    "TrainResult": "centerx.api.train",
    "add": "centerx.api.add",
    "audit": "centerx.api.audit",
    "evaluate": "centerx.api.evaluate",
    "export": "centerx.api.export",
    "inspect": "centerx.api.inspect",
    "label": "centerx.api.label",
    "load": "centerx.runtime",
    "merge": "centerx.api.merge",
    "predict": "centerx.api.predict",
    "train": "centerx.api.train",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that `centerx --help` loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List what can be asked for."""
    return sorted({*globals(), *_HOMES})
