"""A general detector of another project teaches a small one two of its classes, on street pictures without labels.

    python experiments/street.py
    python experiments/street.py --teacher ../shared/data/foreign_detectors/yolox_nano_416.onnx

Learned from, without their labels: the pictures of street_cars but for every second one that is labelled, and those of
coco_people. Judged by: the other labelled pictures of street_cars (cars alone), kitti_mini, and COCO-MINI's val
pictures. A judge labels a class on a picture where its data does: people have no boxes in street_cars.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import centerx
from centerx.bench import bench_models
from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.evaluation.api import evaluate_model
from centerx.files import write_json
from centerx.images import image_hw

from merging import train_with
from repeat import Figures, summarise, write_table

CLASSES = ["person", "car"]
KITTI = {"car": "car", "Car": "car", "Pedestrian": "person"}
DOUBTFUL = {"Van": "car", "Truck": "car", "Cyclist": "person", "DontCare": None}  # neither right nor wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teacher", type=Path, default=Path("../shared/data/foreign_detectors/picodet_s_320.onnx"))
    parser.add_argument("--student", default="nano")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the student")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/street"))
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    cars = sorted((args.data / "street_cars" / "images" / "labelled").iterdir())
    unlabelled = [
        *cars[::2],
        *sorted((args.data / "street_cars" / "images" / "unlabelled").iterdir()),
        *sorted((args.data / "coco_people" / "images").iterdir()),
    ]
    train = {"path": str(link_all(unlabelled, args.out / "unlabelled")), "format": "folder"}
    kitti = args.data / "kitti_mini" / "training"
    val: list[dict[str, Any]] = [
        {
            "path": str(args.data / "coco_mini_val" / "annotations" / "instances_val2017.json"),
            "images": str(args.data / "coco_mini_val" / "val2017"),
            "classes": CLASSES,
        },
        write_coco(
            args.out / "cars.json",
            {picture: args.data / "street_cars" / "label_2" / f"{picture.stem}.txt" for picture in cars[1::2]},
            ["car"],
        ),
        write_coco(
            args.out / "kitti.json",
            {picture: kitti / "label_2" / f"{picture.stem}.txt" for picture in sorted((kitti / "image_2").iterdir())},
            CLASSES,
        ),
    ]
    judges = build_datasets(load_config({"data": {"val": val}}).data.val)
    teacher = evaluate_model(args.teacher, judges, batch_size=1).per_class
    rows: dict[str, list[Figures]] = {"teacher": [figures(teacher, args.teacher)]}
    for seed in args.seeds:
        folder = args.out / f"{args.student}_seed{seed}"
        changes = {
            "classes": CLASSES,
            "data.train": [train],
            "data.val": val,
            "data.input_size": [256, 448],
            "distill.teachers": [{"weights": str(args.teacher), "classes": CLASSES}],
            "distill.size": 0.1,  # as `nano` had
        }
        train_with(args.student, changes, [f"train.epochs={args.epochs}", f"train.seed={seed}", *args.set], folder)
        model = folder / "last.safetensors"
        exported = folder / "last.onnx"
        if not exported.is_file():
            centerx.export(model, "onnx", out=folder)
        student = evaluate_model(exported, judges, batch_size=8).per_class
        rows.setdefault(args.student, []).append(figures(student, exported))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in rows.items()}, args.seeds)


def figures(per_class: dict[str, float | None], model: Path) -> Figures:
    """AP of the classes and their mean, and milliseconds of the network by ONNX Runtime."""
    found = {f"AP/{name}": per_class[name] or 0.0 for name in CLASSES}
    (row,) = bench_models([model], [1], runs=30, backend="onnxruntime")
    return {"AP": sum(found.values()) / len(found)} | found | {"ms": row.ms}


def link_all(pictures: list[Path], folder: Path) -> Path:
    """Fill a folder with links to pictures, numbered."""
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        link = folder / f"{number:06d}{picture.suffix}"
        if not link.exists():
            link.symlink_to(picture.resolve())
    return folder


def write_coco(path: Path, labels: dict[Path, Path], classes: list[str]) -> dict[str, Any]:
    """Write pictures with the lines of KITTI texts as a COCO json; return its entry for a configuration."""
    images, annotations = [], []
    for number, (picture, text) in enumerate(labels.items(), start=1):
        height, width = image_hw(picture)
        images.append({"id": number, "file_name": str(picture.resolve()), "height": height, "width": width})
        for line in text.read_text(encoding="utf-8").splitlines():
            kind, *fields = line.split()
            left, top, right, bottom = map(float, fields[3:7])
            right, bottom = min(right, width), min(bottom, height)
            for name in classes if kind == "DontCare" else [KITTI.get(kind) or DOUBTFUL.get(kind)]:
                if name in classes and right > left and bottom > top:
                    annotations.append({
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": classes.index(name) + 1,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": int(kind not in KITTI),
                    })  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    return {"path": str(path), "images": "/"}


if __name__ == "__main__":
    run_and_exit(main)
