"""A bare folder of images: nothing is labelled."""

from __future__ import annotations

from pathlib import Path

from centerx.data.dataset import Dataset, RecordBuilder
from centerx.images import list_images


def recognises(path: Path) -> bool:
    """Whether this is a folder."""
    return path.is_dir()


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Take every image below the folder, or below its `split`; no class counts as annotated."""
    root = path / split if split else path
    found = list_images(images or root)
    records = [RecordBuilder(image, str(image.relative_to(images or root)), []).build() for image in found]
    return Dataset(path, "folder", (), (), records, [])
