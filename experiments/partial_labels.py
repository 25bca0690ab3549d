"""A class labelled on only half of the pictures: declared so, or left to pass for 'nothing there'.

    python experiments/partial_labels.py --out runs/partial_labels

On bccd, RBC loses its labels on one half of the training pictures. Same network, rows:
full (all labels), declared (the half is read with `classes: [WBC, Platelets]`), undeclared (the same half read as if
it were labelled for every class), half only (the pictures without RBC labels are not used at all), and the last one
again for twice the epochs, which is as many steps as the others take.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from centerx.cli.main import run_and_exit
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree

from repeat import summarise, train_once, write_table

CLASSES = ["RBC", "WBC", "Platelets"]


def write_halves(data: Path, dropped: str, out: Path) -> tuple[Path, Path]:
    """Write two COCO files: every other picture with all labels, the rest without those of one class."""
    dataset = read_dataset(data, split="trainval", classes=CLASSES)
    out.mkdir(parents=True, exist_ok=True)
    paths = out / "labelled.json", out / "stripped.json"
    for path, records in zip(paths, (dataset.records[::2], dataset.records[1::2]), strict=True):
        tree = coco_tree(dataset._replace(records=records), out)
        if path is paths[1]:
            lost = next(category["id"] for category in tree["categories"] if category["name"] == dropped)
            tree["annotations"] = [a for a in tree["annotations"] if a["category_id"] != lost]
        path.write_text(json.dumps(tree), encoding="utf-8")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bccd"))
    parser.add_argument("--config", default="bccd_nano")
    parser.add_argument("--dropped", default="RBC", choices=CLASSES)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/partial_labels"))
    args = parser.parse_args()

    labelled, stripped = write_halves(args.data, args.dropped, args.out)
    half = {"path": str(labelled)}
    others = [name for name in CLASSES if name != args.dropped]
    rows = {
        "full": [{"path": str(args.data), "split": "trainval"}],
        "declared": [half, {"path": str(stripped), "classes": others}],
        "undeclared": [half, {"path": str(stripped)}],
        "half only": [half],
        "half only twice": [half],
    }
    table = {}
    for name, entries in rows.items():
        epochs = args.epochs * (2 if name.endswith("twice") else 1)
        overrides = [f"train.epochs={epochs}", f"data.train={json.dumps(entries)}"]
        folder = args.out / name.replace(" ", "_")
        table[name] = summarise(
            [train_once(args.config, [*overrides, f"train.seed={seed}"], folder / f"seed{seed}") for seed in args.seeds]
        )
    write_table(args.out / "summary.csv", table, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
