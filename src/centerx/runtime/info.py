"""Metadata of a model file; ONNX and safetensors files have the same keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from centerx.errors import InputError
from centerx.files import is_line, json_text, require_utf8
from centerx.geometry import LARGEST_INPUT, LARGEST_SIDE, PAD_VALUE
from centerx.joints import NO_JOINTS, Joints
from centerx.levels import AUTO, ValueRange, check_range
from centerx.resize import OWN_RESIZE, Resize
from centerx.tasks import BOXES, CANONICAL, LABELLED, POSE, TASKS, Task, make_task

RUN_MODELS = "best.safetensors", "last.safetensors"  # model files in the folder of a training run
TOP_K = 100  # of older files, whose metadata has no `top_k`
MOST_CLASSES = 100_000
LARGEST_TOP_K = 2**31 - 1  # largest index in every runtime
LETTERBOX = {
    "resize": "fit",
    "place": "top-left",
    "pad_value": PAD_VALUE,
    "filter": "bilinear, area below half size",
}


def require_file(path: Path) -> None:
    """Raise unless a model file exists.

    Raises:
        InputError: there is no file, the path is a folder, or it is not UTF-8.
    """
    if path.is_dir():
        inside = next((each for each in RUN_MODELS if (path / each).is_file()), None)
        raise InputError(f"{path}: is a folder, name the model file{f' in it, {path / inside}' if inside else ''}")
    if not path.is_file():
        raise InputError(f"{path}: no such model file, check the path")
    require_utf8(path)


class ModelInfo(NamedTuple):
    """Facts about a model that its user needs.

    Attributes:
        class_names: name of each label.
        input_hw: height and width of the input in pixels.
        stride: pixels per cell of the output grid.
        origin: of an imported model, as JSON: code, network, and what it was trained with: colour (its order of
            channels), mean, std and resize; the model itself takes RGB like any other. Empty for our own.
        top_k: the most detections of one picture.
        value_range: how pictures of more than 8 bits become 8 bits, see `levels.find_limits`.
        task: the name of what it finds, a key of `tasks.TASKS`.
        resize: how a picture is brought to the input; our own models have one rule.
        corner_order: of task quads, see `tasks.make_task`.
        joints: of task pose.
    """

    class_names: tuple[str, ...]
    input_hw: tuple[int, int]
    stride: int
    origin: str = ""
    top_k: int = TOP_K
    value_range: ValueRange = AUTO
    task: str = BOXES.name
    resize: Resize = OWN_RESIZE
    corner_order: str = CANONICAL
    joints: Joints = NO_JOINTS

    @property
    def made_task(self) -> Task:
        """The task."""
        return make_task(self.task, self.corner_order, self.joints)

    def to_metadata(self) -> dict[str, str]:
        """Return the strings to store.

        They are `task`, `class_names`, `input_size` (height, width), `stride`, `top_k` and `letterbox`; where they are
        not the usual, `origin`, `range`, `corner_order` and `joints`.
        """
        facts = {
            "producer": "centerx",
            "task": self.task,
            "class_names": json_text(list(self.class_names)),
            "input_size": json.dumps(list(self.input_hw)),
            "stride": str(self.stride),
            "top_k": str(self.top_k),
            "letterbox": json.dumps(LETTERBOX),
        }
        if self.origin:
            facts["origin"] = self.origin
        if self.corner_order != CANONICAL:
            facts["corner_order"] = self.corner_order
        if self.joints.names:
            facts["joints"] = self.joints.to_json()
        if self.value_range != AUTO:
            facts["range"] = json.dumps(self.value_range)
        return facts

    @staticmethod
    def is_in(metadata: Mapping[str, str]) -> bool:
        """Whether strings are of a file of this project, whole or not."""
        return metadata.get("producer") == "centerx" or {"class_names", "input_size", "stride"} <= metadata.keys()

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: object) -> ModelInfo:
        """Parse the strings of `to_metadata`.

        Args:
            metadata: strings of a model file.
            where: the file, for error messages.

        Raises:
            InputError: a key is missing or malformed, so the file is not one of this project.
        """
        try:
            if not isinstance(metadata, Mapping) or not all(isinstance(value, str) for value in metadata.values()):
                raise ValueError("it is no mapping of strings")
            size = _read_size(json.loads(metadata["input_size"]))
            names = _read_names(json.loads(metadata["class_names"]))
            top_k = _whole(metadata.get("top_k", str(TOP_K)))
            if not 1 <= top_k <= LARGEST_TOP_K:
                raise ValueError(f"top_k {top_k} is not from 1 to {LARGEST_TOP_K}")
            value_range = check_range(json.loads(metadata.get("range", f'"{AUTO}"')))
            origin = metadata.get("origin", "")
            task = metadata.get("task", BOXES.name)
            order = metadata.get("corner_order", CANONICAL)
            if order not in (CANONICAL, LABELLED):
                raise ValueError(f"corner_order is {order!r}, not {CANONICAL} or {LABELLED}")
            stride = _whole(metadata["stride"])
            joints = Joints.from_json(metadata["joints"]) if task == POSE.name else NO_JOINTS
            if task == POSE.name and not joints.names:
                raise ValueError("there are no joints")
            if joints.classes and len(joints.classes) != len(names):
                raise ValueError(f"joints of {len(joints.classes)} classes, but {len(names)} class names")
            if not 1 <= stride <= min(size):
                raise ValueError(f"stride {stride} is not from 1 to the shorter side of the input")
            info = cls(names, size, stride, origin, top_k, value_range, task, corner_order=order, joints=joints)
        except (KeyError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise InputError(
                f"{where}: not a centerX model, its metadata is missing or malformed ({error}); "
                "make it with `centerx train` or `centerx export`"
            ) from None
        if task not in TASKS:
            raise InputError(f"{where}: is of the task {task!r}, of a newer version, known here: {', '.join(TASKS)}")
        return info


def _whole(text: str) -> int:
    """Return the number that some digits are.

    Raises:
        ValueError: they are none, or too many.
    """
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError(f"{text[:50]!a} is no whole number")
    return int(text)


def _read_size(sides: object) -> tuple[int, int]:
    """Return height and width of an input.

    Raises:
        ValueError: they are none, or too large for the memory of a usual machine.
    """
    match sides:
        case [int(height), int(width)] if 1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE:
            if height * width <= LARGEST_INPUT:
                return int(height), int(width)
    raise ValueError(f"input_size is not two sides from 1 to {LARGEST_SIDE}, of {LARGEST_INPUT} pixels at most")


def _read_names(names: object) -> tuple[str, ...]:
    """Return the names of classes.

    Raises:
        ValueError: they are no list of different lines of text.
    """
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"class_names are no list of 1 to {MOST_CLASSES} names")
    for name in names:
        if not isinstance(name, str) or not is_line(name):
            raise ValueError(f"class_names have {str(name)[:50]!a}, which is no line of text")
    if len(set(names)) < len(names):
        raise ValueError("class_names are not all different")
    return tuple(names)
