"""Read and write model files: safetensors with the weights, and class names and configuration as metadata."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from centerx.detector import Detector, first_not_finite
from centerx.errors import InputError
from centerx.files import json_text, write_atomic
from centerx.runtime.info import ModelInfo, require_file

CONFIG_KEY = "config"


def save_model(path: Path, detector: Detector, info: ModelInfo, config: str) -> None:
    """Write a model file atomically.

    Args:
        path: the file.
        detector: detector with the weights; they are stored in their own precision.
        info: metadata: class names, input size and stride.
        config: resolved configuration as YAML.

    Raises:
        InputError: a weight is not finite.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in detector.model.state_dict().items()}
    if (broken := first_not_finite(state)) is not None:
        raise InputError(f"{path}: not written, as the weight {broken} is not finite")
    write_atomic(path, with_sorted_metadata(save(state, metadata=info.to_metadata() | {CONFIG_KEY: config})))


def with_sorted_metadata(content: bytes) -> bytes:
    """Return a safetensors file whose metadata are in the order of their names.

    The library writes them in an order that differs from process to process, so that equal models are unequal files.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json_text(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def read_model(path: Path) -> tuple[dict[str, Tensor], ModelInfo, str]:
    """Read a model file.

    Returns:
        The weights by name, the metadata, and the configuration as YAML.

    Raises:
        InputError: the file is missing, corrupt or not a model of this project, or a weight is not finite.
    """
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise InputError(f"{path}: corrupt or not a safetensors file ({error}), name a model file of a run") from None
    if (broken := first_not_finite(state)) is not None:
        raise InputError(f"{path}: {broken} is not finite, take another model file, such as an earlier one of the run")
    info = ModelInfo.from_metadata(metadata, path)
    if CONFIG_KEY not in metadata:
        raise InputError(f"{path}: not a centerX model, its metadata lacks the configuration")
    return state, info, metadata[CONFIG_KEY]
