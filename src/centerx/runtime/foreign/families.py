"""The table of known families: what their files declare, and their adapters."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from centerx.runtime.foreign.runner import Declared, Tensor

Dim = int | str | None


class Pattern(NamedTuple):
    """What an output of a family looks like.

    Attributes:
        name: in the family's adapter.
        shape: of each side: a number; None for any; a letter, which is the same number everywhere, such as `C`, the
            number of classes; or a letter and a number more, such as `C+5`.
        called: pattern of the name in files, as of file names: `*` is any text.
    """

    name: str
    shape: tuple[Dim, ...]
    called: str = "*"


class Family(NamedTuple):
    """Files that one adapter reads.

    Attributes:
        outputs: of a file, in its order.
        adapter: keys as in YAML, with the names of `outputs`; without `classes` where these vary.
        input: pattern of the shape of the first input.
    """

    outputs: tuple[Pattern, ...]
    adapter: dict[str, Any]
    input: tuple[Dim, ...] | None = None


IMAGENET = {"scale": 1.0, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # RGB, of bytes
IMAGENET_BGR = {"scale": 1.0, "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
RFB_SIDES = [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]]  # pixels of the anchors at strides 8, 16, 32 and 64

FAMILIES: dict[str, Family] = {
    "yolox": Family(
        (Pattern("output", (1, None, "C+5")),),
        {
            "input": {"rounding": "floor", "colour": "bgr"},
            "boxes": {
                "outputs": "output",
                "format": "cxcywh",
                "unit": "cells",
                "size_activation": "exp",
                "anchors": {"strides": [8, 16, 32], "offset": 0},
            },
            "scores": {"outputs": "output", "start": 5, "objectness": {"column": 4}},
            "nms": 0.45,
        },
    ),
    "nanodet": Family(
        (
            *(Pattern(f"scores_{stride}", (1, None, "C"), "cls_pred*") for stride in (8, 16, 32)),
            *(Pattern(f"distances_{stride}", (1, None, 32), "dis_pred*") for stride in (8, 16, 32)),
        ),
        {
            "input": {
                "rounding": "floor",
                "place": "center",
                "pad_value": 0,
                "filter": "area",
                "colour": "bgr",
                **IMAGENET_BGR,
            },
            "boxes": {
                "outputs": ["distances_8", "distances_16", "distances_32"],
                "format": "ltrb",
                "unit": "cells",
                "bins": 8,
                "anchors": {"strides": [8, 16, 32]},
            },
            "scores": {"outputs": ["scores_8", "scores_16", "scores_32"]},
            "nms": 0.6,
        },
    ),
    "picodet": Family(
        (
            *(Pattern(f"scores_{stride}", (1, None, "C")) for stride in (8, 16, 32, 64)),
            *(Pattern(f"distances_{stride}", (1, None, 32)) for stride in (8, 16, 32, 64)),
        ),
        {
            "input": {"resize": "stretch", "filter": "bicubic", **IMAGENET},
            "boxes": {
                "outputs": ["distances_8", "distances_16", "distances_32", "distances_64"],
                "format": "ltrb",
                "unit": "cells",
                "bins": 8,
                "anchors": {"strides": [8, 16, 32, 64]},
            },
            "scores": {"outputs": ["scores_8", "scores_16", "scores_32", "scores_64"]},
            "nms": 0.5,
        },
    ),
    "fastestdet": Family(
        (Pattern("output", (1, "C+5", None, None)),),
        {
            "input": {"resize": "stretch", "filter": "area", "colour": "bgr", "scale": 1 / 255},
            "boxes": {
                "outputs": "output",
                "transposed": True,
                "columns": [1, 2, 3, 4],
                "format": "cxcywh",
                "unit": "cells",
                "size_unit": "normalized",
                "center_activation": "tanh",
                "size_activation": "sigmoid",
                "anchors": {"strides": [16], "offset": 0},
            },
            "scores": {
                "outputs": "output",
                "transposed": True,
                "start": 5,
                "power": 0.4,
                "multi_label": False,
                "objectness": {"column": 0, "power": 0.6},
            },
            "nms": 0.45,
        },
    ),
    "tflite-detection": Family(
        (
            Pattern("boxes", (1, "N", 4), "*Detection_PostProcess*"),
            Pattern("labels", (1, "N"), "*Detection_PostProcess*"),
            Pattern("scores", (1, "N"), "*Detection_PostProcess*"),
            Pattern("count", (1,), "*Detection_PostProcess*"),
        ),
        {
            "input": {"resize": "stretch"},
            "boxes": {"outputs": "boxes", "format": "yxyx", "unit": "normalized"},
            "scores": {"outputs": "scores"},
            "labels": {"output": "labels"},
            "count": "count",
            "classes": "coco-91",
        },
    ),
    "mmdet": Family(
        (Pattern("dets", (None, None, None), "dets"), Pattern("labels", (None, None), "labels")),
        {
            "input": {"rounding": "floor", "colour": "bgr", **IMAGENET_BGR},
            "boxes": {"outputs": "dets"},
            "scores": {"outputs": "dets", "start": 4},
            "labels": {"output": "labels"},
        },
    ),
    "centerface": Family(
        (
            Pattern("heatmap", (None, 1, "H", "W")),
            Pattern("sizes", (None, 2, "H", "W")),
            Pattern("offsets", (None, 2, "H", "W")),
            Pattern("points", (None, 10, "H", "W")),
        ),
        {
            "input": {"free": True, "size": [640, 640], "resize": "stretch", "frame": "longest", "multiple": 32},
            "boxes": {
                "outputs": [["offsets", "sizes"]],
                "transposed": True,
                "columns": [1, 0, 3, 2],
                "format": "cxcywh",
                "unit": "cells",
                "size_activation": "exp",
                "anchors": {"strides": [4]},
            },
            "scores": {"outputs": "heatmap", "transposed": True},
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
    "ultraface": Family(
        (Pattern("scores", (1, "N", 2), "scores"), Pattern("boxes", (1, "N", 4), "boxes")),
        {
            "input": {"resize": "stretch", "mean": [127, 127, 127], "std": [128, 128, 128]},
            "boxes": {"outputs": "boxes", "unit": "normalized"},
            "scores": {"outputs": "scores", "background": "first"},
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
    "ultraface-raw": Family(
        (Pattern("scores", (1, "N", 2), "scores"), Pattern("boxes", (1, "N", 4), "boxes")),
        {
            "input": {"resize": "stretch", "mean": [127, 127, 127], "std": [128, 128, 128]},
            "boxes": {
                "outputs": "boxes",
                "format": "cxcywh",
                "unit": "anchors",
                "variances": [0.1, 0.2],
                "size_activation": "exp",
                "anchors": {"strides": [8, 16, 32, 64], "sizes": RFB_SIDES, "cell": "map", "clip": True},
            },
            "scores": {"outputs": "scores", "background": "first"},
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
    "yunet-2021": Family(
        (Pattern("loc", ("N", 14), "loc"), Pattern("conf", ("N", 2), "conf"), Pattern("iou", ("N", 1), "iou")),
        {
            "input": {"resize": "stretch", "colour": "bgr"},
            "boxes": {
                "outputs": "loc",
                "format": "cxcywh",
                "unit": "anchors",
                "variances": [0.1, 0.1, 0.1, 0.2],
                "size_activation": "exp",
                "anchors": {"strides": [8, 16, 32, 64], "sizes": RFB_SIDES, "rounding": "floor"},
            },
            "scores": {
                "outputs": "conf",
                "background": "first",
                "power": 0.5,
                "objectness": {"outputs": "iou", "activation": "clip", "power": 0.5},
            },
            "classes": ["face"],
            "nms": 0.3,
        },
        input=(1, 3, 120, 160),
    ),
    "lpd-yunet": Family(
        (Pattern("loc", ("N", 14), "loc"), Pattern("conf", ("N", 2), "conf"), Pattern("iou", ("N", 1), "iou")),
        {
            "input": {"rounding": "floor", "pad_value": 0, "colour": "bgr"},
            "boxes": {
                "outputs": "loc",
                "columns": [4, 5, 6, 7, 10, 11, 12, 13],
                "format": "corners",
                "unit": "anchors",
                "variances": [0.1, 0.2],
                "anchors": {"strides": [8, 16, 32, 64], "sizes": RFB_SIDES, "rounding": "floor"},
            },
            "scores": {
                "outputs": "conf",
                "background": "first",
                "power": 0.5,
                "objectness": {"outputs": "iou", "activation": "clip", "power": 0.5},
            },
            "classes": ["plate"],
            "nms": 0.3,
        },
        input=(1, 3, 240, 320),
    ),
    "yunet": Family(
        (
            *(Pattern(f"cls_{stride}", (1, None, 1), "cls_*") for stride in (8, 16, 32)),
            *(Pattern(f"obj_{stride}", (1, None, 1), "obj_*") for stride in (8, 16, 32)),
            *(Pattern(f"bbox_{stride}", (1, None, 4), "bbox_*") for stride in (8, 16, 32)),
            *(Pattern(f"kps_{stride}", (1, None, 10), "kps_*") for stride in (8, 16, 32)),
        ),
        {
            "input": {
                "rounding": "exact",
                "size": [640, 640],
                "frame": "longest",
                "multiple": 32,
                "pad_value": 0,
                "colour": "bgr",
            },
            "boxes": {
                "outputs": ["bbox_8", "bbox_16", "bbox_32"],
                "format": "cxcywh",
                "unit": "cells",
                "size_activation": "exp",
                "anchors": {"strides": [8, 16, 32], "offset": 0},
            },
            "scores": {
                "outputs": ["cls_8", "cls_16", "cls_32"],
                "power": 0.5,
                "objectness": {"outputs": ["obj_8", "obj_16", "obj_32"], "power": 0.5},
            },
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
    "blazeface-short": Family(
        (Pattern("boxes", (1, 896, 16)), Pattern("scores", (1, 896, 1))),
        {
            "input": {"place": "center", "pad_value": 0, "mean": [127.5] * 3, "std": [127.5] * 3},
            "boxes": {
                "outputs": "boxes",
                "format": "cxcywh",
                "anchors": {"strides": [8, 16], "per_cell": [2, 6]},
            },
            "scores": {"outputs": "scores", "activation": "sigmoid"},
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
    "blazeface-full": Family(
        (Pattern("boxes", (1, 2304, 16)), Pattern("scores", (1, 2304, 1))),
        {
            "input": {"place": "center", "pad_value": 0, "mean": [127.5] * 3, "std": [127.5] * 3},
            "boxes": {"outputs": "boxes", "format": "cxcywh", "anchors": {"strides": [4]}},
            "scores": {"outputs": "scores", "activation": "sigmoid"},
            "classes": ["face"],
            "nms": 0.3,
        },
    ),
}


def match(family: Family, declared: Declared) -> dict[str, int] | None:
    """Compare what a file declares with a family.

    Returns:
        What the letters of the patterns are; None where the file is none of the family's.
    """
    if len(family.outputs) != len(declared.outputs):
        return None
    letters: dict[str, int] = {}
    pairs = [(pattern.shape, tensor) for pattern, tensor in zip(family.outputs, declared.outputs, strict=True)]
    if family.input is not None:
        pairs.append((family.input, declared.inputs[0]))
    named = all(
        fnmatchcase(tensor.name, pattern.called)
        for pattern, tensor in zip(family.outputs, declared.outputs, strict=True)
    )
    return letters if named and all(_fits(shape, tensor, letters) for shape, tensor in pairs) else None


def _fits(shape: tuple[Dim, ...], tensor: Tensor, letters: dict[str, int]) -> bool:
    """Whether a tensor has a shape; notes what the letters are. A side that the file leaves free fits any."""
    if len(shape) != len(tensor.shape):
        return False
    for due, side in zip(shape, tensor.shape, strict=True):
        if due is None or side is None:
            continue
        if isinstance(due, str):
            letter, _, more = due.partition("+")
            due = letters.setdefault(letter, side - int(more or 0)) + int(more or 0)
            if letters[letter] < 1:
                return False
        if due != side:
            return False
    return True
