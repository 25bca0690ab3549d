"""What suppression would gain: how many detections stand on an object that has one, and AP without them.

    python experiments/duplicates.py runs/bccd_nano/last.safetensors --data ../shared/data/bccd --split test

A network of centres has no suppression: two peaks may mark one object, of one class or of two. Detections that lie over
a better one, by IoU, are left out here after the network, within each class or of all classes together. `share` is
that of detections over `--score` which are left out.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import batched_nms

from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.evaluation.api import measure, run_model
from centerx.runtime import open_session
from centerx.types import Detections

OVERLAPS = 0.5, 0.6, 0.7, 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--score", type=float, default=0.3)
    args = parser.parse_args()

    entry = {"path": args.data, "split": args.split}
    datasets = build_datasets(load_config({"data": {"val": [entry]}}).data.val)
    source, found = run_model(args.model, datasets, 1, open_session(args.model))
    judge = partial(measure, args.model, datasets, source)
    before = judge(found)
    certain = {key: each[each.scores >= args.score] for key, each in found.items()}
    total = sum(map(len, certain.values()))
    print(f"{total} detections over {args.score}, AP {before.AP:.4f}, AP50 {before.AP50:.4f}")
    print("| IoU | suppressed | share | AP | AP50 |")
    print("|---|---|---|---|---|")
    for overlap in OVERLAPS:
        for name, across in (("within a class", False), ("of all classes", True)):
            keep = partial(suppress, overlap=overlap, across=across)
            after = judge({key: keep(each) for key, each in found.items()})
            left = sum(len(keep(each)) for each in certain.values())
            print(f"| {overlap} | {name} | {1 - left / total:.1%} | {after.AP:.4f} | {after.AP50:.4f} |")


def suppress(found: Detections, overlap: float, across: bool) -> Detections:
    """Leave out detections that lie over a better one, of the same class or `across` classes."""
    groups = np.zeros_like(found.labels) if across else found.labels
    boxes, scores, groups = map(torch.from_numpy, (found.boxes.astype(np.float32), found.scores, groups))
    return found[batched_nms(boxes, scores, groups, overlap).numpy()]


if __name__ == "__main__":
    run_and_exit(main)
