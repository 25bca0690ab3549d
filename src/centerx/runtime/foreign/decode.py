"""The outputs of a foreign file, by name, and its adapter -> boxes, scores and labels of one picture.

Axes: N rows of the outputs, D columns, K candidates, whose score of a class reaches the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from centerx.errors import InputError
from centerx.geometry import clip_boxes, spanned_boxes, xyxy_to_xywh
from centerx.runtime.foreign.adapter import BOX_COLUMNS, Adapter, Anchors, Boxes, Keypoints, Labels, Scores
from centerx.runtime.outputs import NUMPY
from centerx.tasks.rotated import ANGLE, ROTATED, SIDES

MOST_ROWS = 1 << 22  # of anchors
CANDIDATES = 4  # of suppression, for each box that is wanted; then so many times more
SLACK = 1e-3  # by which rounding may take a probability out of 0..1


class Found(NamedTuple):
    """What was found on one picture, best first.

    Attributes:
        boxes: (K, 4) float32 xyxy, in pixels of the input.
        scores: (K,) float32 in [0, 1].
        labels: (K,) int64 class indices.
        values: by name, (K, ...) what else the file says: `corners` (K, 8), where its boxes are corners or rotated;
            `angles` (K, 1) in degrees, where they are rotated; `keypoints` (K, 2 J) and `keypoint_scores` (K, J).
        lost: how many candidates are left out because they have no area in the input.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    values: dict[str, np.ndarray]
    lost: int = 0


class Grid(NamedTuple):
    """The anchors of an input, level by level, row by row of the map; those of one cell follow one another.

    Attributes:
        points: (N, 2) float32 x and y in pixels of the input.
        strides: (N, 1) float32 pixels per cell.
        sizes: (N, 2) float32 width and height in pixels; 0 where anchors are points.
        counts: number of rows of each level.
    """

    points: np.ndarray
    strides: np.ndarray
    sizes: np.ndarray
    counts: tuple[int, ...]


def decode(outputs: Mapping[str, np.ndarray], adapter: Adapter, input_hw: tuple[int, int]) -> Found:
    """Read one picture's outputs.

    Args:
        outputs: by name, finite.
        adapter: what they mean.
        input_hw: height and width of the input in pixels.

    Raises:
        InputError: the outputs are not as the adapter says.
    """
    grid = make_grid(adapter.boxes.anchors, input_hw) if adapter.boxes.anchors else None
    levels = _box_levels(outputs, adapter.boxes, grid)
    values = np.concatenate(levels)
    if adapter.count is not None:
        values = values[: _count(outputs[adapter.count], adapter.count, len(values))]
    counts = [len(level) for level in levels]
    scores = _class_scores(outputs, adapter, counts)[: len(values)]
    if adapter.labels is None:
        rows, labels, scores = _classes_of_columns(scores, adapter)
    else:
        numbers = _numbers(outputs, adapter.labels, sum(counts))[: len(values)]
        rows, labels, scores = _classes_of_numbers(scores[:, 0], numbers, adapter)
    places = decode_boxes(values[rows], adapter.boxes, grid, rows, input_hw)
    boxes = places.pop("boxes")
    chosen = _suppress(boxes, scores, labels, adapter, places)
    inside = clip_boxes(boxes.astype(np.float32), input_hw)
    seen = _have_area(inside)
    chosen = chosen[seen[chosen]]
    others = {name: each[chosen].astype(np.float32) for name, each in places.items()}
    if adapter.keypoints is not None:
        others |= _keypoints(outputs, adapter.keypoints, sum(counts), rows[chosen])
    return Found(inside[chosen], scores[chosen].astype(np.float32), labels[chosen], others, int((~seen).sum()))


