"""Boxes on pictures, and many pictures on one sheet."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from centerx.errors import InputError
from centerx.fields import CORNERS, KEYPOINTS
from centerx.files import quoted, write_atomic
from centerx.joints import NO_JOINTS, Joints
from centerx.objects import Objects

if TYPE_CHECKING:
    from centerx.types import Detections

GOLDEN = 0.61803398875  # steps of hue that never come close to each other
JOINT_SHOWN = 0.3  # least score of a joint that is drawn
PAPER = (250, 250, 250)
INK = (40, 40, 40)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def class_colour(label: int) -> tuple[int, int, int]:
    """A stable RGB colour for a class index."""
    hue = (0.58 + label * GOLDEN) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, 0.48 if label % 2 else 0.56, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_objects(
    image: np.ndarray, found: Objects | Detections, class_names: Sequence[str], scores: np.ndarray | None = None
) -> np.ndarray:
    """Draw objects or detections as boxes, points or quadrilaterals, see `draw_boxes`."""
    corners = found.values.get(CORNERS.name)
    if isinstance(found, Objects) and corners is not None:
        corners = np.where(found.outlined[:, None], corners, np.nan)
    return draw_boxes(image, found.boxes, found.labels, class_names, scores, corners)


def draw_poses(
    image: np.ndarray,
    found: Objects | Detections,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    joints: Joints = NO_JOINTS,
) -> np.ndarray:
    """Draw objects or detections as boxes with dots at their joints and lines between them, see `draw_boxes`.

    Joints are drawn that are labelled, or that score at least `JOINT_SHOWN`.

    Args:
        image: the picture; not changed.
        found: on it.
        class_names: by label.
        scores: of the objects, shown behind the name where given.
        joints: of objects; detections have their own.
    """
    own = joints if isinstance(found, Objects) else found.joints
    boxed = draw_objects(image, found, class_names, scores)
    if KEYPOINTS.name not in found.values:
        return boxed
    canvas = Image.fromarray(boxed)
    pen = ImageDraw.Draw(canvas)
    width = max(2, round(min(image.shape[:2]) / 200))
    if isinstance(found, Objects):
        shown = np.asarray(found.known[KEYPOINTS.name]) > 0
    else:
        shown = np.asarray(found.values["keypoint_scores"]) >= JOINT_SHOWN
    every = np.asarray(found.values[KEYPOINTS.name]).reshape(*shown.shape, 2)
    for row in reversed(range(len(every))):
        for first, second in own.skeleton:
            if shown[row, first] and shown[row, second]:
                ends = [tuple(every[row, place].tolist()) for place in (first, second)]
                pen.line(ends, fill=joint_colour(own, second), width=width)
        for place in np.flatnonzero(shown[row]).tolist():
            colour = joint_colour(own, place)
            pen.circle(tuple(every[row, place].tolist()), 1.5 * width, fill=colour, outline=(0, 0, 0))
    return np.asarray(canvas)


def joint_colour(joints: Joints, place: int) -> tuple[int, int, int]:
    """Return the RGB colour of a joint: orange on the left of a body, blue on its right, green in the middle."""
    name = joints.names[place].lower() if place < len(joints.names) else ""
    return (255, 150, 40) if "left" in name else (60, 140, 255) if "right" in name else (80, 210, 90)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    scores: np.ndarray | None = None,
    corners: np.ndarray | None = None,
) -> np.ndarray:
    """Draw labelled boxes on a copy of (H, W, 3) uint8 RGB, names over all lines; both scale with the picture.

    A box without sides is a point, drawn as a dot without a name, since there may be many.

    Args:
        image: the picture; not changed.
        boxes: (N, 4) xyxy pixels. labels: (N,). scores: (N,), shown behind the name where given.
        class_names: by label.
        corners: (N, 8) or (N, 4, 2) x and y of four corners, in pixels, drawn in place of the boxes, with a dot at the
            first; NaN of an object that has none.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    side = min(image.shape[:2])
    width = max(2, round(side / 200))
    font = ImageFont.load_default(size=max(10, round(side / 32)))
    best_last = list(reversed(range(len(boxes))))
    for row in best_last:
        left, top, right, bottom = map(float, boxes[row])
        if left == right and top == bottom:
            pen.circle((left, top), 2 * width, fill=class_colour(int(labels[row])))
            continue
        if corners is not None and np.isfinite(corners[row]).all():
            points = [(float(x), float(y)) for x, y in np.reshape(corners[row], (4, 2))]
            pen.line([*points, *points[:2]], fill=class_colour(int(labels[row])), width=width, joint="curve")
            pen.circle(points[0], 2 * width, fill=class_colour(int(labels[row])))
            continue
        # Pillow counts the last pixel in: the box that ends at 10 covers pixel 9.
        sides = [left, top, max(right - 1, left), max(bottom - 1, top)]
        pen.rectangle(sides, outline=class_colour(int(labels[row])), width=width)
    named = [row for row in range(len(boxes)) if (boxes[row][:2] != boxes[row][2:]).any()]
    texts = {
        row: quoted(class_names[int(labels[row])]) + ("" if scores is None else f" {float(scores[row]):.2f}")
        for row in named
    }
    tags = np.zeros((len(named), 4))
    for place, row in enumerate(named):
        tags[place] = _place_tag(boxes[row].tolist(), _tag_size(texts[row], font), tags[:place], canvas.size)
    for row, tag in zip(reversed(named), tags[::-1].tolist(), strict=True):
        _draw_tag(pen, tag, texts[row], font, class_colour(int(labels[row])))
    return np.asarray(canvas)


