"""Feed readers of files from strangers with bytes that atheris makes, guided by coverage.

    python -m tests.dirty.fuzz --seconds 60 --out runs/fuzz
    python -m tests.dirty.fuzz json --seconds 300

Each target begins with the bases of its kinds and the kept inputs of corpus.tar.xz, and adds what reaches new lines to
OUT/TARGET. What it raises beside InputError ends it; the input that did is OUT/TARGET/crash-*. Needs `pip install
atheris`.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["centerx"]):
    from tests.dirty.bases import make_base, painted
    from tests.dirty.targets import HOME, TARGETS, kept_inputs, read_safely

SEEDS = {  # target -> kinds of bases, and the suffix of their file
    "json": (("coco", "createml", "labelstudio", "via", "fiftyone", "labelme"), ".json"),
    "odgt": (("odgt",), ".odgt"),
    "csv": (("csv", "points", "openimages"), ".csv"),
    "txt": (("wider", "pseudo"), ".txt"),
    "yaml": (("yolo",), ".yaml"),
    "xml": (("cvat",), ".xml"),
    "voc": (("voc",), ".xml"),
    "rows": (("dota", "kitti", "icdar", "wpod", "yolo"), ".txt"),
    "picture": (("pictures",), ".*g"),
    "adapter": (("adapter",), ".yaml"),
    "config": (("config",), ".yaml"),
    "store": (("store",), ".sqlite"),
}


def write_seeds(target: str, corpus: Path) -> None:
    """Write what a target begins with into an empty folder."""
    kinds, suffix = SEEDS.get(target, ((), ""))
    for kind in kinds:
        base = HOME.parent / "bases" / kind
        make_base(kind, base, painted(HOME.parent / "painted"))
        for place, file in enumerate(sorted(file for file in base.rglob(f"*{suffix}") if file.is_file())[:2]):
            shutil.copy(file, corpus / f"{kind}{place}")
    if target == "safetensors":
        tree = {"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        head = json.dumps(tree).encode()
        (corpus / "seed").write_bytes(struct.pack("<Q", len(head)) + head + bytes(4))
    if target == "onnx":
        (corpus / "seed").write_bytes(b"\x08\x01\x72\x08\x0a\x02ab\x12\x02cd")  # a version, and metadata ab: cd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="all, one after another, without it")
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    args = parser.parse_args()
    if args.target is None:  # libFuzzer ends its process
        command = [sys.executable, "-m", "tests.dirty.fuzz", "--seconds", str(args.seconds), "--out", str(args.out)]
        failed = [target for target in TARGETS if subprocess.run([*command, target]).returncode]
        sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
    logging.disable(logging.CRITICAL)
    corpus = args.out / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        write_seeds(args.target, corpus)
        for name, content in kept_inputs(args.target):
            (corpus / name).write_bytes(content)
    options = [f"-max_total_time={args.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={corpus}/", str(corpus)], partial(read_safely, args.target)
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
