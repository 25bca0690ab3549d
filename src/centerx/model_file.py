"""Read and write model files: safetensors with the weights, and class names and configuration as metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
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


def read_model(path: Path, weights: bool = True) -> tuple[dict[str, Tensor], ModelInfo, str]:
    """Read a model file.

    Args:
        path: the file.
        weights: False leaves them in the file: tensors are on the device meta, float32 or int64 for any such type.

    Returns:
        The weights by name, the metadata, and the configuration as YAML.

    Raises:
        InputError: the file is missing, corrupt or not a model of this project, or a weight is not finite.
    """
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            read = file.get_tensor if weights else lambda name: _without_numbers(file.get_slice(name))
            state = {name: read(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: corrupt or not a safetensors file ({reason}), name a model file of a run") from None
    if weights and (broken := first_not_finite(state)) is not None:
        raise InputError(f"{path}: {broken} is not finite, take another model file, such as an earlier one of the run")
    info = ModelInfo.from_metadata(metadata, path)
    if CONFIG_KEY not in metadata:
        raise InputError(f"{path}: not a centerX model, its metadata lacks the configuration")
    return state, info, metadata[CONFIG_KEY]


def _without_numbers(part: Any) -> Tensor:
    kind = torch.float32 if part.get_dtype().startswith(("F", "BF")) else torch.int64
    return torch.empty(part.get_shape(), dtype=kind, device="meta")
