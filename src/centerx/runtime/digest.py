"""Tell models apart by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

COMPANIONS = (".bin", ".caffemodel")  # suffixes of what belongs to a model file beside it
EXTERNAL = (".data", "_data")  # ends of the names of an ONNX file's own weights, where they lie beside it


def model_digest(path: Path, facts: str = "") -> str:
    """Return the SHA-256 of a model file, the files beside it that belong to it, and what else tells how it is read.

    Args:
        path: the file.
        facts: what else tells it.

    Raises:
        OSError: a file cannot be read.
    """
    whole = hashlib.sha256(facts.encode())
    beside = [path.with_suffix(suffix) for suffix in COMPANIONS] + [Path(f"{path}{end}") for end in EXTERNAL]
    for each in (path, *(each for each in beside if each.is_file() and each != path)):
        with each.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
