"""All benchmarks, in some minutes; writes benchmarks/results/bench.csv.

Each module also runs alone, such as `python benchmarks/targets.py`, and then only prints its table.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import deformable
import teaching

import inference
import pipeline
import reading
import targets
import training
from rows import Row, command_line, show, write

RESULTS = Path(__file__).parent / "results" / "bench.csv"


def main() -> None:
    measured: list[Row] = []
    # A process for each: what one does to malloc and to threads stays there.
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for module in (pipeline, reading, targets, training, teaching, deformable, inference):
            print((module.__doc__ or "").splitlines()[0], flush=True)
            measured += pool.submit(module.measure).result()
    show(measured)
    write(RESULTS, measured)
    print(f"rows: {RESULTS}")


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    main()
