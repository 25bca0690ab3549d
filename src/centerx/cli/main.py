"""Entry point: the commands, and how errors are told.

Command modules import heavy packages inside their functions, so that `centerx --help` stays instant and the
torch-free install can run every command that needs no torch.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.completion import completion_init

import centerx
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
    models,
    predict,
    presets,
    pseudo,
    serve,
    sets,
    train,
    tune,
)
from centerx.cli.habits import (
    CommandLine,
    NoColor,
    Quiet,
    Verbose,
    before_command,
    command,
    install_completion,
    show_completion,
    speaking,
)
from centerx.cli.options import EXTRAS, ListOptions
from centerx.cli.output import one_line
from centerx.errors import InputError, nearest

app = typer.Typer(
    name="centerx",
    help="Train, distil, merge and ship CenterNet object detectors.",
    cls=CommandLine,
    add_completion=False,  # ours take the name of a shell too
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def show_version(wanted: bool) -> None:
    """Print the version and end, if that is wanted."""
    if wanted:
        print(f"centerx {centerx.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print the version and exit")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    no_color: NoColor = False,
    install: Annotated[
        str | None,
        typer.Option("--install-completion", callback=install_completion, is_eager=True, metavar="[SHELL]",
                     help="let bash, zsh, fish or powershell complete words; the shell in use without a name"),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option("--show-completion", callback=show_completion, is_eager=True, metavar="[SHELL]",
                     help="print what that would install"),
    ] = None,
) -> None:  # fmt: skip
    """Heed the options before the command."""
    before_command(context, quiet, verbose, no_color)


app.command("demo")(command(demo.demo))
app.command("train")(command(train.train, opens_models=True))
app.command("tune")(command(tune.tune, opens_models=True))
app.command("merge", cls=ListOptions)(command(merge.merge, opens_models=True))
app.command("add", cls=ListOptions)(command(add.add, opens_models=True))
app.command("audit", cls=ListOptions)(command(audit.audit, opens_models=True))
app.command("import")(command(import_.import_))
app.command("pseudo")(command(pseudo.pseudo, opens_models=True))
app.command("eval")(command(evaluate.evaluate, opens_models=True))
app.command("inspect")(command(inspect.inspect, opens_models=True))
app.command("predict")(command(predict.predict, opens_models=True))
app.command("serve")(command(serve.serve, opens_models=True))
app.command("export")(command(export.export))
app.command("bench")(command(bench.bench, opens_models=True))
app.command("doctor")(command(doctor.doctor))
app.command("models")(command(models.models))
app.command("presets")(command(presets.presets))
data.app.command("split")(command(sets.split_data))
data.app.command("merge")(command(sets.merge_data))
data.app.command("stats")(command(sets.show_stats))
app.add_typer(data.app, name="data", no_args_is_help=False)

WAITING = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"  # how threads of OpenMP wait
SPINS = "10000"  # costs a training that is alone 1 to 5 %; sleeping at once a seventh, docs/results/speed.md
INTERRUPTED = 130  # what typer returns for a KeyboardInterrupt
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
CLOSED_PIPE = 141  # what a shell says of a program whose reader, such as `head`, is gone; typer says 1
LIBRARY_FAILED = "failed to map segment"  # of the dynamic loader of Linux, which got no memory
CLEAN_UP = 10.0  # seconds after a signal in which another one does not interrupt the clean-up


def main() -> NoReturn:
    """Run the command line.

    Threads of OpenMP that wait for each other soon sleep, unless the user says otherwise: by default they spin for
    long, which beside busy processes takes the cores from the thread that they wait for. libgomp reads this as torch
    loads.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"] = SPINS
    completion_init()
    run_and_exit(lambda: app(sys.argv[1:] or ["--help"], prog_name="centerx", standalone_mode=False))


def run_and_exit(program: Callable[[], object]) -> NoReturn:
    """Run a program.

    Its exit status is 0 done, 2 the input is wrong (one `error:` line), 1 our own fault, 128 and the number of the
    signal that interrupted it: 130 Ctrl-C, 143 SIGTERM, 129 the end of the terminal; 141 where who reads its output is
    gone.
    """
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of names that the terminal cannot show
    warnings.filterwarnings("ignore", module="PIL")  # whoever gave a picture is told what is wrong with it
    try:
        with interrupted_by_signals() as heard, speaking():
            status = program()
    except InputError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as end:
        closed = end.__context__
        if not isinstance(closed, BrokenPipeError):
            raise
        if closed.filename:
            _fail(f"{closed.filename}: {closed.strerror}, its reader is gone")
        status = CLOSED_PIPE
    except MemoryError:
        _fail("out of memory, use a smaller model or picture, or allow more")
    except OSError as error:
        path = error.filename2 or error.filename  # of a copy the target, which is what cannot be written
        where = f"{path}: " if path else ""
        _fail(f"{where}{error.strerror or error}, check the path, its permissions and the free space")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in EXTRAS:
            raise
        _fail(f"this needs the package {error.name!r}, run `pip install 'centerx[{EXTRAS[error.name.split('.')[0]]}]'`")
    except ImportError as error:
        if LIBRARY_FAILED not in str(error):
            raise
        _fail(f"a library cannot be loaded ({str(error).strip().splitlines()[-1]}), allow more memory, see ulimit -v")
    except Exception as error:
        if not hasattr(error, "format_message"):  # anything but a usage error of the command line is our fault
            raise
        _fail(usage_error(error))
    if status == INTERRUPTED:
        for each in (signal.SIGINT, *ENDING):  # whoever presses twice need not see where the end was interrupted
            signal.signal(each, signal.SIG_IGN)
        number = heard[0] if heard else signal.SIGINT
        _fail("interrupted; what was already written is kept", 128 + number)
    sys.exit(status if isinstance(status, int) else 0)


def open_closed_streams() -> None:
    """Lead standard streams that were closed to nowhere: the next file to be opened would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


@contextmanager
def interrupted_by_signals() -> Iterator[list[int]]:
    """Let SIGTERM and the end of the terminal interrupt as Ctrl-C does, unless they are ignored.

    Yields:
        The numbers of those that came, to be read after the `with`.
    """
    heard: list[int] = []
    owner, due = os.getpid(), 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal due
        if os.getpid() != owner:  # a fork, before it has its own handlers
            os._exit(128 + number)
        heard.append(number)
        if time.monotonic() >= due:
            due = time.monotonic() + CLEAN_UP
            raise KeyboardInterrupt

    taken = threading.current_thread() is threading.main_thread()
    numbers = [number for number in ENDING if taken and signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield heard
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def usage_error(error: Exception) -> str:
    """Return one line on words that the command line does not know, with the nearest that it does."""
    context = getattr(error, "ctx", None)
    place = f"see `{context.command_path if context else 'centerx'} --help`"
    option = getattr(error, "option_name", None)
    if option is not None and context is not None and hasattr(error, "possibilities"):
        known = [name for each in context.command.params for name in each.opts if name.startswith("--")]
        return f"No such option: {option}{nearest(option, known)}, {place}"
    message: str = error.format_message()  # type: ignore[attr-defined]
    if message.startswith("No such command") and context is not None:
        name = message.split("'")[1]
        return f"No such command: {name!r}{nearest(name, context.command.commands)}, {place}"
    return f"{message.rstrip('.?')}, {place}"


def _fail(message: str, status: int = 2) -> NoReturn:
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
