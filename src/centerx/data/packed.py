"""Data sets of Hugging Face that have their pictures inside: saved to a folder, or Parquet files.

Both are tables of Arrow with a column `image`, of bytes and a path, and a column `objects`; their schema has the names
of the classes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from centerx.errors import InputError, nearest
from centerx.files import json_text, many_files, write_atomic

ONE, SEVERAL = "state.json", "dataset_dict.json"  # of a saved data set: of one split, of several
IMAGE, OBJECTS = "image", "objects"
CATEGORIES = ("categories", "category", "label", "labels", "category_id", "class")
CONTENTS = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp", b"II": ".tif"}
FILE = "metadata.jsonl"
ROWS = 64  # that are in memory at once


def is_packed(path: Path) -> bool:
    """Return whether a path is a saved data set, a Parquet file, or a folder of Parquet files."""
    if path.is_file():
        return path.suffix.lower() == ".parquet"
    return any((path / name).is_file() for name in (ONE, SEVERAL)) or bool(_parquets(path))


def unpack(path: Path, folder: Path, split: str | None = None) -> None:
    """Write the pictures and labels of a data set that has them inside as a folder with a `metadata.jsonl`.

    Args:
        path: folder that `save_to_disk` wrote, a Parquet file, or a folder of Parquet files.
        folder: where to write; created if missing.
        split: name of the split; needed if there are several.

    Raises:
        InputError: there is no such split, a file is malformed, or the columns `image` and `objects` are missing.
    """
    import pyarrow

    files = _files(path, split)
    lines = []
    try:
        with many_files(folder) as new_file:
            for number, (image, objects) in enumerate(chain.from_iterable(map(_rows, files))):
                content = image.get("bytes") if isinstance(image, dict) else None
                if not isinstance(content, bytes):
                    raise InputError(f"{path}: row {number}: the picture is not inside, only its path {image!r:.100}")
                suffix = next((end for head, end in CONTENTS.items() if content.startswith(head)), ".jpg")
                name = f"{number:06d}{suffix}"
                with new_file(name) as made:
                    made.write_bytes(content)
                lines.append(json_text({"file_name": name, "objects": objects}) + "\n")
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise InputError(f"{path}: malformed table ({' '.join(str(error).split())[:200]})") from None
    write_atomic(folder / FILE, "".join(lines).encode())


def _rows(file: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the image and the objects of each row, with the names of categories where the schema has them."""
    import pyarrow

    if file.suffix.lower() == ".parquet":
        from pyarrow.parquet import ParquetFile

        table = ParquetFile(file)
        schema = table.schema_arrow
        _require_columns(file, schema.names)
        batches = table.iter_batches(ROWS, columns=[IMAGE, OBJECTS])
    else:
        batches = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file)))
        schema = batches.schema
        _require_columns(file, schema.names)
    names = _class_names(schema.metadata or {})
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            some = batch.slice(start, ROWS)
            yield from zip(
                some.column(IMAGE).to_pylist(),
                (_named(objects, names) for objects in some.column(OBJECTS).to_pylist()),
                strict=True,
            )


def _require_columns(file: Path, columns: Sequence[str]) -> None:
    missing = next((name for name in (IMAGE, OBJECTS) if name not in columns), None)
    if missing is not None:
        raise InputError(f"{file}: has no column {missing!r}, which data of objects needs; it has {', '.join(columns)}")


def _class_names(metadata: dict[bytes, bytes]) -> list[str]:
    """Return the names of the classes in the description of `datasets`; none if it has none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"][OBJECTS]
    except (ValueError, RecursionError, KeyError, TypeError):
        return []
    waiting = [features]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if each.get("_type") == "ClassLabel" and isinstance(each.get("names"), list):
                return list(map(str, each["names"]))
            waiting += each.values()
    return []


def _named(objects: Any, names: Sequence[str]) -> Any:
    """Return objects with the names of their categories in place of numbers."""
    if isinstance(objects, list):
        return [_named(each, names) for each in objects]
    if not isinstance(objects, dict):
        return objects
    return {key: _name(value, names) if key in CATEGORIES else value for key, value in objects.items()}


def _name(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_name(each, names) for each in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _files(path: Path, split: str | None) -> list[Path]:
    """Return the tables of a split.

    Raises:
        InputError: there is no such split, or there are several and none is named.
    """
    if (path / SEVERAL).is_file():
        known = {each.name: each for each in sorted(path.iterdir()) if (each / ONE).is_file()}
        return sorted(known[_choose(path, list(known), split)].glob("*.arrow"))
    if (path / ONE).is_file():
        return sorted(path.glob("*.arrow"))
    by_split: dict[str, list[Path]] = {}
    for file in [path] if path.is_file() else _parquets(path):
        by_split.setdefault(re.split(r"[-.]", file.name)[0], []).append(file)
    return by_split[_choose(path, list(by_split), split)]


def _choose(path: Path, known: Sequence[str], split: str | None) -> str:
    if split is None and len(known) == 1:
        return known[0]
    there = ", ".join(known)
    if split is None:
        raise InputError(f"{path}: which split of {there or 'none'}? name one with split")
    if split not in known:
        raise InputError(f"{path}: no split {split!r}{nearest(split, known)}, there are: {there or 'none'}")
    return split


def _parquets(path: Path) -> list[Path]:
    """Return the Parquet files in a folder, or in its folder `data`."""
    return sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
