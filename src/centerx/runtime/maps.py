"""Maps with their peaks suppressed -> detections, for files that end where the article's graph ends."""

from __future__ import annotations

import numpy as np

from centerx.geometry import clip_boxes
from centerx.types import Detections

OUTPUTS = ("boxes", "scores", "labels")  # what a file gives that ends with the decoding
MAPS = ("heatmap", "offset", "size")  # and one that ends before it
TOP_K = 100  # the most detections of one picture


def detections_from_maps(
    heatmap: np.ndarray, offset: np.ndarray, size: np.ndarray, stride: int, top_k: int = TOP_K
) -> Detections:
    """Read the best peaks of a batch of maps.

    Args:
        heatmap: (B, C, h, w) probabilities, 0 at all cells but peaks.
        offset, size: (B, 2, h, w) in cells, x and width first.
        stride: pixels per cell.
        top_k: K, unless there are fewer cells.

    Returns:
        (B, K, ...) detections in input pixels, clipped to the input, best first; places without a peak score 0.
    """
    batch, _, height, width = heatmap.shape
    flat = heatmap.reshape(batch, -1)
    k = min(top_k, flat.shape[1])
    best = np.argpartition(-flat, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(flat, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    best, scores = (np.take_along_axis(each, order, axis=1) for each in (best, scores))
    labels, cell = np.divmod(best, height * width)
    shift, side = (
        np.take_along_axis(maps.reshape(batch, 2, -1), cell[:, None], axis=2).transpose(0, 2, 1)
        for maps in (offset, size)
    )
    centre = np.stack([cell % width, cell // width], axis=-1) + shift
    half = np.maximum(side, 0) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=-1) * stride
    clipped = clip_boxes(boxes, (height * stride, width * stride))
    return Detections(clipped.astype(np.float32), scores.astype(np.float32), labels)
