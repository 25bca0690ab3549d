"""Render scenes of handwritten digits on textured backgrounds, with exact boxes: the data of `centerx demo`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from centerx.errors import InputError
from centerx.files import write_atomic, write_json
from centerx.geometry import (
    perspective_matrix,
    rotation_matrix,
    scale_matrix,
    shift_matrix,
    transform_points,
    xyxy_to_xywh,
)
from centerx.progress import track

Split = Literal["train", "val"]

CLASS_NAMES = tuple("0123456789")
SPLITS: tuple[Split, ...] = ("train", "val")
HELD_OUT = 5  # every fifth scan is in `val`, the others are in `train`
EMPTY_SHARE = 0.05  # scenes without a digit
DIGITS = (2, 5)  # least and largest number of digits of the other scenes
SIZES = (0.28, 0.55)  # height of a digit, relative to the shorter side of the scene
MAX_HIDDEN = 0.1  # largest share of a digit's ink that other digits hide
MIN_CONTRAST = 0.35  # OKLab lightness between a digit and its background
TONES = (0.34, 0.95)  # lightness of digits
INK_LEVEL = 0.5  # grey level of a scan at which ink begins, once sharpened
PLACES = 30  # positions tried before a digit is left out
MARGIN = 10  # pixels around the picture while painting, so that shadows may cross its border
TURN = 60  # degrees that a turned digit leans by at most: no 6 becomes a 9
TILT = 0.12  # shift of each corner of a turned digit, relative to its side, as if seen from beside
MIN_SIDE = 64  # pixels; smaller digits would not be legible


class Glyphs(NamedTuple):
    """Scanned digits.

    Attributes:
        ink: (G, 8, 8) float32 in [0, 1]; 1 is the darkest.
        labels: (G,) int64, 0 to 9.
    """

    ink: np.ndarray
    labels: np.ndarray


class Scene(NamedTuple):
    """A rendered picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float64 xyxy pixels, tight around the visible ink: the pixels of which a digit covers at least
            half and that no later digit hides.
        labels: (N,) int64, the digits.
        corners: (N, 8) float64 x and y, from each digit's own top left clockwise, of the box around it before it was
            turned and tilted.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    corners: np.ndarray


