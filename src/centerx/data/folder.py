"""Read a folder of images without labels."""

from __future__ import annotations

from pathlib import Path

from centerx.data.dataset import Dataset, RecordBuilder
from centerx.data.records import Records
from centerx.errors import InputError
from centerx.images import SUFFIXES, list_names


def recognises(path: Path) -> bool:
    """Return whether a path is a folder."""
    return path.is_dir()


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read every image in a folder, or in the subfolder of a split. No class counts as labelled."""
    root = images or path
    if split is not None:
        root = root / split
        if not root.is_dir():
            raise InputError(f"{path}: no split {split!r}, there is no such folder in it")
    records = Records(RecordBuilder(root / name, name, []).build() for name in list_names(root, SUFFIXES))
    return Dataset(path, "folder", (), (), records, [])
