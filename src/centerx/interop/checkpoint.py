"""Read checkpoint files as tensors by name. Code in a file is never run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from centerx.checkpoint_file import read_mapping
from centerx.errors import InputError
from centerx.interop.foreign import foreign, is_safetensors

logger = logging.getLogger(__name__)

# Names under which others store tensors, as an entry or as the first part of the tensors' names
PLAIN = ("state_dict", "model", "model_state", "model_state_dict", "module", "_orig_mod", "net", "network")
AVERAGED = ("model_ema", "state_dict_ema", "ema_state_dict", "model_state_dict_ema", "ema_state", "ema_model", "ema")
COUNTER = "n_averaged"  # counter in averaged models of torch
Level = Mapping[str, Any]


def read_checkpoint(path: Path, ema: bool | None = None) -> dict[str, Tensor]:
    """Read the weights in a file of torch or safetensors; fractional values become float32.

    If the file has a moving average of the weights, that is returned, because it is usually what others evaluate and
    publish. A warning says which of several weights are read, and what is left out.

    Args:
        path: the file.
        ema: True to require the moving average, False for the weights as they were trained.

    Raises:
        InputError: the file is missing, of another kind or corrupt, needs more than `weights_only=True` allows, or has
            no weights or not the required ones.
    """
    if not path.is_file():
        what = "a folder, name the file in it" if path.is_dir() else "no such checkpoint, check the path"
        raise InputError(f"{path}: {what}")
    try:
        if other := foreign(path):
            raise InputError(f"{path}: not a checkpoint of weights but {other.what}, {other.todo}")
        content = load_file(path) if is_safetensors(path) else read_mapping(path)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a checkpoint of weights ({reason}), give a file that torch.save wrote") from None
    content = innermost(content, ema, path)
    named = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if not named or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(
            f"{path}: holds no tensors by name at its top or under {', '.join(PLAIN[:4])}, save a state_dict"
        )
    return {key: value.float() if value.is_floating_point() else value for key, value in content.items()}


def innermost(content: Any, ema: bool | None, path: Path) -> Any:
    """Return the content below all names under which others store tensors; of weights and their average, one.

    Raises:
        InputError: the required weights are missing.
    """
    average_taken = False
    while isinstance(content, Mapping) and (found := stored(content)):
        averaged = True in found and ema is not False
        if averaged not in found:
            raise InputError(f"{path}: holds averaged weights alone, under {found[True].name}; leave out --no-ema")
        if True in found:
            other = found.get(not averaged)
            rest = (
                f", not {other} ({'--no-ema' if averaged else '--ema'} takes those)"
                if other
                else ", it holds no others"
            )
            logger.warning(f"{path}: took {found[averaged]}{rest}")
        tell_left_out(content, [each.name for each in found.values()], path)
        average_taken |= averaged
        content = found[averaged].content
    if ema and not average_taken:
        raise InputError(f"{path}: holds no averaged weights (under {', '.join(AVERAGED)}), leave out --ema")
    return content


class Stored(NamedTuple):
    """Tensors, or their container, under a common name; None if they have none."""

    name: str
    content: Level
    averaged: bool

    def __str__(self) -> str:
        """Return a description for messages."""
        kind = "averaged weights" if self.averaged else "weights as trained"
        return f"the {kind} under {self.name}" if self.name else f"the {len(self.content)} tensors beside"


def stored(content: Level) -> dict[bool, Stored]:
    """Return what is stored at a level: the moving average under True, the weights themselves under False."""
    found = {}
    for averaged, names in ((True, AVERAGED), (False, PLAIN)):
        name = next((name for name in names if holds_tensors(inside(content, name))), None)
        if name is not None:
            found[averaged] = Stored(name, inside(content, name), averaged)
    if True in found and False not in found:
        start = f"{found[True].name}."
        beside = {key: each for key, each in content.items() if isinstance(each, Tensor) and not key.startswith(start)}
        if beside.keys() - {COUNTER}:
            found[False] = Stored("", beside, averaged=False)
    return found


def inside(content: Level, name: str) -> Level:
    """Return the content under a name: an entry, or the tensors whose names start with it."""
    entry = content.get(name)
    if isinstance(entry, Mapping):
        return entry
    start = f"{name}."
    return {
        key[len(start) :]: value for key, value in content.items() if isinstance(key, str) and key.startswith(start)
    }


def holds_tensors(content: Any) -> bool:
    """Return whether there is a tensor at any depth."""
    if isinstance(content, Mapping):
        return any(holds_tensors(value) for value in content.values())
    return isinstance(content, Tensor)


def tell_left_out(content: Level, names: Sequence[str], path: Path) -> None:
    """Log a warning about tensors whose names do not start with any of the given names."""
    starts = tuple(f"{name}." for name in names)
    loose = [key for key, value in content.items() if isinstance(value, Tensor)]
    others = [key for key in loose if not key.startswith(starts) and key != COUNTER]
    if "" not in names and others and len(others) < len(loose):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        logger.warning(f"{path}: left out {others[0]}{more}, beside the tensors under {names[-1]}")
