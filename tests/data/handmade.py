"""Small data sets written by hand in each format, and comparing two of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from centerx.data.dataset import Dataset


def write_picture(path: Path, wh: tuple[int, int] = (40, 30), grey: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", wh, grey).save(path)
    return path


def coco_image(image_id: Any = 1, file_name: str = "a.png", **more: Any) -> dict[str, Any]:
    return {"id": image_id, "file_name": file_name, "width": 40, "height": 30} | more


def coco_annotation(annotation_id: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": annotation_id, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]} | more


def write_coco(path: Path, **parts: Any) -> Path:
    """Write a json of one picture, one category and one annotation, but for `parts`."""
    tree = {
        "images": [coco_image()],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [coco_annotation()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree | parts), encoding="utf-8")
    return path


def write_voc(path: Path, *objects: tuple[str, tuple[Any, ...]], file_name: str = "a.png", extra: str = "") -> Path:
    """Write an xml of a 40 x 30 picture; each object is a name and four corners."""
    nodes = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for name, (a, b, c, d) in objects
    )
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{file_name}</filename>{size}{nodes}</annotation>", encoding="utf-8")
    return path


def write_text(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_yolo(folder: Path, yaml_text: str | None = "names: [cat, dog]\ntrain: images\n", **labels: str) -> Path:
    """Write `images/<stem>.png` and `labels/<stem>.txt` of each label text, and a data.yaml."""
    for stem, text in labels.items():
        write_picture(folder / "images" / f"{stem}.png")
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{stem}.txt").write_text(text)
    if yaml_text is not None:
        (folder / "data.yaml").write_text(yaml_text)
    return folder


def actions_of(dataset: Dataset) -> list[str]:
    return [problem.action for problem in dataset.problems]


def objects_by_name(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Class names and boxes of every picture, sorted, by the picture's file name."""
    return {
        record.image.name: sorted(
            (dataset.class_names[label], tuple(box))
            for label, box in zip(record.objects.labels, record.objects.boxes.tolist(), strict=True)
        )
        for record in dataset.records
    }


def assert_same_objects(first: Dataset, second: Dataset, tolerance: float) -> None:
    """The same pictures, in any order, with the same objects in the same order, by class name."""
    theirs = {record.image.name: record for record in second.records}
    assert sorted(record.image.name for record in first.records) == sorted(theirs)
    for one in first.records:
        other = theirs[one.image.name]
        np.testing.assert_allclose(one.objects.boxes, other.objects.boxes, atol=tolerance, rtol=0)
        names, others = (
            [dataset.class_names[label] for label in record.objects.labels]
            for dataset, record in ((first, one), (second, other))
        )
        assert names == others
