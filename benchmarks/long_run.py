"""Training, prediction and serving, again and again; writes what is held after each round to results/long_run.csv.

python benchmarks/long_run.py --minutes 120

Every round trains a small detector with two data workers, checks its data, predicts on a folder with drawings and a
JSON, and labels it, all in this process; and asks a server, which runs all the while. Then it counts the memory, the
open files and sockets and the threads of both, the child processes, and the files in the temporary folder. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import NamedTuple

from serving import ask, export, picture, serving

from centerx.cli.main import app
from centerx.data.digits import write_digit_scenes

RESULTS = Path(__file__).parent / "results" / "long_run.csv"
PICTURES, REQUESTS = 24, 20
WARM_UP = 0.25  # share of the rounds that is left out
FLAT = 0.02  # what memory may differ between the first and the last third of the others


class Held(NamedTuple):
    """What is held after a round.

    Attributes:
        minutes: since the start.
        memory: resident, of this process, in MB.
        server: resident, of the server, in MB.
        handles: open files and sockets of both.
        threads: of both.
        children: processes that this one started, and theirs.
        files: in the temporary folder.
    """

    minutes: float
    memory: float
    server: float
    handles: int
    threads: int
    children: int
    files: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    held = []
    for each in rounds(options.minutes):
        held.append(each)
        print(*(f"{name} {value:g}" for name, value in each._asdict().items()), sep="  ", flush=True)
        write(options.out, held)
    found = growth(held)
    print(f"{len(held)} rounds, rows: {options.out}")
    print("\n".join(found) or f"memory is flat within {FLAT:.0%}, and nothing is left")
    sys.exit(bool(found))


def rounds(minutes: float) -> Iterator[Held]:
    """Yield what is held after each round, at least one, until the time is over."""
    start, before = time.monotonic(), set(descendants(os.getpid()))
    with temporary_folder() as folder, tempfile.TemporaryDirectory(dir=folder.parent) as work:
        here = Path(work)
        scenes = write_digit_scenes(here / "scenes", PICTURES, seed=0, split="train", image_hw=(96, 96))
        model = export(here / "model.onnx")
        with serving(model) as address:
            while True:
                play(here, scenes, model, address)
                yield count(folder, before, time.monotonic() - start)
                if time.monotonic() - start >= minutes * 60:
                    return


def play(here: Path, scenes: Path, model: Path, address: str) -> None:
    """One round: train, check, predict, label, and ask the server."""
    run, drawn = here / "run", here / "drawn"
    settings = ["train.epochs=2", "train.batch_size=8", "data.workers=2"]
    settings += ["data.input_size=96", "model.pretrained=false"]
    words = (
        ["train", "nano", f"data.train=[{scenes}]", f"data.val=[{scenes}]", *settings, "--out", run],
        ["data", "check", scenes],
        ["predict", run / "last.safetensors", scenes.parent, "--out", drawn, "--json", here / "found.json"],
        ["predict", model, scenes.parent, "--json", here / "found.json"],
        ["pseudo", model, scenes.parent, "--out", here / "labels.json"],
    )
    for each in words:
        app([str(word) for word in ["--quiet", *each]], standalone_mode=False)
    for _ in range(REQUESTS):
        if ask(address, picture(), time.monotonic())[1]:
            raise SystemExit("the server did not answer")
    for folder in (run, drawn):
        shutil.rmtree(folder)


def count(folder: Path, before: Set[int], seconds: float) -> Held:
    """Count what this process holds and those that it started, but for those there before."""
    gc.collect()
    own = os.getpid()
    started = [each for each in descendants(own) if each not in before]
    processes = [own, *started]
    return Held(
        round(seconds / 60, 2),
        resident(own),
        resident(started[0]),
        sum(len(os.listdir(f"/proc/{each}/fd")) for each in processes),
        sum(len(os.listdir(f"/proc/{each}/task")) for each in processes),
        len(started),
        sum(len(files) for _, _, files in os.walk(folder)),
    )


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def descendants(process: int) -> list[int]:
    """Return the processes that a process started, and theirs; the oldest first."""
    own = [
        int(each)
        for task in Path(f"/proc/{process}/task").iterdir()
        for each in (task / "children").read_text().split()
    ]
    return sorted(each for one in own for each in (one, *descendants(one)))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Let this process, and those that it starts, have a temporary folder of their own."""
    get_temp_dir()  # of this process, for good
    former = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "temporary"
        folder.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = former[0]
            os.environ.pop("TMPDIR")
            if former[1] is not None:
                os.environ["TMPDIR"] = former[1]


def growth(held: Sequence[Held]) -> list[str]:
    """Return a line for all that grows, between thirds of the rounds after the warm-up.

    Memory may differ by a share of FLAT; of the rest there may be no more at the end than after the warm-up.
    """
    after = held[int(len(held) * WARM_UP) :]
    third = max(len(after) // 3, 1)
    first, last = after[:third], after[-third:]
    found = []
    for name in Held._fields[1:]:
        before, now = (statistics.median(getattr(each, name) for each in part) for part in (first, last))
        if now > before * (1 + FLAT if name in ("memory", "server") else 1):
            found.append(f"{name} grows from {before:g} to {now:g}")
    return found


def write(path: Path, held: Sequence[Held]) -> None:
    """Write the rounds as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Held._fields)
        writer.writerows(held)


if __name__ == "__main__":
    main()
