"""The outputs of a model file, by name -> detections: as they are, or read from maps with their peaks suppressed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from centerx.errors import InputError
from centerx.fields import OFFSET
from centerx.geometry import Letterbox
from centerx.runtime.answers import require_detections, require_maps
from centerx.runtime.info import ModelInfo
from centerx.tasks import ArrayFunctions, Output, Task
from centerx.types import Detections, RawDetections

SMALLEST_SCORE = float(np.finfo(np.float32).tiny)  # a score of 0 marks a place that the network had no peak for


def detection_outputs(task: Task) -> tuple[str, ...]:
    """Names of what a file gives that ends with the decoding."""
    return (*(output.name for output in task.outputs), "scores", "labels")


def map_outputs(task: Task) -> tuple[str, ...]:
    """Names of what a file gives that ends before it."""
    return ("heatmap", OFFSET.name, *(field.name for field in task.branches if field != OFFSET))


def choose_outputs(given: Collection[str], task: Task) -> tuple[str, ...] | None:
    """Return the names of the outputs to read of those that a file has; None where they make no detections."""
    return next((names for names in (detection_outputs(task), map_outputs(task)) if set(names) <= set(given)), None)


def read_outputs(
    outputs: Mapping[str, np.ndarray], info: ModelInfo, picture_hw: np.ndarray | None = None
) -> RawDetections:
    """Return the detections of a batch.

    Args:
        outputs: by name, those of `detection_outputs` or of `map_outputs`.
        info: of the model.
        picture_hw: (B, 2) height and width of each picture in input pixels, for maps; the whole input without it.

    Raises:
        InputError: they do not fit what the model says of itself.
    """
    task = info.made_task
    if "heatmap" in outputs:
        require_maps(outputs, info)
        return detections_from_maps(outputs, task, info.stride, info.top_k, picture_hw)
    require_detections(outputs, info)
    values = {each.name: each.flat(outputs[each.name]) for each in task.outputs}
    return RawDetections(values, outputs["scores"], outputs["labels"])


def stack_rows(found: Sequence[tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray]]) -> RawDetections:
    """Return the detections of a batch, of those of each picture; rows of score 0 fill those with fewer.

    Args:
        found: of each picture the values by name (K, D), scores (K,) and labels (K,).
    """
    most = max((len(scores) for _, scores, _ in found), default=0)

    def stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([np.pad(each, [(0, most - len(each)), *[(0, 0)] * (each.ndim - 1)]) for each in arrays])

    values, scores, labels = zip(*found, strict=True)
    stacked = {name: stack([each[name] for each in values]) for name in values[0]}
    return RawDetections(stacked, stack(scores), stack(labels))


def detections_of(
    raw: RawDetections, letterboxes: Sequence[Letterbox], task: Task, class_names: tuple[str, ...] = ()
) -> list[Detections]:
    """Return what was found on each picture of a batch, in the picture's own pixels; what is no peak is left out.

    Args:
        raw: in NumPy.
        letterboxes: how each picture lies in the input.
        task: of the model.
        class_names: of the model.

    Raises:
        InputError: a label is none of the model's classes.
    """
    raw = raw._replace(labels=np.where(raw.scores > 0, raw.labels, 0))  # a place without a peak may have any label
    if class_names and raw.labels.size and not 0 <= raw.labels.min() <= raw.labels.max() < len(class_names):
        raise InputError(f"the model gives labels beyond its {len(class_names)} classes, export it again")
    found = []
    for row, letterbox in enumerate(letterboxes):
        raw_outputs = {each.name: np.asarray(raw.values[each.name][row]) for each in task.outputs}
        outputs = {each.name: in_picture(raw_outputs[each.name], each, letterbox) for each in task.outputs}
        boxes = task.boxes(outputs)
        if task.has_area:
            inside = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        else:
            corner = np.array(letterbox.placed_hw[::-1])[None, :, None]
            inside = ~task.empty({name: each.T[None] for name, each in raw_outputs.items()}, corner, NUMPY)[0, 0]
        scores, labels = np.asarray(raw.scores[row]), np.asarray(raw.labels[row])
        others = {each.name: each.shaped(outputs[each.name]) for each in task.outputs if each.name != "boxes"}
        one = Detections(boxes, scores, labels, class_names, others, task.name, task.joints)
        found.append(one.where((scores >= SMALLEST_SCORE) & inside))
    return found


def in_picture(values: np.ndarray, output: Output, letterbox: Letterbox) -> np.ndarray:
    """Return an output (K, D) in pixels of the input -> of the picture."""
    return letterbox.to_source(values) if output.clipped else output.kind.warp(values, np.linalg.inv(letterbox.matrix))


def detections_from_maps(
    maps: Mapping[str, np.ndarray], task: Task, stride: int, top_k: int, picture_hw: np.ndarray | None = None
) -> RawDetections:
    """Read the best peaks of a batch of maps; one that is empty inside its picture is none.

    Args:
        maps: `heatmap` (B, C, h, w) of probabilities, 0 at all cells but peaks; the fields of the task (B, D, h, w) in
            cells.
        task: of the model.
        stride: pixels per cell.
        top_k: K, unless there are fewer cells.
        picture_hw: (B, 2) height and width of each picture in input pixels; the whole input without it.

    Returns:
        (B, K, ...) detections in input pixels, clipped to the input, best first; places without a peak score 0.
    """
    heatmap = maps["heatmap"]
    batch, _, height, width = heatmap.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    outputs = task.decode(maps, grid, stride, (height * stride, width * stride), NUMPY)
    corner = None if picture_hw is None else picture_hw[:, ::-1, None, None]
    flat = np.where(task.empty(outputs, corner, NUMPY), 0, heatmap).reshape(batch, -1)
    k = min(top_k, flat.shape[1])
    best = np.argpartition(-flat, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(flat, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    best, scores = (np.take_along_axis(each, order, axis=1) for each in (best, scores))
    labels, cell = np.divmod(best, height * width)
    values = {
        name: np.take_along_axis(each.reshape(*each.shape[:2], -1), cell[:, None], axis=2)
        .transpose(0, 2, 1)
        .astype(np.float32)
        for name, each in outputs.items()
    }
    if task.refine is not None:
        values = task.refine(values, labels, maps, stride, NUMPY)
    return RawDetections(values, scores.astype(np.float32), labels)


def clip(positions: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    """Clip pairs of x and y (B, D, h, w) to a height and a width."""
    limit = np.array([*input_hw[::-1]] * (positions.shape[1] // 2), dtype=np.float32)
    return np.clip(positions, 0, limit[:, None, None])


def top(array: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest values (..., count) along the last axis, falling, and where they are."""
    best = np.argpartition(-array, count - 1, axis=-1)[..., :count]
    values = np.take_along_axis(array, best, axis=-1)
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1), np.take_along_axis(best, order, axis=-1)


def highest(array: np.ndarray) -> np.ndarray:
    """(B, J, h, w) -> bool, whether a cell is the highest of its 3x3 neighbourhood."""
    height, width = array.shape[-2:]
    padded = np.pad(array, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    around = [padded[..., row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.asarray(array >= np.max(around, axis=0))


NUMPY = ArrayFunctions(
    join=lambda arrays: np.concatenate(arrays, axis=1),
    halves=lambda array: np.split(array, 2, axis=1),
    clip=clip,
    least=lambda array: array.min(axis=1, keepdims=True),
    minimum=np.minimum,
    arctan=np.arctan,
    sign=np.sign,
    where=np.where,
    top=top,
    take=lambda array, index: np.take_along_axis(array, index, axis=-1),
    spread=lambda array, count: np.broadcast_to(array[:, None], (len(array), count, *array.shape[1:])),
    nearest=lambda array: array.argmin(axis=-1, keepdims=True),
    highest=highest,
    rows=lambda table, labels: np.array(table, dtype=np.float32)[labels],
    whole=lambda array: array.astype(np.int64),
    pair=lambda first, second: np.concatenate([first, second], axis=-1),
    sigmoid=lambda array: 1 / (1 + np.exp(-array)),
)
