"""What a file says of itself beyond names and shapes: metadata, files beside it, its outputs for a grey picture."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from centerx.errors import InputError
from centerx.joints import COCO_JOINTS, COCO_SKELETON
from centerx.runtime.foreign.adapter import LARGEST_CLASS, Input, explain, numbered_names
from centerx.runtime.foreign.names import COCO_NAMES, VOC_NAMES
from centerx.runtime.foreign.runner import Declared
from centerx.yaml_text import parse_yaml

LARGEST_TEXT = 1 << 20  # bytes of metadata and of files beside a model that are read
GAPS = "N/A"  # what Hugging Face calls the ten of COCO's numbers that have no class
P345 = 8, 16, 32
PYRAMIDS = P345, (*P345, 64), (4, *P345)
MASKS = 32  # columns of a mask's coefficients
SOFTMAX = {"detr", "yolos", "table-transformer"}  # networks of Hugging Face whose last class is the background
FILTERS = {0: "nearest", 1: "bilinear", 2: "bicubic", 3: "area"}  # as OpenCV counts them
PILLOW_FILTERS = {0: "nearest", 2: "antialias", 3: "antialias-bicubic"}  # as Pillow counts them
SLACK = 0.02  # by which halves and quantised numbers miss a sum of 1
LONGEST = 1333  # pixels, that DETR of Hugging Face scales the longest side to at most where its file does not say it
WRONG_FORM = ArithmeticError, AttributeError, LookupError, TypeError, ValueError


class NotOfFamily(Exception):
    """A file is of another family than its names and shapes suggest; the text is why."""


class ModelFile(NamedTuple):
    """A file that fits a family by names and shapes.

    Attributes:
        path: of it.
        declared: its inputs, outputs and metadata.
        letters: what the letters of the family's patterns are.
        names: of its outputs, by their names in the family's adapter.
        input_hw: height and width of its input in pixels; where it takes any, those of the grey picture.
        run: gives the outputs for a grey picture, by name.
    """

    path: Path
    declared: Declared
    letters: Mapping[str, int]
    names: Mapping[str, str]
    input_hw: tuple[int, int]
    run: Callable[[], Mapping[str, np.ndarray]]


class Facts(NamedTuple):
    """What was found out about a file.

    Attributes:
        keys: of the adapter, on top of those of the family.
        by: what was read, for a person.
        assumed: what was taken for granted, by the key of the adapter that says it.
    """

    keys: Mapping[str, Any] = MappingProxyType({})
    by: str = ""
    assumed: Mapping[str, str] = MappingProxyType({})


def by_number(file: ModelFile) -> Facts:
    """Names of the metadata; without them 80 classes are taken for COCO's and 20 for Pascal VOC's.

    Where the metadata has another number of names, none are taken: `classes` are then asked for.
    """
    count, names = file.letters.get("C"), metadata_names(file.declared.metadata)
    if names is not None and count is not None:
        return Facts({"classes": names}, "names in its metadata") if len(names) == count else Facts()
    known = {len(COCO_NAMES): ("coco", "COCO's"), len(VOC_NAMES): ("voc", "Pascal VOC's")}
    if count not in known:
        return Facts()
    name, whose = known[count]
    return Facts({"classes": name}, assumed={"classes": f"{count} classes without names, taken as {whose}"})


def coco_assumed(file: ModelFile) -> Facts:
    """Labels are numbers from 0, and nothing tells how many."""
    return Facts({"classes": "coco"}, assumed={"classes": "classes without names, taken as the 80 of COCO"})


def coco_ids_assumed(file: ModelFile) -> Facts:
    """Labels are numbers from 1, and nothing tells how many."""
    keys = {"classes": "coco-91", "first_class": 1}
    return Facts(keys, assumed={"classes": "classes without names, taken as COCO's by their ids, 1 to 90"})


def tflite_detection(file: ModelFile) -> Facts:
    """Labels are COCO's ids from 0; files that take bytes scale them themselves, others get -1 to 1."""
    keys: dict[str, Any] = {"classes": "coco-91"}
    assumed = {"classes": "classes without names, taken as COCO's by their ids, 0 to 89"}
    if file.declared.inputs[0].type != "uint8":
        keys["input"] = {"mean": [127.5] * 3, "std": [127.5] * 3}
        assumed["input"] = "it takes no bytes: prepared as for TensorFlow's SSD, (x - 127.5) / 127.5"
    return Facts(keys, assumed=assumed)


