"""Read the metadata of a model file without loading the model: nothing of the file is run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIXES = (".safetensors", ".onnx")  # of the files that are read
LONGEST = 100_000_000  # bytes of a header; safetensors allows no longer one
METADATA_PROPS = 14  # field of ONNX's ModelProto
KEY, VALUE = 1, 2  # fields of its StringStringEntryProto
VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5  # wire types of protobuf
SIZES = {EIGHT: 8, FOUR: 4}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the strings that a model file carries.

    Args:
        path: a file with one of SUFFIXES.

    Raises:
        ValueError: it is not such a file, or cut.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if path.suffix.lower() == ".safetensors":
            return _safetensors(file)
        return _onnx(file, os.fstat(file.fileno()).st_size)


def _safetensors(file: BinaryIO) -> dict[str, str]:
    length = int.from_bytes(file.read(8), "little")
    if length > LONGEST:
        raise ValueError("the header is too long")
    try:
        tree = json.loads(file.read(length))
    except RecursionError:
        raise ValueError("the header is nested too deep") from None
    metadata = tree.get("__metadata__", {}) if isinstance(tree, dict) else {}
    if not isinstance(metadata, dict):
        raise ValueError("the metadata is no mapping")
    return {str(key): str(value) for key, value in metadata.items()}


def _onnx(file: BinaryIO, end: int) -> dict[str, str]:
    found = {}
    for start, stop in _fields(file, end, METADATA_PROPS):
        file.seek(start)
        texts = {}
        for field in (KEY, VALUE):
            file.seek(start)
            for first, last in _fields(file, stop, field):
                file.seek(first)
                texts[field] = file.read(last - first).decode()
        found[texts.get(KEY, "")] = texts.get(VALUE, "")
        file.seek(stop)
    return found


def _fields(file: BinaryIO, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Go through a protobuf message up to `end`; yield start and end of each field of a number that has a length."""
    while file.tell() < end:
        number, kind = divmod(_varint(file), 8)
        if kind == VARINT:
            _varint(file)
            continue
        length = _varint(file) if kind == LENGTH else SIZES.get(kind)
        start = file.tell()
        if length is None or not number or start + length > end:
            raise ValueError("no protobuf, or cut")
        if kind == LENGTH and number == wanted:
            yield start, start + length
        file.seek(start + length)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no protobuf")
