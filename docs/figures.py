"""Draw the pictures of the README and of docs/, from the practice data and the models that the README trains on it.

python docs/figures.py practice
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from centerx.build_model import load_detector
from centerx.data.batch import EvalPictures, collate
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.decode import peaks
from centerx.detector import Detector
from centerx.draw import contact_sheet, draw_boxes, save_image
from centerx.geometry import box_iou
from centerx.images import read_image
from centerx.targets import center_targets
from centerx.types import Batch

IMAGES = Path(__file__).resolve().parent / "images"
PAPER, INK, FRAME, ARROW = "#fbfbf9", "#22272e", "#c9ccd1", "#4a6fa5"
SCORE = 0.3
SIDE = 288  # pixels of pictures as they are drawn


class Practice(NamedTuple):
    """What there is to draw.

    Attributes:
        people: the data set that labels people alone.
        faces: that labels faces alone.
        unlabelled: pictures.
        teachers: of people and of faces.
        student: of both.
        names: of the student's classes.
        input_hw: of the three networks, in pixels.
    """

    people: Dataset
    faces: Dataset
    unlabelled: Dataset
    teachers: tuple[Detector, Detector]
    student: Detector
    names: tuple[str, ...]
    input_hw: tuple[int, int]


def read_practice(folder: Path) -> Practice:
    """Read what `docs/practice.py` painted and the README's commands trained."""
    people, faces = (load_detector(folder / "runs" / name / "last.safetensors")[0] for name in ("people", "faces"))
    student, info = load_detector(folder / "runs" / "both" / "last.safetensors")
    data = (read_dataset(folder / name) for name in ("people_val.json", "faces_val.json", "pictures"))
    return Practice(*data, (people, faces), student, info.class_names, info.input_hw)


def picture_batch(practice: Practice, dataset: Dataset, index: int) -> Batch:
    """Return one picture of a data set as the student gets it."""
    return collate([EvalPictures(SampleSource([dataset], practice.names), practice.input_hw)[index]])


def pixels(dataset: Dataset, index: int) -> np.ndarray:
    """Return a picture, (SIDE, SIDE, 3) uint8."""
    return cv2.resize(read_image(dataset.records[index].image), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


@torch.no_grad()
def heatmap(detector: Detector, batch: Batch) -> np.ndarray:
    """Return the probabilities (C, h, w) that a network sees."""
    return detector.eval().model(batch.images).heatmap[0].sigmoid().numpy()


@torch.no_grad()
def found(practice: Practice, dataset: Dataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (K, 4) in pixels of `pixels`, and labels, of what the student finds."""
    raw = practice.student.eval()(picture_batch(practice, dataset, index).images)
    keep = raw.scores[0] >= SCORE
    return raw.values["boxes"][0][keep].numpy() * SIDE / practice.input_hw[0], raw.labels[0][keep].numpy()


def telling(practice: Practice, dataset: Dataset, count: int = 1) -> list[int]:
    """Return those of the first 60 pictures on which the student finds the most objects, none of them twice."""
    objects = []
    for index in range(min(60, len(dataset.records))):
        boxes, labels = found(practice, dataset, index)
        doubles = (box_iou(boxes, boxes) > 0) & (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
        objects.append(0 if doubles.any() else len(labels))
    return sorted(range(len(objects)), key=lambda index: -objects[index])[:count]


def with_labels(practice: Practice, dataset: Dataset, index: int) -> np.ndarray:
    """Draw the labels of a picture."""
    objects = picture_batch(practice, dataset, index).objects
    boxes = objects.boxes.numpy() * SIDE / practice.input_hw[0]
    return draw_boxes(pixels(dataset, index), boxes, objects.labels.numpy(), practice.names)


def with_found(practice: Practice, dataset: Dataset, index: int) -> np.ndarray:
    """Draw what the student finds on a picture."""
    return draw_boxes(pixels(dataset, index), *found(practice, dataset, index), practice.names)


def draw_merging(practice: Practice, out: Path) -> None:
    """Draw what merging does: two partly labelled sets, unlabelled pictures, one student, one file."""
    figure, axes = plt.subplots(figsize=(11, 4.9), facecolor=PAPER)
    axes.axis("off")
    for middle, dataset, said, known in (
        (37, practice.people, "people.json\nfaces are not labelled", "people"),
        (13, practice.faces, "faces.json\npeople are not labelled", "faces"),
    ):
        show(axes, with_labels(practice, dataset, telling(practice, dataset)[0]), 1, middle - 9, 17, said)
        card(axes, 27, middle - 4, 17, 8, f"a detector of\n{known}")
        arrow(axes, (19, middle), (26.5, middle), "train")
        arrow(axes, (44.6, middle), (55.4, 28 if middle > 26 else 24), "teach", (3.5 if middle > 26 else -3.5, 1.5))
    dataset = practice.unlabelled
    index = telling(practice, dataset)[0]
    show(axes, pixels(dataset, index), 59.5, 1, 13, "pictures without labels")
    arrow(axes, (66, 17.2), (66, 21.5), "")
    card(axes, 56, 22, 20, 8, "one student of\npeople and faces", strong=True)
    arrow(axes, (76.6, 26), (82.2, 26), "export")
    card(axes, 82.8, 22, 9, 8, "one file")
    show(axes, with_found(practice, dataset, index), 95, 29, 17, "boxes out")
    show(axes, pixels(dataset, index), 95, 3, 17, "pixels in")
    arrow(axes, (94.6, 13), (88.5, 21.5), "")
    arrow(axes, (88.5, 30.5), (94.6, 38), "")
    axes.set(xlim=(0, 113), ylim=(0, 51))
    save(figure, out / "merging.png")


def show(axes: Axes, image: np.ndarray, x: float, y: float, side: float, said: str) -> None:
    """Place a picture with its lower left corner at (x, y) and words above it."""
    axes.imshow(image, extent=(x, x + side, y, y + side), zorder=2)
    axes.text(x + side / 2, y + side + 0.5, said, fontsize=8.5, color=INK, ha="center", va="bottom")


def card(axes: Axes, x: float, y: float, width: float, height: float, said: str, strong: bool = False) -> None:
    """Place words in a box."""
    style = {"facecolor": ARROW if strong else "white", "edgecolor": ARROW, "linewidth": 1.2, "zorder": 3}
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.2,rounding_size=1", **style))
    colour = "white" if strong else INK
    axes.text(x + width / 2, y + height / 2, said, ha="center", va="center", fontsize=10, color=colour, zorder=4)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    said: str,
    shift: tuple[float, float] = (0, 1),
) -> None:
    """Draw an arrow with a word beside its middle."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": ARROW, "linewidth": 1.6}, zorder=1)
    x, y = np.add(start, end) / 2 + shift
    axes.text(x, y, said, ha="center", fontsize=9, color=ARROW)