def metadata_names(metadata: Mapping[str, str]) -> dict[int, str] | None:
    """Class names by number that a file carries under `names`, as a mapping or list of Python or JSON; None without."""
    text = metadata.get("names", "")
    try:
        names = ast.literal_eval(text) if 0 < len(text) <= LARGEST_TEXT else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if isinstance(names, (list, tuple)):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        return None
    right = all(isinstance(number, int) and isinstance(name, str) for number, name in names.items())
    return names if right else None


def metadata_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width in pixels that a file carries under `imgsz`; None without."""
    size = _numbers(metadata.get("imgsz", ""))
    return (size[0], size[-1]) if len(size) in (1, 2) else None


def yolo_v8(file: ModelFile) -> Facts:
    """4 columns of boxes, one for each class, and more of masks, key points or an angle."""
    names = _ultralytics_names(file)
    columns = file.letters.get("C", 0) + 4
    if names is None:
        _require_cells(file, PYRAMIDS, 1)
        return by_number(file)
    return _with_columns(file, names, columns, 4)


def yolo_end_to_end(file: ModelFile) -> Facts:
    """Rows of box, score, class, and more of masks, key points or an angle; only metadata tells them from others."""
    names = _ultralytics_names(file)
    if names is None:
        raise NotOfFamily("rows of a box and two numbers, and no metadata that says which")
    columns = file.letters.get("W", 0)
    if columns == 4 + len(names) == 6 and not _numbers_classes(file):
        raise NotOfFamily("its last column has scores")
    return _with_columns(file, names, columns, 6, end_to_end=True)


def ultralytics_rt_detr(file: ModelFile) -> Facts:
    """4 columns of boxes and one for each class, last; it finds nothing but boxes."""
    names = _ultralytics_names(file)
    if names is None or file.declared.metadata["task"] != "detect":
        raise NotOfFamily("no metadata of a detector of Ultralytics")
    columns = file.letters.get("C", 0) + 4
    if columns == 4 + len(names) == 6 and _numbers_classes(file):
        raise NotOfFamily("its last column has numbers of classes")
    return _with_columns(file, names, columns, 4, stretched=True)


def yolo_v5(file: ModelFile) -> Facts:
    """Three places for each cell; YOLOv5 writes names into the metadata, YOLOv7 does not."""
    _require_cells(file, PYRAMIDS, 3)
    names = metadata_names(file.declared.metadata)
    if names is None or file.letters.get("C") != len(names) + MASKS:
        return by_number(file)
    return Facts(
        {"classes": names, "scores": {"stop": 5 + len(names)}},
        "names in its metadata",
        {"boxes": "a file with masks, of which the boxes alone are read"},
    )


def yolo_v6(file: ModelFile) -> Facts:
    """A place for each cell, whose centre is in pixels."""
    if not _in_pixels(file, _require_cells(file, PYRAMIDS, 1)):
        raise NotOfFamily("its centres are relative to their cells")
    return by_number(file)


def nanodet_plus(file: ModelFile) -> Facts:
    """A place for each cell of four levels; the bins of distances come behind the classes."""
    _require_cells(file, ((*P345, 64),), 1)
    facts, count = by_number(file), file.letters.get("C", 0)
    columns = {"boxes": {"columns": list(range(count, count + 32))}, "scores": {"stop": count}}
    return facts._replace(keys={**facts.keys, **columns})


def yolox(file: ModelFile) -> Facts:
    """A place for each cell, whose centre is told from the cell: the values of a grey picture show it."""
    strides = _require_cells(file, (P345, (*P345, 64)), 1)
    if _in_pixels(file, strides):
        raise NotOfFamily("its centres are in pixels")
    told = by_number(file)
    return told._replace(
        keys={**told.keys, "boxes": {"anchors": {"strides": list(strides)}}},
        by="centres relative to their cells on a grey picture",
    )


def yolox_decoded(file: ModelFile) -> Facts:
    """As `yolox`, with centres in pixels."""
    strides = _require_cells(file, (P345, (*P345, 64)), 1)
    if not _in_pixels(file, strides):
        raise NotOfFamily("its centres are relative to their cells")
    return by_number(file)._replace(by="centres in pixels on a grey picture")


def fastestdet(file: ModelFile) -> Facts:
    """Five columns, and probabilities of the classes, which make 1 in each cell of a grey picture."""
    (name,) = file.names.values()
    _require_shares(file.run()[name][:, 5:].sum(axis=1))
    return by_number(file)


def ultraface(file: ModelFile) -> Facts:
    """Boxes as corners: of nearly all of a grey picture's, the right one is on the right."""
    _require_shares(file.run()[file.names["scores"]].sum(axis=-1))
    if not _are_corners(file):
        raise NotOfFamily("its boxes are told from anchors")
    return Facts(by="corners on a grey picture")


