"""Run an exported model, without torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from centerx.runtime.predictor import Predictor
from centerx.runtime.session import BACKENDS, Session, backends_of, open_all, open_named, open_session


def load(path: str | Path, backend: str | None = None, input_hw: tuple[int, int] | None = None) -> Predictor:
    """Load a model file for prediction: `load("model.onnx")("picture.jpg") -> Detections`.

    Args:
        path: an exported file, or a `.safetensors` model file, which needs torch.
        backend: a name of BACKENDS, or `auto` for the fastest installed backend. Default: by the suffix.
        input_hw: height and width in pixels that pictures are resized to, if the model takes any size. Default: the
            size in the model file.

    Raises:
        InputError: the file is missing, corrupt, of an unknown kind or of another size.
    """
    name, session = open_named(path, backend)
    return Predictor(session, input_hw, partial(open_session, Path(path).absolute(), name))


__all__ = ["BACKENDS", "Predictor", "Session", "backends_of", "load", "open_all", "open_session"]
