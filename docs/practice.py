"""Paint practice data: crowds of little figures, people labelled in one data set and faces in the other.

python docs/practice.py practice
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from centerx.data.digits import paint_background
from centerx.draw import save_image
from centerx.files import write_json
from centerx.geometry import xyxy_to_xywh

SIDE = 192  # pixels of a picture
FINE = 4  # painted so many times as large, then averaged
CLASSES = {"people": "person", "faces": "face"}
SPLITS = {"": 1, "_val": 4}  # suffix of a data set, and how many times fewer pictures it has


class Figure(NamedTuple):
    """A person standing upright, in pixels.

    Attributes:
        foot: x and y of the point between the feet.
        height: from the feet to the top of the head.
        facing: whether the face shows.
    """

    foot: tuple[float, float]
    height: float
    facing: bool

    @property
    def head(self) -> tuple[float, float, float]:
        """Centre x, y and radius of the head."""
        radius = 0.13 * self.height
        return self.foot[0], self.foot[1] - self.height + radius, radius

    @property
    def person(self) -> np.ndarray:
        """(4,) float64 xyxy of the whole figure."""
        (x, y), half = self.foot, 0.2 * self.height
        return np.array([x - half, y - self.height, x + half, y])

    @property
    def face(self) -> np.ndarray:
        """(4,) float64 xyxy of the head."""
        x, y, radius = self.head
        return np.array([x - radius, y - radius, x + radius, y + radius])


def place_figures(rng: np.random.Generator) -> list[Figure]:
    """Return up to 5 figures that hide little of each other, those behind first; two of three show their face."""
    figures: list[Figure] = []
    for _ in range(int(rng.integers(2, 12))):
        height = rng.uniform(0.3, 0.75) * SIDE
        foot = rng.uniform(0.2 * height, SIDE - 0.2 * height), rng.uniform(height, SIDE)
        apart = [abs(foot[0] - each.foot[0]) > 0.2 * (height + each.height) for each in figures]
        if len(figures) < 5 and all(apart):
            figures.append(Figure(foot, height, bool(rng.random() < 2 / 3)))
    return sorted(figures, key=lambda each: each.foot[1])


def paint(rng: np.random.Generator, figures: list[Figure]) -> np.ndarray:
    """Return a picture (SIDE, SIDE, 3) uint8 RGB of the figures on a mottled ground."""
    ground = cv2.resize(paint_background(rng, (SIDE, SIDE), rng.uniform(0.3, 0.9)), (SIDE * FINE, SIDE * FINE))
    canvas = np.clip(ground, 0, 255).astype(np.uint8)
    for figure in figures:
        paint_figure(rng, canvas, figure)
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.clip(small + rng.normal(0, 4, small.shape), 0, 255).astype(np.uint8)


def paint_figure(rng: np.random.Generator, canvas: np.ndarray, figure: Figure) -> None:
    """Paint legs, arms, coat and head into a canvas that is FINE times as large."""
    coat, trousers, hair = (tuple(map(int, rng.integers(20, 236, 3))) for _ in range(3))
    skin = tuple(int(value * rng.uniform(0.45, 1)) for value in (255, 214, 180))
    (x, y), height = figure.foot, figure.height

    def at(right: float, up: float) -> tuple[int, int]:
        return round((x + right * height) * FINE), round((y - up * height) * FINE)

    thick = max(1, round(0.07 * height * FINE))
    for side in (-1, 1):
        cv2.line(canvas, at(0.05 * side, 0.4), at(0.1 * side, 0.035), trousers, thick, cv2.LINE_AA)
        cv2.line(canvas, at(0.1 * side, 0.68), at(0.165 * side, rng.uniform(0.4, 0.75)), coat, thick, cv2.LINE_AA)
    body = np.array([at(-0.12, 0.72), at(0.12, 0.72), at(0.1, 0.35), at(-0.1, 0.35)])
    cv2.fillPoly(canvas, [body], coat, cv2.LINE_AA)
    cv2.circle(canvas, at(0, 0.87), round(0.13 * height * FINE), skin if figure.facing else hair, -1, cv2.LINE_AA)
    if not figure.facing:
        return
    head, eye = round(0.13 * height * FINE), max(1, round(0.018 * height * FINE))
    cv2.ellipse(canvas, at(0, 0.87), (head, head), 0, 200, 340, hair, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.circle(canvas, at(0.045 * side, 0.88), eye, (25, 25, 25), -1, cv2.LINE_AA)
    mouth = round(0.055 * height * FINE), round(0.03 * height * FINE)
    cv2.ellipse(canvas, at(0, 0.83), mouth, 0, 10, 170, (150, 30, 40), thick // 3 + 1)


def write(folder: Path, name: str, count: int, seed: int, labelled: str | None) -> None:
    """Write pictures into `folder/name` and, where a class is labelled, `folder/name.json` in COCO's form."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        figures = place_figures(rng)
        file = f"{name}/{i:04d}.jpg"
        save_image(folder / file, paint(rng, figures))
        images.append({"id": i + 1, "file_name": file, "width": SIDE, "height": SIDE})
        boxes = [each.person for each in figures]
        if labelled == "face":
            boxes = [each.face for each in figures if each.facing]
        annotations += [
            {"image_id": i + 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for box in xyxy_to_xywh(np.array(boxes).reshape(-1, 4)).round(2).tolist()
        ]
    if labelled:
        numbered = [{"id": k, **each} for k, each in enumerate(annotations, start=1)]
        tree = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": labelled}]}
        write_json(folder / f"{name}.json", tree)


def main() -> None:
    """Paint people.json, faces.json, both once more for validation, and pictures without labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where everything goes")
    parser.add_argument("--count", type=int, default=240, help="pictures of each data set")
    given = parser.parse_args()
    seed = 0
    for name, labelled in CLASSES.items():
        for suffix, fewer in SPLITS.items():
            write(given.folder, name + suffix, max(given.count // fewer, 1), seed, labelled)
            seed += 1
    write(given.folder, "pictures", given.count, seed, None)
    print(f"{given.folder}: people.json, faces.json, people_val.json, faces_val.json and the folder pictures")


if __name__ == "__main__":
    main()