def draw_heatmap(practice: Practice, out: Path) -> None:
    """Draw a picture, the student's heatmap of each class, its peaks and its boxes."""
    dataset = practice.faces
    index = telling(practice, dataset)[0]
    image, seen = pixels(dataset, index), heatmap(practice.student, picture_batch(practice, dataset, index))
    figure, panels = plt.subplots(1, 4, figsize=(11, 3.2), facecolor=PAPER, layout="constrained")
    picture(panels[0], image, "1. pixels in")
    top = peaks(torch.from_numpy(seen)[None])[0].numpy() & (seen >= SCORE)
    cell = SIDE / seen.shape[-1]
    for label, panel in enumerate(panels[1:3]):
        over(panel, image, seen[label], f"2. heatmap: {practice.names[label]}")
        y, x = np.nonzero(top[label])
        panel.scatter((x + 0.5) * cell, (y + 0.5) * cell, s=70, facecolors="none", edgecolors=ARROW, linewidths=1.6)
    picture(panels[3], with_found(practice, dataset, index), "3. boxes at the peaks")
    save(figure, out / "heatmap.png")


def draw_supervision(practice: Practice, out: Path) -> None:
    """Draw what labels and a teacher say of each class on a picture of either data set."""
    figure, rows = plt.subplots(2, 4, figsize=(11, 6.2), facecolor=PAPER, layout="constrained")
    for number, (dataset, title) in enumerate(((practice.people, "people.json"), (practice.faces, "faces.json"))):
        index, other = telling(practice, dataset)[0], 1 - number
        batch, image = picture_batch(practice, dataset, index), pixels(dataset, index)
        targets = center_targets(batch, len(practice.names), 4, 0.3, 1, practice.student.model.task, 2.0)
        picture(rows[number, 0], with_labels(practice, dataset, index), f"a picture of {title}")
        for label, panel in enumerate(rows[number, 1:3]):
            if targets.weight[0, label].any():
                over(panel, image, targets.heatmap[0, label].numpy(), f"{practice.names[label]}: labels say")
            else:
                picture(panel, image // 3 + 110, f"{practice.names[label]}: labels say nothing, no loss")
        said = heatmap(practice.teachers[other], batch)[0]
        over(rows[number, 3], image, said, f"{practice.names[other]}: the teacher says")
    save(figure, out / "supervision.png")


def picture(panel: Axes, image: np.ndarray, title: str) -> None:
    """Show a picture under a title."""
    panel.imshow(image)
    panel.set_title(title, fontsize=9.5, color=INK)
    panel.axis("off")


def over(panel: Axes, image: np.ndarray, values: np.ndarray, title: str) -> None:
    """Show a map (h, w) in [0, 1] upon a grey picture."""
    side = image.shape[0]
    panel.imshow(image.mean(axis=2), cmap="gray", vmin=-120, vmax=255, extent=(0, side, side, 0))
    panel.imshow(values, cmap="inferno", vmin=0, vmax=1, alpha=np.clip(values * 2, 0, 0.9), extent=(0, side, side, 0))
    panel.set_title(title, fontsize=9.5, color=INK)
    panel.axis("off")


def draw_sheets(practice: Practice, out: Path) -> None:
    """Draw labels of people alone, and what the student finds on pictures of both data sets."""
    sheet = [with_labels(practice, practice.people, index) for index in telling(practice, practice.people, 4)]
    save_image(out / "practice_people.jpg", contact_sheet(sheet, 4, (220, 220)))
    pairs = [
        (dataset, index) for dataset in (practice.people, practice.faces) for index in telling(practice, dataset, 2)
    ]
    sheet = [with_found(practice, *pair) for pair in pairs]
    save_image(out / "people_faces.jpg", contact_sheet(sheet, 4, (220, 220)))


def save(figure: Any, path: Path) -> None:
    """Write a figure."""
    figure.savefig(path, dpi=130, facecolor=PAPER, bbox_inches="tight", pad_inches=0.15, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Draw all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the practice data, with the runs of the README")
    parser.add_argument("--out", type=Path, default=IMAGES, help="where the pictures go")
    given = parser.parse_args()
    mpl.use("Agg")
    practice, out = read_practice(given.folder), given.out
    out.mkdir(parents=True, exist_ok=True)
    draw_merging(practice, out)
    draw_heatmap(practice, out)
    draw_supervision(practice, out)
    draw_sheets(practice, out)


if __name__ == "__main__":
    main()
