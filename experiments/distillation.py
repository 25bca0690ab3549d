"""What a teacher adds to a small student that has all labels, against the same student trained as long without one.

    python experiments/distillation.py --out runs/distillation

The teacher is `bccd_r18`, the student `bccd_nano`, N epochs a stage. Rows: the teacher; the student alone for N and for
2 N epochs, the fair baseline; from its N on, N more taught by the teacher with labels, the same with every loss term at
constant magnitude in place of tuned weights, once with the original constants of centerX, and with weights learned by
uncertainty; taught without any label, or with labels by what it was itself after N; and taught with labels for 2 N from
the start.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from centerx.cli.main import run_and_exit
from centerx.config import load_config

from repeat import CENTERX_CONSTANTS, Figures, summarise, train_once, write_table


def rows_of(folder: Path, once: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each row -> its folder in that of a seed, and what it changes of the student's preset."""
    twice, alone = 2 * once, f"alone_{once}"
    taught = {"distill.teachers": [{"weights": str(folder / "teacher" / "last.safetensors"), "name": "teacher"}]}
    itself = {"distill.teachers": [{"weights": str(folder / alone / "last.safetensors"), "name": "itself"}]}
    goes_on = {"train.init": str(folder / alone / "last.safetensors")}
    no_labels, constant = {"distill.labels": False}, {"loss.balance": "constant"}
    learned = {"loss.balance": "uncertainty"}
    article = constant | {"loss.constant": CENTERX_CONSTANTS, "distill.constant": CENTERX_CONSTANTS | {"features": 20}}
    return {
        "alone, N": (alone, {}),
        "alone, 2 N": (f"alone_{twice}", {"train.epochs": twice}),
        "taught with labels, N + N": (f"labels_{once}_{once}", goes_on | taught),
        "taught with labels at constant magnitude, N + N": (f"constant_{once}_{once}", goes_on | taught | constant),
        "the same with the article's constants, N + N": (f"article_{once}_{once}", goes_on | taught | article),
        "the same with learned weights, N + N": (f"learned_{once}_{once}", goes_on | taught | learned),
        "taught without labels, N + N": (f"no_labels_{once}_{once}", goes_on | taught | no_labels),
        "taught with labels by itself, N + N": (f"itself_{once}_{once}", goes_on | itself),
        "taught with labels, 2 N": (f"labels_{twice}", taught | {"train.epochs": twice}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--epochs", type=int, default=15, help="N")
    names = list(rows_of(Path(), 0))
    known = f"of: {'; '.join(names)}. N + N goes on from the first"
    parser.add_argument("--rows", nargs="+", default=names, choices=names, metavar="ROW", help=known)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the student, in every row")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()

    load_config(args.student, args.set)
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        teacher = train_once(args.teacher, [f"train.seed={seed}"], folder / "teacher")
        results.setdefault("teacher", []).append(teacher)
        rows = rows_of(folder, args.epochs)
        for name in args.rows:
            run, changes = rows[name]
            settings = {"train.epochs": args.epochs, "train.seed": seed} | changes
            overrides = [*(f"{key}={json.dumps(value)}" for key, value in settings.items()), *args.set]
            results.setdefault(name, []).append(train_once(args.student, overrides, folder / run))
    write_table(
        args.out / f"summary_{args.epochs}.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds
    )


if __name__ == "__main__":
    run_and_exit(main)