def ultraface_raw(file: ModelFile) -> Facts:
    """As `ultraface`, with boxes told from anchors."""
    _require_shares(file.run()[file.names["scores"]].sum(axis=-1))
    if _are_corners(file):
        raise NotOfFamily("its boxes are corners")
    return Facts(by="no corners on a grey picture")


def efficientdet(file: ModelFile) -> Facts:
    """Nine places for each cell of five levels; 90 classes are COCO's by their ids."""
    _require_cells(file, ((*P345, 64, 128),), 9)
    if file.letters.get("C") == 90 and metadata_names(file.declared.metadata) is None:
        return Facts(
            {"classes": "coco-91"}, assumed={"classes": "90 classes without names, taken as COCO's by their ids"}
        )
    return by_number(file)


def rf_detr(file: ModelFile) -> Facts:
    """A column for each category id and one more; 91 columns are COCO's ids."""
    return coco_ids_assumed(file) if file.letters.get("C") == 91 else Facts()


def hugging_face(file: ModelFile) -> Facts:
    """Names and the network from config.json, pre-processing from preprocessor_config.json; else by the columns.

    The scores of 92 columns without a config.json are read as DETR's, with a softmax and the background last.
    """
    folders = [file.path.parent, *([file.path.parent.parent] if file.path.parent.name == "onnx" else [])]
    config = _beside(folders, "config.json", json.loads, _network)
    seen = _beside(folders, "preprocessor_config.json", json.loads, _processor_input)
    columns = file.letters.get("C")
    network = config.get("network")
    softmax = network in SOFTMAX if network else columns == 92
    if config:
        facts = Facts({"classes": config["classes"]})
    else:
        facts = coco_ids_assumed(file) if columns in (91, 92) else by_number(file)
    keys, assumed = dict(facts.keys), dict(facts.assumed)
    if not network:
        assumed["scores"] = (
            f"no config.json beside it: {columns} scores read by a {'softmax' if softmax else 'sigmoid'}"
        )
    if softmax:
        keys["scores"] = {"activation": "softmax", "background": "last", "multi_label": False}
    elif config:
        keys["scores"] = {"stop": max(keys["classes"]) + 1}
    if seen:
        keys["input"] = seen
    elif softmax or columns in (91, 92):
        keys["input"] = {"resize": "fit", "frame": "shortest", "size": [800, 1333], "scale": 1.0}
        keys["input"] |= {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
        assumed["input"] = "no preprocessor_config.json beside it: sides 800 to 1333 and ImageNet's mean and std taken"
    else:
        assumed["input"] = "no preprocessor_config.json beside it: stretched to 640x640 and divided by 255"
    read = [name for name, tree in (("config.json", config), ("preprocessor_config.json", seen)) if tree]
    return Facts(keys, " and ".join(read), assumed)


def paddle(file: ModelFile) -> Facts:
    """Pre-processing and names from infer_cfg.yml beside the file; without it those of PicoDet on COCO."""
    keys = _beside([file.path.parent], "infer_cfg.yml", parse_yaml, _paddle_keys)
    if not keys:
        facts = coco_assumed(file)
        seen = {"scale": 1.0, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
        assumed = {"input": "no infer_cfg.yml beside it: prepared as for PicoDet, with ImageNet's mean and std"}
        return Facts({**facts.keys, "input": seen}, assumed={**facts.assumed, **assumed})
    return Facts(keys, "infer_cfg.yml")


def mmdeploy(file: ModelFile) -> Facts:
    """Pre-processing from pipeline.json beside the file; without it that of RTMDet."""
    facts = coco_assumed(file)
    seen = _beside([file.path.parent], "pipeline.json", json.loads, _pipeline_input)
    if not seen:
        line = "no pipeline.json beside it: prepared as for RTMDet at 640x640, top-left, channels B, G, R"
        return facts._replace(keys={**facts.keys, "input": {"size": 640}}, assumed={**facts.assumed, "input": line})
    return facts._replace(keys={**facts.keys, "input": seen}, by="pipeline.json")


def _pipeline_input(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `input` from a pipeline.json of mmdeploy."""
    tasks = _steps(_get(tree, "pipeline"), "tasks")
    task = next((each for each in tasks if each.get("name") == "Preprocess"), {})
    keys: dict[str, Any] = {"frame": "shortest", "pad_value": 0}
    for step in _steps(task, "transforms"):
        kind = step.get("type")
        if kind == "Resize" and isinstance(step.get("size"), Sequence):
            keys |= {"size": [step["size"][1], step["size"][0]]}
            keys |= {} if step.get("keep_ratio", True) else {"resize": "stretch", "frame": "input"}
        elif kind == "Normalize":
            colour = "rgb" if step.get("to_rgb") else "bgr"
            keys |= {"colour": colour, "mean": _get(step, "mean"), "std": _get(step, "std"), "scale": 1.0}
            keys |= {"pad_value": round(sum(step["mean"]) / 3)}  # what comes behind is padded with 0
        elif kind == "Pad":
            grey = step.get("pad_val", {})
            grey = grey.get("img", 0) if isinstance(grey, Mapping) else grey
            keys |= {"pad_value": int(grey[0] if isinstance(grey, Sequence) else grey)} if grey else {}
            keys |= {"frame": "input"} if step.get("size") else {"multiple": step.get("size_divisor") or 1}
    if keys["frame"] == "input":
        keys.pop("multiple", None)
    return _checked_input(keys)


def _network(config: Mapping[str, Any]) -> dict[str, Any]:
    """Network and class names by number of a config.json, without the numbers that have none."""
    names = {int(number): str(name) for number, name in _get(config, "id2label").items()}
    named = {number: name for number, name in names.items() if name != GAPS}
    return {"network": str(config.get("model_type") or ""), "classes": numbered_names(named)}


def _ultralytics_names(file: ModelFile) -> dict[int, str] | None:
    """Class names of a file with the metadata of Ultralytics; None without them.

    Raises:
        NotOfFamily: the file finds no boxes.
    """
    metadata = file.declared.metadata
    task, names = metadata.get("task"), metadata_names(metadata)
    if task in ("classify", "semantic"):
        told = {"classify": "a classifier", "semantic": "a map of classes"}[task]
        raise NotOfFamily(f"its metadata says task {task}: {told}, export a detector")
    return names if task else None


def _numbers_classes(file: ModelFile) -> bool:
    """Whether the last column of rows has whole numbers on a grey picture: of two classes, 6 columns may be either."""
    (name,) = file.names.values()
    last = file.run()[name][..., -1]
    return bool((last == last.round()).all())


def _with_columns(
    file: ModelFile,
    names: dict[int, str],
    columns: int,
    first: int,
    end_to_end: bool = False,
    stretched: bool = False,
) -> Facts:
    """Check the columns of a file of Ultralytics and say which are scores.

    One that takes any size is given no more padding than makes both sides multiples of its stride, unless it is given
    stretched pictures.
    """
    metadata = file.declared.metadata
    task = metadata["task"]
    more = {"segment": MASKS, "pose": prod(_numbers(metadata.get("kpt_shape", "[17, 3]"))), "obb": 1}.get(task, 0)
    due = first + (0 if end_to_end else len(names)) + more
    if columns != due:
        raise NotOfFamily(
            f"its metadata has task {task} and {len(names)} names, which makes {due} columns, the output has {columns}"
        )
    keys: dict[str, Any] = {"classes": names}
    if not end_to_end:
        keys["scores"] = {"stop": first + len(names)}
    keys |= {"input": {"size": list(file.input_hw)}}
    if not stretched and file.declared.inputs[0].shape[-2:] == (None, None):
        stride = metadata.get("stride", "")
        keys["input"] |= {"frame": "inside", "multiple": int(stride) if re.fullmatch("[1-9][0-9]{0,2}", stride) else 32}
    assumed = {"boxes": f"a file of task {task}, of which the boxes alone are read"} if task == "segment" else {}
    if task == "obb":
        keys["boxes"] = {"format": "rotated", "columns": [0, 1, 2, 3, due - 1]}
    if task == "pose" and more:
        keys["keypoints"], assumed = _joints_of(file, metadata, due - more, not end_to_end)
    return Facts(keys, f"metadata: task {task}, {len(names)} names", assumed)


def _joints_of(
    file: ModelFile, metadata: Mapping[str, str], start: int, transposed: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Keys of the joints of a file of Ultralytics, and what is assumed: 17 are those of COCO where it has no names."""
    count, width = [*_numbers(metadata.get("kpt_shape", "[17, 3]")), 3][:2]
    listed = _texts(metadata.get("kpt_names", ""))
    keys: dict[str, Any] = {"output": file.names["output0"], "start": start, "transposed": transposed}
    keys["scores"] = width == 3
    if len(listed) == count:
        return keys | {"names": listed}, {}
    if count == len(COCO_JOINTS):
        pairs = [(name, name.replace("left", "right")) for name in COCO_JOINTS if name.startswith("left")]
        told = "17 joints without names, taken as COCO's"
        return keys | {"names": COCO_JOINTS, "pairs": pairs, "skeleton": COCO_SKELETON}, {"keypoints": told}
    numbers = [f"joint {place}" for place in range(1, count + 1)]
    return keys | {"names": numbers}, {"keypoints": f"{count} joints without names, called by their numbers"}


def _texts(text: str) -> list[str]:
    """The names of joints in metadata, a list or that of the first class; empty where there is none."""
    try:
        found = ast.literal_eval(text) if len(text) <= LARGEST_TEXT else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    found = next(iter(found.values()), None) if isinstance(found, dict) else found
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, str) and each for each in found):
        return []
    return list(found) if len(set(found)) == len(found) else []


def _numbers(text: str) -> list[int]:
    """A list of whole numbers in metadata; empty where there is none."""
    try:
        found = ast.literal_eval(text) if len(text) <= LARGEST_TEXT else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, int) and each > 0 for each in found):
        return []
    return list(found)


