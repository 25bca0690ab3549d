"""Run an exported model, without torch."""

from __future__ import annotations

from pathlib import Path

from centerx.runtime.predictor import Predictor
from centerx.runtime.session import BACKENDS, Session, open_session


def load(path: str | Path, backend: str | None = None) -> Predictor:
    """Load a model file for prediction: `load("model.onnx")("picture.jpg") -> Detections`.

    Args:
        path: an exported file, or a `.safetensors` model file (which needs torch).
        backend: by name, where the suffix leaves a choice.

    Raises:
        InputError: the file is missing, corrupt or of an unknown kind.
    """
    return Predictor(open_session(path, backend))


__all__ = ["BACKENDS", "Predictor", "Session", "load", "open_session"]
