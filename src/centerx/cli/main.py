"""Entry point: the commands, and how errors are told.

Command modules import heavy packages inside their functions, so that `centerx --help` stays instant and the
torch-free install can run every command that needs no torch.
"""

from __future__ import annotations

import io
import logging
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from centerx.cli import (
    add,
    audit,
    bench,
    data,
    demo,
    doctor,
    evaluate,
    export,
    import_,
    inspect,
    merge,
    predict,
    pseudo,
    serve,
    train,
)
from centerx.cli.options import EXTRAS, ListOptions
from centerx.cli.progress import Terminal
from centerx.errors import InputError
from centerx.progress import shown_on

app = typer.Typer(
    name="centerx",
    help="Train, distil, merge and ship CenterNet object detectors.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def show_work(context: typer.Context) -> None:
    """Print what the library logs, and show progress, while a command runs."""
    context.with_resource(printed_log())
    context.with_resource(shown_on(Terminal()))


app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("merge", cls=ListOptions)(merge.merge)
app.command("add", cls=ListOptions)(add.add)
app.command("audit", cls=ListOptions)(audit.audit)
app.command("import")(import_.import_)
app.command("pseudo")(pseudo.pseudo)
app.command("eval")(evaluate.evaluate)
app.command("inspect")(inspect.inspect)
app.command("predict")(predict.predict)
app.command("serve")(serve.serve)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data", no_args_is_help=False)

LINE_END = re.compile("\\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\\s*")  # what `str.splitlines` splits at
INTERRUPTED = 130  # what typer returns for Ctrl-C


class LogPrinter(logging.Handler):
    """Prints what the library logs as one line each: warnings on standard error as `warning: ...`, the rest as it is.

    A record of level INFO is part of what a command answers, so it goes to standard output.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record on whatever the standard streams are now."""
        line = one_line(record.getMessage())
        if record.levelno < logging.WARNING:
            print(line, flush=True)
        else:
            print(f"{record.levelname.lower()}: {line}", file=sys.stderr, flush=True)


def main() -> NoReturn:
    """Run the command line."""
    run_and_exit(lambda: app(sys.argv[1:] or ["--help"], prog_name="centerx", standalone_mode=False))


def run_and_exit(program: Callable[[], object]) -> NoReturn:
    """Run a program; exit 0 done, 2 the input is wrong (one `error:` line), 1 our own fault."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of names that the terminal cannot show
    warnings.filterwarnings("ignore", module="PIL")  # whoever gave a picture is told what is wrong with it
    try:
        with printed_log(), shown_on(Terminal()):
            status = program()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OSError as error:
        path = error.filename2 or error.filename  # of a copy the target, which is what cannot be written
        where = f"{path}: " if path else ""
        _fail(f"{where}{error.strerror or error}, check the path, its permissions and the free space")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in EXTRAS:
            raise
        _fail(f"this needs the package {error.name!r}, run `pip install 'centerx[{EXTRAS[error.name.split('.')[0]]}]'`")
    except Exception as error:
        if not hasattr(error, "format_message"):  # anything but a usage error of the command line is our fault
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "centerx"
        _fail(f"{error.format_message().rstrip('.?')}, see `{command} --help`")
    if status == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever presses twice need not see where the end was interrupted
        _fail("interrupted; what was already written is kept")
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def printed_log() -> Iterator[None]:
    """Print what the library logs, inside the `with`."""
    library = logging.getLogger("centerx")
    former, level = library.handlers, library.level
    library.handlers = [LogPrinter(logging.INFO)]
    library.setLevel(logging.INFO)
    try:
        yield
    finally:
        library.handlers = former
        library.setLevel(level)


def one_line(message: str) -> str:
    """A message whose line ends, with the space around them, are single spaces; the rest is as it was, as names are."""
    return LINE_END.sub(" ", message.strip())


def _fail(message: str) -> NoReturn:
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
