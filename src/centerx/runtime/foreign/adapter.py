"""An adapter: how a detector file of another project sees, and what its outputs mean. It is data, written as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from centerx.contents import read_plain
from centerx.errors import InputError, nearest
from centerx.files import write_atomic
from centerx.geometry import LARGEST_INPUT, LARGEST_SIDE
from centerx.joints import Joints, default_sigmas, flip_by_pairs, twice_paired
from centerx.resize import Resize
from centerx.runtime.foreign.names import COCO_IDS, COCO_NAMES, VOC_NAMES
from centerx.yaml_text import parse_yaml

SUFFIX = ".adapter.yaml"
LARGEST_SIDECAR = 1 << 20  # bytes
LARGEST_CLASS = (1 << 16) - 1
MOST_LEVELS, MOST_PER_CELL, MOST_BINS = 64, 64, 1024  # a YAML of others may not fill the memory
NO_SIZES = {"xyxy", "yxyx", "corners"}  # formats of points alone
BOX_COLUMNS = {"xyxy": 4, "xywh": 4, "cxcywh": 4, "yxyx": 4, "ltrb": 4, "corners": 8, "rotated": 5}


def no_flag(value: Any) -> Any:
    """Anything but true and false, which Python counts as 1 and 0: `nms: true` would suppress nothing."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Whole = Annotated[int, BeforeValidator(no_flag)]
