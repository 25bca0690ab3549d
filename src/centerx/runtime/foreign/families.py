"""The table of known families: what their files declare, and their adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from centerx.runtime.foreign import facts
from centerx.runtime.foreign.facts import Facts, ModelFile
from centerx.runtime.foreign.runner import Declared, Tensor

Dim = int | str | None


class Pattern(NamedTuple):
    """What an output of a family looks like.

    Attributes:
        name: in the family's adapter.
        shape: of each side: a number; None for any; a letter, which is the same number everywhere, such as `C`, the
            number of classes; or a letter and a number more, such as `C+5`.
        called: pattern of the name in files, as of file names: `*` is any text.
        type: pattern of NumPy's type.
    """

    name: str
    shape: tuple[Dim, ...]
    called: str = "*"
    type: str = "*"


class Family(NamedTuple):
    """Files that one adapter reads.

    Attributes:
        outputs: that are read, in the order of a file where their names do not tell them apart.
        adapter: keys as in YAML, with the names of `outputs`; without `classes` where these vary.
        input: pattern of the shape of the picture.
        inputs: patterns of the names of all inputs.
        others: whether a file may have more outputs, which are not read.
        facts: reads what a file says beyond its shapes; raises NotOfFamily where it is none of the family.
        by: what it is recognised by, in words.
    """

    outputs: tuple[Pattern, ...]
    adapter: dict[str, Any]
    input: tuple[Dim, ...] | None = None
    inputs: tuple[str, ...] = ("*",)
    others: bool = False
    facts: Callable[[ModelFile], Facts] = facts.by_number
    by: str = "names and shapes of its outputs"


class Match(NamedTuple):
    """How a file fits a family.

    Attributes:
        letters: what the letters of the patterns are.
        names: of the outputs in the file, by their names in the family's adapter.
    """

    letters: dict[str, int]
    names: dict[str, str]


RFB_SIDES = [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]]  # pixels of the anchors at strides 8, 16, 32 and 64
UNIT = {"scale": 1 / 255}
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
IMAGENET_BGR = {"colour": "bgr", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
YOLO_INPUT = {"place": "center", "size": 640, **UNIT}
NCHW = (None, 3, None, None)
LOC_CONF_IOU = Pattern("loc", ("N", 14), "loc"), Pattern("conf", ("N", 2), "conf"), Pattern("iou", ("N", 1), "iou")
LOC_CONF_IOU_SCORES = {
    "outputs": "conf",
    "background": "first",
    "power": 0.5,
    "objectness": {"outputs": "iou", "activation": "clip", "power": 0.5},
}
EFFICIENTDET_SIDES = tuple(
    (width * 2 ** (octave / 3), height * 2 ** (octave / 3))
    for octave in range(3)
    for width, height in ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
)


def rows_of(output: str, **others: Any) -> dict[str, Any]:
    """Boxes and scores in the columns of one output, a row each."""
    boxes = {"outputs": output} | others.pop("boxes", {})
    scores = {"outputs": output} | others.pop("scores", {})
    return {"boxes": boxes, "scores": scores} | others


FAMILIES: dict[str, Family] = {
    "yolo-v8": Family(
        (Pattern("output0", (None, "C+4", "N")),),
        rows_of(
            "output0",
            input=YOLO_INPUT,
            boxes={"transposed": True, "format": "cxcywh"},
            scores={"transposed": True, "start": 4},
            nms=0.7,
        ),
        NCHW,
        others=True,
        facts=facts.yolo_v8,
        by="metadata of Ultralytics, or 4 + C columns and a place for each cell of strides 8, 16, 32",
    ),
    "yolo-end-to-end": Family(
        (Pattern("output0", (None, None, "W")),),
        rows_of("output0", input=YOLO_INPUT, scores={"start": 4, "stop": 5}, labels={"output": "output0", "column": 5}),
        NCHW,
        others=True,
        facts=facts.yolo_end_to_end,
        by="metadata of Ultralytics and 6 columns",
    ),
    "ultralytics-rt-detr": Family(
        (Pattern("output0", (None, None, "C+4")),),
        rows_of(
            "output0",
            input={"resize": "stretch", "size": 640, **UNIT},
            boxes={"format": "cxcywh", "unit": "normalized"},
            scores={"start": 4},
        ),
        NCHW,
        facts=facts.ultralytics_rt_detr,
        by="metadata of Ultralytics and 4 + C columns, last",
    ),
    "yolo-v5": Family(
        (Pattern("output0", (None, "N", "C+5")),),
        rows_of(
            "output0",
            input=YOLO_INPUT,
            boxes={"format": "cxcywh"},
            scores={"start": 5, "objectness": {"column": 4}},
            nms=0.45,
        ),
        NCHW,
        others=True,
        facts=facts.yolo_v5,
        by="5 + C columns and three places for each cell of strides 8, 16, 32",
    ),
    "yolo-v6": Family(
        (Pattern("outputs", (None, "N", "C+5"), "outputs"),),
        rows_of(
            "outputs",
            input=YOLO_INPUT,
            boxes={"format": "cxcywh"},
            scores={"start": 5, "objectness": {"column": 4}},
            nms=0.45,
        ),
        NCHW,
        facts=facts.yolo_v6,
        by="an output called outputs, 5 + C columns and a place for each cell of strides 8, 16, 32",
    ),
    "yolox": Family(
        (Pattern("output", (None, "N", "C+5")),),
        rows_of(
            "output",
            input={"rounding": "floor", "colour": "bgr", "size": 640},
            boxes={
                "format": "cxcywh",
                "unit": "cells",
                "size_activation": "exp",
                "anchors": {"strides": [8, 16, 32], "offset": 0},
            },
            scores={"start": 5, "objectness": {"column": 4}},
            nms=0.45,
        ),
        NCHW,
        inputs=("images",),
        facts=facts.yolox,
        by="input images, 5 + C columns and a place for each cell of strides 8, 16, 32",
    ),
    "yolox-decoded": Family(
        (Pattern("output", (None, "N", "C+5"), "output"),),
        rows_of(
            "output",
            input={"rounding": "floor", "colour": "bgr", "size": 640},
            boxes={"format": "cxcywh"},
            scores={"start": 5, "objectness": {"column": 4}},
            nms=0.45,
        ),
        NCHW,
        inputs=("images",),
        facts=facts.yolox_decoded,
        by="input images, 5 + C columns and a place for each cell of strides 8, 16, 32",
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
    "nanodet-plus": Family(
        (Pattern("output", (None, "N", "C+32"), "output"),),
        {
            "input": {"resize": "stretch", "size": 320, **IMAGENET_BGR},
            "boxes": {
                "outputs": "output",
                "format": "ltrb",
                "unit": "cells",
                "bins": 8,
                "anchors": {"strides": [8, 16, 32, 64], "offset": 0},
            },
            "scores": {"outputs": "output"},
            "nms": 0.6,
        },
        NCHW,
        inputs=("data",),
        facts=facts.nanodet_plus,
        by="input data, C + 32 columns and a place for each cell of strides 8, 16, 32, 64",
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
    "paddle": Family(
        (Pattern("rows", (None, 6), type="float*"), Pattern("counts", (None,), type="int*")),
        rows_of(
            "rows",
            input={"name": "image", "size": 640, "resize": "stretch", "filter": "bicubic", **UNIT},
            extra={"scale_factor": [1.0, 1.0]},
            boxes={"columns": [2, 3, 4, 5]},
            scores={"start": 1, "stop": 2},
            labels={"output": "rows", "column": 0},
            count="counts",
        ),
        inputs=("image", "scale_factor"),
        facts=facts.paddle,
        by="inputs image and scale_factor",
    ),
    "paddle-im-shape": Family(
        (Pattern("rows", (None, 6), type="float*"), Pattern("counts", (None,), type="int*")),
        rows_of(
            "rows",
            input={"name": "image", "size": 640, "resize": "stretch", "filter": "bicubic", **UNIT},
            extra={"scale_factor": [1.0, 1.0], "im_shape": ["height", "width"]},
            boxes={"columns": [2, 3, 4, 5]},
            scores={"start": 1, "stop": 2},
            labels={"output": "rows", "column": 0},
            count="counts",
        ),
        inputs=("im_shape", "image", "scale_factor"),
        facts=facts.paddle,
        by="inputs im_shape, image and scale_factor",
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
        facts=facts.fastestdet,
        by="5 + C columns of a map, and scores that are a softmax",
    ),
    "rt-detr": Family(
        (
            Pattern("labels", (None, None), "labels"),
            Pattern("boxes", (None, None, 4), "boxes"),
            Pattern("scores", (None, None), "scores"),
        ),
        {
            "input": {"name": "images", "resize": "stretch", "size": 640, "filter": "antialias", **UNIT},
            "extra": {"orig_target_sizes": ["width", "height"]},
            "boxes": {"outputs": "boxes"},
            "scores": {"outputs": "scores"},
            "labels": {"output": "labels"},
        },
        inputs=("images", "orig_target_sizes"),
        facts=facts.coco_assumed,
        by="inputs images and orig_target_sizes, outputs labels, boxes and scores",
    ),
    "rf-detr": Family(
        (Pattern("dets", (None, "Q", 4), "dets"), Pattern("labels", (None, "Q", "C"), "labels")),
        {
            "input": {"resize": "stretch", "size": 560, "filter": "antialias", **IMAGENET},
            "boxes": {"outputs": "dets", "format": "cxcywh", "unit": "normalized"},
            "scores": {"outputs": "labels", "activation": "sigmoid"},
        },
        NCHW,
        others=True,
        facts=facts.rf_detr,
        by="outputs dets, with 4 columns, and labels, with a column for each category id",
    ),
    "hugging-face": Family(
        (Pattern("logits", (None, "Q", "C"), "logits"), Pattern("pred_boxes", (None, "Q", 4), "pred_boxes")),
        {
            "input": {
                "name": "pixel_values",
                "layout": "nchw",
                "resize": "stretch",
                "size": 640,
                "filter": "antialias",
                **UNIT,
            },
            "boxes": {"outputs": "pred_boxes", "format": "cxcywh", "unit": "normalized"},
            "scores": {"outputs": "logits", "activation": "sigmoid"},
        },
        inputs=("pixel_values",),
        others=True,
        facts=facts.hugging_face,
        by="input pixel_values, outputs logits and pred_boxes",
    ),
    "hugging-face-mask": Family(
        (Pattern("logits", (None, "Q", "C"), "logits"), Pattern("pred_boxes", (None, "Q", 4), "pred_boxes")),
        {
            "input": {
                "name": "pixel_values",
                "layout": "nchw",
                "frame": "shortest",
                "size": [800, 1333],
                "filter": "antialias",
                **IMAGENET,
            },
            "extra": {"pixel_mask": [1.0]},
            "boxes": {"outputs": "pred_boxes", "format": "cxcywh", "unit": "normalized"},
            "scores": {"outputs": "logits", "activation": "sigmoid"},
        },
        inputs=("pixel_values", "pixel_mask"),
        others=True,
        facts=facts.hugging_face,
        by="inputs pixel_values and pixel_mask, outputs logits and pred_boxes",
    ),
    "mmdet": Family(
        (Pattern("dets", (None, None, None), "dets"), Pattern("labels", (None, None), "labels")),
        {
            "input": {"rounding": "floor", "colour": "bgr", **IMAGENET_BGR},
            "boxes": {"outputs": "dets"},
            "scores": {"outputs": "dets", "start": 4},
            "labels": {"output": "labels"},
        },
        others=True,
        facts=facts.mmdeploy,
    ),
    "torchvision": Family(
        (
            Pattern("boxes", (None, 4)),
            Pattern("labels", (None,), type="int*"),
            Pattern("scores", (None,), type="float*"),
        ),
        {
            "input": {"frame": "picture", "size": 640, **UNIT},
            "boxes": {"outputs": "boxes"},
            "scores": {"outputs": "scores"},
            "labels": {"output": "labels"},
        },
        others=True,
        facts=facts.coco_ids_assumed,
        by="boxes with 4 columns, labels and scores without an axis of pictures",
    ),
    "tensorflow": Family(
        (
            Pattern("detection_boxes", (None, None, 4), "detection_boxes*"),
            Pattern("detection_scores", (None, None), "detection_scores*"),
            Pattern("detection_classes", (None, None), "detection_classes*"),
            Pattern("num_detections", (None,), "num_detections*"),
        ),
        {
            "input": {"layout": "nhwc", "frame": "picture", "resize": "stretch", "size": 640},
            "boxes": {"outputs": "detection_boxes", "format": "yxyx", "unit": "normalized"},
            "scores": {"outputs": "detection_scores"},
            "labels": {"output": "detection_classes"},
            "count": "num_detections",
        },
        (None, None, None, 3),
        others=True,
        facts=facts.coco_ids_assumed,
        by="outputs detection_boxes, detection_scores, detection_classes and num_detections",
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
        },
        facts=facts.tflite_detection,
    ),
    "efficientdet-automl": Family(
        (Pattern("detections", (None, None, 7), "detections*"),),
        rows_of(
            "detections",
            input={"layout": "nhwc", "frame": "picture", "size": 640},
            boxes={"columns": [1, 2, 3, 4], "format": "yxyx"},
            scores={"start": 5, "stop": 6},
            labels={"output": "detections", "column": 6},
        ),
        (None, None, None, 3),
        facts=facts.coco_ids_assumed,
        by="an output called detections with 7 columns",
    ),
    "efficientdet-zylo": Family(
        (Pattern("regression", (None, "N", 4)), Pattern("classification", (None, "N", "C"))),
        {
            "input": {"rounding": "floor", "pad_value": 114, "size": 512, **IMAGENET},
            "boxes": {
                "outputs": "regression",
                "columns": [1, 0, 3, 2],
                "format": "cxcywh",
                "unit": "anchors",
                "size_activation": "exp",
                "anchors": {
                    "strides": [8, 16, 32, 64, 128],
                    "sizes": [
                        [[4 * stride * width, 4 * stride * height] for width, height in EFFICIENTDET_SIDES]
                        for stride in (8, 16, 32, 64, 128)
                    ],
                },
            },
            "scores": {"outputs": "classification"},
            "nms": 0.2,
        },
        NCHW,
        others=True,
        facts=facts.efficientdet,
        by="4 and C columns, and nine places for each cell of strides 8 to 128",
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
        facts=facts.ultraface,
        by="outputs scores, which are a softmax, and boxes",
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
        facts=facts.ultraface_raw,
        by="outputs scores, which are a softmax, and boxes",
    ),
    "yunet-2021": Family(
        LOC_CONF_IOU,
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
            "scores": LOC_CONF_IOU_SCORES,
            "classes": ["face"],
            "nms": 0.3,
        },
        (None, 3, 120, 160),
        by="outputs loc, conf and iou, a picture of 120x160",
    ),
    "lpd-yunet": Family(
        LOC_CONF_IOU,
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
            "scores": LOC_CONF_IOU_SCORES,
            "classes": ["plate"],
            "nms": 0.3,
        },
        (None, 3, 240, 320),
        by="outputs loc, conf and iou, a picture of 240x320",
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


def match(family: Family, declared: Declared, by_name: bool = True) -> Match | None:
    """Compare what a file declares with a family.

    Args:
        family: of the table.
        declared: what the file declares.
        by_name: whether names and the shape of the picture count, or the shapes of the outputs alone.

    Returns:
        How the file fits; None where it is none of the family's.
    """
    if not declared.inputs or len(family.inputs) != len(declared.inputs):
        return None
    names = [tensor.name for tensor in declared.inputs]
    if by_name and not all(any(fnmatchcase(name, called) for name in names) for called in family.inputs):
        return None
    if not family.others and len(family.outputs) != len(declared.outputs):
        return None
    letters: dict[str, int] = {}
    if by_name and family.input is not None and not _fits(family.input, declared.inputs[0], letters):
        return None
    patterns = family.outputs if by_name else tuple(each._replace(called="*") for each in family.outputs)
    return next(_assign(patterns, declared.outputs, Match(letters, {})), None)


def _assign(patterns: tuple[Pattern, ...], tensors: tuple[Tensor, ...], so_far: Match) -> Iterator[Match]:
    """Yield the ways to find all patterns among the tensors, those in the file's order first."""
    if not patterns:
        yield so_far
        return
    for tensor in tensors:
        letters = dict(so_far.letters)
        free = tensor.name not in so_far.names.values()
        alike = fnmatchcase(tensor.name, patterns[0].called) and fnmatchcase(tensor.type, patterns[0].type)
        if free and alike and _fits(patterns[0].shape, tensor, letters):
            yield from _assign(patterns[1:], tensors, Match(letters, so_far.names | {patterns[0].name: tensor.name}))


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