def load_glyphs(split: Split) -> Glyphs:
    """Return the handwritten digits of a split. The splits have no digit in common.

    Raises:
        ModuleNotFoundError: the extra `centerx[demo]` is not installed.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    held_out = np.arange(len(digits.target)) % HELD_OUT == HELD_OUT - 1
    chosen = held_out if split == "val" else ~held_out
    return Glyphs(digits.images[chosen].astype(np.float32) / 16, digits.target[chosen].astype(np.int64))


def write_digit_scenes(
    folder: Path,
    count: int,
    seed: int,
    split: Split,
    image_hw: tuple[int, int] = (192, 192),
    classes: Sequence[str] | None = None,
    turned: bool = False,
) -> Path:
    """Write scenes and their COCO annotations. Scene i depends only on the seed, the split, i and the size.

    Args:
        folder: folder for `<split>.json` and the pictures `<split>/000000.jpg` etc.; created if missing.
        count: number of scenes.
        seed: seed of the random numbers, at least 0.
        split: split whose handwritten digits are used.
        image_hw: height and width in pixels, at least MIN_SIDE.
        classes: names in CLASS_NAMES to annotate; pictures also show the others.
        turned: whether digits are turned and tilted; their corners are then annotated as masks of four points.

    Returns:
        Path of the json file.

    Raises:
        InputError: a class or the split is unknown, or the pictures are too small.
    """
    names = CLASS_NAMES if classes is None else tuple(classes)
    _check(split, image_hw, names)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    scenes = iterate_scenes(count, seed, split, image_hw, turned)
    for i, scene in zip(track(range(count), f"painting scenes, {split}"), scenes, strict=True):
        name = f"{split}/{i:06d}.jpg"
        content = io.BytesIO()
        Image.fromarray(scene.image).save(content, "JPEG", quality=95, subsampling=0)
        write_atomic(folder / name, content.getbuffer())
        images.append({"id": i + 1, "file_name": name, "height": image_hw[0], "width": image_hw[1]})
        rows = zip(scene.labels.tolist(), xyxy_to_xywh(scene.boxes).tolist(), scene.corners.tolist(), strict=True)
        annotations += [
            {"image_id": i + 1, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            | ({"segmentation": [corners]} if turned else {})
            for label, box, corners in rows
            if CLASS_NAMES[label] in names
        ]
    tree = {
        "images": images,
        "annotations": [{"id": k} | annotation for k, annotation in enumerate(annotations, start=1)],
        "categories": [{"id": CLASS_NAMES.index(name) + 1, "name": name} for name in names],
    }
    path = folder / f"{split}.json"
    write_json(path, tree)
    return path


def iterate_scenes(
    count: int, seed: int, split: Split, image_hw: tuple[int, int], turned: bool = False
) -> Iterator[Scene]:
    """Yield the scenes of a split.

    Args:
        count: number of scenes.
        seed: seed of the random numbers, at least 0.
        split: split whose handwritten digits are used.
        image_hw: height and width in pixels, at least MIN_SIDE.
        turned: whether digits are turned and tilted.
    """
    glyphs = load_glyphs(split)
    for i in range(count):
        yield render_scene(np.random.default_rng([seed, SPLITS.index(split), i]), glyphs, image_hw, turned)


def render_scene(
    rng: np.random.Generator, glyphs: Glyphs, image_hw: tuple[int, int] = (192, 192), turned: bool = False
) -> Scene:
    """Render a background with 2 to 5 digits, or fewer if they do not fit, and rarely none.

    Later digits are drawn over earlier ones. At most MAX_HIDDEN of the ink of a digit is hidden.

    Args:
        rng: generator of all random numbers.
        glyphs: the handwritten digits.
        image_hw: height and width in pixels, at least MIN_SIDE.
        turned: whether digits are turned and tilted.
    """
    height, width = image_hw
    ground = 0.24 + 0.7 * rng.beta(0.6, 0.6)  # lightness, mostly near the ends: paper or blackboard
    light = rng.integers(-2, 3, size=2)  # offset (down, right) of all shadows of the scene
    canvas = paint_background(rng, (height + 2 * MARGIN, width + 2 * MARGIN), ground)
    owner = np.zeros(image_hw, dtype=np.uint8)  # number of the digit, from 1, that a pixel shows
    areas, labels, corners = [0], [], []
    for pick in rng.integers(len(glyphs.labels), size=_num_digits(rng)):
        cover, outline = draw_glyph(rng, glyphs.ink[pick], min(image_hw), turned)
        ink = cover[MARGIN:-MARGIN, MARGIN:-MARGIN] >= 0.5
        place = find_place(rng, ink, owner, np.array(areas))
        if place is None:
            continue
        top, left = place
        corners.append((outline + np.array(place[::-1])).ravel())
        areas.append(int(ink.sum()))
        labels.append(int(glyphs.labels[pick]))
        owner[top : top + ink.shape[0], left : left + ink.shape[1]][ink] = len(labels)
        window = canvas[top : top + cover.shape[0], left : left + cover.shape[1]]
        paint_digit(rng, window, cover, ground, light)
    image = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN] + _grain(rng, image_hw)
    boxes = [cv2.boundingRect((owner == k).astype(np.uint8)) for k in range(1, len(areas))]
    left_top, size = np.split(np.array(boxes, dtype=np.float64).reshape(-1, 4), 2, axis=1)
    return Scene(
        np.clip(image, 0, 255).astype(np.uint8),
        np.concatenate([left_top, left_top + size], axis=1),
        np.array(labels, dtype=np.int64),
        np.array(corners, dtype=np.float64).reshape(-1, 8),
    )


def draw_glyph(
    rng: np.random.Generator, ink: np.ndarray, scene_side: int, turned: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Enlarge a scan to a random size, width and slant.

    The scan is sharpened, because thick pens close the loops of 6 and 9, and interpolated bicubically. Its contour at
    INK_LEVEL becomes an edge with a width of 1.5 pixels.

    Args:
        rng: generator of all random numbers.
        ink: (8, 8) scan.
        scene_side: shorter side of the scene in pixels.
        turned: whether to turn it further and to tilt it.

    Returns:
        (h, w) float32 in [0, 1], the share of each pixel that the digit covers, with MARGIN empty pixels around; and
        (4, 2) float64, the corners of the box around the digit before it was turned, in pixels without that margin.
    """
    zoom = np.exp(rng.uniform(*np.log(SIZES))) * scene_side / 8
    turn = rotation_matrix(rng.uniform(-12, 12)) @ scale_matrix(zoom * rng.uniform(0.85, 1.15), zoom)
    side = int(12 * zoom)
    matrix = shift_matrix(side / 2, side / 2) @ turn @ shift_matrix(-3.5, -3.5)  # about the centre of the scan
    sharp = 2 * ink - cv2.GaussianBlur(ink, (0, 0), 1, borderType=cv2.BORDER_CONSTANT)
    smooth = cv2.warpAffine(sharp, matrix[:2], (side, side), flags=cv2.INTER_CUBIC)
    cover = np.clip(0.5 + (smooth - INK_LEVEL) * zoom / 1.5, 0, 1)
    if turned:
        cover = np.pad(cover, side // 2)
    left, top, width, height = cv2.boundingRect((cover >= 0.5).astype(np.uint8))
    corners = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], float)
    if turned:
        whole = np.array(cover.shape[::-1])
        frame = np.array([[0, 0], [whole[0], 0], whole, [0, whole[1]]])
        bent = perspective_matrix(frame + rng.uniform(-TILT, TILT, (4, 2)) * side, cover.shape)
        move = shift_matrix(*whole / 2) @ rotation_matrix(rng.uniform(-TURN, TURN)) @ shift_matrix(*-whole / 2) @ bent
        on_indices = shift_matrix(-0.5, -0.5) @ move @ shift_matrix(0.5, 0.5)  # OpenCV counts pixel centres
        cover = cv2.warpPerspective(cover, on_indices, cover.shape[::-1])
        corners = transform_points(corners, move)
    left, top, width, height = cv2.boundingRect((cover > 0).astype(np.uint8))
    return np.pad(cover[top : top + height, left : left + width], MARGIN), corners - (left, top)


