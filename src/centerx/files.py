"""Write files atomically, check output paths before work starts, and write names that are not UTF-8."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from centerx.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SCRATCH = ".centerx-"  # prefix of the temporary folders in which files are written
# Surrogates that stand for bytes that are not UTF-8, ends of lines, and control characters.
UNFIT = re.compile("[\ud800-\udfff\x00-\x1f\x7f-\x9f\u2028\u2029]")

_added: ContextVar[list[Path] | None] = ContextVar("added", default=None)


@contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """Write a file or folder, and files that belong to it, atomically.

    The block writes to a temporary folder. At its end the files move beside `path`; the one of that name is the last.
    If the disk is full, the block raises or the process is killed, earlier files stay as they are. Missing folders are
    created. For a symbolic link, its target is replaced. A replaced file keeps its mode. For a pipe or a device, the
    content is copied into it.

    Args:
        path: the file or folder.

    Yields:
        A path of the same name in the temporary folder.

    Raises:
        OSError: the file cannot be written; names `path`.
    """
    stream = _is_stream(path)
    home = None if stream else _real(path).parent
    with naming(path):
        if home is not None:
            _note_addition(home)
            home.mkdir(parents=True, exist_ok=True)
            _require_not_protected(path)
        with _scratch(home) as scratch:
            new, former = scratch / "new", scratch / "former"
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
def whole_or_nothing(folder: Path) -> Iterator[None]:
    """Remove the files that the block has added by this module, and folders of theirs, if it raises an error.

    Args:
        folder: where the block writes; folders above it stay.
    """
    added: list[Path] = []
    token, home = _added.set(added), _real(folder)
    try:
        yield
    except Exception:  # whatever went wrong; an interruption keeps what is written, and says so
        for path in added:
            with suppress(OSError):
                path.unlink()
            for empty in (path, *path.parents):
                if not empty.is_relative_to(home):
                    break
                with suppress(OSError):  # others have written there, or it is a file that is gone
                    empty.rmdir()
        raise
    finally:
        _added.reset(token)


@contextmanager
def many_files(folder: Path) -> Iterator[Callable[[str], AbstractContextManager[Path]]]:
    """Write many small files of a folder, each atomically.

    Unlike `new_files` it has one temporary folder for all files and does not wait for the disk, so that a file can be
    incomplete only if the machine itself stops. A missing folder is created.

    Args:
        folder: the folder.

    Yields:
        A function from the name of a file to a context manager. It yields a path to write to, and moves the file into
        the folder at the end of its block.

    Raises:
        OSError: a file cannot be written; names it.
    """
    with naming(folder):
        _note_addition(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with _scratch(folder) as scratch:
            made = scratch / "new"

            @contextmanager
            def new_file(name: str) -> Iterator[Path]:
                with naming(folder / name):
                    yield made
                    _require_not_protected(folder / name)
                    _note_addition(folder / name)
                    made.replace(folder / name)

            yield new_file


def remove_scratch(folder: Path) -> None:
    """Remove the temporary folders that killed processes left in a folder. Those in use stay."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        with suppress(OSError), locked(scratch):
            shutil.rmtree(scratch)


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically, see `new_files`.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        OSError: the file cannot be written; names `path`.
    """
    with new_files(path) as made:
        made.write_bytes(content)


def write_json(path: Path, tree: Any, indent: int | None = None) -> None:
    """Write a JSON file atomically, see `new_files`.

    Args:
        path: the file.
        tree: the value to write.
        indent: spaces per level; one line by default.

    Raises:
        OSError: the file cannot be written; names `path`.
    """
    write_atomic(path, (json_text(tree, indent) + "\n").encode())


@contextmanager
def json_list(path: Path) -> Iterator[Callable[[Any], None]]:
    """Write a JSON list atomically, entry by entry, one per line.

    Args:
        path: the file.

    Yields:
        A function that appends an entry.

    Raises:
        OSError: the file cannot be written; names `path`.
    """
    with new_files(path) as made, made.open("w", encoding="utf-8") as file, json_entries(file.write) as add:
        yield add


@contextmanager
def json_entries(write: Callable[[str], object]) -> Iterator[Callable[[Any], None]]:
    """Write a JSON list entry by entry, one per line.

    Args:
        write: writes a text behind what was written before.

    Yields:
        A function that appends an entry.
    """
    between = "[\n"

    def add(entry: Any) -> None:
        nonlocal between
        write(between + json_text(entry))
        between = ",\n"

    yield add
    write("\n]\n" if between == ",\n" else "[]\n")


def require_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise unless a file can be written, for use before the work whose result it takes.

    Args:
        path: the file; its folders may be missing.
        inputs: files that must not be overwritten.

    Raises:
        InputError: the path is a folder or an input, or cannot be written.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()  # raises if the name is too long
        if path.is_dir():
            raise InputError(f"{path}: is a folder, name a file in it")
        own = os.path.realpath(path)
        if any(own == os.path.realpath(each) for each in inputs):
            raise InputError(f"{path}: is read by this command and would be overwritten, name another file")
        if _is_stream(path):
            return
        _require_not_protected(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}), choose another place") from None
    require_folder(_real(path).parent)


def require_folder(folder: Path) -> None:
    """Raise unless files can be written to a folder, for use before the work whose results it takes.

    Args:
        folder: the folder; it may be missing.

    Raises:
        InputError: the folder cannot be written.
    """
    place = folder.absolute()
    try:
        tempfile.TemporaryFile(dir=next(each for each in (place, *place.parents) if each.exists())).close()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}), choose another place") from None


def require_utf8(path: Path) -> None:
    """Raise unless a path is UTF-8. Most libraries cannot open other paths.

    Raises:
        InputError: the path is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: this path is not UTF-8, in which most libraries open files, rename it") from None


