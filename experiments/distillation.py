"""What a teacher adds to a small student that has all labels, against the same student trained as long without one.

    python experiments/distillation.py --out runs/distillation

The teacher is `bccd_r18`, the student `bccd_nano`, N epochs a stage. Rows: the teacher; the student alone for N and for
2 N epochs, the fair baseline; from its N on, N more taught by the teacher with labels, the same with every loss term at
constant magnitude in place of tuned weights, taught without any label, or with labels by what it was itself after N.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from repeat import Figures, summarise, train_once, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--epochs", type=int, default=30, help="N")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        teacher, alone = folder / "teacher", folder / "alone_N"
        taught = {"distill.teachers": [{"weights": str(teacher / "last.safetensors"), "name": "teacher"}]}
        itself = {"distill.teachers": [{"weights": str(alone / "last.safetensors"), "name": "itself"}]}
        goes_on = {"train.init": str(alone / "last.safetensors")}
        no_labels, constant = {"distill.labels": False}, {"loss.balance": "constant"}
        rows: dict[str, tuple[Path, dict[str, Any]]] = {
            "alone, N": (alone, {}),
            "alone, 2 N": (folder / "alone_2N", {"train.epochs": 2 * args.epochs}),
            "taught with labels, N + N": (folder / "labels_N_N", goes_on | taught),
            "taught with labels at constant magnitude, N + N": (folder / "constant_N_N", goes_on | taught | constant),
            "taught without labels, N + N": (folder / "no_labels_N_N", goes_on | taught | no_labels),
            "self-taught with labels, N + N": (folder / "itself_N_N", goes_on | itself),
        }
        results.setdefault("teacher", []).append(train_once(args.teacher, [f"train.seed={seed}"], teacher))
        for name, (run, changes) in rows.items():
            settings = {"train.epochs": args.epochs, "train.seed": seed} | changes
            overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
            results.setdefault(name, []).append(train_once(args.student, overrides, run))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


if __name__ == "__main__":
    main()
