"""Files that appear whole or not at all, and text of any names as UTF-8."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from centerx.errors import InputError

SCRATCH = ".centerx-"  # how the folders begin in which files are made
# Bytes of a name that are not UTF-8, as Python has them, and what ends a line or controls a terminal.
UNFIT = re.compile("[\ud800-\udfff\x00-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """A place to write a file or folder, and files that belong to it; at the end they move beside `path`, it the last.

    A full disk, an error in the block or a killed process leaves what was there before. Missing folders are made; of a
    link, what it leads to is replaced; a file keeps its mode; into a pipe or a device the content is copied.

    Yields:
        A path of the same name in a folder of its own.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    stream = _is_stream(path)
    home = None if stream else _real(path).parent
    with _naming(path):
        if home is not None:
            home.mkdir(parents=True, exist_ok=True)
            _require_not_protected(path)
        with tempfile.TemporaryDirectory(dir=home, prefix=SCRATCH, ignore_cleanup_errors=True) as scratch:
            new, former = Path(scratch) / "new", Path(scratch) / "former"
            new.mkdir()
            made = new / path.name
            yield made
            if stream:
                with made.open("rb") as content, path.open("wb") as target:
                    shutil.copyfileobj(content, target)
                return
            for file in new.rglob("*"):
                _flush(file)
            for file in sorted(new.iterdir(), key=lambda file: file == made):
                _put(file, _real(path.with_name(file.name)), former)


@contextmanager
def many_files(folder: Path) -> Iterator[Callable[[str], AbstractContextManager[Path]]]:
    """What gives a place to write a file of a folder, by its name; at the end of its block the file moves there.

    For many small files: there is one folder to write them in, and none waits for the disk as those of `new_files` do,
    so that each is whole or not there unless the machine itself stops. A missing folder is made.

    Raises:
        OSError: a file cannot be written; names it.
    """
    with _naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH, ignore_cleanup_errors=True) as scratch:
            made = Path(scratch) / "new"

            @contextmanager
            def new_file(name: str) -> Iterator[Path]:
                with _naming(folder / name):
                    yield made
                    _require_not_protected(folder / name)
                    made.replace(folder / name)

            yield new_file


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file by `new_files`.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with new_files(path) as made:
        made.write_bytes(content)


def write_json(path: Path, tree: Any, indent: int | None = None) -> None:
    """Write JSON by `new_files`.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    write_atomic(path, (json_text(tree, indent) + "\n").encode())


@contextmanager
def json_list(path: Path) -> Iterator[Callable[[Any], None]]:
    """What adds an entry to a JSON list, which is written as entries come, one a line, by `new_files`.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with new_files(path) as made, made.open("w", encoding="utf-8") as file:
        between = "[\n"

        def add(entry: Any) -> None:
            nonlocal between
            file.write(between + json_text(entry))
            between = ",\n"

        yield add
        file.write("\n]\n" if between == ",\n" else "[]\n")


def require_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a place where a file could not be written, before the work that it is to hold.

    Args:
        path: of the file; its folders may be missing. inputs: files that must not be overwritten.

    Raises:
        InputError: it is a folder or an input, or cannot be written.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # some names are too long
        if path.is_dir():
            raise InputError(f"{path}: is a folder, name a file in it")
        if any(_real(path) == _real(each) for each in inputs):
            raise InputError(f"{path}: is read by this command and would be overwritten, name another file")
        if _is_stream(path):
            return
        _require_not_protected(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}), choose another place") from None
    require_folder(_real(path).parent)


def require_folder(folder: Path) -> None:
    """Refuse a folder that could not take a file, before the work that it is to hold; it may be missing.

    Raises:
        InputError: it cannot be written.
    """
    place = folder.absolute()
    try:
        tempfile.TemporaryFile(dir=next(each for each in (place, *place.parents) if each.exists())).close()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}), choose another place") from None


def require_utf8(path: Path) -> None:
    """Refuse a path that most libraries, which know nothing of Python's escapes, cannot open.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: this path is not UTF-8, in which most libraries open files, rename it") from None


def json_text(tree: Any, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """JSON that stays readable; what UTF-8 cannot hold is escaped (`\\udcdf`), so that reading gives the same names."""
    text = json.dumps(tree, ensure_ascii=False, indent=indent, separators=separators)
    return text.encode("utf-8", "backslashreplace").decode()


def quoted(name: str) -> str:
    """A name as one line of UTF-8: what that cannot hold becomes its bytes, `%DF`."""
    return UNFIT.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes(found[0])), name)


def _bytes(character: str) -> bytes:
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return character.encode("utf-8", "surrogatepass")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have errors that name no file, or one that the user does not know, name `path`."""
    try:
        yield
    except OSError as error:
        named = [name for name in (error.filename, error.filename2) if name is not None]
        if not named or any(SCRATCH in str(name) for name in named):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None
        raise


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _require_not_protected(path: Path) -> None:
    """A rename would replace even a file that may not be written."""
    if path.is_file() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _flush(file: Path) -> None:
    """Have the content on the disk before the name."""
    if file.is_file():
        with file.open("rb") as content:
            os.fsync(content.fileno())


def _put(file: Path, place: Path, former: Path) -> None:
    """Move a file, or a folder, to a place; what is there is replaced, a folder by way of `former`."""
    if file.is_dir() and place.is_dir():
        place.replace(former)
    elif place.is_file():
        with suppress(OSError):  # not every file system has modes
            shutil.copymode(place, file)
    try:
        file.replace(place)
    except OSError:
        if former.exists():
            former.replace(place)
        raise