def json_text(tree: Any, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """Return JSON text without needless escapes.

    Characters that UTF-8 cannot encode are escaped (`\\udcdf`), so that reading the text gives the same names.

    Args:
        tree: the value.
        indent: spaces per level; one line by default.
        separators: as for `json.dumps`.
    """
    text = json.dumps(tree, ensure_ascii=False, indent=indent, separators=separators)
    return text.encode("utf-8", "backslashreplace").decode()


def quoted(name: str) -> str:
    """Return a name as one line of UTF-8. Other bytes and control characters are written as `%DF`."""
    return UNFIT.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes(found[0])), name)


def is_line(text: str) -> bool:
    """Return whether a text is one line that is not blank, without control characters, and that UTF-8 can hold."""
    return bool(text.strip()) and UNFIT.search(text) is None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file or folder.

    Raises:
        BlockingIOError: another process has done so.
        OSError: it cannot be locked.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make errors that name no file, or a temporary one, name `path`."""
    try:
        yield
    except OSError as error:
        named = [name for name in (error.filename, error.filename2) if name is not None]
        if not named or any(SCRATCH in str(name) for name in named):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None
        raise


def _bytes(character: str) -> bytes:
    """Return the bytes that a character stands for."""
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # the surrogate does not stand for a byte
        return character.encode("utf-8", "surrogatepass")


@contextmanager
def _scratch(home: Path | None) -> Iterator[Path]:
    """Make a temporary folder that is locked as long as the process is there that uses it."""
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(dir=home, prefix=SCRATCH, ignore_cleanup_errors=True)
        scratch = Path(stack.enter_context(made))
        with suppress(OSError):  # some file systems have no locks
            stack.enter_context(locked(scratch))
        yield scratch


def _note_addition(path: Path) -> None:
    """Note a file or folder that is not there yet, for `whole_or_nothing`."""
    added = _added.get()
    if added is not None and not path.exists():
        added.append(_real(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _require_not_protected(path: Path) -> None:
    """Raise if a file is read-only; a rename would replace it all the same."""
    if path.is_file() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _flush(file: Path) -> None:
    """Flush the content of a file to the disk, so that it is there before the file is renamed."""
    if file.is_file():
        with file.open("rb") as content:
            os.fsync(content.fileno())


def _put(file: Path, place: Path, former: Path) -> None:
    """Move a file or folder to its place. An existing one is replaced; a folder first moves to `former`."""
    _note_addition(place)
    if file.is_dir() and place.is_dir():
        place.replace(former)
    elif place.is_file():
        with suppress(OSError):  # some file systems have no modes
            shutil.copymode(place, file)
    try:
        file.replace(place)
    except OSError:
        if former.exists():
            former.replace(place)
        raise
