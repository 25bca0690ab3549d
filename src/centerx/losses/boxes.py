"""Losses on size and offset, read at the objects' centre cells."""

from __future__ import annotations

from torch import Tensor

from centerx.decode import gather_cells


def l1_at_centers(maps: Tensor, index: Tensor, target: Tensor, valid: Tensor, relative: bool = False) -> Tensor:
    """Absolute error at the centre cells, averaged over the two coordinates, summed over objects.

    Args:
        maps: (B, 2, h, w) predictions.
        index: (B, K) flat cells.
        target: (B, K, 2).
        valid: (B, K) bool; padding slots cost nothing.
        relative: divide each object's error by the mean of its two targets, at least one cell, so that large and
            small objects count alike.

    Returns:
        A scalar; divide it by the number of objects.
    """
    error = (gather_cells(maps, index).float() - target).abs().mean(dim=-1)
    if relative:
        error = error / target.mean(dim=-1).clamp(min=1)
    return (error * valid).sum()
