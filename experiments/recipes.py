"""centerX's recipe, imported from its YAML, beside this project's own: ResNet-18 from scratch, same pictures, epochs.

    python experiments/recipes.py --out runs/recipes

Blood cells, the 205 pictures of the train split, 256 x 192. centerX's own code reached AP 0.397 and AP50 0.732 so, one
seed. `recipe imported` is `bccd_centerx.yaml` after `centerx import`, without a change but the paths; `own recipe` is
the preset `bccd_r18` on the same split.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.interop.configs import import_config

from repeat import Figures, summarise, train_once, write_table

EPOCHS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    args = parser.parse_args()

    imported = args.out / "imported.yaml"
    imported.parent.mkdir(parents=True, exist_ok=True)
    import_config(Path(__file__).with_name("bccd_centerx.yaml"), imported)
    own = load_config("bccd_r18")
    (train,), (val,) = own.data.train, own.data.val
    data = [
        f"classes={json.dumps(own.classes)}",
        f"data.train={json.dumps([{'path': train.path, 'split': 'train'}])}",
        f"data.val={json.dumps([{'path': val.path, 'split': val.split}])}",
        f"train.epochs={EPOCHS}",
    ]
    results: dict[str, list[Figures]] = {}
    for seed in args.seeds:
        for name, config in (("recipe imported", str(imported)), ("own recipe", "bccd_r18")):
            run = args.out / f"{name.replace(' ', '_')}_seed{seed}"
            results.setdefault(name, []).append(train_once(config, [*data, f"train.seed={seed}"], run))
    write_table(args.out / "summary.csv", {row: summarise(runs) for row, runs in results.items()}, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
