"""What centres carry, on real pictures: joints of a mouse, corners of plates, rotated boxes of a thermal camera.

    python experiments/carried.py
    python experiments/carried.py --rows mouse "mouse taught" --seeds 0 1 2

Rows: `mouse`, four joints; `mouse taught`, the same pictures, whose labels are boxes alone, with the network of `mouse`
of the same seed, trained before, as teacher; `mouse boxes`, boxes alone, without joints; `plates`, corners as they are
labelled; `plates from boxes`, the upright boxes around them as corners, with rotated pictures, judged by the labelled
corners; `thermal`, rotated boxes. Every fourth picture of plates is held out. All from scratch unless --set says
otherwise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.data.read import read_dataset
from centerx.files import write_json

from merging import train_with
from repeat import Figures, summarise, write_table

HELD_OUT = 4  # every so many pictures of plates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where the plates are")
    parser.add_argument("--rows", nargs="+", default=["mouse", "plates", "plates from boxes", "thermal", "mouse boxes"])
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of every row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/carried"))
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    settings = rows_of(args.data, args.out)
    found: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        for row in args.rows:
            common = [f"train.seed={seed}", "train.report=false", *args.set]
            folder = args.out / f"{row.replace(' ', '_')}_seed{seed}"
            config, changes = settings[row]
            if row == "mouse taught":
                changes = changes | {"distill.teachers": [str(args.out / f"mouse_seed{seed}" / "last.safetensors")]}
            found.setdefault(row, []).append(train_with(config, changes, common, folder))
            write_table(args.out / "summary.csv", {each: summarise(runs) for each, runs in found.items()}, args.seeds)


def rows_of(data: Path, out: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the configuration of each row, and its changes."""
    mouse, thermal = (str(Path(__file__).with_name(f"{name}.yaml")) for name in ("mouse", "thermal"))
    (labelled,) = load_config(mouse).data.train
    learned, judged = split_plates(data / "plates", out)
    of_plates = {
        "task": "quads",
        "model.corner_order": "labelled",
        "data.val": [judged],
        "data.input_size": [384, 256],
        "augment.flip": 0,
        "augment.rotate": 15,
        "augment.perspective": 0.05,
        "loss.corners": 0.3,
        "train.epochs": 80,
        "train.ema": 0.99,
        "train.val_every": 20,
    }
    unlabelled = {"corners_from_boxes": True, "path": boxes_alone(learned, out)}
    return {
        "mouse": (mouse, {}),
        "mouse taught": (mouse, {"data.train": [{"path": labelled.path, "fields": ["size"]}]}),
        "mouse boxes": (mouse, {"task": "boxes"}),
        "plates": ("nano", of_plates | {"data.train": [{"path": learned}]}),
        "plates from boxes": ("nano", of_plates | {"data.train": [unlabelled], "augment.rotate": 30}),
        "thermal": (thermal, {}),
    }


def split_plates(folder: Path, out: Path) -> tuple[str, str]:
    """Write the plates as two COCO files, to train on and to judge by; return their paths."""
    dataset = read_dataset(folder / "train_dir", format="wpod")
    paths = []
    for name, wanted in (("train", False), ("val", True)):
        records = [each for place, each in enumerate(dataset.records) if (place % HELD_OUT == 0) == wanted]
        images = [
            {"id": number, "file_name": str(record.image.resolve()), "width": 720, "height": 1160}
            for number, record in enumerate(records, start=1)
        ]
        annotations = [
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "segmentation": [record.objects.values["corners"][0].tolist()],
            }
            for number, record in enumerate(records, start=1)
            for left, top, right, bottom in record.boxes.tolist()[:1]
        ]
        path = out / f"plates_{name}.json"
        categories = [{"id": 1, "name": "plate"}]
        write_json(path, {"images": images, "annotations": annotations, "categories": categories})
        paths.append(str(path))
    return paths[0], paths[1]


def boxes_alone(labels: str, out: Path) -> str:
    """Write a COCO file without its masks; return its path."""
    tree = json.loads(Path(labels).read_text(encoding="utf-8"))
    for annotation in tree["annotations"]:
        del annotation["segmentation"]
    path = out / "plates_boxes.json"
    write_json(path, tree)
    return str(path)


if __name__ == "__main__":
    run_and_exit(main)
