"""Small ONNX files with the inputs, outputs and metadata of known families of detectors.

Each graph finds the red and the blue rectangle of `scene` in the pixels that its family would see, and writes their
boxes in the family's encoding. The scores fall where the corners of the input are not those that the family's own
pre-processing gives, so that a wrong resize, padding, colour order or scale is seen, as is a wrong numbering of
classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCENE_HW = 200, 400
RED_BOX, BLUE_BOX = (40, 40, 180, 160), (220, 40, 360, 160)  # xyxy in pixels of the scene
BOXES = np.array([RED_BOX, BLUE_BOX], dtype=np.float32)
SCORES = np.array([0.9, 0.8], dtype=np.float32)
BACKGROUND = 30.0, 150.0, 220.0  # RGB
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8,
         "int64": TensorProto.INT64, "int32": TensorProto.INT32}  # fmt: skip
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
UNIT = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
RAW = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def scene() -> np.ndarray:
    """Return the picture (200, 400, 3) uint8 RGB with a red and a blue rectangle."""
    image = np.full((*SCENE_HW, 3), BACKGROUND, dtype=np.uint8)
    for (left, top, right, bottom), colour in ((RED_BOX, (230, 20, 30)), (BLUE_BOX, (20, 30, 230))):
        image[top:bottom, left:right] = colour
    return image


class Sees(NamedTuple):
    """What a family's own pre-processing gives to its network.

    Attributes:
        mean: of the channels R, G, B, that is subtracted, of values 0 to 255.
        std: of the same channels, that divides.
        bgr: whether the channels come in the order B, G, R.
        last: whether the channels are the last axis.
        corners: grey level of the padding in the top-left and the bottom-right corner, None where the picture is there.
    """

    mean: Sequence[float] = RAW[0]
    std: Sequence[float] = RAW[1]
    bgr: bool = False
    last: bool = False
    corners: tuple[float | None, float | None] = (None, None)


class Graph:
    """Builds an ONNX graph node by node; tensors are their names.

    Args:
        input_name: of the picture.
        shape: of the picture, with batch; numbers or names.
        dtype: of the picture.
    """

    def __init__(self, input_name: str, shape: Sequence[int | str], dtype: str = "float32") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info(input_name, TYPES[dtype], list(shape))]
        self.outputs: list[onnx.ValueInfoProto] = []
        self.picture = self("Cast", input_name, to=TensorProto.FLOAT)

    def __call__(self, op: str, *inputs: str | Any, **attributes: Any) -> str:
        """Add a node; inputs that are not names become constants. Returns its output."""
        name = f"{op}_{len(self.nodes)}"
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Add a constant: integers as int64, the rest as float32."""
        array = np.asarray(value)
        name = f"constant_{len(self.constants)}"
        dtype = np.int64 if array.dtype.kind in "iu" else np.float32
        self.constants.append(numpy_helper.from_array(array.astype(dtype), name))
        return name

    def add_input(self, name: str, shape: Sequence[int | str], dtype: str) -> str:
        """Add an input beside the picture, as float32."""
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))
        return self("Cast", name, to=TensorProto.FLOAT)

    def output(self, name: str, tensor: str, shape: Sequence[int | str], dtype: str = "float32") -> None:
        """Declare an output."""
        self.nodes.append(helper.make_node("Cast", [tensor], [name], to=TYPES[dtype]))
        self.outputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))

    def save(self, path: Path, metadata: dict[str, str] | None = None) -> Path:
        """Write the file."""
        graph = helper.make_graph(self.nodes, "detector", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        helper.set_model_props(model, metadata or {})
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path

    def part(self, tensor: str, start: int, end: int, axis: int) -> str:
        """Slice an axis."""
        return self("Slice", tensor, [start], [end], [axis])

    def join(self, *tensors: str, axis: int = -1) -> str:
        """Concatenate."""
        return self("Concat", *tensors, axis=axis)

    def find(self, sees: Sees) -> tuple[str, str]:
        """Find the two rectangles.

        Returns:
            Their boxes (B, 2, 4) xyxy in pixels of the input, and their scores (B, 2).
        """
        pixels = self("Transpose", self.picture, perm=[0, 3, 1, 2]) if sees.last else self.picture
        if sees.bgr:
            pixels = self("Gather", pixels, [2, 1, 0], axis=1)
        mean, std = (np.reshape(each, (1, 3, 1, 1)).astype(np.float32) for each in (sees.mean, sees.std))
        pixels = self("Add", self("Mul", pixels, std), mean)
        wrong = [
            self._difference(pixels, -1, 2**31, sees.corners[1]),
            self._difference(pixels, 0, 1, sees.corners[0]),
        ]
        quality = self("Sub", self("Sub", np.float32(1), wrong[0]), wrong[1])
        red, green, blue = (self("Squeeze", self.part(pixels, each, each + 1, 1), [1]) for each in range(3))
        boxes, scores = [], []
        for best, other, score in ((red, blue, SCORES[0]), (blue, red, SCORES[1])):
            mask = self("Cast", self("Greater", self("Sub", best, self("Max", green, other)), np.float32(100)), to=1)
            rows, columns = (self("ReduceMax", mask, axes=[axis], keepdims=0) for axis in (2, 1))
            first = [self("ArgMax", each, axis=1, keepdims=1) for each in (columns, rows)]
            last = [self("ArgMax", each, axis=1, keepdims=1, select_last_index=1) for each in (columns, rows)]
            corners = self.join(*first, *(self("Add", each, 1) for each in last))
            boxes.append(self("Unsqueeze", self("Cast", corners, to=1), [1]))
            there = self("ReduceMax", mask, axes=[1, 2], keepdims=0)
            rated = self("Clip", self("Mul", quality, np.float32(score)), np.float32(0), np.float32(1))
            scores.append(self("Unsqueeze", self("Mul", there, rated), [1]))
        return self.join(*boxes, axis=1), self.join(*scores, axis=1)

    def _difference(self, pixels: str, start: int, end: int, grey: float | None) -> str:
        """Mean difference (B,) of a corner's pixel from what is due, as a share of 255."""
        corner = self.part(self.part(pixels, start, end, 2), start, end, 3)
        due = np.reshape(BACKGROUND if grey is None else (grey,) * 3, (1, 3, 1, 1)).astype(np.float32)
        off = self("ReduceMean", self("Abs", self("Sub", corner, due)), axes=[1, 2, 3], keepdims=0)
        return self("Div", off, np.float32(255))

    def input_hw(self) -> tuple[str, str]:
        """Height and width (1,) float32 of an input with the channels first."""
        shape = self("Cast", self("Shape", self.picture), to=1)
        return self.part(shape, 2, 3, 0), self.part(shape, 3, 4, 0)

    def centres(self, boxes: str) -> str:
        """Return xyxy (B, 2, 4) -> centre and size."""
        low, high = self.part(boxes, 0, 2, 2), self.part(boxes, 2, 4, 2)
        return self.join(self("Mul", self("Add", low, high), np.float32(0.5)), self("Sub", high, low))

    def relative(self, boxes: str) -> str:
        """Pixels (B, 2, 4), x and y in turn -> shares of the input."""
        height, width = self.input_hw()
        return self("Div", boxes, self.join(width, height, width, height))

    def by_class(self, scores: str, labels: Sequence[int], num_classes: int) -> str:
        """Scores (B, 2) -> (B, 2, C), in the columns `labels`."""
        columns = np.eye(num_classes, dtype=np.float32)[list(labels)]
        return self("Mul", self("Unsqueeze", scores, [2]), columns)

    def logits(self, scores: str) -> str:
        """Return the inverse of the sigmoid, -20 for 0."""
        safe = self("Clip", scores, np.float32(2e-9), np.float32(1 - 1e-6))
        return self("Sub", self("Log", safe), self("Log", self("Sub", np.float32(1), safe)))

    def pad(self, tensor: str, rows: int, at: int = 0, value: float = 0.0) -> str:
        """Put (B, 2, D) among `rows` rows of a value, from row `at`."""
        return self("Pad", tensor, [0, at, 0, 0, rows - at - 2, 0], np.float32(value))

    def labels(self, scores: str, labels: Sequence[float]) -> str:
        """Labels (B, 2) float32 of each picture."""
        return self("Add", self("Mul", scores, np.float32(0)), np.array([labels], dtype=np.float32))


COCO_80 = 80
ULTRALYTICS = Sees(*UNIT, corners=(114, 114))
YOLOX = Sees(bgr=True, corners=(None, 114))
MMDET = Sees(IMAGENET[0], IMAGENET[1], bgr=True, corners=(None, 114))
STRETCHED_UNIT = Sees(*UNIT)
STRETCHED_IMAGENET = Sees(*IMAGENET)


def cells(hw: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """(N, 3) float32: column, row and stride of every cell, level by level; a last row or column may be partial."""
    grids = []
    for stride in strides:
        height, width = (-(-side // stride) for side in hw)
        rows, columns = np.divmod(np.arange(height * width), width)
        grids.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=1))
    return np.concatenate(grids).astype(np.float32)


def ultralytics_metadata(num_classes: int = 80, hw: tuple[int, int] = (256, 256), **others: str) -> dict[str, str]:
    """Return the metadata that the exporter writes; `names` is a Python dict as text."""
    return {
        "description": "Ultralytics YOLO11n model trained on coco.yaml",
        "author": "Ultralytics",
        "date": "2026-01-05T10:00:00",
        "version": "8.4.0",
        "stride": "32",
        "task": "detect",
        "batch": "1",
        "imgsz": str(list(hw)),
        "names": str({number: f"thing {number}" for number in range(num_classes)}),
        "args": "{'batch': 1, 'half': False, 'dynamic': False, 'simplify': True, 'opset': None, 'nms': False}",
        "channels": "3",
        "end2end": "False",
    } | others


def yolo_v8(
    path: Path,
    hw: tuple[int, int] = (256, 256),
    declared: Sequence[int | str] = (),
    dtype: str = "float32",
    metadata: dict[str, str] | None = None,
    labels: tuple[int, int] = (7, 2),
    extra: int = 0,
    sees: Sees = ULTRALYTICS,
) -> Path:
    """Ultralytics without suppression: (B, 4 + C + extra, N), centre and size in pixels of the input, scores.

    Args:
        path: of the file.
        hw: size of the input. declared: the shape in the file, if another. dtype: of input and output.
        metadata: of the file, by default that of a detector of 80 classes.
        labels: classes of the red and the blue rectangle.
        extra: columns behind the classes, as of masks and key points; the columns of masks come with a second output.
        sees: what it is given.
    """
    metadata = ultralytics_metadata(hw=hw) if metadata is None else metadata
    graph = Graph("images", declared or (1, 3, *hw), dtype)
    boxes, scores = graph.find(sees)
    rows = graph.join(graph.centres(boxes), graph.by_class(scores, labels, COCO_80))
    anchors = len(cells(hw, (8, 16, 32)))
    rows = graph("Transpose", graph.pad(rows, anchors, at=3), perm=[0, 2, 1])
    if extra:
        rows = graph("Pad", rows, [0, 0, 0, 0, extra, 0], np.float32(0.7))
    width = 4 + COCO_80 + extra
    if declared:
        graph.output("output0", rows, ("batch", width, "anchors"), dtype)
    else:
        graph.output("output0", rows, (1, width, anchors), dtype)
    if extra == 32:
        prototypes = np.zeros((1, 32, hw[0] // 4, hw[1] // 4), np.float32)
        graph.output("output1", graph("Identity", prototypes), prototypes.shape, dtype)
    return graph.save(path, metadata)


def yolo_v5(path: Path, hw: tuple[int, int] = (256, 256), metadata: dict[str, str] | None = None) -> Path:
    """YOLOv5's own repository: (1, N, 5 + C), centre and size in pixels, objectness, classes; three anchors a cell."""
    graph = Graph("images", (1, 3, *hw))
    rows = objectness_rows(graph, *graph.find(ULTRALYTICS))
    anchors = 3 * len(cells(hw, (8, 16, 32)))
    graph.output("output0", graph.pad(rows, anchors, at=5), (1, anchors, 85))
    names = str({number: f"thing {number}" for number in range(COCO_80)})
    return graph.save(path, {"stride": "32", "names": names} if metadata is None else metadata)


def yolo_v6(path: Path, hw: tuple[int, int] = (256, 256)) -> Path:
    """YOLOv6: `outputs` as of YOLOv5, one row a cell."""
    graph = Graph("images", (1, 3, *hw))
    rows = objectness_rows(graph, *graph.find(ULTRALYTICS))
    base = empty_cells(hw, 80, decoded=True)
    graph.output("outputs", graph("Add", graph.pad(rows, base.shape[1], at=5), base), base.shape)
    return graph.save(path)


def objectness_rows(graph: Graph, boxes: str, scores: str, num_classes: int = 80) -> str:
    """Rows (B, 2, 5 + C) of centre, size, objectness and classes, whose product is the score."""
    whole = graph("Sqrt", scores)
    return graph.join(graph.centres(boxes), graph("Unsqueeze", whole, [2]), graph.by_class(whole, (7, 2), num_classes))


def empty_cells(hw: tuple[int, int], num_classes: int, decoded: bool) -> np.ndarray:
    """Rows (1, N, 5 + C) of nothing in the middle of each cell; those of the rectangles, 5 and 6, are 0."""
    grid = cells(hw, (8, 16, 32))
    base = np.zeros((1, len(grid), 5 + num_classes), np.float32)
    if decoded:
        base[0, :, :2], base[0, :, 2:4] = (grid[:, :2] + 0.5) * grid[:, 2:], grid[:, 2:]
    else:
        base[0, :, :2] = 0.5
    base[0, 5:7] = 0
    return base


def ultralytics_rt_detr(
    path: Path, hw: tuple[int, int] = (256, 256), labels: tuple[int, int] = (7, 2), num_classes: int = COCO_80
) -> Path:
    """RT-DETR as Ultralytics exports it: (1, 300, 4 + C), centre and size as shares of the input, scores."""
    graph = Graph("images", (1, 3, *hw))
    boxes, scores = graph.find(STRETCHED_UNIT)
    rows = graph.join(graph.centres(graph.relative(boxes)), graph.by_class(scores, labels, num_classes))
    every = graph("Max", graph.pad(rows, 300, at=3), np.float32(0.002))
    graph.output("output0", every, (1, 300, 4 + num_classes))
    return graph.save(path, ultralytics_metadata(num_classes, hw))


def yolo_end_to_end(
    path: Path,
    hw: tuple[int, int] = (256, 256),
    metadata: dict[str, str] | None = None,
    extra: int = 0,
    labels: tuple[int, int] = (7, 2),
    rotated: bool = False,
) -> Path:
    """YOLOv10, YOLO26, and others with `nms=True`: (1, 300, 6 + extra), corners in pixels, score, class.

    Of rotated boxes, centre and size, and an angle of 0 behind the class.
    """
    extra += rotated
    metadata = ultralytics_metadata(hw=hw, end2end="True") if metadata is None else metadata
    graph = Graph("images", (1, 3, *hw))
    boxes, scores = graph.find(ULTRALYTICS)
    numbers = graph("Unsqueeze", graph.labels(scores, labels), [2])
    places = graph.centres(boxes) if rotated else boxes
    rows = graph.pad(graph.join(places, graph("Unsqueeze", scores, [2]), numbers), 300)
    if extra:
        rows = graph("Pad", rows, [0, 0, 0, 0, 0, extra], np.float32(0 if rotated else 0.5))
    graph.output("output0", rows, (1, 300, 6 + extra))
    return graph.save(path, metadata)


def yolox(
    path: Path,
    hw: tuple[int, int] = (256, 256),
    decoded: bool = False,
    num_classes: int = 80,
    input_name: str = "images",
    batch: int = 1,
) -> Path:
    """YOLOX: (B, N, 5 + C), one row a cell; positions relative to the cells, or decoded to pixels in the graph."""
    graph = Graph(input_name, (batch, 3, *hw))
    rows = objectness_rows(graph, *graph.find(YOLOX), num_classes)
    base = empty_cells(hw, num_classes, decoded)
    if not decoded:
        cell = cells(hw, (8,))[None, 5:7, :2]
        place = graph("Sub", graph("Div", graph.part(rows, 0, 2, 2), np.float32(8)), cell)
        size = graph("Log", graph("Div", graph.part(rows, 2, 4, 2), np.float32(8)))
        rows = graph.join(place, size, graph.part(rows, 4, 2**31, 2))
    graph.output("output", graph("Add", graph.pad(rows, base.shape[1], at=5), base), (batch, *base.shape[1:]))
    return graph.save(path)


def distances(graph: Graph, boxes: str, points: np.ndarray, stride: int, bins: int = 8) -> str:
    """Boxes (B, 2, 4) -> (B, 2, 4 * bins): logits whose expectations are the distances of the sides from points."""
    low = graph("Sub", np.asarray(points, np.float32)[None], graph.part(boxes, 0, 2, 2))
    high = graph("Sub", graph.part(boxes, 2, 4, 2), np.asarray(points, np.float32)[None])
    sides = graph("Unsqueeze", graph("Div", graph.join(low, high), np.float32(stride)), [3])
    near = graph("Abs", graph("Sub", sides, np.arange(bins, dtype=np.float32)))
    chances = graph("Relu", graph("Sub", np.float32(1), near))
    logits = graph("Log", graph("Add", chances, np.float32(1e-9)))
    return graph("Reshape", logits, [0, 2, 4 * bins])


NANODET_STRIDES = 8, 16, 32, 64


def nanodet_plus(path: Path, hw: tuple[int, int] = (320, 320)) -> Path:
    """NanoDet-Plus: (1, N, C + 32), scores after the sigmoid, then bins of distances from the corner of a cell."""
    graph = Graph("data", (1, 3, *hw))
    boxes, scores = graph.find(Sees(*IMAGENET, bgr=True))
    grid = cells(hw, NANODET_STRIDES)
    first = next(row for row, cell in enumerate(grid) if tuple(cell) == (1, 2, 64))
    rows = []
    for number, at in enumerate((first, first + 2)):  # the cells (1, 2) and (3, 2) lie in the two rectangles
        one = graph.join(
            graph.by_class(scores, (7, 2), COCO_80), distances(graph, boxes, grid[at : at + 1, :2] * 64, 64)
        )
        one = graph.part(one, number, number + 1, 1)
        rows.append(graph("Pad", one, [0, at, 0, 0, len(grid) - at - 1, 0], np.float32(0)))
    graph.output("output", graph("Add", *rows), (1, len(grid), COCO_80 + 32))
    return graph.save(path)


def detection_rows(
    path: Path, sees: Sees, hw: tuple[int, int] = (320, 320), infer_cfg: str | None = None, im_shape: bool = False
) -> Path:
    """PaddleDetection with its post-processing: `image`, `scale_factor` -> rows of class, score, corners; counts.

    The corners are in pixels of the source picture, since the graph divides by the scale factor.
    """
    graph = Graph("image", ("batch", 3, *hw))
    factor = graph.add_input("scale_factor", ("batch", 2), "float32")
    boxes, scores = graph.find(sees)
    if im_shape:
        shape = graph.add_input("im_shape", ("batch", 2), "float32")
        boxes = graph("Mul", graph.relative(boxes), graph("Gather", shape, [1, 0, 1, 0], axis=1))
    boxes = graph("Div", boxes, graph("Gather", factor, [1, 0, 1, 0], axis=1))
    labels = graph("Unsqueeze", graph.labels(scores, (7, 2)), [2])
    rows = graph.join(labels, graph("Unsqueeze", scores, [2]), boxes)
    graph.output("multiclass_nms3_0.tmp_0", graph("Reshape", rows, [-1, 6]), ("boxes", 6))
    graph.output("multiclass_nms3_0.tmp_2", graph("Identity", [2]), ("batch",), "int32")
    if infer_cfg is not None:
        path.with_name("infer_cfg.yml").write_text(infer_cfg, encoding="utf-8")
    return graph.save(path)


def rt_detr(path: Path, hw: tuple[int, int] = (256, 256), sees: Sees = STRETCHED_UNIT) -> Path:
    """RT-DETR, D-FINE, DEIM: `images`, `orig_target_sizes` (width, height) -> labels, boxes and scores."""
    graph = Graph("images", ("N", 3, *hw))
    size = graph.add_input("orig_target_sizes", ("N", 2), "int64")
    boxes, scores = graph.find(sees)
    boxes = graph("Mul", graph.relative(boxes), graph("Unsqueeze", graph("Tile", size, [1, 2]), [1]))
    graph.output("labels", graph.labels(scores, (7, 2)), ("N", 2), "int64")
    graph.output("boxes", boxes, ("N", 2, 4))
    graph.output("scores", scores, ("N", 2))
    return graph.save(path)


def queries(graph: Graph, boxes: str, scores: str, labels: tuple[int, int], columns: int, softmax: bool) -> list[str]:
    """Return the two outputs of a DETR: logits (B, 100, columns), and centres and sizes as shares of the input."""
    placed = graph.pad(graph.centres(graph.relative(boxes)), 100, at=1)
    if softmax:
        chances = graph.pad(graph.by_class(scores, labels, columns), 100, at=1)
        rest = graph("Sub", np.float32(1), graph("ReduceSum", chances, [2], keepdims=1))
        last = np.eye(columns, dtype=np.float32)[-1]
        safe = graph("Clip", graph("Add", chances, graph("Mul", rest, last)), np.float32(1e-9), np.float32(1))
        return [graph("Log", safe), placed]
    logits = graph.logits(graph.by_class(scores, labels, columns))
    return [graph.pad(logits, 100, at=1, value=-20), placed]


def rf_detr(path: Path, hw: tuple[int, int] = (256, 256), labels: tuple[int, int] = (8, 3), columns: int = 91) -> Path:
    """RF-DETR: `input` -> `dets`, centres and sizes as shares; `labels`, logits of category ids."""
    graph = Graph("input", (1, 3, *hw))
    logits, placed = queries(graph, *graph.find(STRETCHED_IMAGENET), labels, columns, softmax=False)
    graph.output("dets", placed, (1, 100, 4))
    graph.output("labels", logits, (1, 100, columns))
    return graph.save(path)


def hugging_face(
    path: Path,
    sees: Sees,
    columns: int,
    labels: tuple[int, int],
    softmax: bool,
    mask: Sequence[int | str] = (),
    declared: Sequence[int | str] = ("batch_size", "num_channels", "height", "width"),
) -> Path:
    """Export of Hugging Face's optimum: `pixel_values` and perhaps `pixel_mask` -> `logits`, `pred_boxes`.

    It leaves the channels free as well, and the sides of the mask are free or those of its example, 64 x 64.
    """
    graph = Graph("pixel_values", declared)
    boxes, scores = graph.find(sees)
    if mask:
        seen = graph.add_input("pixel_mask", ("batch_size", *mask), "int64")
        rows = graph("ReduceMax", seen, axes=[2], keepdims=0)
        scores = graph("Mul", scores, graph("ReduceMax", rows, axes=[1], keepdims=1))
    logits, placed = queries(graph, boxes, scores, labels, columns, softmax)
    graph.output("logits", logits, ("batch_size", "num_queries", columns))
    graph.output("pred_boxes", placed, ("batch_size", "num_queries", 4))
    return graph.save(path)


def torchvision(
    path: Path, batch: tuple[int, ...] = (1,), labels: tuple[int, int] = (8, 3), labels_last: bool = False
) -> Path:
    """torchvision's detectors: one picture as it is, 0 to 1 -> as many boxes, labels and scores as were found.

    Those of a single stage give the labels last; the exporter's own names are numbers.
    """
    graph = Graph("image.1", (*batch, 3, "height", "width"))
    if not batch:
        graph.picture = graph("Unsqueeze", graph.picture, [0])
    boxes, scores = graph.find(STRETCHED_UNIT)
    scores = graph("Squeeze", scores, [0])
    found = graph("Squeeze", graph("NonZero", graph("Greater", scores, np.float32(0.05))), [0])
    graph.output("2033", graph("Gather", graph("Squeeze", boxes, [0]), found), ("found", 4))
    numbers = graph("Squeeze", graph.labels(graph("Unsqueeze", scores, [0]), labels), [0])
    others = [("2003", numbers, "int64"), ("2002", scores, "float32")]
    for name, tensor, dtype in reversed(others) if labels_last else others:
        graph.output(name, graph("Gather", tensor, found), ("found",), dtype)
    return graph.save(path)


def tensorflow(path: Path, labels: tuple[int, int] = (8, 3), others: bool = True) -> Path:
    """TensorFlow's detection API: `input_tensor` uint8 -> boxes as shares, y first; classes from 1 as floats; count."""
    graph = Graph("input_tensor", (1, "height", "width", 3), "uint8")
    boxes, scores = graph.find(Sees(last=True))
    shape = graph("Cast", graph("Shape", graph.picture), to=1)
    sides = graph("Gather", shape, [1, 2, 1, 2])
    boxes = graph("Div", graph("Gather", boxes, [1, 0, 3, 2], axis=2), sides)
    graph.output("detection_boxes", graph.pad(boxes, 100), (1, 100, 4))
    chances = graph.pad(graph("Unsqueeze", scores, [2]), 100)
    graph.output("detection_scores", graph("Squeeze", chances, [2]), (1, 100))
    numbers = graph.pad(graph("Unsqueeze", graph.labels(scores, labels), [2]), 100, value=1)
    graph.output("detection_classes", graph("Squeeze", numbers, [2]), (1, 100))
    graph.output("num_detections", graph("Identity", np.array([2.0])), (1,))
    if others:
        graph.output("raw_detection_boxes", graph.pad(boxes, 1917), (1, 1917, 4))
        graph.output("raw_detection_scores", graph("Identity", np.zeros((1, 1917, 91))), (1, 1917, 91))
    return graph.save(path)


def mmdeploy(path: Path, sees: Sees = MMDET, masks: bool = False) -> Path:
    """mmdeploy: `input` -> `dets`, corners and score in pixels of the input; `labels`, -1 where there is nothing.

    Files of Mask R-CNN also give `masks`.
    """
    graph = Graph("input", ("batch", 3, "height", "width"))
    boxes, scores = graph.find(sees)
    rows = graph.join(boxes, graph("Unsqueeze", scores, [2]))
    graph.output("dets", graph.pad(rows, 100), ("batch", "num_dets", 5))
    numbers = graph.pad(graph("Unsqueeze", graph.labels(scores, (7, 2)), [2]), 100, value=-1)
    graph.output("labels", graph("Squeeze", numbers, [2]), ("batch", "num_dets"), "int64")
    if masks:
        graph.output("masks", graph("Identity", np.zeros((1, 100, 28, 28))), ("batch", "num_dets", 28, 28))
    return graph.save(path)


def automl_efficientdet(path: Path, labels: tuple[int, int] = (8, 3)) -> Path:
    """EfficientDet of google/automl: `image_arrays:0` uint8 -> rows of picture, y, x, y, x, score, class from 1."""
    graph = Graph("image_arrays:0", (1, "height", "width", 3), "uint8")
    boxes, scores = graph.find(Sees(last=True))
    boxes = graph("Gather", boxes, [1, 0, 3, 2], axis=2)
    number, numbers = (graph("Unsqueeze", graph.labels(scores, each), [2]) for each in ((0, 0), labels))
    rows = graph.join(number, boxes, graph("Unsqueeze", scores, [2]), numbers)
    graph.output("detections:0", graph.pad(rows, 100), (1, 100, 7))
    return graph.save(path)


def zylo_efficientdet(path: Path, hw: tuple[int, int] = (256, 256), labels: tuple[int, int] = (7, 2)) -> Path:
    """EfficientDet of zylo117: regression (y, x, height, width) from anchors, classes after the sigmoid, anchors."""
    graph = Graph("input", (1, 3, *hw))
    boxes, scores = graph.find(Sees(*IMAGENET, corners=(None, 114)))
    count = 9 * len(cells(hw, (8, 16, 32, 64, 128)))
    at = (
        9 * 6 + 7
    )  # the cell in column 6 of the first row of stride 8: the widest of the largest anchors, then 0.7, 1.4
    centre = np.array([52, 4], np.float32)
    side = 32 * 2 ** (2 / 3) * np.array([[1.4, 0.7], [0.7, 1.4]], np.float32)
    placed = graph.centres(boxes)
    shift = graph("Div", graph("Sub", graph.part(placed, 0, 2, 2), centre), side)
    size = graph("Log", graph("Div", graph.part(placed, 2, 4, 2), side))
    rows = graph("Gather", graph.join(shift, size), [1, 0, 3, 2], axis=2)
    graph.output("regression", graph.pad(rows, count, at=at), (1, count, 4))
    graph.output("classification", graph.pad(graph.by_class(scores, labels, 90), count, at=at), (1, count, 90))
    graph.output("anchors", graph("Identity", np.zeros((1, count, 4))), (1, count, 4))
    return graph.save(path)


def classifier(path: Path, metadata: dict[str, str] | None = None) -> Path:
    """A classifier: (1, 1000)."""
    graph = Graph("images", (1, 3, 224, 224))
    means = graph("ReduceMean", graph.picture, axes=[2, 3], keepdims=0)
    graph.output("output0", graph("MatMul", means, np.ones((3, 1000))), (1, 1000))
    return graph.save(path, metadata)


def unknown(path: Path) -> Path:
    """A detector of nobody: boxes and scores of three classes."""
    graph = Graph("x", (1, 3, 64, 64))
    boxes, scores = graph.find(Sees())
    graph.output("places", graph.pad(graph.centres(boxes), 7), (1, 7, 4))
    graph.output("chances", graph.pad(graph.by_class(scores, (0, 1), 3), 7), (1, 7, 3))
    return graph.save(path)


def words(path: Path) -> Path:
    """A model of texts, with outputs like those of torchvision."""
    graph = Graph("ids", (1, 16), "int64")
    row = graph("Squeeze", graph("Slice", graph.picture, [0], [4], [1]), [0])
    graph.output("boxes", graph("Reshape", row, [1, 4]), ("found", 4))
    graph.output("labels", graph("Slice", row, [0], [1], [0]), ("found",), "int64")
    graph.output("scores", graph("Slice", row, [0], [1], [0]), ("found",))
    return graph.save(path)
