"""What a long command found so far, kept beside its output, so that it can go on after it was killed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from centerx.errors import InputError
from centerx.files import locked, naming
from centerx.runtime.digest import model_digest
from centerx.runtime.foreign.adapter import sidecar

SUFFIX = ".part"
CHECKED = 9  # bytes before the JSON of a line
logger = logging.getLogger(__name__)


class Unfinished:
    """A file of lines beside an output: what the answers depend on, then an answer a picture.

    A line is JSON behind its CRC-32. Answers about pictures that have changed since are void. A line that was cut off
    is removed, as is the file when it is closed without an answer.

    Args:
        output: the file that the command makes of the answers.
        model: file of the model that gives them.
        facts: options on which they depend, by name.

    Attributes:
        path: of the file, `output` with `.part` behind it.
        done: paths of the pictures that need not be looked at again.

    Raises:
        InputError: the file is in use, is none of this kind, or is of a command with another model or other options.
        OSError: it cannot be written; names it.
    """

    def __init__(self, output: Path, model: Path, facts: Mapping[str, Any]) -> None:
        self.path = output.with_name(output.name + SUFFIX)
        self.done: set[str] = set()
        self._void: set[int] = set()  # where the lines begin that count no more
        self._empty = True
        beside = sidecar(model)
        read_by = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
        known = json.loads(json.dumps({"model": model_digest(model, read_by), **facts}))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"{self.path}: is no ordinary file, remove it or name another output")
        with ExitStack() as opened:
            self._file = opened.enter_context(self.path.open("a+b", buffering=0))
            try:
                opened.enter_context(locked(self.path))
            except BlockingIOError:
                raise InputError(f"{self.path}: another command is writing it, wait or name another output") from None
            except OSError:
                pass  # some file systems have no locks
            self._load(known)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._empty:
            self.path.unlink(missing_ok=True)
        self._opened.close()

    def add(self, picture: Path, answer: Any) -> None:
        """Keep the answer about a picture.

        Raises:
            OSError: it cannot be written; names the file.
        """
        self._write([str(picture), *_state(picture), answer])
        self._empty = False

    def answers(self) -> Iterator[tuple[str, Any]]:
        """Yield the path of each picture and the answer about it, in the order in which they came."""
        for offset, (picture, _, _, answer) in self._lines():
            if offset not in self._void:
                yield picture, answer

    def remove(self) -> None:
        """Remove the file, once the output is written."""
        self.path.unlink(missing_ok=True)

    def _load(self, facts: dict[str, Any]) -> None:
        self._file.seek(0)
        head = self._file.readline()
        if _line(facts).startswith(head) and not head.endswith(b"\n"):  # empty, or killed in its first line
            self._file.truncate(0)
            self._write(facts)
            return
        before = self._parsed(head)
        if not isinstance(before, dict):
            raise self._corrupt()
        for name in facts:
            if facts[name] != before.get(name):
                raise InputError(
                    f"{self.path}: was left by a command with another {name}, give the same one again, or remove the "
                    "file to begin anew"
                )
        changed: list[str] = []
        for offset, (picture, size, time, _) in self._lines():
            self._empty = False
            if [size, time] == _state(Path(picture)):
                self.done.add(picture)
            else:
                self._void.add(offset)
                changed.append(picture)
        logger.info(f"{self.path}: goes on, {len(self.done)} pictures are done")
        if changed:
            logger.warning(
                f"{self.path}: {len(changed)} pictures have changed since or are gone, what was found there is left "
                f"out; the first: {changed[0]}"
            )

    def _lines(self) -> Iterator[tuple[int, tuple[str, int, int, Any]]]:
        """Yield where each line of an answer begins and what it says; the last one is removed if it was cut off."""
        with self.path.open("rb") as file:
            file.readline()
            offset = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    self._file.truncate(offset)
                    return
                picture, size, time, answer = self._parsed(line)
                yield offset, (picture, size, time, answer)
                offset += len(line)

    def _parsed(self, line: bytes) -> Any:
        if line[:CHECKED] != _checksum(line[CHECKED:]):
            raise self._corrupt()
        return json.loads(line[CHECKED:])

    def _corrupt(self) -> InputError:
        return InputError(f"{self.path}: corrupt or no file of this command, remove it or name another output")

    def _write(self, tree: Any) -> None:
        line = memoryview(_line(tree))
        with naming(self.path):
            while line:
                line = line[self._file.write(line) :]


def _line(tree: Any) -> bytes:
    text = json.dumps(tree).encode() + b"\n"
    return _checksum(text) + text


def _checksum(text: bytes) -> bytes:
    """CHECKED bytes that tell a text from a damaged one."""
    return b"%08x " % crc32(text)


def _state(picture: Path) -> list[int]:
    """Size and time of change of a file; -1 where it is not there."""
    try:
        found = picture.stat()
    except OSError:
        return [-1, -1]
    return [found.st_size, found.st_mtime_ns]
