"""What each real file finds, decoded here by the rules that its publisher states, in plain NumPy and OpenCV.

Nothing of the package is used: these are the judge of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnxruntime as ort

COCO_80 = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop
sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack,
umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball
glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana,
apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush"""
COCO_80 = COCO_80.replace("\n", " ").split(", ")
WITHOUT_OBJECTS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
IDS = [number for number in range(1, 91) if number not in WITHOUT_OBJECTS]
NAME_OF_ID = dict(zip(IDS, COCO_80, strict=True))

BGR_MEAN, BGR_STD = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])
SIDES = [(10, 16, 24), (32, 48), (64, 96), (128, 192, 256)]


class Hit(NamedTuple):
    """A class name, a score, and xyxy or the four corners in pixels of the picture."""

    name: str
    score: float
    box: np.ndarray


class Placed(NamedTuple):
    """An input (H, W, 3) uint8 BGR, pixels of it per pixel of the picture in x and y, and its left and top padding."""

    image: np.ndarray
    ratio: tuple[float, float]
    shift: tuple[int, int] = (0, 0)


def stretched(bgr: np.ndarray, height: int, width: int, how: int = cv2.INTER_LINEAR) -> Placed:
    image = cv2.resize(bgr, (width, height), interpolation=how)
    return Placed(image, (width / bgr.shape[1], height / bgr.shape[0]))


def fitted(
    bgr: np.ndarray, height: int, width: int, grey: int, how: int = cv2.INTER_LINEAR, middle: bool = False,
    whole: Callable[[float], int] = int,
) -> Placed:  # fmt: skip
    ratio = min(height / bgr.shape[0], width / bgr.shape[1])
    inner_height, inner_width = whole(bgr.shape[0] * ratio), whole(bgr.shape[1] * ratio)
    canvas = np.full((height, width, 3), grey, np.uint8)
    top, left = ((height - inner_height) // 2, (width - inner_width) // 2) if middle else (0, 0)
    canvas[top : top + inner_height, left : left + inner_width] = cv2.resize(
        bgr, (inner_width, inner_height), interpolation=how
    )
    return Placed(canvas, (inner_width / bgr.shape[1], inner_height / bgr.shape[0]), (left, top))


def planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.astype(np.float32).transpose(2, 0, 1)[None])


@cache
def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, tensor: np.ndarray) -> dict[str, np.ndarray]:
    model = session(path)
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, {model.get_inputs()[0].name: tensor}), strict=True))


def run_tflite(path: Path, tensor: np.ndarray) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(path))
    model.allocate_tensors()
    model.set_tensor(model.get_input_details()[0]["index"], tensor)
    model.invoke()
    return [model.get_tensor(output["index"]) for output in model.get_output_details()]


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    inner = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return inner / (np.prod(one[2:] - one[:2]) + areas - inner)


def greedy(boxes: np.ndarray, scores: np.ndarray, most: float) -> list[int]:
    """Indices of the boxes that stay, best first."""
    left, kept = list(np.argsort(-scores, kind="stable")), []
    while left:
        best = left.pop(0)
        kept.append(best)
        if left:
            shares = overlap(boxes[best], boxes[left])
            left = [index for index, share in zip(left, shares, strict=True) if share <= most]
    return kept


def hits(
    boxes: np.ndarray, scores: np.ndarray, names: Iterable[str], floor: float, most: float | None, placed: Placed,
    bgr: np.ndarray,
) -> list[Hit]:  # fmt: skip
    """Boxes (N, 4) in input pixels with scores (N, C) -> what is above the floor, suppressed class by class."""
    found = []
    for column, name in enumerate(names):
        rows = np.nonzero(scores[:, column] > floor)[0]
        kept = range(len(rows)) if most is None else greedy(boxes[rows], scores[rows, column], most)
        found += [Hit(name, float(scores[rows[index], column]), boxes[rows[index]]) for index in kept]
    return sorted((hit._replace(box=back(hit.box, placed, bgr)) for hit in found), key=lambda hit: -hit.score)


def back(box: np.ndarray, placed: Placed, bgr: np.ndarray) -> np.ndarray:
    pairs = (box.reshape(-1, 2).astype(np.float64) - placed.shift) / placed.ratio
    return np.clip(pairs, 0, [bgr.shape[1], bgr.shape[0]]).reshape(-1)


def cells(height: int, width: int) -> np.ndarray:
    """(N, 2) column and row, row by row."""
    rows, columns = np.divmod(np.arange(height * width), width)
    return np.stack([columns, rows], axis=1).astype(np.float32)


