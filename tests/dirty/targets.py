"""Readers of files from strangers, each a function of the bytes of a file."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from centerx.config import load_config
from centerx.data.read import scan_dataset
from centerx.data.store import read_info
from centerx.errors import InputError
from centerx.images import decode_image, image_header
from centerx.runtime.foreign.adapter import parse_adapter, read_tree
from centerx.runtime.header import read_metadata

CORPUS = Path(__file__).parent / "corpus.tar.xz"  # what a fuzzer found to reach lines that others do not
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


def read_safely(target: str, content: bytes) -> None:
    """Read a file; an InputError of one line is as it should be.

    Raises:
        ValueError: the error has several lines.
        Exception: whatever else a reader raises.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        TARGETS[target](content)
    except InputError as error:
        if len(str(error).splitlines()) != 1:
            raise ValueError(f"not one line: {str(error)!r}") from None


def kept_inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each kept input of a target."""
    with tarfile.open(CORPUS) as archive:
        for member in archive:
            folder, _, name = member.name.partition("/")
            if folder == target and member.isfile():
                yield name, archive.extractfile(member).read()  # type: ignore[union-attr]
