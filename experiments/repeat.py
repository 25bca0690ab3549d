"""Train configurations with several seeds and write mean and spread of what the *last* model reaches.

    python experiments/repeat.py bccd_r18 --seeds 0 1 2 --out runs/repeat

The last model, never the best: the best is chosen on the pictures that measure it. Finished runs are kept and not
repeated. Writes OUT/CONFIG/summary.csv and prints it as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path

from centerx.api.train import fit
from centerx.bench import machine
from centerx.build import build_run
from centerx.cli.main import run_and_exit
from centerx.config import ConfigSource, changed_keys, load_config
from centerx.errors import InputError
from centerx.training.processes import Processes

Figures = dict[str, float]
CENTERX_CONSTANTS = {"heatmap": 1.2, "size": 0.4, "offset": 0.1}  # constants of loss terms in centerX's configurations


def train_once(config: ConfigSource, overrides: list[str], folder: Path) -> Figures:
    """Train, unless the run is finished already; return the last epoch's figures and the minutes that it takes.

    Raises:
        InputError: the folder holds a run of other settings.
    """
    settings = load_config(config, overrides)
    changed = [
        change
        for change in changed_keys(folder / "config.yaml", settings)
        if not change.startswith(("classes=None", "joints."))  # filled in from the data
    ]
    if changed:
        raise InputError(f"{folder}: was trained otherwise, {', '.join(changed)}; name another --out")
    rows = read_rows(folder / "metrics.csv")
    if len(rows) < settings.train.epochs:
        run = build_run(settings, folder)
        checkpoint = folder / "last.ckpt"
        fit(run, checkpoint if rows and checkpoint.is_file() else None)
        rows = read_rows(folder / "metrics.csv")
    figures = {name[4:]: float(value) for name, value in rows[-1].items() if name.startswith("val/")}
    typical = statistics.median(float(row["seconds"]) for row in rows)  # whatever else the machine did in between
    return figures | {"minutes": typical * len(rows) / 60}


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv; none where it is missing."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summarise(runs: list[Figures]) -> dict[str, tuple[float, float]]:
    """Mean and sample standard deviation of each figure."""
    spread = statistics.stdev if len(runs) > 1 else lambda _: 0.0
    return {name: (statistics.mean(values), spread(values)) for name in runs[0] if (values := [r[name] for r in runs])}


def write_table(path: Path, rows: dict[str, dict[str, tuple[float, float]]], seeds: list[int]) -> None:
    """Write one CSV row per (row name, figure) and print the same as Markdown, means with standard deviations."""
    hardware = machine(Processes.detect("auto").gpu)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "figure", "mean", "std", "seeds", "machine"])
        for row, figures in rows.items():
            for name, (mean, std) in figures.items():
                writer.writerow([row, name, f"{mean:.4f}", f"{std:.4f}", " ".join(map(str, seeds)), hardware])
    columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for row, figures in rows.items():
        cells = [shown(name, *figures[name]) if name in figures else "" for name in columns]
        print(f"| {row} | " + " | ".join(cells) + " |")


def shown(name: str, mean: float, std: float) -> str:
    """A cell of the table."""
    return f"{mean:.1f}" if name.endswith(("minutes", " ms")) else f"{mean:.3f} ± {std:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/repeat"))
    args = parser.parse_args()
    folder = args.out / Path(args.config).stem
    runs = [
        train_once(args.config, [*args.overrides, f"train.seed={seed}"], folder / f"seed{seed}") for seed in args.seeds
    ]
    write_table(folder / "summary.csv", {Path(args.config).stem: summarise(runs)}, args.seeds)


if __name__ == "__main__":
    run_and_exit(main)
