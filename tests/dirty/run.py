"""Break bases many times, in a process of bounded memory, and write what became of each case.

    python -m tests.dirty.run --kind coco --count 100 --seed 0
    python -m tests.dirty.run --kind coco --only 17 --keep /tmp/case

Prints a line of JSON for each case.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from centerx.data.dataset import Dataset
from tests.dirty.account import Fate, account, read
from tests.dirty.bases import BASES, make_base, painted
from tests.dirty.changes import break_one

MEMORY = 2 << 30  # bytes that a process of cases may have


class Outcome(NamedTuple):
    """A case and what became of it."""

    kind: str
    index: int
    file: str
    change: str
    fate: Fate


def outcomes(
    kind: str, indices: Iterable[int], seed: int, folder: Path, dataset: Dataset | None = None
) -> Iterator[Outcome]:
    """Make the cases of a kind one after the other, and read each.

    Args:
        kind: of `bases.BASES`.
        indices: numbers of the cases; a case depends on the kind, its number, the seed and the data set alone.
        seed: of all cases.
        folder: empty, to work in.
        dataset: what the base is made of; painted pictures without it.
    """
    clean, home = folder / "clean", folder / "case" / "set"
    path = make_base(kind, clean, dataset or painted(folder / "painted"))
    shutil.copytree(clean, home)
    before = read(kind, home / path.relative_to(clean), home)
    for index in indices:
        remove(home)
        shutil.copytree(clean, home)
        case = break_one(home, home / path.relative_to(clean), kind, random.Random(f"{seed} {kind} {index}"))
        yield Outcome(kind, index, case.file, case.change, account(kind, home, case.path, case.file, clean, before))


def remove(home: Path) -> None:
    """Remove a case, whatever it holds."""
    shutil.rmtree(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", nargs="+", default=list(BASES))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", type=Path, help="leave the last case here")
    parser.add_argument("--data", help="what to make bases of, instead of painted pictures")
    parser.add_argument("--split")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    dataset = few(args.data, args.split) if args.data else None
    indices = range(args.count) if args.only is None else [args.only]
    for kind in args.kind:
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.keep or Path(scratch)
            folder.mkdir(exist_ok=True)
            for each in outcomes(kind, indices, args.seed, folder, dataset):
                print(json.dumps(to_dict(each)))
                sys.stdout.flush()


def few(data: str, split: str | None, count: int = 4) -> Dataset:
    """The first pictures of a real set that have objects, with no more than a few of these."""
    from centerx.data.read import read_dataset

    dataset = read_dataset(data, split=split)
    kept = [each for each in dataset.records if len(each.labels) and each.image.is_file()][:count]
    records = [each._replace(objects=each.objects.where(slice(6))) for each in kept]
    return dataset._replace(records=records, problems=[])


def to_dict(outcome: Outcome) -> dict[str, Any]:
    return outcome._replace(fate=None)._asdict() | {"fate": outcome.fate.name, "detail": outcome.fate.detail}


if __name__ == "__main__":
    main()