def _require_cells(file: ModelFile, pyramids: Sequence[Sequence[int]], per_cell: int) -> tuple[int, ...]:
    """Return the strides whose cells make the file's rows.

    Raises:
        NotOfFamily: none of them do.
    """
    for strides in pyramids:
        cells = sum(prod(-(-side // stride) for side in file.input_hw) for stride in strides)
        if cells * per_cell == file.letters.get("N"):
            return tuple(strides)
    raise NotOfFamily(f"{file.letters.get('N')} rows are not {per_cell} for each cell")


def _require_shares(sums: np.ndarray) -> None:
    """Raise where probabilities that a softmax makes do not add up to 1.

    Raises:
        NotOfFamily: they do not.
    """
    if not (np.abs(sums - 1) < SLACK).all():
        raise NotOfFamily("its scores are no softmax")


def _in_pixels(file: ModelFile, strides: Sequence[int]) -> bool:
    """Whether the first two columns are close to the middle of each row's cell, in pixels, on a grey picture."""
    levels = []
    for stride in strides:
        down, across = (-(-side // stride) for side in file.input_hw)
        cells = np.stack(np.meshgrid(np.arange(across), np.arange(down)), axis=-1).reshape(-1, 2)
        levels.append(np.concatenate([(cells + 0.5) * stride, np.full((len(cells), 1), stride)], axis=1))
    grid = np.concatenate(levels)
    (name,) = file.names.values()
    values = file.run()[name].reshape(len(grid), -1)[:, :2]
    return bool(np.median(np.abs(values - grid[:, :2]) / grid[:, 2:]) < 2)


def _are_corners(file: ModelFile) -> bool:
    """Whether boxes (N, 4) of a grey picture are corners with a width and a height."""
    boxes = file.run()[file.names["boxes"]].reshape(-1, 4)
    return bool((boxes[:, :2] < boxes[:, 2:]).all(axis=1).mean() > 0.9)


def _beside(
    folders: Sequence[Path],
    name: str,
    read: Callable[[str], Any],
    understand: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Return what a file beside a model says; empty where there is none.

    Args:
        folders: where it is looked for, in this order.
        name: of the file.
        read: makes a tree of its text.
        understand: makes keys of the tree; whatever the tree lacks may raise any of WRONG_FORM.

    Raises:
        InputError: it cannot be read, or is not as its project writes it.
    """
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is None:
        return {}
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ValueError(f"more than {LARGEST_TEXT} bytes")
        tree = read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}), repair or remove it") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: is no mapping of keys, repair or remove it")
    try:
        return understand(tree)
    except WRONG_FORM as error:
        told = explain(error) if isinstance(error, ValidationError) else " ".join(str(error).split())
        raise InputError(f"{path}: is not as its project writes it ({told}), repair or remove it") from None


def _get(tree: Mapping[str, Any], key: str) -> Any:
    if not isinstance(tree, Mapping) or tree.get(key) is None:
        raise ValueError(f"{key} is missing")
    return tree[key]


def _steps(tree: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of mappings."""
    steps = _get(tree, key)
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        raise ValueError(f"{key} is no list of steps")
    return steps


def _checked_input(keys: dict[str, Any]) -> dict[str, Any]:
    """Keys of `input` whose values are possible.

    Raises:
        ValidationError: they are not.
    """
    Input.model_validate(keys)
    return keys


def _processor_input(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `input` from a preprocessor_config.json of Hugging Face; files of earlier releases have one number."""
    size = _get(seen, "size")
    if isinstance(size, int):
        size = {"shortest_edge": size, "longest_edge": seen.get("max_size") or LONGEST}
    keys: dict[str, Any] = {"resize": "stretch", "frame": "input"}
    if "shortest_edge" in size:
        longest = size.get("longest_edge") or seen.get("max_size") or size["shortest_edge"]
        keys = {"resize": "fit", "frame": "shortest", "size": [size["shortest_edge"], longest]}
    elif "height" in size:
        keys["size"] = [size["height"], size["width"]]
    else:
        raise ValueError("size has neither shortest_edge nor height")
    if seen.get("resample", 2) not in PILLOW_FILTERS:
        raise ValueError("resample is not 0, 2 or 3, nearest, bilinear or bicubic")
    keys["filter"] = PILLOW_FILTERS[seen.get("resample", 2)]
    factor = float(seen.get("rescale_factor", 1 / 255)) if seen.get("do_rescale", True) else 1.0
    keys["scale"] = factor
    keys |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    if seen.get("do_normalize", True) and "image_mean" in seen:
        keys |= {"mean": _get(seen, "image_mean"), "std": _get(seen, "image_std")}
    return _checked_input(keys)


def _paddle_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of an adapter from an infer_cfg.yml."""
    keys: dict[str, Any] = {}
    for step in _steps(config, "Preprocess"):
        if step.get("type") == "Resize":
            keys |= _paddle_resize(step)
        elif step.get("type") == "NormalizeImage":
            keys |= _paddle_normalize(step)
        elif step.get("type") in ("PadStride", "PadBatch"):
            grey = round(sum(keys.get("mean", [0])) / 3 / keys.get("scale", 1))  # it is padded with 0 after the mean
            keys |= {"multiple": step.get("stride") or step.get("pad_to_stride") or 1, "pad_value": grey}
    names = config.get("label_list")
    return {"input": _checked_input(keys)} | ({"classes": _listed_names(names)} if names else {})


def _listed_names(names: Any) -> list[str]:
    """Names of a list; in YAML a few bytes may stand for a name without end, so others than plain ones are none."""
    if not isinstance(names, list) or len(names) > LARGEST_CLASS:
        raise ValueError(f"label_list is no list of {LARGEST_CLASS} names at most")
    if not all(isinstance(name, str) or (isinstance(name, int) and 0 <= name <= LARGEST_CLASS) for name in names):
        raise ValueError("label_list has names that are neither texts nor small numbers")
    return list(numbered_names(dict(enumerate(map(str, names)))).values())


def _paddle_resize(step: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `input` from a Resize of an infer_cfg.yml."""
    size = step.get("target_size", [640, 640])
    keys = {"size": size, "filter": FILTERS.get(step.get("interp", 1), "bilinear")}
    return keys | ({"resize": "fit", "frame": "shortest"} if step.get("keep_ratio") else {"resize": "stretch"})


def _paddle_normalize(step: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of `input` from a NormalizeImage of an infer_cfg.yml."""
    keys: dict[str, Any] = {"scale": 1 / 255 if step.get("is_scale", True) else 1.0}
    if step.get("norm_type", "mean_std") == "mean_std":
        keys |= {"mean": step.get("mean", [0.0] * 3), "std": step.get("std", [1.0] * 3)}
    return keys
