"""The adapter of a file: given, in the sidecar beside it, or that of a known family."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from centerx.errors import InputError, nearest
from centerx.runtime.foreign.adapter import Adapter, parse_adapter, read_tree, require_size, sidecar
from centerx.runtime.foreign.facts import Facts, ModelFile, NotOfFamily, metadata_names, metadata_size
from centerx.runtime.foreign.families import FAMILIES, Match, match
from centerx.runtime.foreign.names import COCO_NAMES
from centerx.runtime.foreign.runner import Declared, Tensor

logger = logging.getLogger(__name__)

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
AdapterSource = Mapping[str, Any] | str | Path | None
TRIED_SIDE = 640  # pixels, of a grey picture for a file that takes any size and says none
GREY = 114
PICTURE_AXES = (3, 4)
SHOWN_CLASSES = 10  # the most names of classes in an example of an adapter
END_TO_END = (5, 6, 7)  # columns of an output with a box, a score and perhaps a class and a picture in each row


class Recognised(NamedTuple):
    """The adapter of a file, and how it was found.

    Attributes:
        adapter: with the names of the file's own outputs.
        by: what told it.
        assumed: what was taken for granted, a line each.
    """

    adapter: Adapter
    by: str
    assumed: tuple[str, ...] = ()


def recognise(path: Path, declared: Declared, source: AdapterSource, run: Run) -> Recognised:
    """Return the adapter of a file.

    Keys that are given are put on top of those of the family, unless they name outputs of boxes and no family.

    Args:
        path: the model file.
        declared: what it declares.
        source: keys of an adapter or the path of a YAML file; without it the sidecar is read where there is one.
        run: runs the file; a grey picture decides where names and shapes do not.

    Raises:
        InputError: the keys are wrong, or the file is of no known family and no adapter is given.
    """
    tree, where = _given(path, source)
    boxes = tree.get("boxes", {})
    if tree.get("family") is None and not (isinstance(boxes, Mapping) and "outputs" not in boxes):
        return Recognised(parse_adapter(tree, where), f"keys of {where}")
    name, fit, facts = _family(tree, path, declared, run, where)
    family = FAMILIES[name]
    merged = _merge(_merge(_renamed(family.adapter, fit.names), facts.keys), tree) | {"family": name}
    if "classes" not in merged:
        count, names = fit.letters.get("C"), metadata_names(declared.metadata)
        told = f"but {len(names)} names in its metadata" if names else "that it does not name"
        raise InputError(
            f"{path}: a file of {name} with {f'{count} classes' if count else 'classes'} {told}, write "
            f"{sidecar(path).name} beside it such as: {{classes: [cat, dog]}}"
        )
    if isinstance(merged["classes"], Mapping) and "first_class" not in tree:
        merged.pop("first_class", None)
    if (
        len(_picture(declared, merged).shape) in PICTURE_AXES
        and None not in _sides(declared, merged)
        and not merged["input"].get("free")
    ):
        own = tree.get("input", {})
        own = {"size": own.get("size"), "frame": own.get("frame", "input"), "multiple": own.get("multiple", 1)}
        merged["input"] = merged["input"] | own
    assumed = tuple(line for key, line in facts.assumed.items() if key not in tree)
    by = ", ".join(filter(None, (family.by, facts.by, f"keys of {where}" if tree else "")))
    return Recognised(parse_adapter(merged, where if tree else path), by, assumed)


def unrecognised(path: Path, declared: Declared, reasons: Mapping[str, str]) -> InputError:
    """Return the error for a file of no known family: its outputs, and the YAML to write, in one line.

    Args:
        path: the model file.
        declared: what it declares.
        reasons: by family that its shapes would fit, why it is none of it.
    """
    given = ", ".join(map(str, declared.outputs))
    if len(declared.outputs) == 1 and _is_classifier(declared.outputs[0]):
        return InputError(f"{path}: gives {given}, a row of numbers for a picture: a classifier, give a detector")
    task = declared.metadata.get("task")
    told = next((each for each in reasons.values() if task and each.startswith("its metadata")), "")
    return InputError(
        f"{path}: not recognised{f' ({told})' if told else ''}, gives {given}; write {sidecar(path).name} beside it, "
        f"as docs/foreign.md explains, such as: {_skeleton(declared)}"
    )


def _given(path: Path, source: AdapterSource) -> tuple[dict[str, Any], object]:
    """The keys that are given, and what to name in errors."""
    if isinstance(source, Mapping):
        tree, where = dict(source), f"{path}: adapter"
    else:
        where = str(source or sidecar(path))
        tree = read_tree(Path(where)) if source is not None or sidecar(path).is_file() else {}
    if not isinstance(tree.get("input", {}), Mapping):
        raise InputError(f"{where}: input: must be a mapping of keys, docs/foreign.md lists them")
    return tree, where


def _family(
    tree: Mapping[str, Any], path: Path, declared: Declared, run: Run, where: object
) -> tuple[str, Match, Facts]:
    """The name of a file's family, how the file fits it, and what was found out.

    Where names and declared shapes leave none or several, the shapes of what the file gives for a grey picture decide.
    """
    named = tree.get("family")
    if named is not None:
        return _named_family(named, tree, path, declared, run, where)
    found, reasons = _candidates(path, declared, run)
    if len(found) != 1 and len(declared.inputs) == 1 and any(_is_open(tensor) for tensor in declared.outputs):
        found, reasons = _candidates(path, _measured(declared, run), run)
    if not found:
        raise unrecognised(path, declared, reasons)
    if len(found) > 1:
        raise InputError(f"{path}: may be of {' or '.join(found)}, say which by family in {sidecar(path).name}")
    ((name, (fit, facts)),) = found.items()
    return name, fit, facts


def _named_family(
    name: object, tree: Mapping[str, Any], path: Path, declared: Declared, run: Run, where: object
) -> tuple[str, Match, Facts]:
    """The family that an adapter names: names of inputs and outputs may differ, and its own word is taken."""
    if not isinstance(name, str) or name not in FAMILIES:
        known, text = ", ".join(FAMILIES), name if isinstance(name, str) else type(name).__name__
        raise InputError(f"{where}: family {text!r} is unknown{nearest(text, FAMILIES)}, known: {known}")
    fit = match(FAMILIES[name], declared) or match(FAMILIES[name], declared, by_name=False)
    if fit is None:
        if "boxes" in tree:
            return name, Match({}, {}), Facts()
        given = ", ".join(map(str, (*declared.inputs, *declared.outputs)))
        raise InputError(f"{where}: family {name} has other inputs or outputs than {given}, correct it or write boxes")
    try:
        return name, fit, _facts(name, fit, path, declared, run)
    except NotOfFamily:
        return name, fit, Facts()


def _candidates(path: Path, declared: Declared, run: Run) -> tuple[dict[str, tuple[Match, Facts]], dict[str, str]]:
    """The families that a file fits, and why it is none of those that its shapes alone would fit."""
    found, reasons = {}, {}
    for name, family in FAMILIES.items():
        fit = match(family, declared)
        if fit is not None:
            try:
                found[name] = fit, _facts(name, fit, path, declared, run)
            except NotOfFamily as error:
                reasons[name] = str(error)
    return found, reasons


def _facts(name: str, fit: Match, path: Path, declared: Declared, run: Run) -> Facts:
    adapter = FAMILIES[name].adapter
    if len(_picture(declared, adapter).shape) not in PICTURE_AXES:
        raise NotOfFamily("it takes no pictures")
    try:
        tried_hw = _tried_hw(declared, adapter)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    grey = partial(_try, declared, adapter, run)
    file = ModelFile(path, declared, fit.letters, fit.names, tried_hw, grey)
    return FAMILIES[name].facts(file)


def _measured(declared: Declared, run: Run) -> Declared:
    """What a file declares, with the shapes that its outputs have for a grey picture, if it takes one."""
    if len(declared.inputs[0].shape) not in PICTURE_AXES:
        return declared
    try:
        outputs = _try(declared, {}, run)
    except InputError:
        return declared
    return declared._replace(outputs=tuple(each._replace(shape=outputs[each.name].shape) for each in declared.outputs))


def _sides(declared: Declared, adapter: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Height and width of the input for pictures, None where free and where it takes none."""
    shape = _picture(declared, adapter).shape
    if len(shape) not in PICTURE_AXES:
        return None, None
    height, width = shape[-3:-1] if _channels_last(shape, adapter) else shape[-2:]
    return height, width


