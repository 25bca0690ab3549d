"""Random changes of training pictures: one affine matrix for geometry, torchvision for colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

from centerx.errors import InputError, nearest
from centerx.geometry import (
    box_area,
    clip_boxes,
    rotation_matrix,
    scale_matrix,
    shift_matrix,
    transform_boxes,
    warp_image,
)
from centerx.types import Sample


class RandomAffine:
    """Flip, zoom, stretch, rotate and shift by one composed matrix, straight to the input size.

    Args:
        output_hw: height and width of the result in pixels.
        flip, flip_vertical: probabilities.
        scale: range of the zoom, log-uniform; 1 is the whole picture fitting the input.
        aspect: largest relative change of width against height.
        shift: largest shift of the picture's centre, relative to the input's sides.
        rotate: largest rotation in degrees.
        min_visible: share of a box's area that must stay inside; below it the object is ignored.
    """

    def __init__(
        self,
        output_hw: tuple[int, int],
        flip: float = 0.0,
        flip_vertical: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        aspect: float = 0.0,
        shift: float = 0.0,
        rotate: float = 0.0,
        min_visible: float = 0.3,
    ) -> None:
        self.output_hw = output_hw
        self.flip, self.flip_vertical = flip, flip_vertical
        self.scale, self.aspect = scale, aspect
        self.shift, self.rotate = shift, rotate
        self.min_visible = min_visible

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the picture warped to `output_hw` with its boxes moved, clipped, and ignored where cut away."""
        return warp_sample(sample, self.matrix(sample.image.shape[:2], rng), self.output_hw, self.min_visible)

    def matrix(self, source_hw: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """(3, 3) random map of source pixels to output pixels."""
        height, width = self.output_hw
        zoom = np.exp(rng.uniform(*np.log(self.scale))) * min(height / source_hw[0], width / source_hw[1])
        stretch = np.exp(rng.uniform(-1, 1) * np.log1p(self.aspect) / 2)
        mirror = np.where(rng.random(2) < (self.flip, self.flip_vertical), -1.0, 1.0)
        angle = rng.uniform(-self.rotate, self.rotate)
        shift = rng.uniform(-self.shift, self.shift, size=2) * (width, height)
        return (
            shift_matrix(width / 2 + shift[0], height / 2 + shift[1])
            @ rotation_matrix(angle)
            @ scale_matrix(zoom * stretch * mirror[0], zoom / stretch * mirror[1])
            @ shift_matrix(-source_hw[1] / 2, -source_hw[0] / 2)
        )


def warp_sample(sample: Sample, matrix: np.ndarray, output_hw: tuple[int, int], min_visible: float) -> Sample:
    """Move picture and boxes by `matrix`. Boxes wholly outside go; those mostly outside become ignored."""
    moved = transform_boxes(sample.boxes, matrix)
    clipped = clip_boxes(moved, output_hw)
    visible = box_area(clipped) / np.maximum(box_area(moved), 1e-9)
    keep = visible > 0
    return sample._replace(
        image=warp_image(sample.image, matrix, output_hw),
        boxes=clipped[keep],
        labels=sample.labels[keep],
        ignore=(sample.ignore | (visible < min_visible))[keep],
    )


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, min_visible: float = 0.3) -> Sample:
    """Four samples of one size (H, W) around a random point of one picture of the same size.

    Each contributes a window of itself at full scale. A class counts as annotated only where it is in all four.
    `min_visible` is that of `RandomAffine`.
    """
    height, width = samples[0].image.shape[:2]
    middle = np.array([width, height]) * rng.uniform(0.3, 0.7, size=2)
    x, y = (int(value) for value in middle)
    image = np.empty_like(samples[0].image)
    parts = []
    for sample, (left, top, right, bottom) in zip(
        samples, [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)], strict=True
    ):
        hw = (bottom - top, right - left)
        corner = (rng.random(2) * (width - hw[1], height - hw[0])).astype(int)
        part = warp_sample(sample, shift_matrix(-float(corner[0]), -float(corner[1])), hw, min_visible)
        image[top:bottom, left:right] = part.image
        parts.append(part._replace(boxes=part.boxes + np.array([left, top, left, top], dtype=part.boxes.dtype)))
    return Sample(
        image,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ignore for part in parts]),
        np.logical_and.reduce([part.annotated for part in parts]),
        samples[0].image_id,
    )


class ColourTransform:
    """torchvision.transforms.v2 transforms by name.

    Args:
        transforms: one mapping of a name to its keyword arguments each, applied in order.

    Raises:
        InputError: an unknown name or wrong arguments.
    """

    def __init__(self, transforms: Sequence[dict[str, dict[str, Any]]]) -> None:
        self.steps = [_transform(name, options) for entry in transforms for name, options in entry.items()]

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 -> the same, recoloured; torch's own random state is left as it was."""
        if not self.steps:
            return image
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            tensor = torch.from_numpy(image).permute(2, 0, 1)
            for step in self.steps:
                tensor = step(tensor)
        return np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())


# Transforms that recolour and never move or drop a pixel: those would leave the boxes behind.
COLOUR_TRANSFORMS = frozenset(
    {"AugMix", "ColorJitter", "GaussianBlur", "GaussianNoise", "JPEG", "RandomAdjustSharpness", "RandomAutocontrast",
     "RandomChannelPermutation", "RandomEqualize", "RandomGrayscale", "RandomInvert", "RandomPhotometricDistort",
     "RandomPosterize", "RandomSolarize"}
)  # fmt: skip


def _transform(name: str, options: dict[str, Any]) -> v2.Transform:
    if name not in COLOUR_TRANSFORMS:
        raise InputError(
            f"augment.colour: {name!r} is no colour transform of torchvision v2{nearest(name, COLOUR_TRANSFORMS)}, "
            f"known: {', '.join(sorted(COLOUR_TRANSFORMS))}"
        )
    try:
        transform: v2.Transform = getattr(v2, name)(**options)
        transform(torch.zeros(3, 8, 8, dtype=torch.uint8))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"augment.colour.{name}: {' '.join(str(error).split())}") from None
    return transform
