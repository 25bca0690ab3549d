"""Checkpoint files -> their tensors by name. No code of a file is ever run."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from centerx.errors import InputError

WRAPPERS = ("state_dict", "model", "model_state", "model_state_dict")  # under what others store the tensors


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file of torch or safetensors, float32 where they are fractions.

    Raises:
        InputError: it is missing, corrupt, needs more than `weights_only=True` allows, or holds no weights.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint, check the path")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a checkpoint of weights ({reason}), give a file that torch.save wrote") from None
    while isinstance(content, dict) and (inner := [content[key] for key in WRAPPERS if key in content]):
        content = inner[0]
    named = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if not named or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(
            f"{path}: holds no tensors by name at its top or under {', '.join(WRAPPERS)}, save a state_dict"
        )
    state = {key.removeprefix("module."): value for key, value in content.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that other protocols of pickle are less well supported
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        called, other = re.search(r"GLOBAL ([\w.]+)", str(error)), re.search(r"Unpickler error:\s*(.+)", str(error))
        reason = f"it would call {called[1]}" if called else other[1] if other else "no pickle of torch"
        raise InputError(
            f"{path}: refused, and nothing of it was run: it is not weights alone ({reason}); where you trust it, save "
            "its state_dict and import that"
        ) from None
