"""Read files of torch.save as data: nothing of them is run, and what they hold is no larger than the file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from centerx.errors import InputError

DEEPEST = 64  # levels of containers
MOST_ENTRIES = 10_000_000  # of all containers; one that is in two places counts twice


def read_mapping(path: Path) -> dict[Any, Any]:
    """Return the mapping that a file of torch.save holds.

    Raises:
        InputError: the file needs more than `weights_only=True` allows, is corrupt, holds no mapping, or one within
            itself, or a tensor that is larger than what is stored of it.
        OSError: it cannot be read.
    """
    content = _load(path)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: holds no tensors by name at its top or under state_dict, model and the like, but something of "
            f"type {type(content).__name__}, save a state_dict"
        )
    try:
        _require_plain(content, 0, {}, set())
    except ValueError as error:
        raise InputError(f"{path}: not a checkpoint of weights ({error}), give a file that torch.save wrote") from None
    return content


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file, warnings.catch_warnings():  # torch looks at the suffix of a path
            warnings.simplefilter("ignore")  # torch warns about other pickle protocols
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        called, other = re.search(r"GLOBAL ([\w.]+)", str(error)), re.search(r"Unpickler error:\s*(.+)", str(error))
        reason = f"it would call {called[1]}" if called else other[1] if other else "no pickle of torch"
        raise InputError(
            f"{path}: refused, and nothing of it was run: it is not weights alone ({reason}); where you trust it, save "
            "its state_dict and import that"
        ) from None
    except OSError:
        raise
    except Exception as error:  # torch raises errors of any type for a damaged or crafted file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not a checkpoint of weights ({reason}), give a file that torch.save wrote") from None


def _require_plain(value: Any, depth: int, counts: dict[int, int], above: set[int]) -> int:
    """Return the number of entries in a value, each as often as a walk meets it.

    Args:
        value: of a file.
        depth: containers around it.
        counts: of the containers that were seen, by their id.
        above: ids of the containers around it.

    Raises:
        ValueError: it is within itself, too large or too deep, or a tensor is not stored whole.
    """
    if isinstance(value, Tensor):
        _require_stored(value)
        return 1
    if not isinstance(value, (Mapping, list, tuple, set)):
        return 1
    if id(value) in above:
        raise ValueError("a container is within itself")
    if depth > DEEPEST:
        raise ValueError(f"containers within each other, more than {DEEPEST} deep")
    if id(value) not in counts:
        inside = value.values() if isinstance(value, Mapping) else value
        counts[id(value)] = 1 + sum(_require_plain(each, depth + 1, counts, above | {id(value)}) for each in inside)
    if counts[id(value)] > MOST_ENTRIES:
        raise ValueError(f"more than {MOST_ENTRIES} entries")
    return counts[id(value)]


def _require_stored(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise ValueError("a tensor that is sparse, quantised or without values")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"a tensor of the shape {tuple(tensor.shape)}, of which less is stored")
