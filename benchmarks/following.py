"""Whole trainings alone and beside busy processes: with threads that follow the free cores, and with threads that stay.

Steps a second of the later half of the epochs of `centerx train n` on made-up pictures; the first half must last longer
than threads take to follow. It needs a machine on which nothing else runs.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from neighbour import KNOBS, neighbour

from centerx.data.figures import write_figure_scenes

from rows import rows, show, write

RESULTS = Path(__file__).parent / "results" / "following.csv"
PICTURES, BATCH = 128, 8


def steps_a_second(data: Path, folder: Path, knobs: dict[str, str], epochs: int) -> float:
    """Train and return the median over the later half of the epochs."""
    kept = {name: value for name, value in os.environ.items() if name not in KNOBS}
    words = [
        "train", "n", f"data.train=[{data}]", "data.val=[]", "data.input_size=256", f"train.epochs={epochs}",
        f"train.batch_size={BATCH}", "train.report=false", "data.workers=0", "--out", str(folder),
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "centerx", *words], check=True, env=kept | knobs, stdout=subprocess.DEVNULL)
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return PICTURES / BATCH / statistics.median(seconds[epochs // 2 :])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 4], help="how many busy processes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    cases = {"threads that follow": {}, "threads that stay": {"OMP_NUM_THREADS": str(given.threads)}}
    speeds = {}
    with tempfile.TemporaryDirectory() as made:
        scenes = write_figure_scenes(Path(made) / "data", PICTURES, 0, "train", (256, 256))
        for number in given.neighbours:
            for case, words in cases.items():
                name = f"{case}, {f'beside {number} busy' if number else 'alone'}"
                with ExitStack() as others:
                    for _ in range(number):
                        others.enter_context(neighbour())
                    speeds[name] = steps_a_second(scenes, Path(made) / name, words, given.epochs)
    measured = rows(f"training, n, 256 px, batch {BATCH}", speeds, "steps/s", 1)
    show(measured)
    write(given.out, measured)
