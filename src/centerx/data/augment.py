"""Random changes of training pictures: one affine matrix for geometry, torchvision for colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from math import sqrt
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from centerx.errors import InputError, nearest
from centerx.geometry import (
    INPUT_MULTIPLE,
    PAD_VALUE,
    perspective_matrix,
    rotation_matrix,
    scale_matrix,
    shift_matrix,
    warp_image,
)
from centerx.objects import Objects, join_objects
from centerx.types import Sample

Hw = tuple[int, int]
LEVELS = torch.arange(256, dtype=torch.uint8)
REDUCTIONS = 8, 4, 2  # of rows and columns, in which a JPEG can be decoded
ROUNDING = 1e-6  # must not make 8 into 4
Frame = Hw | Callable[[Hw, np.random.Generator], Hw]


class ShortestEdge:
    """The height and width that give a picture's shorter side a random length, and keep its shape.

    Args:
        short_sides: the lengths in pixels, one of which is chosen.
        long_side: pixels that the longer side has at most; it wins over the shorter side's length.
        between: choose any whole number from the least to the largest of `short_sides`.
    """

    def __init__(self, short_sides: Sequence[int], long_side: int, between: bool = False) -> None:
        self.short_sides, self.long_side = short_sides, long_side
        self.between = between

    def __call__(self, source_hw: Hw, rng: np.random.Generator) -> Hw:
        """Return the height and width in pixels of a picture of `source_hw`, resized."""
        if self.between:
            short = int(rng.integers(min(self.short_sides), max(self.short_sides), endpoint=True))
        else:
            short = int(rng.choice(self.short_sides))
        scale = min(short / min(source_hw), self.long_side / max(source_hw))
        return max(round(source_hw[0] * scale), 1), max(round(source_hw[1] * scale), 1)


class Warp(NamedTuple):
    """A change of geometry that is decided before its picture is read.

    Attributes:
        source_hw: height and width of the picture in pixels.
        window: the part of it that is used, xyxy in whole pixels.
        matrix: (3, 3) pixels of the window -> those of the result.
        output_hw: height and width of the result in pixels.
        min_visible: that of `RandomAffine`.
        multiple: the sides of the result are padded to multiples of it.
    """

    source_hw: Hw
    window: tuple[int, int, int, int]
    matrix: np.ndarray
    output_hw: Hw
    min_visible: float
    multiple: int = 1

    @property
    def reduction(self) -> int:
        """How many times fewer rows and columns of the picture still hold all that the result shows: 1, 2, 4 or 8."""
        if self.matrix[2, 0] or self.matrix[2, 1]:
            return 1  # a bent picture is not shrunk alike everywhere
        (a, b), (c, d) = self.matrix[:2, :2].tolist()
        squares = a * a + b * b + c * c + d * d
        longest = sqrt((squares + sqrt(max(squares**2 - 4 * (a * d - b * c) ** 2, 0.0))) / 2)  # singular value
        return next((times for times in REDUCTIONS if times * longest <= 1 + ROUNDING), 1)

    def __call__(self, sample: Sample) -> Sample:
        """Return the changed picture with its objects moved, clipped, and ignored where cut away.

        Args:
            sample: whole, or its image read with `reduction`.
        """
        left, top, right, bottom = self.window
        if self.window != (0, 0, *self.source_hw[::-1]):
            sample = move_objects(sample, shift_matrix(-left, -top), (bottom - top, right - left), self.min_visible)
        times = 1 if sample.image.shape[:2] == self.source_hw else self.reduction
        image = sample.image[top // times : -(-bottom // times), left // times : -(-right // times)]
        onto_window = shift_matrix(-(left % times), -(top % times)) @ scale_matrix(times, times)
        warped = sample._replace(image=warp_image(image, self.matrix @ onto_window, self.output_hw))
        placed = move_objects(warped, self.matrix, self.output_hw, self.min_visible)
        return placed._replace(image=pad_image(placed.image, self.multiple))


class RandomCrop:
    """Cut a window out of a picture that holds the centre of a random object, where there is one.

    Args:
        size: height and width of the window in shares of the picture's, in (0, 1].
        more: the shares are any between `size` and the whole.
        min_visible: that of `RandomAffine`.
    """

    def __init__(self, size: tuple[float, float], more: bool = False, min_visible: float = 0.3) -> None:
        self.size, self.more = np.array(size), more
        self.min_visible = min_visible

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the window with its boxes moved, clipped, and ignored where cut away."""
        left, top, right, bottom = self.window(sample.image.shape[:2], sample.objects, rng)
        window = sample._replace(image=sample.image[top:bottom, left:right])
        return move_objects(window, shift_matrix(-left, -top), (bottom - top, right - left), self.min_visible)

    def window(self, source_hw: Hw, objects: Objects, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Return the window of a picture, xyxy in whole pixels.

        Args:
            source_hw: height and width of the picture in pixels.
            objects: on it.
            rng: decides.
        """
        whole = np.array(source_hw)
        share = rng.uniform(self.size, 1) if self.more else self.size
        height, width = np.maximum(np.rint(whole * share), 1).astype(int)
        least, most = np.zeros(2), whole - (height, width)
        boxes = objects.boxes[~objects.ignore]
        if len(boxes):
            box = boxes[rng.integers(len(boxes))]
            centre = np.clip((box[1::-1] + box[:1:-1]) / 2, 0, whole)
            least = np.clip(np.ceil(centre - (height, width)), 0, most)
            most = np.clip(np.floor(centre), least, most)
        top, left = (int(value) for value in rng.integers(least.astype(int), most.astype(int), endpoint=True))
        return left, top, left + int(width), top + int(height)


class RandomAffine:
    """Bend, flip, zoom, stretch, rotate and shift by one composed matrix, straight to the input size.

    Args:
        frame: height and width of the result in pixels, or what tells them for a picture's; in the second case the
            result is padded at right and bottom to multiples of 32.
        flip, flip_vertical: probabilities.
        scale: range of the zoom, log-uniform; 1 is the whole picture fitting the input.
        aspect: largest relative change of width against height.
        shift: largest shift of the picture's centre, relative to the input's sides.
        rotate: largest rotation in degrees.
        perspective: largest shift of each of the picture's corners, relative to its sides, below 1/4.
        min_visible: share of a box's area that must stay inside; below it the object is ignored.
        crop: what comes first.
    """

    def __init__(
        self,
        frame: Frame,
        flip: float = 0.0,
        flip_vertical: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        aspect: float = 0.0,
        shift: float = 0.0,
        rotate: float = 0.0,
        min_visible: float = 0.3,
        perspective: float = 0.0,
        crop: RandomCrop | None = None,
    ) -> None:
        self.frame = frame
        self.flip, self.flip_vertical = flip, flip_vertical
        self.scale, self.aspect = scale, aspect
        self.shift, self.rotate, self.perspective = shift, rotate, perspective
        self.min_visible = min_visible
        self.crop = crop

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the picture warped to its frame with its boxes moved, clipped, and ignored where cut away."""
        height, width = sample.image.shape[:2]
        return self.draw((height, width), sample.objects, rng)(sample)

    def draw(self, source_hw: Hw, objects: Objects, rng: np.random.Generator) -> Warp:
        """Return a random change of a picture.

        Args:
            source_hw: height and width of the picture in pixels.
            objects: on it.
            rng: decides.
        """
        height, width = source_hw
        window = (0, 0, width, height) if self.crop is None else self.crop.window(source_hw, objects, rng)
        window_hw = window[3] - window[1], window[2] - window[0]
        varies = callable(self.frame)
        frame_hw = self.frame(window_hw, rng) if callable(self.frame) else self.frame
        matrix = self.matrix(window_hw, frame_hw, rng)
        return Warp(source_hw, window, matrix, frame_hw, self.min_visible, INPUT_MULTIPLE if varies else 1)

    def matrix(self, source_hw: Hw, frame_hw: Hw, rng: np.random.Generator) -> np.ndarray:
        """(3, 3) random map of source pixels to those of the frame."""
        height, width = frame_hw
        zoom = np.exp(rng.uniform(*np.log(self.scale))) * min(height / source_hw[0], width / source_hw[1])
        stretch = np.exp(rng.uniform(-1, 1) * np.log1p(self.aspect) / 2)
        mirror = np.where(rng.random(2) < (self.flip, self.flip_vertical), -1.0, 1.0)
        angle = rng.uniform(-self.rotate, self.rotate)
        shift = rng.uniform(-self.shift, self.shift, size=2) * (width, height)
        bend = np.eye(3)
        if self.perspective:
            corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + rng.uniform(
                -self.perspective, self.perspective, (4, 2)
            )
            bend = perspective_matrix(corners * source_hw[::-1], source_hw)
        return (
            shift_matrix(width / 2 + shift[0], height / 2 + shift[1])
            @ rotation_matrix(angle)
            @ scale_matrix(zoom * stretch * mirror[0], zoom / stretch * mirror[1])
            @ shift_matrix(-source_hw[1] / 2, -source_hw[0] / 2)
            @ bend
        )


def warp_sample(sample: Sample, matrix: np.ndarray, output_hw: tuple[int, int], min_visible: float) -> Sample:
    """Move picture and objects by `matrix`. Objects wholly outside go; those mostly outside become ignored."""
    warped = sample._replace(image=warp_image(sample.image, matrix, output_hw))
    return move_objects(warped, matrix, output_hw, min_visible)


def move_objects(sample: Sample, matrix: np.ndarray, output_hw: tuple[int, int], min_visible: float) -> Sample:
    """Move what is on a picture by `matrix`, the picture being moved already; see `warp_sample`."""
    return sample.move(lambda objects: objects.warp(matrix).crop(output_hw, min_visible))


def pad_image(image: np.ndarray, multiple: int) -> np.ndarray:
    """(H, W, 3) -> the same with sides of multiples, padded with PAD_VALUE at right and bottom."""
    below, right = (-side % multiple for side in image.shape[:2])
    if not below and not right:
        return image
    return np.pad(image, ((0, below), (0, right), (0, 0)), constant_values=PAD_VALUE)


def mosaic(samples: Sequence[Sample], rng: np.random.Generator, min_visible: float = 0.3) -> Sample:
    """Four samples of one size (H, W) around a random point of one picture of the same size.

    Each contributes a window of itself at full scale. What labels tell of a class counts where they do in all four, and
    a stored teacher knows the picture if it knows all four.
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
        parts.append(part.move(partial(Objects.warp, matrix=shift_matrix(left, top))))
    return Sample(
        image,
        join_objects([part.objects for part in parts]),
        np.logical_and.reduce([part.supervised for part in parts]),
        samples[0].image_id,
        tuple(map(join_objects, zip(*(part.detections for part in parts), strict=True))),
        tuple(map(all, zip(*(part.answered for part in parts), strict=True))),
    )


class ColourTransform:
    """torchvision.transforms.v2 transforms by name, and `Lighting`.

    Args:
        transforms: one mapping of a name to its keyword arguments each, applied in order; `p`, the probability of each,
            goes with those too that torchvision always applies.

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
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            tensor = torch.from_numpy(np.stack(cv2.split(image)))  # torch is twice as fast on whole planes
            for step in self.steps:
                tensor = step(tensor)
        return cv2.merge(tuple(tensor.numpy()))


class ColorJitter(v2.ColorJitter):
    """torchvision's, to the last bit, on (3, H, W) uint8: brightness and contrast by a look-up table of 256 levels."""

    def transform(self, picture: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
        """Return the picture recoloured by the factors of `params`, in their random order."""
        factors = [params[f"{name}_factor"] for name in ("brightness", "contrast", "saturation", "hue")]
        image = picture
        for step in params["fn_idx"].tolist():
            if factors[step] is None:
                continue
            if step == 0:
                image = _look_up(image, _blend(LEVELS, torch.zeros(()), factors[step]))
            elif step == 1:
                image = _look_up(image, _blend(LEVELS, _grey(image).mean(), factors[step]))
            elif step == 2:
                image = _blend_planes(image, _grey(image), factors[step])
            else:
                image = functional.adjust_hue(image, factors[step])
        return image


def _grey(image: torch.Tensor) -> torch.Tensor:
    """(3, H, W) uint8 -> (H, W) float32 of whole levels, by torchvision's weights."""
    red, green, blue = image
    return red.float().mul_(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()


def _blend(image: torch.Tensor, other: torch.Tensor, factor: float) -> torch.Tensor:
    """Return a picture between another one, at factor 0, and itself, at 1, or beyond; uint8."""
    return image.mul(factor).add_(other, alpha=1 - factor).clamp_(0, 255).to(torch.uint8)


def _blend_planes(image: torch.Tensor, other: torch.Tensor, factor: float) -> torch.Tensor:
    """`_blend` of (3, H, W) with (H, W), in half the time: a plane at once, which caches hold."""
    blend = torch.empty(image.shape, dtype=torch.uint8)
    levels = torch.empty(other.shape)
    for plane, to in zip(image, blend, strict=True):
        levels.copy_(plane).mul_(factor).add_(other, alpha=1 - factor).clamp_(0, 255).floor_()
        cv2.convertScaleAbs(levels.numpy(), to.numpy())  # torch takes five times as long
    return blend


def _look_up(image: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    rows = image.numpy().reshape(-1, image.shape[-1])  # OpenCV's pictures have no more than two sides here
    return torch.from_numpy(cv2.LUT(rows, table.numpy()).reshape(image.shape))


class Lighting:
    """Shift a picture's colour along the principal axes of ImageNet's (Krizhevsky et al., 2012, section 4.1).

    Args:
        scale: deviation of the normal amounts by which each axis's eigenvalue is multiplied, on colours in [0, 1].
    """

    # the published eigenvalues and, in columns, eigenvectors of ImageNet's RGB
    VALUES = torch.tensor([0.2175, 0.0188, 0.0045])
    VECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])

    def __init__(self, scale: float = 0.1) -> None:
        self.scale = scale

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """(3, H, W) uint8 -> the same, by torch's random state."""
        shift = 255 * self.VECTORS @ (self.VALUES * torch.randn(3) * self.scale)
        tables = (LEVELS + shift[:, None]).round().clamp(0, 255).to(torch.uint8)
        return torch.stack([_look_up(plane, table) for plane, table in zip(image, tables, strict=True)])


# Transforms that recolour and never move or drop a pixel: those would leave the boxes behind.
COLOUR_TRANSFORMS = frozenset(
    {"AugMix", "ColorJitter", "GaussianBlur", "GaussianNoise", "JPEG", "RandomAdjustSharpness", "RandomAutocontrast",
     "RandomChannelPermutation", "RandomEqualize", "RandomGrayscale", "RandomInvert", "RandomPhotometricDistort",
     "RandomPosterize", "RandomSolarize"}
)  # fmt: skip


def _transform(name: str, options: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    known = COLOUR_TRANSFORMS | {"Lighting"}
    if name not in known:
        raise InputError(
            f"augment.colour: {name!r} is no colour transform of torchvision v2{nearest(name, known)}, "
            f"known: {', '.join(sorted(known))}"
        )
    kind = {"Lighting": Lighting, "ColorJitter": ColorJitter}.get(name) or getattr(v2, name)
    own_p = "p" in signature(kind).parameters
    try:
        transform = kind(**{key: value for key, value in options.items() if key != "p" or own_p})
        if "p" in options and not own_p:
            transform = v2.RandomApply([transform], options["p"])
        transform(torch.zeros(3, 8, 8, dtype=torch.uint8))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"augment.colour.{name}: {' '.join(str(error).split())}") from None
    return transform
