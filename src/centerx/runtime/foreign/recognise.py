"""The adapter of a file: given, in the sidecar beside it, or that of a known family."""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centerx.errors import InputError, nearest
from centerx.runtime.foreign.adapter import Adapter, parse_adapter, read_tree, sidecar
from centerx.runtime.foreign.families import FAMILIES, match
from centerx.runtime.foreign.names import COCO_NAMES
from centerx.runtime.foreign.runner import Declared, Tensor

logger = logging.getLogger(__name__)

LARGEST_NAMES = 1 << 20  # characters of names in the metadata
END_TO_END = (5, 6, 7)  # columns of an output with a box, a score and perhaps a class and a picture in each row


def find_adapter(path: Path, declared: Declared, source: Mapping[str, Any] | str | Path | None) -> Adapter:
    """Return the adapter of a file.

    Keys that are given are put on top of those of the family, unless they name boxes and no family.

    Args:
        path: the model file.
        declared: what it declares.
        source: keys of an adapter or the path of a YAML file; without it the sidecar is read where there is one.

    Raises:
        InputError: the keys are wrong, or the file is of no known family and no adapter is given.
    """
    tree, where = _given(path, source)
    if "boxes" in tree and tree.get("family") is None:
        return parse_adapter(tree, where)
    name, letters = _family(tree, declared, path, where)
    names = {
        pattern.name: tensor.name for pattern, tensor in zip(FAMILIES[name].outputs, declared.outputs, strict=True)
    }
    merged = _merge(_renamed(FAMILIES[name].adapter, names), tree) | {"family": name}
    if "classes" not in merged:
        merged["classes"] = _classes(path, name, letters.get("C"), declared.metadata)
    if not tree:
        logger.info(f"{path}: read as {name}, a file {sidecar(path).name} can say otherwise")
    return parse_adapter(merged, where)


def metadata_names(metadata: Mapping[str, str]) -> dict[int, str] | None:
    """Class names by number that a file carries under `names`, as a mapping or list of Python or JSON; None without."""
    text = metadata.get("names", "")
    try:
        names = ast.literal_eval(text) if 0 < len(text) <= LARGEST_NAMES else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(names, (list, tuple)):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        return None
    right = all(isinstance(number, int) and isinstance(name, str) for number, name in names.items())
    return names if right else None


def unrecognised(path: Path, declared: Declared) -> InputError:
    """Return the error for a file of no known family: its outputs, and the YAML to write, in one line."""
    given = ", ".join(map(str, declared.outputs))
    if len(declared.outputs) == 1 and _is_classifier(declared.outputs[0]):
        return InputError(f"{path}: gives {given}, a row of numbers for a picture: a classifier, give a detector")
    return InputError(
        f"{path}: not recognised, gives {given}; write {sidecar(path).name} beside it, as docs/foreign.md explains, "
        f"such as: {_skeleton(declared)}"
    )


def _given(path: Path, source: Mapping[str, Any] | str | Path | None) -> tuple[dict[str, Any], object]:
    """The keys that are given, and what to name in errors."""
    if isinstance(source, Mapping):
        return dict(source), f"{path}: adapter"
    chosen = Path(source) if source is not None else sidecar(path)
    return (read_tree(chosen), chosen) if source is not None or chosen.is_file() else ({}, path)


def _family(tree: Mapping[str, Any], declared: Declared, path: Path, where: object) -> tuple[str, dict[str, int]]:
    """The name of a file's family, and what the letters of its patterns are."""
    name = tree.get("family")
    if name is not None:
        if name not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise InputError(f"{where}: family {name!r} is unknown{nearest(str(name), FAMILIES)}, known: {known}")
        own = match(FAMILIES[name], declared)
        if own is None:
            raise InputError(
                f"{where}: family {name}, but {path.name} gives {', '.join(map(str, declared.outputs))}, leave family "
                "out or correct it"
            )
        return name, own
    found = {each: letters for each, family in FAMILIES.items() if (letters := match(family, declared)) is not None}
    if not found:
        raise unrecognised(path, declared)
    if len(found) > 1:
        raise InputError(f"{path}: may be of {' or '.join(found)}, say which by family in {sidecar(path).name}")
    return next(iter(found.items()))


def _classes(path: Path, family: str, count: int | None, metadata: Mapping[str, str]) -> Any:
    """Class names that nobody has given: those that the file carries, or COCO's where there are as many."""
    names = metadata_names(metadata)
    if names is not None:
        return names
    if count == len(COCO_NAMES):
        return "coco"
    raise InputError(
        f"{path}: a file of {family} with {count or 'classes'}{' classes' if count else ''} that it does not name, "
        f"write {sidecar(path).name} beside it such as: {{classes: [cat, dog]}}"
    )


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    """An adapter of the table with the names of a file's outputs in the places of the table's own."""
    if isinstance(tree, Mapping):
        outputs = {"output", "outputs", "count"}
        return {
            key: _exchanged(value, names) if key in outputs else _renamed(value, names) for key, value in tree.items()
        }
    return tree


def _exchanged(value: Any, names: Mapping[str, str]) -> Any:
    return names[value] if isinstance(value, str) else [_exchanged(each, names) for each in value]


def _merge(base: Any, change: Any) -> Any:
    """Mappings merge key by key; anything else is replaced."""
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)):
        return change
    return {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}


def _is_classifier(tensor: Tensor) -> bool:
    if len(tensor.shape) != 2:
        return len(tensor.shape) == 1
    return tensor.shape[0] == 1 or (tensor.shape[0] is None and tensor.shape[1] not in END_TO_END)


def _skeleton(declared: Declared) -> str:
    """An adapter to fill in, as YAML in one line."""
    outputs = [tensor.name for tensor in declared.outputs] or ["?"]
    boxes = next((tensor.name for tensor in declared.outputs if 4 in tensor.shape), outputs[0])
    scores = next((name for name in outputs if name != boxes), None)
    columns = f"{{outputs: {scores}, activation: none}}" if scores else f"{{outputs: {boxes}, start: 4}}"
    return (
        "{input: {resize: fit, colour: rgb, scale: 0.00392157}, "
        f"boxes: {{outputs: {boxes}, format: cxcywh, unit: pixels}}, scores: {columns}, classes: [cat, dog], nms: 0.5}}"
    )
