"""What a command says: reports on standard output, as text or as JSON, the log beside them, colours where wanted."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TextIO

import typer

from centerx.files import json_entries, json_list, json_text, require_writable, write_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STDOUT = Path("-")  # as the file of a report: standard output
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="write the report here as JSON; - is standard output, for it alone")
]
LINE_END = re.compile("\\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\\s*")  # what `str.splitlines` splits at
# all but colours, tabs and ends of lines
CONTROL = re.compile("\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
NO_TERMINAL = ("dumb", "unknown")  # values of TERM


class Manner(NamedTuple):
    """How a command speaks.

    Attributes:
        quiet: say nothing but errors, warnings and JSON that was asked for.
        verbose: tell the log of level DEBUG too, and where errors were raised.
        no_color: use no colours.
        json: keep standard output for JSON; the log goes to standard error, and no report is printed.
    """

    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    json: bool = False

    def joined(self, other: Manner) -> Manner:
        """Return a manner with all that one of the two asks for."""
        return Manner(*(mine or more for mine, more in zip(self, other, strict=True)))


_manner = Manner()


class LogPrinter(logging.Handler):
    """Prints what the library logs as one line each: warnings on standard error as `warning: ...`, the rest as it is.

    A record of level INFO is part of what a command answers, so it goes to standard output. One of level DEBUG goes to
    standard error.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record on whatever the standard streams are now."""
        line = one_line(record.getMessage())
        if record.levelno == logging.INFO:
            print(line, file=stream(), flush=True)
            return
        print(f"{record.levelname.lower()}: {line}", file=sys.stderr, flush=True)
        if record.exc_info:
            traceback.print_exception(record.exc_info[1], file=sys.stderr)


@contextmanager
def spoken(manner: Manner) -> Iterator[Manner]:
    """Print what the library logs, and speak in a manner beside the one in use, inside the `with`."""
    global _manner
    library = logging.getLogger("centerx")
    former, handlers, level = _manner, library.handlers, library.level
    _manner = former.joined(manner)
    library.handlers = [LogPrinter(logging.DEBUG)]
    library.setLevel(logging.DEBUG if _manner.verbose else logging.WARNING if _manner.quiet else logging.INFO)
    try:
        yield _manner
    finally:
        _manner = former
        library.handlers = handlers
        library.setLevel(level)


def stream() -> TextIO:
    """Return where text goes that is no report: standard output, unless JSON has that."""
    return sys.stderr if _manner.json else sys.stdout


def say(text: str) -> None:
    """Print a line of a report."""
    if not (_manner.quiet or _manner.json):
        print(harmless(text), flush=True)


def show(report: RenderableType) -> None:
    """Print a table, or anything else that rich renders, of a report."""
    if not (_manner.quiet or _manner.json):
        console().print(report)


def console() -> Console:
    """Return a console of rich on `stream`, with colours where they are wanted."""
    from rich.console import Console

    if not colored():
        return Console(file=stream(), color_system=None)
    forced = bool(os.environ.get("FORCE_COLOR"))
    return Console(file=stream(), color_system="standard" if forced else "auto", force_terminal=forced or None)


def colored() -> bool:
    """Whether text on `stream` has colours.

    Not with --no-color or NO_COLOR; else with FORCE_COLOR, unless that is 0; else on a terminal that TERM does not call
    dumb.
    """
    if _manner.no_color or os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    return stream().isatty() and os.environ.get("TERM", "") not in NO_TERMINAL


def require_json(json_file: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Raise unless the file of a report, if there is one, can be written; see `require_writable`."""
    if json_file is not None and json_file != STDOUT:
        require_writable(json_file, inputs)


def write_report(json_file: Path | None, report: Any) -> None:
    """Write a report as JSON, if a file was named.

    Args:
        json_file: the file; STDOUT for standard output.
        report: the tree.
    """
    if json_file == STDOUT:
        _write_stdout(json_text(report, indent=2) + "\n")
    elif json_file is not None:
        write_json(json_file, report, indent=2)


@contextmanager
def reported_list(json_file: Path) -> Iterator[Callable[[Any], None]]:
    """Write a report that is a list, entry by entry: a file whole or not at all, to standard output as they come."""
    with json_entries(_write_stdout) if json_file == STDOUT else json_list(json_file) as add:
        yield add


def one_line(message: str) -> str:
    """A message whose line ends, with the space around them, are single spaces; the rest is as it was, as names are."""
    return harmless(LINE_END.sub(" ", message.strip()))


def harmless(text: str) -> str:
    """Return a text with its control characters shown, such as `\\x1b`: in a name they could command the terminal."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _write_stdout(text: str) -> None:
    """Write text as UTF-8, which JSON is, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
