"""Learning rates far too high: plain training, with gradients clipped, with jumps of the loss skipped, and at constant
magnitude.

    python experiments/learning_rates.py --out runs/learning_rates
    python experiments/learning_rates.py --optimizer adamw --rates 0.004 0.064 --out runs/learning_rates_adamw

Same network and epochs; SGD with momentum unless told, as the step of Adam does not depend on the size of the loss.
Writes a table with a row for each rate and way, and curves.png: AP and the raw heatmap term over epochs, a column a
rate, a line a seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

from centerx.cli.main import run_and_exit
from centerx.errors import InputError

from repeat import CENTERX_CONSTANTS, Figures, read_rows, summarise, train_once, write_table

WAYS = {
    "fixed weights": ["train.clip_norm=0"],
    "fixed weights, clipped": ["train.clip_norm=10"],
    "fixed weights, jumps skipped": ["train.clip_norm=0", "train.skip_jumps=2"],
    "constant magnitude": ["train.clip_norm=0", "loss.balance=constant"],
    "constant magnitude, article's": [
        "train.clip_norm=0",
        "loss.balance=constant",
        f"loss.constant={json.dumps(CENTERX_CONSTANTS)}",
    ],
}
OPTIMIZERS = {"momentum": 0.0001, "adamw": 0.05}  # name -> weight decay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="bccd_nano")
    parser.add_argument("--optimizer", default="momentum", choices=OPTIMIZERS)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/learning_rates"))
    args = parser.parse_args()

    results: dict[str, list[Figures]] = {}
    runs: dict[tuple[float, str], list[Path]] = {}
    decay = OPTIMIZERS[args.optimizer]
    for rate in args.rates:
        for way in args.ways:
            for seed in args.seeds:
                folder = args.out / f"{rate}_{way.replace(', ', '_').replace(' ', '_')}_seed{seed}"
                overrides = [
                    *WAYS[way],
                    f"train.optimizer={{name: {args.optimizer}, lr: {rate}, weight_decay: {decay}}}",
                    f"train.epochs={args.epochs}",
                    f"train.seed={seed}",
                    "train.val_every=2",
                ]
                results.setdefault(f"{rate}, {way}", []).append(train_or_fail(args.config, overrides, folder))
                runs.setdefault((rate, way), []).append(folder)
    write_table(args.out / "summary.csv", {row: summarise(each) for row, each in results.items()}, args.seeds)
    draw(args.out / "curves.png", args.rates, runs)


def train_or_fail(config: str, overrides: list[str], folder: Path) -> Figures:
    """The AP of a run; 0 of one that ends in a loss that is not finite."""
    failed = folder / "failed.txt"
    if not failed.exists():
        try:
            return {"AP": train_once(config, overrides, folder)["AP"]}
        except InputError as error:
            if "the loss became" not in str(error):
                raise
            failed.write_text(f"{error}\n", encoding="utf-8")
    print(failed.read_text(encoding="utf-8").strip())
    return {"AP": 0.0}


def draw(path: Path, rates: list[float], runs: dict[tuple[float, str], list[Path]]) -> None:
    """Draw AP and heatmap term over epochs."""
    figure = Figure(figsize=(4 * len(rates), 6), layout="constrained")
    axes = figure.subplots(2, len(rates), sharex=True, sharey="row", squeeze=False)
    for column, rate in enumerate(rates):
        axes[0, column].set_title(f"learning rate {rate:g}")
        axes[1, column].set_xlabel("epoch")
        for colour, way in enumerate(WAYS):
            for number, folder in enumerate(runs.get((rate, way), [])):
                rows = read_rows(folder / "metrics.csv")
                for axis, key in zip(axes[:, column], ("val/AP", "train/heatmap"), strict=True):
                    points = [(int(row["epoch"]), float(row[key])) for row in rows if row[key]]
                    label = way if number == 0 else None
                    axis.plot(*zip(*points, strict=True), color=f"C{colour}", linewidth=1, label=label)
    axes[0, 0].set_ylabel("AP")
    axes[1, 0].set_ylabel("heatmap term")
    axes[1, 0].set_yscale("log")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    run_and_exit(main)