@lru_cache(maxsize=16)
def make_grid(anchors: Anchors, input_hw: tuple[int, int]) -> Grid:
    """Lay out the anchors of an input of a height and width in pixels.

    Raises:
        InputError: they are too many.
    """
    corner = np.array(input_hw[::-1], dtype=np.float64)
    whole = np.ceil if anchors.rounding == "ceil" else np.floor
    most = sum(
        count * int(np.ceil(corner / stride).prod())
        for stride, count in zip(anchors.strides, anchors.counts, strict=True)
    )
    if most > MOST_ROWS:
        raise InputError(
            f"anchors have {most} places on {input_hw[0]}x{input_hw[1]} pixels, {MOST_ROWS} are the most, correct "
            "boxes.anchors or input.size"
        )
    points, strides, sizes, counts = [], [], [], []
    for level, (stride, count) in enumerate(zip(anchors.strides, anchors.counts, strict=True)):
        across, down = whole(corner / stride).astype(int)
        cell = corner / np.maximum((across, down), 1) if anchors.cell == "map" else np.full(2, float(stride))
        cells = np.stack(np.meshgrid(np.arange(across), np.arange(down)), axis=-1).reshape(-1, 2)
        rows = len(cells) * count
        points.append(np.repeat((cells + anchors.offset) * cell, count, axis=0))
        strides.append(np.full((rows, 1), stride))
        own = np.array(anchors.sizes[level]) if anchors.sizes else np.zeros((count, 2))
        sizes.append(np.tile(own, (len(cells), 1)))
        counts.append(rows)
    centres, boxes = np.concatenate(points), np.concatenate(sizes)
    if anchors.clip:
        centres, boxes = np.clip(centres, 0, corner), np.clip(boxes, 0, corner)
    return Grid(
        centres.astype(np.float32),
        np.concatenate(strides).astype(np.float32),
        boxes.astype(np.float32),
        tuple(counts),
    )