def find_place(
    rng: np.random.Generator, ink: np.ndarray, owner: np.ndarray, areas: np.ndarray
) -> tuple[int, int] | None:
    """Return a random (top, left) at which a new digit hides no other too much, or None.

    Args:
        rng: generator of positions.
        ink: (h, w) bool, ink of the new digit.
        owner: (H, W) uint8, number of the digit that each pixel shows, 0 for none.
        areas: (D + 1,) number of ink pixels of each digit when nothing hides it; 0 at index 0.
    """
    height, width = ink.shape
    visible = np.bincount(owner.ravel(), minlength=len(areas))
    corners = rng.integers(0, np.subtract(owner.shape, ink.shape) + 1, size=(PLACES, 2))
    for top, left in corners.tolist():
        covered = np.bincount(owner[top : top + height, left : left + width][ink], minlength=len(areas))
        if np.all(visible - covered >= (1 - MAX_HIDDEN) * areas):
            return top, left
    return None


def paint_background(rng: np.random.Generator, image_hw: tuple[int, int], lightness: float) -> np.ndarray:
    """Return (H, W, 3) float32 RGB in [0, 255]: a gradient, clouds and soft stripes in similar colours."""
    height, width = image_hw
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(max(image_hw))
    angles = rng.uniform(0, 2 * np.pi, size=2).astype(np.float32)
    clouds = sum(_noise(rng, image_hw, cells) / cells for cells in (3, 6, 12)) * 2
    along, across = (np.cos(angle) * x + np.sin(angle) * y for angle in angles)
    stripes = np.sin(2 * np.pi * (rng.uniform(2, 9) * across + rng.uniform(0, 1.2) * clouds))
    gradient, cloudy, striped = rng.dirichlet([0.8, 0.8, 0.5]).astype(np.float32)
    field = gradient * 2 * along + cloudy * clouds * 2 + striped * stripes * 0.35
    low, high = float(field.min()), float(field.max())
    shade = ((field - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    spread, hue, turn = rng.uniform(0.03, 0.08), rng.uniform(0, 2 * np.pi), rng.uniform(-1.5, 1.5)
    tones = oklch_to_rgb(
        np.linspace(lightness - spread, lightness + spread, 256),
        np.linspace(rng.uniform(0.02, 0.12), rng.uniform(0.02, 0.12), 256),
        np.linspace(hue, hue + turn, 256),
    )
    return tones.astype(np.float32)[shade]


def paint_digit(
    rng: np.random.Generator, canvas: np.ndarray, cover: np.ndarray, ground: float, light: np.ndarray
) -> None:
    """Paint a digit and its shadow into a canvas, in place.

    Args:
        rng: generator of the colour.
        canvas: (h, w, 3) float32 RGB in [0, 255].
        cover: (h, w) share of each pixel that the digit covers.
        ground: lightness of the background, from which the digit stands out.
        light: offset (down, right) of the shadow in pixels.
    """
    darker, lighter = np.clip([ground - MIN_CONTRAST - TONES[0], TONES[1] - ground - MIN_CONTRAST], 0, None)
    reach = rng.uniform(-darker, lighter)
    lightness = ground + reach + np.copysign(MIN_CONTRAST, reach)
    hue, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(0.06, 0.2)
    rows = np.linspace(0, 1, len(cover))
    fill = oklch_to_rgb(lightness + 0.05 * (0.5 - rows), np.full(len(rows), chroma), hue + 0.5 * rows)
    shadow = np.roll(cv2.GaussianBlur(cover, (0, 0), MARGIN / 4), light, axis=(0, 1))
    canvas *= 1 - 0.5 * shadow[:, :, None]
    canvas += cover[:, :, None] * (fill.astype(np.float32)[:, None] - canvas)


def oklch_to_rgb(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Convert OKLCH colours to sRGB.

    OKLab (Ottosson 2020): equal steps of lightness look equal in every hue, so contrast can be measured in it.

    Args:
        lightness: (N,) in [0, 1].
        chroma: (N,).
        hue: (N,) in radians.

    Returns:
        (N, 3) sRGB in [0, 255].
    """
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    to_cones = [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
    to_linear = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
    linear = np.clip((lab @ np.transpose(to_cones)) ** 3 @ np.transpose(to_linear), 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _noise(rng: np.random.Generator, image_hw: tuple[int, int], cells: int) -> np.ndarray:
    """Return (H, W) float32: a random grid of `cells` x `cells` levels in [-1, 1], interpolated bicubically."""
    grid = rng.uniform(-1, 1, size=(cells, cells)).astype(np.float32)
    return cv2.resize(grid, (image_hw[1], image_hw[0]), interpolation=cv2.INTER_CUBIC)


def _grain(rng: np.random.Generator, image_hw: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 1) float32: noise of a random strength, in grey levels."""
    return rng.standard_normal((*image_hw, 1), dtype=np.float32) * rng.uniform(0, 4)


def _num_digits(rng: np.random.Generator) -> int:
    return 0 if rng.random() < EMPTY_SHARE else int(rng.integers(DIGITS[0], DIGITS[1] + 1))


def _check(split: str, image_hw: tuple[int, int], names: Sequence[str]) -> None:
    if split not in SPLITS:
        raise InputError(f"{split!r}: no such split of the digit scenes, choose {' or '.join(SPLITS)}")
    if min(image_hw) < MIN_SIDE:
        raise InputError(f"{image_hw}: digit scenes need at least {MIN_SIDE} pixels a side")
    unknown = [name for name in names if name not in CLASS_NAMES]
    if unknown or len(set(names)) != len(names):
        raise InputError(f"{', '.join(names)}: classes of the digit scenes are different names among 0 to 9")
