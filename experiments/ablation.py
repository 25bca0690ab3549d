"""Ingredients on their own and together: the same network, data, epochs and seeds.

    python experiments/ablation.py --data bccd facemask --seeds 0 1 2
    python experiments/ablation.py --data bccd --network hgnetv2_b1 --rows "all three" --seeds 0

as before: data, epochs, augmentation and rate of the presets `bccd_nano` and `facemask_nano`, with the network of `n`
or another of architectures.py. Other rows: with the settings of ROWS changed. The last model is judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from centerx.cli.main import run_and_exit
from centerx.config import load_config

from architectures import DATA
from architectures import ROWS as NETWORKS
from repeat import Figures, summarise, train_once, write_table

LITTLE_ZOOM = "augment.scale=[0.9,1.1]"
MOSAIC = "augment.mosaic=0.25"
ROWS = {
    "as before": [],
    "little zoom": [LITTLE_ZOOM],
    "mosaic": [MOSAIC],
    "little zoom and mosaic": [LITTLE_ZOOM, MOSAIC],
    "all three": [LITTLE_ZOOM, MOSAIC, "train.optimizer.lr=0.0067"],
    "distributions": [LITTLE_ZOOM, MOSAIC, "train.optimizer.lr=0.0067", "model.lengths=distribution"],
    "no average of weights": ["train.ema=0"],
    "fields at the centre cell alone": ["loss.reach=0"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--network", choices=NETWORKS, default="n")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    args = parser.parse_args()
    for data in args.data:
        out = args.out / data / args.network
        results: dict[str, list[Figures]] = {}
        for row in args.rows:
            for seed in args.seeds:
                words = [*NETWORKS[args.network], *ROWS[row], f"train.seed={seed}", "train.report=false"]
                folder = out / f"{row.replace(' ', '_')}_seed{seed}"
                results.setdefault(row, []).append(train_once(load_config(DATA[data]), words, folder))
        table = {row: summarise(runs) for row, runs in results.items()}
        write_table(out / "summary.csv", table, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
