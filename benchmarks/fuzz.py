"""Feed readers of files from strangers with bytes that atheris makes, guided by coverage.

    python benchmarks/fuzz.py coco --seconds 120 --corpus tests/fuzz/coco

What a target raises beside InputError ends it with the input that did, `crash-*`. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["centerx"]):
    from centerx.config import load_config
    from centerx.data.read import scan_dataset
    from centerx.data.store import read_info
    from centerx.errors import InputError
    from centerx.images import decode_image, image_header
    from centerx.runtime.foreign.adapter import parse_adapter, read_tree
    from centerx.runtime.header import read_header

HOME = Path(tempfile.mkdtemp(prefix="fuzz"))


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


def picture(content: bytes) -> object:
    """Header and pixels of a picture."""
    (HOME / "p.png").write_bytes(content)
    try:
        image_header(HOME / "p.png")
    except InputError:
        pass
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
    "safetensors": file_of("m.safetensors", read_header),
    "onnx": file_of("m.onnx", read_header),
    "store": file_of("s.sqlite", read_info),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of inputs to begin with, and to add to")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    args.corpus.mkdir(parents=True, exist_ok=True)
    read = TARGETS[args.target]

    def one(content: bytes) -> None:
        try:
            read(content)
        except InputError as error:
            assert len(str(error).splitlines()) == 1, repr(str(error))

    options = [f"-max_total_time={args.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={args.corpus}/", str(args.corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
