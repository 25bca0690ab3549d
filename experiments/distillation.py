"""What a teacher adds to a small student that has all labels, against the same student trained as long without one.

    python experiments/distillation.py --out runs/distillation

The teacher is `bccd_r18`, the student `bccd_nano`, N epochs a stage. Rows: the teacher; the student alone for N and for
2 N epochs, the fair baseline; from its N on, N more taught by the teacher with labels, the same with every loss term at
constant magnitude in place of tuned weights, once with the article's constants, and with weights learned by
uncertainty; taught without any label, or with labels by what it was itself after N; and taught with labels for 2 N from
the start.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from centerx.cli.main import run_and_exit

from repeat import ARTICLE, Figures, summarise, train_once, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--epochs", type=int, default=15, help="N")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        once, twice = args.epochs, 2 * args.epochs
        teacher, alone = folder / "teacher", folder / f"alone_{once}"
        taught = {"distill.teachers": [{"weights": str(teacher / "last.safetensors"), "name": "teacher"}]}
        itself = {"distill.teachers": [{"weights": str(alone / "last.safetensors"), "name": "itself"}]}
        goes_on = {"train.init": str(alone / "last.safetensors")}
        no_labels, constant = {"distill.labels": False}, {"loss.balance": "constant"}
        learned = {"loss.balance": "uncertainty"}
        article = constant | {"loss.constant": ARTICLE, "distill.constant": ARTICLE | {"features": 20}}
        rows: dict[str, tuple[str, dict[str, Any]]] = {
            "alone, N": (f"alone_{once}", {}),
            "alone, 2 N": (f"alone_{twice}", {"train.epochs": twice}),
            "taught with labels, N + N": (f"labels_{once}_{once}", goes_on | taught),
            "taught with labels at constant magnitude, N + N": (
                f"constant_{once}_{once}",
                goes_on | taught | constant,
            ),
            "the same with the article's constants, N + N": (f"article_{once}_{once}", goes_on | taught | article),
            "the same with learned weights, N + N": (f"learned_{once}_{once}", goes_on | taught | learned),
            "taught without labels, N + N": (f"no_labels_{once}_{once}", goes_on | taught | no_labels),
            "taught with labels by itself, N + N": (f"itself_{once}_{once}", goes_on | itself),
            "taught with labels, 2 N": (f"labels_{twice}", taught | {"train.epochs": twice}),
        }
        results.setdefault("teacher", []).append(train_once(args.teacher, [f"train.seed={seed}"], teacher))
        for name, (run, changes) in rows.items():
            settings = {"train.epochs": once, "train.seed": seed} | changes
            overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
            results.setdefault(name, []).append(train_once(args.student, overrides, folder / run))
    write_table(
        args.out / f"summary_{args.epochs}.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds
    )


if __name__ == "__main__":
    run_and_exit(main)
