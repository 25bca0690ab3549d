"""Signs of a format in the beginning and the end of a file, by which it is recognised without reading the whole."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

HEAD, TAIL = 65_536, 16_384  # bytes of a file that are looked at
ROWS = 20  # of a text whose form is looked at
SAMPLE = 8  # files of one folder that are opened


class Text(NamedTuple):
    """Beginning and end of a file; the end is empty where the beginning is all of it."""

    head: str
    tail: str

    @property
    def lines(self) -> list[str]:
        """Return the first complete lines that are not blank."""
        lines = self.head.splitlines()
        if self.tail and len(lines) > 1:
            lines.pop()
        return [line.strip() for line in lines if line.strip()][:ROWS]


Test = Callable[[Text], bool]


def keys(*names: str) -> Test:
    """Return a test whether a text contains all these names in quotes."""
    return lambda text: all(f'"{name}"' in text.head or f'"{name}"' in text.tail for name in names)


def says(pattern: str) -> Test:
    """Return a test whether a pattern occurs in the beginning or the end of a text."""
    form = re.compile(pattern, re.IGNORECASE)
    return lambda text: any(form.search(part) for part in text)


def lacks(name: str) -> Test:
    """Return a test whether a text does not contain this name in quotes."""
    return lambda text: not keys(name)(text)


def every(*tests: Test) -> Test:
    """Return a test whether all tests pass."""
    return lambda text: all(test(text) for test in tests)


def columns(*patterns: str) -> Test:
    """Return a test whether each pattern matches the whole name of a column in the first line."""

    def test(text: Text) -> bool:
        header = [name.strip(" \"'").lower() for name in re.split("[,;\t|]", next(iter(text.lines), ""))]
        return all(any(re.fullmatch(pattern, name) for name in header) for pattern in patterns)

    return test


def rows(pattern: str) -> Test:
    """Return a test whether a text has rows and all match a pattern."""
    form = re.compile(pattern, re.IGNORECASE)
    return lambda text: bool(text.lines) and all(form.fullmatch(line) for line in text.lines)


def anything(text: Text) -> bool:
    """Return whether a text is not empty."""
    return bool(text.head.strip())


def read_signs(file: Path) -> Text:
    """Read the beginning and the end of a file; both are empty where it cannot be read or is no ordinary file."""
    if not file.is_file():
        return Text("", "")
    try:
        with file.open("rb") as content:
            head = content.read(HEAD)
            length = content.seek(0, os.SEEK_END)
            content.seek(max(HEAD, length - TAIL))
            tail = content.read(TAIL)
    except OSError:  # an unreadable file is not known to contain labels
        return Text("", "")
    return Text(head.decode("utf-8-sig", errors="replace"), tail.decode(errors="replace"))


def label_files(path: Path, suffix: str, test: Test) -> Iterator[Path]:
    """Yield the files of one suffix that pass a test: the path itself, those in a folder, or else in its subfolders.

    Where the first SAMPLE files of a folder fail, its others are not opened.

    Args:
        path: a file or a folder.
        suffix: of the files, in lower case.
        test: of a file's beginning and end.
    """
    if not path.is_dir():
        if path.suffix.lower() == suffix and test(read_signs(path)):
            yield path
        return
    found = False
    for file in _passing(path, suffix, test):
        found = True
        yield file
    for folder in () if found else _folders(path):
        yield from _passing(folder, suffix, test)


def _passing(folder: Path, suffix: str, test: Test) -> Iterator[Path]:
    passed = False
    for number, name in enumerate(sorted(_names(folder, suffix))):
        if number == SAMPLE and not passed:
            return
        if test(read_signs(folder / name)):
            passed = True
            yield folder / name


def _names(folder: Path, suffix: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.lower().endswith(suffix) and not name.startswith(".")]
    except OSError:  # an unreadable folder has no labels
        return []


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(each.path) for each in entries if each.is_dir() and not each.name.startswith("."))
    except OSError:
        return []
