"""Joints of one data set and boxes of another in one student: of mice, and of persons.

    python experiments/joints_and_boxes.py --rows mice
    python experiments/joints_and_boxes.py --rows persons --set model.backbone=... model.pretrained=...

Mice: the first set is every second training picture, with joints; the second the others, with boxes alone. Persons: the
first is `coco_mini`, with joints; the second the persons of `coco_people`, which have none; `coco_mini_val` judges.

Rows of each: `boxes`, a detector of boxes from the second set; `joints`, one of poses from the first; `apart`, one of
poses from both, where the boxes of the first do not teach; `both`, all that is labelled in both. All see the same
number of pictures. Figures beside the AP of joints and boxes are those of the task.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import centerx
from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.config.load import override_words
from centerx.files import write_json

from repeat import Figures, summarise, train_once, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", nargs="+", default=["mice", "persons"], help="or single ones, such as mice_both")
    parser.add_argument("--seen", type=int, default=8800, help="pictures that each run sees")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of every row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/joints_and_boxes"))
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    settings = rows_of(args.data, args.out)
    rows = [row for row in settings if row in args.rows or row.partition("_")[0] in args.rows]
    found: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        for row in rows:
            words = override_words(settings[row] | {"train.seed": seed, "train.report": False}) + args.set
            found.setdefault(row, []).append(train(words, args.seen, args.out / f"{row}_seed{seed}"))
            write_table(args.out / "summary.csv", {each: summarise(runs) for each, runs in found.items()}, args.seeds)


def train(words: list[str], seen: int, folder: Path) -> Figures:
    """Train with the same number of pictures, and judge joints and boxes."""
    config = load_config("nano", words)
    pictures = sum(len(each.records) for each in build_datasets(config.data.train))
    figures = train_once("nano", [*words, f"train.epochs={max(round(seen / pictures), 1)}"], folder)
    (judge,) = config.data.val
    metrics = centerx.evaluate(folder / "last.safetensors", judge.model_dump(exclude_defaults=True))
    poses = config.task == "pose"
    joints = {"AP joints": metrics.AP or 0.0} if poses else {}
    return joints | {"AP boxes": (metrics.AP_boxes if poses else metrics.AP) or 0.0} | figures


def rows_of(data: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Return the changes of `nano` of each row."""
    mice, mini = data / "mouse_pose" / "annotations", data / "coco_mini" / "annotations"
    joints, boxes = halves(mice / "person_keypoints_train.json", out)
    common = {"train.val_every": 20, "train.ema": 0.99, "loss.size": 0.1, "distill.size": 0.1}  # as `nano` had
    of_mice = common | {
        "data.val": [{"path": str(mice / "person_keypoints_val.json")}],
        "data.input_size": [192, 256],
    }
    of_persons = common | {
        "data.val": [{"path": str(data / "coco_mini_val" / "annotations" / "person_keypoints_val2017.json")}],
        "data.input_size": [256, 320],
    }
    persons = {"path": str(mini / "person_keypoints_train2017.json")}
    people = {"path": str(data / "coco_people"), "classes": {"0": "person"}}
    return {f"mice_{kind}": of_mice | changes for kind, changes in kinds({"path": joints}, {"path": boxes}).items()} | {
        f"persons_{kind}": of_persons | changes for kind, changes in kinds(persons, people).items()
    }


def kinds(first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the data and task of each row.

    Args:
        first: entry of the data with joints.
        second: entry of the data with boxes alone.
    """
    return {
        "boxes": {"task": "boxes", "data.train": [second]},
        "joints": {"task": "pose", "data.train": [first]},
        "apart": {"task": "pose", "data.train": [first | {"fields": ["keypoints"]}, second]},
        "both": {"task": "pose", "data.train": [first, second]},
    }


def halves(labels: Path, out: Path) -> tuple[str, str]:
    """Write every second picture of a COCO file with its joints, and the others without; return the two paths."""
    tree = json.loads(labels.read_text(encoding="utf-8"))
    paths = []
    for name, start in (("joints", 0), ("boxes", 1)):
        images = [
            image | {"file_name": str((labels.parents[1] / "images" / image["file_name"]).resolve())}
            for image in tree["images"][start::2]
        ]
        kept = {image["id"] for image in images}
        annotations = [each for each in tree["annotations"] if each["image_id"] in kept]
        categories = tree["categories"]
        if name == "boxes":
            annotations = [without_joints(each) for each in annotations]
            categories = [without_joints(each) for each in categories]
        path = out / f"mice_{name}.json"
        write_json(path, {"images": images, "annotations": annotations, "categories": categories})
        paths.append(str(path))
    return paths[0], paths[1]


def without_joints(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation or a category of COCO without what it says of joints."""
    return {key: value for key, value in entry.items() if key not in ("keypoints", "num_keypoints", "skeleton")}


if __name__ == "__main__":
    run_and_exit(main)
