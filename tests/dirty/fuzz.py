"""Feed readers of files from strangers with bytes that atheris makes, guided by coverage.

    python -m tests.dirty.fuzz --seconds 60 --out runs/fuzz
    python -m tests.dirty.fuzz json --seconds 300

Each target begins with the bases of its kinds, and adds what reaches new lines to OUT/TARGET. What it raises beside
InputError ends it; the input that did is OUT/TARGET/crash-*. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["centerx"]):
    from centerx.config import load_config
    from centerx.data.read import scan_dataset
    from centerx.data.store import read_info
    from centerx.errors import InputError
    from centerx.images import decode_image, image_header
    from centerx.runtime.foreign.adapter import parse_adapter, read_tree
    from centerx.runtime.header import read_metadata
    from tests.dirty.bases import make_base, painted

HOME = Path(tempfile.mkdtemp(prefix="fuzz")) / "a" / "b"  # pictures are sought in folders near labels


def data_file(name: str) -> Callable[[bytes], object]:
    """A target that reads a data set of one file."""

    def read(content: bytes) -> object:
        file = HOME / name
        file.write_bytes(content)
        return scan_dataset(file)

    return read


def label_folder(labels: str, format: str) -> Callable[[bytes], object]:
    """A target that reads a folder with one file of labels."""

    def read(content: bytes) -> object:
        file = HOME / format / labels
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return scan_dataset(HOME / format)

    return read


def file_of(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A target that reads one file."""

    def target(content: bytes) -> object:
        file = HOME / name
        file.write_bytes(content)
        return read(file)

    return target


def header(file: Path) -> object:
    """Metadata of a model file; a ValueError is what is documented."""
    with suppress(ValueError):
        return read_metadata(file)
    return None


def picture(content: bytes) -> object:
    """Header and pixels of a picture."""
    (HOME / "p.png").write_bytes(content)
    with suppress(InputError):
        image_header(HOME / "p.png")
    return decode_image(content, "p", 1 << 20)


TARGETS: dict[str, Callable[[bytes], object]] = {
    "json": data_file("a.json"),
    "odgt": data_file("a.odgt"),
    "csv": data_file("a.csv"),
    "txt": data_file("a.txt"),
    "yaml": data_file("a.yaml"),
    "xml": data_file("a.xml"),
    "voc": label_folder("Annotations/a.xml", "voc"),
    "rows": label_folder("labels/a.txt", "rows"),
    "picture": picture,
    "adapter": file_of("m.adapter.yaml", lambda file: parse_adapter(read_tree(file), file)),
    "config": file_of("c.yaml", load_config),
    "safetensors": file_of("m.safetensors", header),
    "onnx": file_of("m.onnx", header),
    "store": file_of("s.sqlite", read_info),
}


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
    HOME.mkdir(parents=True)
    corpus = args.out / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        write_seeds(args.target, corpus)
    read = TARGETS[args.target]

    def one(content: bytes) -> None:
        try:
            read(content)
        except InputError as error:
            if len(str(error).splitlines()) != 1:
                raise ValueError(f"not one line: {str(error)!r}") from None

    options = [f"-max_total_time={args.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