def draw_outlines(image: np.ndarray, boxes: np.ndarray, colour: tuple[int, int, int], width: int) -> np.ndarray:
    """Draw boxes without names on a copy of (H, W, 3) uint8 RGB; a dark rim makes lines of 2 pixels or more stand out.

    A box without sides is a point, drawn as a dot.

    Args:
        image: the picture; not changed.
        boxes: (N, 4) xyxy pixels.
        colour: RGB of the lines.
        width: of the lines in pixels.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for fill, more in (((0, 0, 0), 1), (colour, 0)) if width > 1 else ((colour, 0),):
        for left, top, right, bottom in boxes.tolist():
            if left == right and top == bottom:
                pen.circle((left, top), 2 * width + more, fill=fill)
            else:
                corners = [left - more, top - more, max(right - 1, left) + more, max(bottom - 1, top) + more]
                pen.rectangle(corners, outline=fill, width=width + 2 * more)
    return np.asarray(canvas)


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    cell_hw: tuple[int, int],
    captions: Sequence[str] | None = None,
    gap: int = 8,
) -> np.ndarray:
    """Place pictures, each scaled to fit a cell, on a light sheet.

    Args:
        images: (H, W, 3) uint8 RGB, any sizes.
        columns: of the sheet. cell_hw: height and width of a cell in pixels. gap: between cells.
        captions: a line below each picture.
    """
    height, width = cell_hw
    foot = 18 if captions else 0
    rows = max(1, -(-len(images) // columns))
    columns = max(1, min(columns, len(images)))
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + foot + gap) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for position, image in enumerate(images):
        picture = Image.fromarray(image)
        scale = min(height / picture.height, width / picture.width)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        left = gap + position % columns * (width + gap)
        top = gap + position // columns * (height + foot + gap)
        sheet.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
        if captions:
            pen.text((left, top + height + 2), _shorten(quoted(captions[position]), width, font), fill=INK, font=font)
    return np.asarray(sheet)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB; the suffix chooses the format; missing folders are made.

    Raises:
        InputError: the file cannot be written.
    """
    content = io.BytesIO()  # Pillow's encoders do not tell of every full disk
    try:
        Image.fromarray(image).save(content, picture_format(path))
        write_atomic(path, content.getbuffer())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot write the picture ({reason}), choose another place") from None


def picture_format(path: Path) -> str:
    """Pillow's name of the format that a suffix stands for.

    Raises:
        InputError: it stands for none that can be written.
    """
    known = Image.registered_extensions()
    format = known.get(path.suffix.lower(), "")
    if format not in Image.SAVE:
        raise InputError(f"{path}: cannot write pictures of such a name, end the name in .png or .jpg")
    return format


def _shorten(text: str, width: int, font: Font) -> str:
    """Take letters from the middle of a line until it fits, which leaves the start and the end of a file name."""
    short = text
    for kept in range(len(text) - 1, 0, -1):
        if font.getlength(short) <= width:
            break
        short = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def _tag_size(text: str, font: Font) -> tuple[float, float]:
    """Return width and height of a tag."""
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox("Ag")  # the same height for every text
    return right - left + 4, bottom - top + 4


def _place_tag(
    box: Sequence[float], size: tuple[float, float], others: np.ndarray, canvas_wh: tuple[int, int]
) -> np.ndarray:
    """Return xyxy of the tag of a box, where it covers least of others (N, 4): above it, inside, or below it.

    It is never outside the picture.
    """
    left, top, right, bottom = box
    width, height = size
    places = [(x, y) for y in (top - height, top, bottom) for x in (left, right - width)]
    corner = np.array([(x, y) for x, y in places if 0 <= y <= canvas_wh[1] - height] or [(left, top)])
    corner = np.clip(corner, 0, np.maximum(np.array(canvas_wh) - size, 0))
    tags = np.concatenate([corner, corner + size], axis=1)
    shared = np.minimum(tags[:, None, 2:], others[:, 2:]) - np.maximum(tags[:, None, :2], others[:, :2])
    return np.asarray(tags[np.maximum(shared, 0).prod(axis=2).sum(axis=1).argmin()])


def _draw_tag(
    pen: ImageDraw.ImageDraw, tag: Sequence[float], text: str, font: Font, colour: tuple[int, int, int]
) -> None:
    """Text on a plate of the class's colour."""
    x, y, right, bottom = tag
    left, top = font.getbbox(text)[0], font.getbbox("Ag")[1]
    pen.rectangle([x, y, right - 1, bottom - 1], fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 150
    pen.text((x + 2 - left, y + 2 - top), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
