"""Compare distillation losses: the original centerX loss and `response`, with and without features, at several weights.

    python experiments/distill_losses.py --out runs/distillation

`bccd_nano` learns from `bccd_r18` and labels in a short run. The original centerX loss has constant magnitude, because
its weights would have to be tuned anew. Without features it has the original constants, with features the defaults.
The rows "every cell" learn size and offset wherever the teacher's heatmap is above zero, by its probability, as
the centerX article describes it. The other rows learn them around peaks. Teachers are shared with `distillation.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from torch import Tensor

from centerx.cli.main import run_and_exit
from centerx.losses.distill import DISTILL_LOSSES, Weights, response_terms
from centerx.losses.terms import field_terms, loss_normalizer
from centerx.models import Branch
from centerx.types import Maps, Places

from repeat import CENTERX_CONSTANTS, Figures, summarise, train_once, write_table

LOSSES = {
    "no teacher": ["distill.teachers=[]"],
    "article": [
        "distill.loss=article",
        "distill.features=0",
        "loss.balance=constant",
        f"loss.constant={json.dumps(CENTERX_CONSTANTS)}",
        f"distill.constant={json.dumps(CENTERX_CONSTANTS | {'features': 0})}",
    ],
    "article, features": ["distill.loss=article", "loss.balance=constant"],
    "response": ["distill.features=0"],
    "response, features 30": ["distill.features=30"],
    "response, features 100": ["distill.features=100"],
    "response, features 300": ["distill.features=300"],
    "every cell, features 100": ["distill.features=100"],
}


def every_cell_terms(
    student: Maps, teacher: Maps, weights: Weights, branches: Mapping[str, Branch], known: Tensor | None = None
) -> dict[str, Tensor]:
    """`response_terms`, but fields learned at every cell, weighted by the teacher's probability there."""
    weight = (teacher.heatmap.float().sigmoid() * weights["heatmap"][:, None, None]).amax(dim=1).flatten(1)
    total = loss_normalizer(weight.sum())
    goals = {name: teacher.fields[name].float().flatten(2) for name in branches if name in teacher.fields}
    places = Places(None, goals, dict.fromkeys(goals, weight))
    fields = field_terms(branches, student.fields, places, dict.fromkeys(goals, total))
    return response_terms(student, teacher, weights, branches, known) | fields


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="bccd_r18")
    parser.add_argument("--student", default="bccd_nano")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rows", nargs="+", default=list(LOSSES), choices=LOSSES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        folder = args.out / f"seed{seed}"
        train_once(args.teacher, [f"train.seed={seed}"], folder / "teacher")
        teachers = [{"weights": str(folder / "teacher" / "last.safetensors"), "name": "teacher"}]
        for name in args.rows:
            overrides = [
                f"distill.teachers={json.dumps(teachers)}",
                *LOSSES[name],
                f"train.epochs={args.epochs}",
                f"train.seed={seed}",
            ]
            run = folder / f"loss_{name.replace(', ', '_').replace(' ', '_')}"
            response = every_cell_terms if name.startswith("every cell") else response_terms
            with patch.dict(DISTILL_LOSSES, response=response):
                results.setdefault(name, []).append(train_once(args.student, overrides, run))
    write_table(args.out / "losses.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
