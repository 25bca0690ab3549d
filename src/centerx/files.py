"""Files that appear whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file beside its place, then put it there: a full disk or a killed process leaves the former file.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """A place to write a file and those that belong to it; at the end all of them move beside `path`, it as the last.

    Yields:
        A path of the same name in a folder of its own. Where the block fails, the former files stay.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        made = Path(folder) / path.name
        yield made
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == made):
            file.replace(path.parent / file.name)
