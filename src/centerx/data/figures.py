"""Paint scenes of stick figures, with the joints of each as COCO keypoints: data for task pose without a download."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from centerx.data.digits import SPLITS, Split, paint_background
from centerx.files import write_atomic, write_json
from centerx.geometry import xyxy_to_xywh
from centerx.progress import track

CLASS_NAME = "figure"
JOINTS = ("head", "neck", "left_hand", "right_hand", "hips", "left_foot", "right_foot")
SKELETON = ((0, 1), (1, 2), (1, 3), (1, 4), (4, 5), (4, 6))
MOST = 3  # figures of a scene
HEIGHTS = 0.35, 0.7  # of a figure whose limbs are stretched, relative to the shorter side of the scene
TRIES = 20  # places that are tried for a figure
APART = 0.05  # IoU that two figures may have


class FigureScene(NamedTuple):
    """A painted picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float64 xyxy pixels, around what is painted of each figure.
        joints: (N, 7, 2) float64 x and y of `JOINTS`.
    """

    image: np.ndarray
    boxes: np.ndarray
    joints: np.ndarray


def write_figure_scenes(
    folder: Path, count: int, seed: int, split: Split, image_hw: tuple[int, int] = (128, 128)
) -> Path:
    """Write scenes and their COCO keypoints. Scene i depends only on the seed, the split, i and the size.

    Args:
        folder: folder for `<split>.json` and the pictures `<split>/000000.jpg` etc.; created if missing.
        count: number of scenes.
        seed: seed of the random numbers, at least 0.
        split: of the scenes.
        image_hw: height and width in pixels.

    Returns:
        Path of the json file.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i in track(range(count), f"painting figures, {split}"):
        scene = paint_figures(np.random.default_rng([seed, SPLITS.index(split), i]), image_hw)
        name, content = f"{split}/{i:06d}.jpg", io.BytesIO()
        Image.fromarray(scene.image).save(content, "JPEG", quality=95, subsampling=0)
        write_atomic(folder / name, content.getbuffer())
        images.append({"id": i + 1, "file_name": name, "height": image_hw[0], "width": image_hw[1]})
        for box, joints in zip(xyxy_to_xywh(scene.boxes).tolist(), scene.joints.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": i + 1,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "keypoints": [value for x, y in joints for value in (x, y, 2)],
                    "num_keypoints": len(JOINTS),
                }
            )
    skeleton = [[first + 1, second + 1] for first, second in SKELETON]
    category = {"id": 1, "name": CLASS_NAME, "keypoints": list(JOINTS), "skeleton": skeleton}
    path = folder / f"{split}.json"
    write_json(path, {"images": images, "annotations": annotations, "categories": [category]})
    return path


def paint_figures(rng: np.random.Generator, image_hw: tuple[int, int]) -> FigureScene:
    """Paint a background with figures that look at the viewer, so that their left is on the right of the picture."""
    ground = 0.24 + 0.7 * rng.beta(0.6, 0.6)
    image = np.clip(paint_background(rng, image_hw, ground), 0, 255).astype(np.uint8).copy()
    boxes: list[np.ndarray] = []
    every: list[np.ndarray] = []
    for _ in range(int(rng.integers(1, MOST + 1))):
        for _ in range(TRIES):
            joints, size = place_joints(rng, image_hw)
            box = around(joints, size)
            inside = (box[:2] >= 1).all() and (box[2:] <= np.array(image_hw[::-1]) - 1).all()
            if inside and all(overlap(box, other) <= APART for other in boxes):
                paint_figure(rng, image, joints, size, ground)
                boxes.append(box)
                every.append(joints)
                break
    return FigureScene(image, np.array(boxes).reshape(-1, 4), np.array(every).reshape(-1, len(JOINTS), 2))


def place_joints(rng: np.random.Generator, image_hw: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return joints (7, 2) in pixels and the length of the body: a random place, size, lean and pose."""
    size = rng.uniform(*HEIGHTS) * min(image_hw) / 3.2
    lean = rng.uniform(-0.3, 0.3)
    neck = rng.uniform(0, image_hw[::-1])
    down = np.array([np.sin(lean), np.cos(lean)])
    aside = np.array([down[1], -down[0]])  # to the right of the picture
    hips, head = neck + size * down, neck - 0.55 * size * down
    lengths, angles = rng.uniform(0.9, 1.1, 4), rng.uniform([0.3, 0.3, 0.1, 0.1], [2.6, 2.6, 0.7, 0.7])
    sides, starts = np.array([1, -1, 1, -1]), (neck, neck, hips, hips)
    ends = [
        start + size * reach * length * (np.sin(angle) * side * aside + np.cos(angle) * down)
        for start, side, length, angle, reach in zip(starts, sides, lengths, angles, (0.9, 0.9, 1.1, 1.1), strict=True)
    ]
    return np.array([head, neck, ends[0], ends[1], hips, ends[2], ends[3]]), float(size)


def around(joints: np.ndarray, size: float) -> np.ndarray:
    """Return xyxy around what is painted of a figure."""
    radius = np.full(len(joints), stroke(size) / 2)
    radius[0] = 0.3 * size
    return np.concatenate([(joints - radius[:, None]).min(axis=0), (joints + radius[:, None]).max(axis=0)])


def stroke(size: float) -> float:
    """Return the width of the lines of a figure in pixels."""
    return max(2.0, 0.16 * size)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the IoU of two boxes (4,) xyxy."""
    shared = np.maximum(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0).prod()
    return float(shared / ((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared))


def paint_figure(rng: np.random.Generator, image: np.ndarray, joints: np.ndarray, size: float, ground: float) -> None:
    """Paint a figure into a picture (H, W, 3) uint8, in place."""
    low, high = (150, 256) if ground < 0.6 else (0, 90)
    colour = rng.integers(low, high, 3).tolist()
    fine = 16  # steps of a pixel
    points = [tuple(np.rint((each - 0.5) * fine).astype(int).tolist()) for each in joints]
    width = round(stroke(size))
    for first, second in SKELETON:
        cv2.line(image, points[first], points[second], colour, width, cv2.LINE_AA, shift=4)
    cv2.circle(image, points[0], round(0.3 * size * fine), colour, -1, cv2.LINE_AA, shift=4)
    if rng.random() < 0.8:  # eyes
        pale = [255 - each for each in colour]
        for side in (-0.1, 0.1):
            place = np.rint((joints[0] + [side * size, -0.05 * size] - 0.5) * fine).astype(int)
            cv2.circle(image, tuple(place.tolist()), round(0.05 * size * fine), pale, -1, cv2.LINE_AA, shift=4)
