"""Small data sets and files that nothing is wrong with, one of each kind, which `changes` breaks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from centerx.config import dump_config, load_config
from centerx.data.dataset import Dataset, corners_from_boxes, corners_or_boxes
from centerx.data.store import TeacherInfo, ask_once
from centerx.data.write import WRITERS
from centerx.files import write_atomic
from centerx.runtime.foreign.adapter import parse_adapter, write_adapter
from centerx.types import Detections

SIDES = ((40, 30), (64, 48), (50, 50), (32, 60))  # width and height of the painted pictures
NAMES = ("cat", "dog", "bird")
SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tif", ".gif")
ADAPTER = {
    "input": {"size": [320, 320], "scale": 255.0},
    "boxes": {"outputs": "boxes", "format": "xyxy"},
    "scores": {"outputs": "scores"},
    "classes": ["cat", "dog"],
}


def painted(folder: Path) -> Dataset:
    """Four pictures of noise with three boxes each, in memory but for the pictures."""
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for number, (width, height) in enumerate(SIDES):
        images.append(folder / f"p{number}.png")
        images[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(images[-1])
        corner = rng.integers(1, 10, (3, 2))
        boxes.append(np.column_stack([corner, corner + rng.integers(5, 19, (3, 2))]))
    return Dataset.from_arrays(images, boxes, [[0, 1, 2]] * len(images), NAMES, "painted")


def written(name: str) -> Callable[[Dataset, Path], Path]:
    """A base that the package itself writes."""

    def write(dataset: Dataset, folder: Path) -> Path:
        WRITERS[name](dataset, folder, "train", iter, bool)
        return folder

    return write


def odgt(dataset: Dataset, folder: Path) -> Path:
    rows = []
    for record, name in copied(dataset, folder / "Images", ".jpg"):
        people = [
            {
                "tag": "person",
                "fbox": box,
                "vbox": box,
                "hbox": box,
                "head_attr": {"ignore": 0, "unsure": 0},
                "extra": {},
            }
            for box in boxes_of(record)
        ]
        rows.append(json.dumps({"ID": Path(name).stem, "gtboxes": people}))
    return text(folder / "annotation_train.odgt", rows)


def wider(dataset: Dataset, folder: Path) -> Path:
    rows = []
    for record, name in copied(dataset, folder / "images", ".jpg"):
        boxes = boxes_of(record)
        rows += [name, str(len(boxes)), *(" ".join(map(str, [*box, 0, 0, 0, 0, 0, 0])) for box in boxes)]
    return text(folder / "wider_face_train_bbx_gt.txt", rows)


def points(dataset: Dataset, folder: Path) -> Path:
    rows = ["image,x,y,label"]
    for record, name in copied(dataset, folder, ".png"):
        rows += [f"{name},{box[0]},{box[1]},cat" for box in boxes_of(record)]
    return text(folder / "points.csv", rows)


def pseudo(dataset: Dataset, folder: Path) -> Path:
    rows = []
    for record, name in copied(dataset, folder, ".png"):
        height, width = record.declared_hw
        parts = [name, width, height, *(part for box in record.boxes.tolist() for part in ("face", *box))]
        rows.append(";".join(map(str, parts)))
    return text(folder / "labels.txt", rows)


def icdar(dataset: Dataset, folder: Path) -> Path:
    for record, name in copied(dataset, folder / "images", ".jpg"):
        rows = [",".join(f"{value:g}" for value in row) for row in corners_or_boxes(record.objects).tolist()]
        text(folder / "gt" / f"gt_{Path(name).stem}.txt", [f"{row},a word" for row in rows])
    return folder


def wpod(dataset: Dataset, folder: Path) -> Path:
    for record, name in copied(dataset, folder / "labels", ".jpg"):
        height, width = record.declared_hw
        corners = corners_or_boxes(record.objects) / np.array([width, height] * 4)
        rows = [",".join(f"{v:.6f}" for v in [*row[::2], *row[1::2]]) for row in corners.tolist()]
        text(folder / "labels" / f"{Path(name).stem}.txt", [f"4,{row},ABC123," for row in rows])
    return folder


def pictures(dataset: Dataset, folder: Path) -> Path:
    """COCO whose pictures are of six formats."""
    images, annotations = [], []
    for place, suffix in enumerate(SUFFIXES):
        record = dataset.records[place % len(dataset.records)]
        with Image.open(record.image) as image:
            rgb = image.convert("RGB")
        rgb.save(folder / f"q{place}{suffix}")
        images.append({"id": place, "file_name": f"q{place}{suffix}", "width": rgb.width, "height": rgb.height})
        annotations += [
            {"id": 100 * place + row, "image_id": place, "category_id": 1, "bbox": box}
            for row, box in enumerate(boxes_of(record))
        ]
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    return text(folder / "labels.json", [json.dumps(tree)])


def adapter(dataset: Dataset, folder: Path) -> Path:
    return write_adapter(parse_adapter(ADAPTER, "base"), folder / "m.onnx")


def config(dataset: Dataset, folder: Path) -> Path:
    keys = ["classes=[cat, dog]", "data.train=[{path: a, split: train}]", "data.val=[b]", "model.pretrained=false"]
    return text(folder / "c.yaml", dump_config(load_config("nano", keys)).splitlines())


def store(dataset: Dataset, folder: Path) -> Path:
    images = [folder / name for _, name in copied(dataset, folder, ".png")]
    told = iter(dataset.records)

    def detect(_: np.ndarray) -> Detections:
        objects = next(told).objects
        return Detections(objects.boxes, np.linspace(0.9, 0.5, len(objects.labels)), objects.labels)

    path = folder / "it.sqlite"
    ask_once(path, TeacherInfo("0" * 64, dataset.class_names, "boxes"), detect, images)
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM")
    connection.close()
    return path


def boxes_of(record) -> list[list[int]]:
    """Corners and sides in whole pixels."""
    return [[int(a), int(b), int(c) - int(a), int(d) - int(b)] for a, b, c, d in record.boxes.tolist()]


def copied(dataset: Dataset, folder: Path, suffix: str):
    """Records with the names of their pictures, which are copied."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, record in enumerate(dataset.records):
        with Image.open(record.image) as image:
            rgb = image.convert("RGB")
        rgb.save(folder / f"p{place}{suffix}")
        yield record._replace(declared_hw=(rgb.height, rgb.width)), f"p{place}{suffix}"


def text(path: Path, lines: list[str]) -> Path:
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())
    return path


WRITTEN = tuple(name for name in WRITERS if name not in ("yolo-pose",))
BASES: dict[str, Callable[[Dataset, Path], Path]] = {
    **{name: written(name) for name in WRITTEN},
    "odgt": odgt,
    "wider": wider,
    "points": points,
    "pseudo": pseudo,
    "icdar": icdar,
    "wpod": wpod,
    "pictures": pictures,
    "adapter": adapter,
    "config": config,
    "store": store,
}
OUTLINED = ("yolo-obb", "dota", "icdar", "wpod")  # kinds whose objects have four corners


def make_base(kind: str, folder: Path, dataset: Dataset) -> Path:
    """Write the base of a kind into an empty folder; return what is to be read."""
    folder.mkdir(parents=True, exist_ok=True)
    return BASES[kind](corners_from_boxes(dataset) if kind in OUTLINED else dataset, folder)
