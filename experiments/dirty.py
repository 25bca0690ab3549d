"""A data set of which a tenth is broken, and the same one without that tenth.

    python experiments/dirty.py --out runs/dirty

Scenes of digits. Every tenth is broken in one of eight ways in turn: its picture is cut, missing, empty or a text, or
all of its labels lack a box of numbers, have one that is not finite, or name an unknown class or picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from centerx.cli.main import run_and_exit
from centerx.data.digits import write_digit_scenes
from centerx.files import write_json

from repeat import Figures, summarise, train_once, write_table

SCENE_HW = (96, 96)
EVERY = 10  # of so many scenes one is broken
LABELS: tuple[dict[str, Any], ...] = (
    {"bbox": ["1", "2", "3", "4"]},
    {"bbox": [1.0, 2.0, float("nan"), 4.0]},
    {"category_id": 99},
    {"image_id": "none"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/dirty"))
    args = parser.parse_args()

    val = write_digit_scenes(args.out / "val", 200, 0, "val", SCENE_HW)
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        train = write_digit_scenes(folder / "scenes", args.scenes, seed, "train", SCENE_HW)
        clean = without_every_tenth(train)
        for row, data in {"clean": clean, "broken": break_every_tenth(train)}.items():
            keys = {"data.train": [str(data)], "data.val": [str(val)], "data.input_size": SCENE_HW[0]}
            keys |= {
                "train.epochs": args.epochs,
                "train.seed": seed,
                "train.val_every": args.epochs,
                "train.batch_size": 8,
            }
            overrides = [f"{key}={json.dumps(value)}" for key, value in keys.items()]
            results.setdefault(row, []).append(train_once("digits", overrides, folder / row))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


def without_every_tenth(train: Path) -> Path:
    """Write the labels of the other scenes beside those of all, and return their file."""
    tree = json.loads(train.read_text(encoding="utf-8"))
    kept = [image for image in tree["images"] if image["id"] % EVERY]
    annotations = [each for each in tree["annotations"] if each["image_id"] % EVERY]
    path = train.with_name("clean.json")
    write_json(path, tree | {"images": kept, "annotations": annotations})
    return path


def break_every_tenth(train: Path) -> Path:
    """Break every tenth scene in its place, and return the file of the labels."""
    tree = json.loads(train.read_text(encoding="utf-8"))
    wrong: dict[int, dict[str, Any]] = {}
    for number, image in enumerate(image for image in tree["images"] if image["id"] % EVERY == 0):
        way = number % (2 * len(LABELS))
        if way < len(LABELS):
            wrong[image["id"]] = LABELS[way]
            continue
        picture = train.parent / image["file_name"]
        content = picture.read_bytes()
        picture.write_bytes((content[: len(content) // 2], b"", b"a text\n", b"")[way - len(LABELS)])
        if way == 2 * len(LABELS) - 1:
            picture.unlink()
    annotations = [each | wrong.get(each["image_id"], {}) for each in tree["annotations"]]
    path = train.with_name("broken.json")
    path.write_text(json.dumps(tree | {"annotations": annotations}), encoding="utf-8")  # write_json refuses NaN
    return path


if __name__ == "__main__":
    run_and_exit(main)