Number = Annotated[float, BeforeValidator(no_flag)]
Side = Annotated[Whole, Field(gt=0, le=LARGEST_SIDE)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[Number, Field(allow_inf_nan=False)]
Column = Annotated[Whole, Field(ge=0)]
Probability = Annotated[Number, Field(ge=0, le=1)]


def as_list(value: Any) -> Any:
    """One entry where a list of entries is due."""
    return [value] if isinstance(value, (str, int)) else value


def as_pair(value: Any) -> Any:
    """One side of a square."""
    return [value, value] if isinstance(value, (int, float)) else value


def as_variances(value: Any) -> Any:
    """Two numbers, of positions and of sizes."""
    return [each for each in value for _ in range(2)] if isinstance(value, (list, tuple)) and len(value) == 2 else value


def different_names(value: tuple[str, ...]) -> tuple[str, ...]:
    """Class names of a model."""
    if not value or not all(value) or len(set(value)) != len(value):
        raise ValueError("must be a list of different names, none of them empty")
    return value


def numbered_names(value: dict[int, str]) -> dict[int, str]:
    """Class names by number."""
    different_names(tuple(value.values()))
    if min(value) < 0 or max(value) > LARGEST_CLASS:
        raise ValueError(f"numbers of classes are 0 to {LARGEST_CLASS}")
    return value


Level = str | Annotated[tuple[str, ...], Field(min_length=1)]
Levels = Annotated[tuple[Level, ...], BeforeValidator(as_list), Field(min_length=1)]
Names = Annotated[tuple[str, ...], AfterValidator(different_names)]
NumberedNames = Annotated[dict[int, str], AfterValidator(numbered_names)]
Pair = Annotated[tuple[Positive, Positive], BeforeValidator(as_pair)]


class Section(BaseModel):
    """A part of an adapter: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(Section):
    """How the file sees a picture: resized, then `(bytes * scale - mean) / std`, in the type that the file declares."""

    name: str | None = Field(None, description="of the input for pictures, where the file has several")
    size: Annotated[tuple[Side, Side] | None, BeforeValidator(as_pair)] = Field(
        None, description="height and width in pixels, where the file leaves them free"
    )
    free: bool = Field(
        False,
        description="the file declares the sides of an example: free them (an ONNX file needs the package onnx)",
    )
    layout: Literal["nchw", "nhwc"] | None = Field(None, description="order of axes, where the shape does not tell it")
    resize: Literal["fit", "stretch"] = Field("fit", description="fit keeps the ratio of the sides and pads")
    place: Literal["top-left", "center"] = Field("top-left", description="where a picture lies in its padding")
    pad_value: Annotated[Whole, Field(ge=0, le=255)] = Field(114, description="grey level of the padding")
    filter: Literal["bilinear", "area", "bicubic", "nearest", "antialias", "antialias-bicubic"] = Field(
        "bilinear",
        description="of the resizing, by OpenCV; antialias: bilinear by Pillow or torchvision, which average what they "
        "shrink; antialias-bicubic: bicubic by them",
    )
    rounding: Literal["round", "floor", "exact"] = Field(
        "round", description="how resized sides become whole pixels; exact: rounded, sampled at the exact scale"
    )
    frame: Literal["input", "picture", "inside", "longest", "shortest"] = Field(
        "input",
        description="input: every picture is brought to `size`; else the input follows the picture: picture: its own "
        "size; inside: as large as `size` has room for; longest, shortest: that side becomes that of `size`",
    )
    multiple: Side = Field(1, description="pixels of which both sides are multiples, where the input follows pictures")
    colour: Literal["rgb", "bgr"] = Field("rgb", description="order of the channels")
    scale: Positive = Field(1.0, description="what bytes are multiplied with, such as 0.00392157")
    mean: tuple[Finite, Finite, Finite] = Field((0.0, 0.0, 0.0), description="in the order of `colour`")
    std: tuple[Positive, Positive, Positive] = Field((1.0, 1.0, 1.0), description="in the order of `colour`")

    @model_validator(mode="after")
    def _parts(self) -> Input:
        if self.rounding == "exact" and self.filter.startswith("antialias"):
            raise ValueError("rounding exact goes with filters of OpenCV, antialias is none")
        return self

    @property
    def rule(self) -> Resize:
        """How pictures are brought to the input."""
        return Resize(
            self.resize == "fit", self.place == "center", self.pad_value, self.filter, self.rounding, self.frame,
            self.multiple,
        )  # fmt: skip


class Anchors(Section):
    """The places that boxes are told from: points of a grid, or boxes around them where `sizes` are given."""

    strides: tuple[Side, ...] = Field(min_length=1, max_length=MOST_LEVELS, description="pixels per cell of each level")
    offset: Finite = Field(0.5, description="of a point in its cell, in cells: 0.5 is the middle")
    per_cell: Annotated[tuple[Annotated[Whole, Field(gt=0, le=MOST_PER_CELL)], ...], BeforeValidator(as_list)] = Field(
        (1,), description="rows of each cell, for each level or for all; with `sizes`, as many as these"
    )
    sizes: tuple[Annotated[tuple[Pair, ...], Field(min_length=1, max_length=MOST_PER_CELL)], ...] = Field(
        (), description="for each level the boxes of a cell in pixels: sides of squares, or [width, height]"
    )
    rounding: Literal["ceil", "floor"] = Field("ceil", description="how the input divided by a stride becomes whole")
    cell: Literal["stride", "map"] = Field(
        "stride", description="size of a cell: its stride, or the input divided by the cells of the map"
    )
    clip: bool = Field(False, description="clip centres and sizes, relative to the input, to 0..1")

    @model_validator(mode="after")
    def _levels(self) -> Anchors:
        for name, given in (("sizes", self.sizes), ("per_cell", self.per_cell if len(self.per_cell) > 1 else ())):
            if given and len(given) != len(self.strides):
                raise ValueError(f"{name} has {len(given)} levels, strides has {len(self.strides)}")
        if self.clip and not self.sizes:
            raise ValueError("clip goes with sizes")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Rows of a cell of each level."""
        if self.sizes:
            return tuple(len(sizes) for sizes in self.sizes)
        return self.per_cell if len(self.per_cell) > 1 else self.per_cell * len(self.strides)


class Boxes(Section):
    """Where boxes are, and how they are written.

    A value is first multiplied with its variance, then goes through its activation, then is multiplied with its unit.
    Centres and corners are added to the points of the anchors where there are some.
    """

    outputs: Levels = Field(
        description="names: one, or one for each level, fine to coarse; a list in the list joins the columns of several"
    )
    columns: tuple[Column, ...] | None = Field(
        None, description="which columns of the outputs, in the order of `format`; the first ones without it"
    )
    transposed: bool = Field(False, description="columns come before rows: (1, C, N) or (1, C, h, w)")
    format: Literal["xyxy", "xywh", "cxcywh", "yxyx", "ltrb", "corners", "rotated"] = Field(
        "xyxy",
        description="ltrb: distances from a point; corners: four points, of which the box is the extent; rotated: "
        "centre, width, height and the angle of the width in radians, clockwise on a screen",
    )
    unit: Literal["pixels", "normalized", "cells", "anchors"] = Field(
        "pixels",
        description="pixels of the input, shares of the input, cells of the level, or sizes of the anchor",
    )
    size_unit: Literal["pixels", "normalized", "cells", "anchors"] | None = Field(
        None, description="of width and height, where it is another one"
    )
    anchors: Anchors | None = Field(None, description="what boxes are told from; without it the input's corner")
    center_activation: Literal["none", "tanh", "sigmoid"] = Field("none", description="of the centre")
    size_activation: Literal["none", "exp", "sigmoid"] = Field("none", description="of width and height, or distances")
    variances: Annotated[tuple[Positive, Positive, Positive, Positive], BeforeValidator(as_variances)] = Field(
        (1.0, 1.0, 1.0, 1.0), description="factors of x, y, width and height; of two, the first is of x and y"
    )
    bins: Annotated[Whole, Field(ge=0, le=MOST_BINS)] = Field(
        0, description="ltrb: each distance is the mean of a softmax over so many columns; 0: a number"
    )

    @model_validator(mode="after")
    def _parts(self) -> Boxes:
        due = BOX_COLUMNS[self.format]
        if self.columns is not None and len(self.columns) != due * max(self.bins, 1):
            raise ValueError(f"columns are {len(self.columns)}, {self.format} has {due * max(self.bins, 1)}")
        units = {self.unit, self.size_unit}
        if self.anchors is None and (units & {"cells", "anchors"} or self.format == "ltrb"):
            raise ValueError("cells, anchors and ltrb need anchors with strides")
        if self.anchors is not None and "anchors" in units and not self.anchors.sizes:
            raise ValueError("the unit anchors needs anchors.sizes")
        if self.bins and self.format != "ltrb":
            raise ValueError("bins goes with format ltrb")
        if self.format in NO_SIZES and (self.size_activation != "none" or self.size_unit is not None):
            raise ValueError(f"size_activation and size_unit are of width and height, which {self.format} has none of")
        if self.format == "ltrb" and self.center_activation != "none":
            raise ValueError("center_activation is of a centre, which ltrb has none of")
        levels = len(self.outputs)
        if self.anchors is not None and levels not in (1, len(self.anchors.strides)):
            raise ValueError(f"outputs are {levels}, anchors.strides {len(self.anchors.strides)}")
        return self


class Objectness(Section):
    """How sure the file is that anything is there."""

    outputs: Annotated[Levels | None, BeforeValidator(as_list)] = Field(
        None, description="as those of scores, which they are without it"
    )
    column: Column = Field(0, description="which column of the outputs")
    activation: Literal["none", "sigmoid", "clip"] = Field("none", description="clip: to 0..1")
    power: Positive = Field(1.0, description="exponent in the product with the score of a class")


class Scores(Section):
    """Where scores are, and how they are written."""

    outputs: Levels = Field(description="names: as many as boxes have, in the same order")
    start: Column = Field(0, description="first column")
    stop: Column | None = Field(None, description="the column after the last one; without it to the end")
    transposed: bool = Field(False, description="columns come before rows: (1, C, N) or (1, C, h, w)")
    activation: Literal["none", "sigmoid", "softmax"] = Field("none", description="none: probabilities already")
    background: Literal["none", "first", "last"] = Field("none", description="the column that is no class")
    power: Positive = Field(1.0, description="exponent in the product with objectness")
    objectness: Objectness | None = None
    multi_label: bool = Field(
        True, description="every class above the floor is a detection; otherwise the best class of a row alone"
    )

    @model_validator(mode="after")
    def _parts(self) -> Scores:
        if self.objectness is None and self.power != 1:
            raise ValueError("power goes with objectness")
        levels = self.objectness.outputs if self.objectness is not None else None
        if levels is not None and len(levels) != len(self.outputs):
            raise ValueError(f"objectness.outputs are {len(levels)}, outputs {len(self.outputs)}")
        return self


class Labels(Section):
    """An output with a class for each box; without it, scores have a column for each class."""

    output: str = Field(description="its name")
    column: Column = Field(0, description="which column of the output")


class Keypoints(Section):
    """Joints behind each box, in an output with a row for each; x, y and a score of each joint follow one another."""

    output: str = Field(description="its name")
    start: Column = Field(0, description="column of the first joint")
    names: tuple[str, ...] = Field(min_length=1, description="of the joints, in order")
    scores: bool = Field(True, description="whether a score stands behind each x and y; otherwise all are 1")
    transposed: bool = Field(False, description="columns come before rows: (1, C, N)")
    activation: Literal["none", "sigmoid"] = Field("none", description="of the scores; none: probabilities already")
    pairs: tuple[tuple[str, str], ...] = Field((), description="joints that change places in a mirror image")
    skeleton: tuple[tuple[str, str], ...] = Field((), description="joints to draw a line between")

    @model_validator(mode="after")
    def _names(self) -> Keypoints:
        others = {name for pair in (*self.pairs, *self.skeleton) for name in pair} - set(self.names)
        different_names(self.names)
        if others:
            raise ValueError(f"there is no joint {others.pop()!r}")
        if twice_paired(self.pairs) is not None:
            raise ValueError(f"{twice_paired(self.pairs)!r} is in two pairs")
        return self

    @property
    def width(self) -> int:
        """Columns of one joint."""
        return 3 if self.scores else 2

    @property
    def joints(self) -> Joints:
        """The joints."""
        names = self.names
        lines = tuple((names.index(first), names.index(second)) for first, second in self.skeleton)
        return Joints(names, flip_by_pairs(names, self.pairs), lines, default_sigmas(names))


class Adapter(Section):
    """How a file sees, and what its outputs mean."""

    family: str | None = Field(None, description="a name of the table of known families, whose keys are the default")
    input: Input = Input()
    extra: dict[str, Annotated[tuple[Literal["height", "width"] | Finite, ...], BeforeValidator(as_list)]] = Field(
        {}, description="values of further inputs by name: numbers, or the height and width of the input in pixels"
    )
    boxes: Boxes
    scores: Scores
    labels: Labels | None = None
    keypoints: Keypoints | None = None
    count: str | None = Field(None, description="output with the number of rows that count")
    classes: Literal["coco", "coco-91", "voc"] | Names | NumberedNames = Field(
        description="names in the order of the file; names by the file's numbers; coco: 80 names; coco-91: the same, "
        "numbered by COCO's category ids, which have gaps; voc: 20 names"
    )
    first_class: Annotated[Whole, Field(ge=0, le=LARGEST_CLASS)] = Field(
        0, description="number that the file gives the first class"
    )
    nms: Probability | None = Field(
        None, description="IoU above which the lower one of two boxes of a class is left out; without it all stay"
    )
    score_floor: Probability = Field(0.01, description="boxes that score lower are left out")
    top_k: Annotated[Whole, Field(gt=0, le=100_000)] = Field(300, description="the most boxes of a picture")

    @model_validator(mode="after")
    def _parts(self) -> Adapter:
        if len(self.scores.outputs) != len(self.boxes.outputs):
            raise ValueError(f"scores.outputs are {len(self.scores.outputs)}, boxes.outputs {len(self.boxes.outputs)}")
        if self.first_class and isinstance(self.classes, dict):
            raise ValueError("first_class goes with names in order, classes has numbers already")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        return tuple(self.class_numbers.values())

    @property
    def class_numbers(self) -> dict[int, str]:
        """The name of each class by the number that the file gives it."""
        if isinstance(self.classes, dict):
            return dict(sorted(self.classes.items()))
        if self.classes == "coco-91":
            numbers = [self.first_class + id - COCO_IDS[0] for id in COCO_IDS]
            return dict(zip(numbers, COCO_NAMES, strict=True))
        names = {"coco": COCO_NAMES, "voc": VOC_NAMES}.get(self.classes, self.classes)  # type: ignore[arg-type]
        return {self.first_class + place: name for place, name in enumerate(names)}

    def to_yaml(self) -> str:
        """Return the adapter as the text of a sidecar, without what is the default anyway."""
        tree = self.model_dump(exclude_defaults=True)
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def require_size(input_hw: tuple[int, int]) -> None:
    """Raise where a picture of a height and width in pixels would fill the memory.

    Raises:
        InputError: it would.
    """
    height, width = input_hw
    if max(input_hw) > LARGEST_SIDE or height * width > LARGEST_INPUT:
        raise InputError(
            f"pictures of {height}x{width} pixels, but {LARGEST_SIDE} a side and {LARGEST_INPUT} in all are the "
            "most, export it for smaller ones or correct input.size"
        )


def sidecar(model: Path) -> Path:
    """Return where the adapter of a model file is looked for: `NAME.adapter.yaml` beside `NAME.onnx`."""
    return model.parent / (model.stem + SUFFIX)


def read_tree(path: Path) -> dict[str, Any]:
    """Read the YAML of an adapter.

    Raises:
        InputError: it is missing, too large or no mapping.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_SIDECAR:
            raise InputError(f"{path}: {size} bytes, an adapter has {LARGEST_SIDECAR} at most")
        tree = parse_yaml(read_plain(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, give the YAML file of an adapter") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as YAML ({error})") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: an adapter is a mapping of keys, not {type(tree).__name__}")
    return tree


def parse_adapter(tree: Mapping[str, Any], where: object) -> Adapter:
    """Check the keys of an adapter.

    Args:
        tree: plain values, as YAML gives them.
        where: what to name in errors.

    Raises:
        InputError: a key is unknown or missing, or a value is wrong.
    """
    try:
        return Adapter.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}, docs/foreign.md lists the keys") from None


def write_adapter(adapter: Adapter, model: Path) -> Path:
    """Write an adapter beside its model file and return the path of the sidecar."""
    path = sidecar(model)
    write_atomic(path, adapter.to_yaml().encode())
    return path


def explain(error: ValidationError) -> str:
    """Return which key is wrong and why, in one line, without the value."""
    errors = error.errors(include_url=False, include_input=False)
    telling = [each for kind in ("extra_forbidden", "value_error") for each in errors if each["type"] == kind]
    first = (telling or errors)[0]
    keys = [str(part) for part in first["loc"] if re.fullmatch(r"[\w-]+", str(part))]  # others are names of types
    where = ".".join(keys) or "the adapter"
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        shown = where if keys[-1:] == [name] else name[:80]
        return f"unknown key {shown!r}{nearest(name, _keys([key for key in keys if key != name]))}"
    if first["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _keys(path: list[str]) -> list[str]:
    """The keys that a section can have."""
    sections: dict[str, type[Section]] = {
        "": Adapter, "input": Input, "boxes": Boxes, "anchors": Anchors, "scores": Scores, "objectness": Objectness,
        "labels": Labels, "keypoints": Keypoints,
    }  # fmt: skip
    return list(sections.get(path[-1] if path else "", Adapter).model_fields)