def decode_boxes(
    values: np.ndarray, boxes: Boxes, grid: Grid | None, rows: np.ndarray, input_hw: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Turn the columns of boxes into pixels of the input.

    Args:
        values: (K, D) columns in the order of the format.
        boxes: what they mean.
        grid: the anchors, None where boxes need none.
        rows: (K,) rows of the grid that the values belong to.
        input_hw: height and width of the input in pixels.

    Returns:
        `boxes` (K, 4) xyxy; of the formats `corners` and `rotated` also `corners` (K, 8), x and y of four points; of
        the latter also `angles` (K, 1), as the task `rotated` has them.
    """
    count, form = len(values), boxes.format
    if boxes.bins:
        shares = softmax(values.reshape(count, 4, boxes.bins))
        values = shares @ np.arange(boxes.bins, dtype=np.float32)
    if form == "yxyx":
        values = values[:, [1, 0, 3, 2]]
    if form == "rotated":
        values, angles = values[:, :4], values[:, 4:]
    split = {"ltrb": 0, "xywh": 2, "cxcywh": 2, "rotated": 2}.get(form, BOX_COLUMNS[form])
    units = {"pixels": np.ones(2, np.float32), "normalized": np.array(input_hw[::-1], np.float32)}
    origin = np.zeros((1, 1, 2), np.float32)
    if grid is not None:
        units |= {"cells": grid.strides[rows][:, None], "anchors": grid.sizes[rows][:, None]}
        origin = grid.points[rows][:, None]
    variances = np.array(boxes.variances, np.float32).reshape(2, 2)
    places, lengths = values[:, :split].reshape(count, split // 2, 2), values[:, split:]
    lengths = lengths.reshape(count, lengths.shape[1] // 2, 2)
    places = ACTIVATIONS[boxes.center_activation](places * variances[0])
    with np.errstate(over="ignore"):  # what is not finite is told when boxes are suppressed
        lengths = ACTIVATIONS[boxes.size_activation](lengths * variances[1])
    places = places * units[boxes.unit] + origin
    lengths = lengths * units[boxes.size_unit or boxes.unit]
    if form == "ltrb":
        places = origin + lengths * np.array([[-1], [1]], np.float32)
    elif form == "xywh":
        places = np.concatenate([places, places + lengths], axis=1)
    elif form == "cxcywh":
        places = np.concatenate([places - lengths / 2, places + lengths / 2], axis=1)
    elif form == "rotated":
        return turned(places[:, 0], lengths[:, 0], angles)
    flat = places.reshape(count, BOX_COLUMNS[form])
    return {"boxes": spanned_boxes(flat)} | ({"corners": flat} if form == "corners" else {})


def turned(centres: np.ndarray, sizes: np.ndarray, angles: np.ndarray) -> dict[str, np.ndarray]:
    """Return rotated boxes as the task `rotated` has them.

    Args:
        centres: (K, 2) x and y.
        sizes: (K, 2) width and height.
        angles: (K, 1) of the width, in radians, clockwise on a screen.
    """
    upright = np.where(sizes[:, :1] >= sizes[:, 1:], 1, -1)  # of a higher box, the longer side is a right angle further
    double = upright * np.concatenate([np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    sides = np.sort(sizes, axis=1)[:, ::-1]
    return ROTATED.assemble(centres, {SIDES.name: sides, ANGLE.name: double}, NUMPY)


def suppress(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    iou: float,
    most: int,
    corners: np.ndarray | None = None,
) -> np.ndarray:
    """Greedy non-maximum suppression within each class.

    Whether a box stays depends on those that score higher alone. So the best candidates are tried first, and more only
    where these leave fewer than `most`: a low floor makes tens of thousands, which would take seconds.

    Args:
        boxes: (K, 4) xyxy.
        scores: (K,).
        labels: (K,).
        iou: overlap above which the lower one of two boxes is left out.
        most: how many boxes are wanted at most.
        corners: (K, 8) of rotated boxes, whose own overlap counts.

    Returns:
        Indices of the boxes that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept, tried = order[:0], CANDIDATES * most
    while len(kept) < most and len(order):
        some = order[:tried]
        if corners is None:
            found = _apart(boxes[some], scores[some], labels[some], iou)
        else:
            found = _apart_rotated(corners[some], scores[some], labels[some], iou)
        kept = some[np.sort(np.asarray(found, dtype=np.int64).reshape(-1))]
        if tried >= len(order):
            break
        tried *= CANDIDATES
    return kept[:most]


def _apart(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float) -> Sequence[int]:
    """Indices of upright boxes that stay."""
    shifted = boxes.astype(np.float64) - boxes.min(initial=0)  # OpenCV moves classes apart, past the largest position
    find: Any = cv2.dnn.NMSBoxesBatched  # its stubs know lists alone
    kept: Sequence[int] = find(xyxy_to_xywh(shifted), scores.astype(np.float32), labels.astype(np.int32), 0.0, iou)
    return kept


def _apart_rotated(corners: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float) -> Sequence[int]:
    """Indices of rotated boxes that stay."""
    points = corners.reshape(-1, 4, 2).astype(np.float64)
    span = points.max(initial=0) - points.min(initial=0) + 1
    centres = points.mean(axis=1) + np.stack([labels * span, 0 * labels], axis=1)  # classes apart
    along, aside = points[:, 1] - points[:, 0], points[:, 2] - points[:, 1]
    sizes = np.stack([np.hypot(*along.T), np.hypot(*aside.T)], axis=1)
    angles = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    rotated = list(zip(centres.tolist(), sizes.tolist(), angles.tolist(), strict=True))
    kept: Sequence[int] = cv2.dnn.NMSBoxesRotated(rotated, scores.astype(np.float32).tolist(), 0.0, iou)
    return kept


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function, finite for any number."""
    return 0.5 + 0.5 * np.tanh(values / 2)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda values: values,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "exp": np.exp,
    "softmax": softmax,
    "clip": lambda values: np.clip(values, 0, 1),
}


def _box_levels(outputs: Mapping[str, np.ndarray], boxes: Boxes, grid: Grid | None) -> list[np.ndarray]:
    """(N, D) of each output level, its columns in the order of the format."""
    counts: Sequence[int | None] = [None] * len(boxes.outputs)
    if grid is not None:
        counts = grid.counts if len(boxes.outputs) == len(grid.counts) else [sum(grid.counts)]
    levels = _levels(outputs, boxes.outputs, boxes.transposed, counts)
    due = BOX_COLUMNS[boxes.format] * max(boxes.bins, 1)
    columns = list(boxes.columns or range(due))
    for level, names in zip(levels, boxes.outputs, strict=True):
        if max(columns) >= level.shape[1]:
            raise InputError(
                f"{_named(names)} has {level.shape[1]} columns, boxes {boxes.format} need column {max(columns)}, "
                "correct boxes.columns, boxes.bins or boxes.transposed"
            )
    return [level[:, columns].astype(np.float32) for level in levels]


def _levels(
    outputs: Mapping[str, np.ndarray],
    names: Sequence[str | tuple[str, ...]],
    transposed: bool,
    counts: Sequence[int | None],
) -> list[np.ndarray]:
    """(N, D) of each level, of so many rows where these are known; several outputs side by side."""
    return [
        np.concatenate(
            [_with_rows(outputs, name, count, transposed) for name in ([level] if isinstance(level, str) else level)],
            axis=1,
        )
        for level, count in zip(names, counts, strict=True)
    ]


def _keypoints(
    outputs: Mapping[str, np.ndarray], told: Keypoints, count: int, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Joints of some rows, in pixels of the input, and their scores in [0, 1]."""
    table = _with_rows(outputs, told.output, count, told.transposed)
    end = told.start + told.width * len(told.names)
    if end > table.shape[1]:
        raise InputError(
            f"{told.output} has {table.shape[1]} columns, {len(told.names)} joints from column {told.start} on need "
            f"{end}, correct keypoints.start, keypoints.names or keypoints.scores"
        )
    values = table[rows, told.start : end].astype(np.float32).reshape(len(rows), len(told.names), told.width)
    scores = values[..., 2] if told.scores else np.ones(values.shape[:2], np.float32)
    if told.activation == "sigmoid":
        scores = 1 / (1 + np.exp(-scores))
    if not ((scores >= -SLACK) & (scores <= 1 + SLACK)).all():
        raise InputError(f"{told.output} has scores of joints outside 0 to 1, set keypoints.activation: sigmoid")
    return {"keypoints": values[..., :2].reshape(len(rows), 2 * len(told.names)), "keypoint_scores": scores.clip(0, 1)}


def _count(array: np.ndarray, name: str, rows: int) -> int:
    """The number of rows that count, of so many; a negative one is none."""
    if array.size != 1:
        what = "x".join(map(str, array.shape)) if array.size else "empty"
        raise InputError(f"{name} is {what}, so it tells no number of rows, correct count")
    count = array.reshape(-1)[0]
    if count % 1 or count > rows:
        raise InputError(f"{name} is {count:g}, which is no number of {rows} rows, correct count")
    return max(int(count), 0)


def _numbers(outputs: Mapping[str, np.ndarray], labels: Labels, count: int) -> np.ndarray:
    """(N,) the numbers of the classes, as the file counts."""
    table = _with_rows(outputs, labels.output, count)
    if labels.column >= table.shape[1]:
        raise InputError(
            f"{labels.output} has {table.shape[1]} columns, labels need column {labels.column}, correct labels.column"
        )
    return table[:, labels.column]


def _with_rows(outputs: Mapping[str, np.ndarray], name: str, count: int | None, transposed: bool = False) -> np.ndarray:
    """An output of one picture as (N, D); the columns of several anchors of a cell become rows.

    Args:
        outputs: by name.
        name: of the output.
        count: N, where it is known.
        transposed: whether columns come before rows.
    """
    array = outputs[name]
    if transposed:
        columns_first = array[0] if array.ndim > 2 else array
        table = columns_first.reshape(len(columns_first), -1).T
    else:
        table = array.reshape(-1 if array.size else 0, (array.shape or (1,))[-1] or 1)
    rows, columns = table.shape
    several = max(count // rows, 1) if count and rows else 1
    if count not in (None, rows * several) or columns % several:
        shape = "x".join(map(str, array.shape))
        raise InputError(
            f"{name} is {shape}, which are not {count} rows, correct outputs, transposed, strides, per_cell or sizes"
        )
    return table.reshape(rows * several, columns // several)


def _class_scores(outputs: Mapping[str, np.ndarray], adapter: Adapter, counts: Sequence[int]) -> np.ndarray:
    """(N, C) probabilities; one column where labels are an output."""
    part = adapter.scores
    values = np.concatenate(_levels(outputs, part.outputs, part.transposed, counts))
    scores = _without_background(values[:, part.start : part.stop].astype(np.float32), part)
    if part.objectness is not None:
        there = part.objectness
        names = there.outputs or part.outputs
        sure = np.concatenate(_levels(outputs, names, part.transposed, counts))
        if there.column >= sure.shape[1]:
            raise InputError(f"{_named(names[0])} has {sure.shape[1]} columns, correct scores.objectness.column")
        column = ACTIVATIONS[there.activation](sure[:, [there.column]].astype(np.float32))
        scores = _power(scores, part.power) * _power(column, there.power)
    due = 1 if adapter.labels is not None else max(adapter.class_numbers) + 1
    if scores.shape[1] != due:
        why = "labels are an output" if adapter.labels is not None else f"classes are numbered up to {due - 1}"
        raise InputError(
            f"{_named(part.outputs[0])} has {scores.shape[1]} columns of scores, but {why}, so {due} are needed: "
            "correct classes, scores.start, scores.stop, scores.background or scores.transposed"
        )
    if scores.size and not (scores.min() >= -SLACK and scores.max() <= 1 + SLACK):
        raise InputError(
            f"{_named(part.outputs[0])} has scores from {scores.min():.3g} to {scores.max():.3g}, which are not "
            "probabilities: set scores.activation to sigmoid or softmax, or correct scores.start"
        )
    return np.clip(scores, 0, 1)


def _without_background(values: np.ndarray, part: Scores) -> np.ndarray:
    if part.activation == "softmax" and values.shape[1] == 1:
        raise InputError(
            f"{_named(part.outputs[0])} has one column of scores, of which a softmax is always 1, correct "
            "scores.activation, scores.start or scores.stop"
        )
    probabilities = ACTIVATIONS[part.activation](values)
    keep = {"first": slice(1, None), "last": slice(0, -1)}.get(part.background, slice(None))
    return probabilities[:, keep]


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    return values if exponent == 1 else np.maximum(values, 0) ** np.float32(exponent)


def _classes_of_columns(scores: np.ndarray, adapter: Adapter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, class indices and scores of the candidates, of scores with a column for each class."""
    scores = scores[:, list(adapter.class_numbers)]
    if adapter.scores.multi_label:
        rows, labels = np.nonzero(scores >= adapter.score_floor)
    else:
        best = scores.argmax(axis=1)
        rows = np.nonzero(scores[np.arange(len(scores)), best] >= adapter.score_floor)[0]
        labels = best[rows]
    return rows, labels.astype(np.int64), scores[rows, labels]


def _classes_of_numbers(
    scores: np.ndarray, numbers: np.ndarray, adapter: Adapter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, class indices and scores of the candidates; a negative number is no object.

    Args:
        scores: (N,).
        numbers: (N,) of the classes, as the file counts.
        adapter: names the numbers.
    """
    known = np.array(list(adapter.class_numbers))
    rows = np.nonzero((scores >= adapter.score_floor) & (numbers >= 0))[0]
    given = numbers[rows].astype(np.float64)
    whole = given.round()
    if (np.abs(given - whole) > SLACK).any():
        wrong = given[np.abs(given - whole) > SLACK][0]
        raise InputError(f"{wrong:g} is no number of a class, correct labels.output or labels.column")
    if whole.size and not known[0] <= whole.min() <= whole.max() <= known[-1]:
        raise InputError(
            f"classes are numbered from {whole.min():.0f} to {whole.max():.0f}, but names go from {known[0]} to "
            f"{known[-1]}, correct classes or first_class"
        )
    place = np.full(known[-1] + 1, -1)
    place[known] = np.arange(len(known))
    labels = place[whole.astype(np.int64)]
    named = labels >= 0
    return rows[named], labels[named], scores[rows][named]


def _suppress(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, adapter: Adapter, places: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Indices of the boxes that have an area and stay, best first."""
    if not np.isfinite(boxes).all():
        raise InputError(f"{_named(adapter.boxes.outputs[0])} makes boxes that are not finite, correct boxes")
    there = np.nonzero(_have_area(boxes))[0]
    if adapter.nms is None:
        chosen = there[np.argsort(-scores[there], kind="stable")]
    else:
        corners = places["corners"][there] if adapter.boxes.format == "rotated" else None
        chosen = there[suppress(boxes[there], scores[there], labels[there], adapter.nms, adapter.top_k, corners)]
    return chosen[: adapter.top_k]


def _have_area(boxes: np.ndarray) -> np.ndarray:
    """(K,) bool of boxes (K, 4) xyxy."""
    return np.asarray((boxes[:, :2] < boxes[:, 2:]).all(axis=1))


def _named(level: str | tuple[str, ...]) -> str:
    return level if isinstance(level, str) else " and ".join(level)