def _picture(declared: Declared, adapter: Mapping[str, Any]) -> Tensor:
    """The input for pictures."""
    name = adapter.get("input", {}).get("name")
    return next((each for each in declared.inputs if each.name == name), declared.inputs[0])


def _channels_last(shape: tuple[int | None, ...], adapter: Mapping[str, Any]) -> bool:
    layout = adapter.get("input", {}).get("layout")
    return layout == "nhwc" or (layout is None and shape[-1] == 3 and shape[-3] != 3)


def _tried_hw(declared: Declared, adapter: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the grey picture: the file's own, those of its metadata, or TRIED_SIDE."""
    size = metadata_size(declared.metadata) or (TRIED_SIDE, TRIED_SIDE)
    height, width = (side or due for side, due in zip(_sides(declared, adapter), size, strict=True))
    require_size((height, width))
    return height, width


def _try(declared: Declared, adapter: Mapping[str, Any], run: Run) -> Mapping[str, np.ndarray]:
    """The outputs for a grey picture; of a file that takes several at once, the first of each."""
    picture = _picture(declared, adapter)
    height, width = _tried_hw(declared, adapter)
    inside = (height, width, 3) if _channels_last(picture.shape, adapter) else (3, height, width)
    several = (picture.shape[0] or 1) if len(picture.shape) == 4 else 1
    shape = (several, *inside) if len(picture.shape) == 4 else inside
    outputs = run({picture.name: np.full(shape, GREY, picture.type)})
    if several == 1:
        return outputs
    return {name: each[:1] if each.shape[:1] == (several,) else each for name, each in outputs.items()}


def _is_open(tensor: Tensor) -> bool:
    return not tensor.shape or None in tensor.shape


def _renamed(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    """An adapter of the table with the names of the file's own outputs."""
    if isinstance(value, Mapping):
        return {each: _renamed(part, names, each) for each, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part, names, key) for part in value]
    return names.get(value, value) if key in ("outputs", "output", "count") else value


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
    outputs = declared.outputs or (Tensor("?", (), "float32"),)
    whole = [tensor for tensor in outputs if len(tensor.shape) < 3 and tensor.type.startswith("int")]
    count_of = next((tensor for tensor in whole if tensor.shape and set(tensor.shape) == {1}), None)
    labels = next((tensor for tensor in whole if tensor != count_of), None)
    others = [tensor for tensor in outputs if tensor not in whole] or outputs
    boxes = next((tensor for tensor in others if 4 in tensor.shape), others[0])
    scores = next((tensor for tensor in others if tensor != boxes), boxes)
    columns_first = _columns_first(boxes)
    rows = boxes.shape[-1 if columns_first else -2] if len(boxes.shape) > 1 else None
    if scores != boxes:
        columns_first = len(scores.shape) > 2 and rows is not None and scores.shape[-1] == rows != scores.shape[-2]
    start = 4 if scores == boxes else 0
    columns = (scores.shape[-2 if columns_first else -1] if scores.shape else None) or 0
    count = columns - start if 0 < columns - start <= SHOWN_CLASSES and labels is None else 2
    names = "coco" if columns - start == len(COCO_NAMES) else [f"class {number}" for number in range(count)]
    ends = {"stop": start + 1} if labels is not None and scores == boxes else {}
    inputs = declared.inputs or (Tensor("?", (), "float32"),)
    picture, *more = sorted(inputs, key=lambda tensor: len(tensor.shape) not in PICTURE_AXES)
    sides = _sides(declared._replace(inputs=inputs), {"input": {"name": picture.name}})
    tree = {
        "input": {
            **({"name": picture.name} if more else {}),
            **({"size": [side or TRIED_SIDE for side in sides]} if None in sides else {}),
            "resize": "fit",
            "colour": "rgb",
            **({} if picture.type == "uint8" else {"scale": 0.00392157}),
        },
        **(
            {"extra": {tensor.name: [1.0] * min((tensor.shape or (1,))[-1] or 1, 4) for tensor in more}} if more else {}
        ),
        "boxes": {
            "outputs": boxes.name,
            **({"transposed": True} if _columns_first(boxes) else {}),
            "format": "cxcywh" if labels is None else "xyxy",
            "unit": "pixels",
        },
        "scores": {
            "outputs": scores.name,
            **({"transposed": True} if columns_first else {}),
            "start": start,
            **ends,
            "activation": "none",
        },
        **({"labels": {"output": labels.name}} if labels is not None else {}),
        **({"count": count_of.name} if count_of is not None else {}),
        "classes": names,
        **({"nms": 0.5} if labels is None else {}),
    }
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=True, width=math.inf)
    return str(text).strip()


def _columns_first(tensor: Tensor) -> bool:
    """Whether an output that joins boxes with scores is likely to have columns before rows: the fewer come first."""
    if len(tensor.shape) < 3 or tensor.shape[-1] == 4 or tensor.shape[-2] is None:
        return False
    return tensor.shape[-1] is None or tensor.shape[-2] < tensor.shape[-1]
