"""Maps with their peaks suppressed -> detections, for files that end where the article's graph ends."""

from __future__ import annotations

import numpy as np

from centerx.runtime.info import TOP_K
from centerx.types import Detections

OUTPUTS = ("boxes", "scores", "labels")  # what a file gives that ends with the decoding
MAPS = ("heatmap", "offset", "size")  # and one that ends before it


def detections_from_maps(
    heatmap: np.ndarray,
    offset: np.ndarray,
    size: np.ndarray,
    stride: int,
    top_k: int = TOP_K,
    picture_hw: np.ndarray | None = None,
) -> Detections:
    """Read the best peaks of a batch of maps; one whose box has no area inside the picture is none.

    Args:
        heatmap: (B, C, h, w) probabilities, 0 at all cells but peaks.
        offset, size: (B, 2, h, w) in cells, x and width first.
        stride: pixels per cell.
        top_k: K, unless there are fewer cells.
        picture_hw: (B, 2) height and width of each picture in input pixels; the whole input without it.

    Returns:
        (B, K, ...) detections in input pixels, clipped to the input, best first; places without a peak score 0.
    """
    batch, _, height, width = heatmap.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    centre, half = grid + offset, np.maximum(size, 0) / 2
    limit = np.array([width, height] * 2, dtype=np.float32)[:, None, None] * stride
    boxes = np.clip(np.concatenate([centre - half, centre + half], axis=1) * stride, 0, limit)  # of every cell
    low, high = boxes[:, :2], boxes[:, 2:]
    if picture_hw is not None:
        high = np.minimum(high, picture_hw[:, ::-1, None, None])
    empty = (high - low).min(axis=1, keepdims=True) <= 0
    flat = np.where(empty, 0, heatmap).reshape(batch, -1)
    k = min(top_k, flat.shape[1])
    best = np.argpartition(-flat, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(flat, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    best, scores = (np.take_along_axis(each, order, axis=1) for each in (best, scores))
    labels, cell = np.divmod(best, height * width)
    found = np.take_along_axis(boxes.reshape(batch, 4, -1), cell[:, None], axis=2).transpose(0, 2, 1)
    return Detections(found.astype(np.float32), scores.astype(np.float32), labels)
