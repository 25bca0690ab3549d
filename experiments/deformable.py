"""Deformable convolutions in the neck against plain ones: the same ResNet-18 with deconvolutions, the same recipe.

    python experiments/deformable.py --out runs/deformable

What each costs is measured by `benchmarks/deformable.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from centerx.cli.main import run_and_exit

from repeat import Figures, summarise, train_once, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="bccd_r18")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/deformable"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        for conv in ("plain", "modulated"):
            overrides = [
                "model.neck.type=deconv",
                f"model.neck.conv={conv}",
                f"train.epochs={args.epochs}",
                f"train.seed={seed}",
            ]
            run = args.out / f"{conv}_seed{seed}"
            results.setdefault(conv, []).append(train_once(args.config, overrides, run))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