def around(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def yolox(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = fitted(bgr, 416, 416, 114)
    values = run(path, planes(placed.image))["output"][0]
    grid = np.concatenate([cells(416 // stride, 416 // stride) for stride in (8, 16, 32)])
    strides = np.repeat([8, 16, 32], [(416 // stride) ** 2 for stride in (8, 16, 32)])[:, None]
    boxes = around((values[:, :2] + grid) * strides, np.exp(values[:, 2:4]) * strides)
    return hits(boxes, values[:, 4:5] * values[:, 5:], COCO_80, floor, 0.45, placed, bgr)


def distances(scores: list[np.ndarray], values: list[np.ndarray], strides: list[int], side: int) -> np.ndarray:
    """Boxes of the distribution over eight distances to each side of the middle of a cell."""
    boxes = []
    for stride, part in zip(strides, values, strict=True):
        bins = np.exp(part.reshape(-1, 4, 8))
        sides = (bins / bins.sum(axis=2, keepdims=True) * np.arange(8)).sum(axis=2) * stride
        points = (cells(-(-side // stride), -(-side // stride)) + 0.5) * stride
        boxes.append(np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1))
    return np.concatenate(boxes)


def nanodet(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = fitted(bgr, 320, 320, 0, cv2.INTER_AREA, middle=True)
    out = run(path, planes((placed.image - BGR_MEAN) / BGR_STD))
    scores = [out[f"cls_pred_stride_{stride}"] for stride in (8, 16, 32)]
    boxes = distances(scores, [out[f"dis_pred_stride_{stride}"] for stride in (8, 16, 32)], [8, 16, 32], 320)
    return hits(boxes, np.concatenate([each.reshape(-1, 80) for each in scores]), COCO_80, floor, 0.6, placed, bgr)


def picodet(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = stretched(bgr, 320, 320, cv2.INTER_CUBIC)
    rgb = placed.image[..., ::-1]
    out = run(path, planes((rgb - BGR_MEAN[::-1]) / np.float32([58.395, 57.12, 57.375])))
    parts = [out[f"save_infer_model/scale_{number}.tmp_1"] for number in range(8)]
    boxes = distances(parts[:4], parts[4:], [8, 16, 32, 64], 320)
    return hits(boxes, np.concatenate([each.reshape(-1, 80) for each in parts[:4]]), COCO_80, floor, 0.5, placed, bgr)


def fastestdet(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = stretched(bgr, 352, 352, cv2.INTER_AREA)
    values = run(path, planes(placed.image / 255))["758"][0].reshape(85, -1).T
    scores = values[:, :1] ** 0.6 * values[:, 5:] ** 0.4
    scores = np.where(scores == scores.max(axis=1, keepdims=True), scores, 0)  # the best class of a cell
    centre = (cells(22, 22) + np.tanh(values[:, 1:3])) / 22 * 352
    boxes = around(centre, 352 / (1 + np.exp(-values[:, 3:5])))
    return hits(boxes, scores, COCO_80, floor, 0.45, placed, bgr)


def rtmdet(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = fitted(bgr, 320, 320, 114)
    out = run(path, planes((placed.image - BGR_MEAN) / BGR_STD))
    rows, labels = out["dets"][0], out["labels"][0]
    return hits(rows[labels == 0, :4], rows[labels == 0, 4:], ["person"], floor, None, placed, bgr)


def ssd(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = stretched(bgr, 300, 300)
    boxes, classes, scores, count = run_tflite(path, np.ascontiguousarray(placed.image[None, ..., ::-1]))
    found = []
    for row in range(int(count[0])):
        top, left, bottom, right = boxes[0, row] * 300
        if scores[0, row] > floor:
            name = NAME_OF_ID[int(classes[0, row]) + 1]
            found.append(Hit(name, float(scores[0, row]), back(np.array([left, top, right, bottom]), placed, bgr)))
    return found


def centerface(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    import onnx

    scale = 640 / max(bgr.shape[:2])
    height, width = (-(-round(side * scale) // 32) * 32 for side in bgr.shape[:2])
    placed = stretched(bgr, height, width)
    graph = onnx.load(path)
    for axis, side in zip((0, 2, 3), (1, height, width), strict=True):
        graph.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    for output, channels in zip(graph.graph.output, (1, 2, 2, 10), strict=True):
        for axis, side in enumerate((1, channels, height // 4, width // 4)):
            output.type.tensor_type.shape.dim[axis].dim_value = side
    model = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    heat, size, offset, _ = model.run(["537", "538", "539", "540"], {"input.1": planes(placed.image[..., ::-1])})
    grid = cells(height // 4, width // 4)
    offset, size = (each[0].reshape(2, -1).T[:, ::-1] for each in (offset, size))
    boxes = around((grid + offset + 0.5) * 4, np.exp(size) * 4)
    return hits(boxes, heat.reshape(-1, 1), ["face"], floor, 0.3, placed, bgr)


def ultraface(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = stretched(bgr, 240, 320)
    out = run(path, planes((placed.image[..., ::-1] - np.float32(127)) / 128))
    boxes = out["boxes"][0]
    if "raw" in path.name:
        priors = []
        for (height, width), sides in zip([(30, 40), (15, 20), (8, 10), (4, 5)], SIDES, strict=True):
            for column, row in cells(height, width):
                priors += [((column + 0.5) / width, (row + 0.5) / height, side / 320, side / 240) for side in sides]
        prior = np.clip(np.array(priors, np.float32), 0, 1)
        boxes = around(prior[:, :2] + boxes[:, :2] * 0.1 * prior[:, 2:], prior[:, 2:] * np.exp(boxes[:, 2:] * 0.2))
    return hits(boxes * [320, 240, 320, 240], out["scores"][0][:, 1:], ["face"], floor, 0.3, placed, bgr)


def yunet_priors(height: int, width: int) -> np.ndarray:
    """(N, 4) centre and side in pixels."""
    priors = []
    for stride, sides in zip((8, 16, 32, 64), SIDES, strict=True):
        for column, row in cells(height // stride, width // stride):
            priors += [((column + 0.5) * stride, (row + 0.5) * stride, side, side) for side in sides]
    return np.array(priors, np.float32)


def yunet_2021(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = stretched(bgr, 120, 160)
    out = run(path, planes(placed.image))
    prior, loc = yunet_priors(120, 160), out["loc"]
    size = prior[:, 2:] * np.exp(loc[:, 2:4] * [0.1, 0.2])  # as published, the variances are taken for the two axes
    boxes = around(prior[:, :2] + loc[:, :2] * 0.1 * prior[:, 2:], size)
    scores = np.sqrt(out["conf"][:, 1:] * np.clip(out["iou"], 0, 1))
    return hits(boxes, scores, ["face"], floor, 0.3, placed, bgr)


def lpd_yunet(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    placed = fitted(bgr, 240, 320, 0)
    out = run(path, planes(placed.image))
    prior, loc = yunet_priors(240, 320), out["loc"]
    corners = np.concatenate(
        [prior[:, :2] + loc[:, start : start + 2] * 0.1 * prior[:, 2:] for start in (4, 6, 10, 12)], axis=1
    )
    scores = np.sqrt(out["conf"][:, 1] * np.clip(out["iou"][:, 0], 0, 1))
    rows = np.nonzero(scores > floor)[0]
    pairs = corners[rows].reshape(-1, 4, 2)
    boxes = np.concatenate([pairs.min(axis=1), pairs.max(axis=1)], axis=1)
    return [
        Hit("plate", float(scores[rows[index]]), back(corners[rows[index]], placed, bgr))
        for index in greedy(boxes, scores[rows], 0.3)
    ]


def yunet_2026(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    scale = 640 / max(bgr.shape[:2])
    inner = cv2.resize(bgr, None, fx=scale, fy=scale)
    height, width = (-(-side // 32) * 32 for side in inner.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: inner.shape[0], : inner.shape[1]] = inner
    placed = Placed(canvas, (inner.shape[1] / bgr.shape[1], inner.shape[0] / bgr.shape[0]))
    out = run(path, planes(canvas))
    boxes, scores = [], []
    for stride in (8, 16, 32):
        values, grid = out[f"bbox_{stride}"][0], cells(height // stride, width // stride)
        boxes.append(around((grid + values[:, :2]) * stride, np.exp(values[:, 2:]) * stride))
        scores.append(np.sqrt(out[f"cls_{stride}"][0] * out[f"obj_{stride}"][0]))
    return hits(np.concatenate(boxes), np.concatenate(scores), ["face"], floor, 0.3, placed, bgr)


def blazeface(path: Path, bgr: np.ndarray, floor: float) -> list[Hit]:
    side, levels = (128, [(8, 2), (16, 6)]) if "short" in path.name else (192, [(4, 1)])
    placed = fitted(bgr, side, side, 0, middle=True, whole=int)
    tensor = placed.image[None, ..., ::-1].astype(np.float32) / np.float32(127.5) - 1
    values, logits = run_tflite(path, np.ascontiguousarray(tensor))
    points = np.concatenate(
        [np.repeat((cells(side // stride, side // stride) + 0.5) * stride, count, axis=0) for stride, count in levels]
    )
    boxes = around(values[0, :, :2] + points, values[0, :, 2:4])
    scores = 1 / (1 + np.exp(-np.clip(logits[0].astype(np.float64), -80, 80)))
    return hits(boxes, scores, ["face"], floor, 0.3, placed, bgr)


DECODERS: dict[str, Callable[[Path, np.ndarray, float], list[Hit]]] = {
    "yolox_nano_416.onnx": yolox,
    "nanodet_m_320.onnx": nanodet,
    "picodet_s_320.onnx": picodet,
    "fastestdet_352.onnx": fastestdet,
    "ssd_mobilenet_v1_coco_quant_300.tflite": ssd,
    "rtmdet_nano_person_320.onnx": rtmdet,
    "centerface.onnx": centerface,
    "ulfg_rfb_320.onnx": ultraface,
    "ulfg_rfb_320_raw.onnx": ultraface,
    "yunet_2021_120x160.onnx": yunet_2021,
    "yunet_2026may.onnx": yunet_2026,
    "blazeface_short_128.tflite": blazeface,
    "blazeface_full_192.tflite": blazeface,
    "lpd_yunet_2022may.onnx": lpd_yunet,
}
