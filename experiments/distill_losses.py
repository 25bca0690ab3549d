"""Which loss teaches best: the article's, the response at every cell, and that with features, at different weights.

    python experiments/distill_losses.py --out runs/distillation

`bccd_nano` learns from `bccd_r18` and labels for a short run. The article's loss is at constant magnitude, as its
weights would have to be tuned anew. Shares its teachers with `distillation.py`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from repeat import ARTICLE, Figures, summarise, train_once, write_table

LOSSES = {
    "no teacher": ["distill.teachers=[]"],
    "article": [
        "distill.loss=article",
        "distill.features=0",
        "loss.balance=constant",
        f"loss.constant={json.dumps(ARTICLE)}",
        f"distill.constant={json.dumps(ARTICLE | {'features': 0})}",
    ],
    "response": ["distill.features=0"],
    "response, features 30": ["distill.features=30"],
    "response, features 100": ["distill.features=100"],
    "response, features 300": ["distill.features=300"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        train_once(args.teacher, [f"train.seed={seed}"], folder / "teacher")
        teachers = [{"weights": str(folder / "teacher" / "last.safetensors"), "name": "teacher"}]
        for name, changes in LOSSES.items():
            overrides = [
                f"distill.teachers={json.dumps(teachers)}",
                *changes,
                f"train.epochs={args.epochs}",
                f"train.seed={seed}",
            ]
            run = folder / f"loss_{name.replace(', ', '_').replace(' ', '_')}"
            results.setdefault(name, []).append(train_once(args.student, overrides, run))
    write_table(args.out / "losses.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


if __name__ == "__main__":
    main()
