"""What all commands have in common: options before and behind the command, and the completion of shells."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from centerx.cli.output import STDOUT, Manner, spoken
from centerx.cli.progress import Terminal
from centerx.errors import InputError, nearest
from centerx.progress import Display, shown_on

logger = logging.getLogger("centerx.cli")

Quiet = Annotated[bool, typer.Option("--quiet", help="say nothing but errors, warnings and JSON that is asked for")]
Verbose = Annotated[bool, typer.Option("--verbose", help="tell more, and where errors were raised")]
NoColor = Annotated[bool, typer.Option("--no-color", help="no colours, as with NO_COLOR or TERM=dumb")]
HABITS = {"quiet": Quiet, "verbose": Verbose, "no_color": NoColor}

Trust = Annotated[
    bool,
    typer.Option("--trust", help="open model files that are programs (.pt2, .torchscript) and can do anything"),
]

USUAL = Manner()
SHELLS = "bash", "zsh", "fish", "powershell", "pwsh"
COMPLETION = "--install-completion", "--show-completion"


@contextmanager
def speaking(manner: Manner = USUAL) -> Iterator[None]:
    """Print what the library logs and show how far work is, in a manner beside the one in use, inside the `with`."""
    with spoken(manner) as joined, shown_on(Display() if joined.quiet else Terminal()):
        yield


def command(function: Callable[..., None], opens_models: bool = False) -> Callable[..., None]:
    """Return a command with the options of HABITS behind its own.

    Args:
        function: the command.
        opens_models: whether it has the option --trust as well.
    """
    more = HABITS | ({"trust": Trust} if opens_models else {})

    @wraps(function)
    def run(*, quiet: bool, verbose: bool, no_color: bool, trust: bool = False, **given: Any) -> None:
        with speaking(Manner(quiet, verbose, no_color, given.get("json_file") == STDOUT)):
            try:
                with _trusting(trust):
                    function(**given)
            except (InputError, OSError, ModuleNotFoundError) as error:
                logger.debug(f"{type(error).__name__} was raised here", exc_info=True)
                raise

    signature = inspect.signature(function, eval_str=True)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in more.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *options])  # type: ignore[attr-defined]
    run.__annotations__ = function.__annotations__ | more
    return run


@contextmanager
def _trusting(trust: bool) -> Iterator[None]:
    """Open model files that are programs inside the `with`, if that is wanted."""
    if not trust:
        yield
        return
    from centerx.runtime import trust_programs

    with trust_programs():
        yield


def before_command(
    context: typer.Context, quiet: Quiet = False, verbose: Verbose = False, no_color: NoColor = False
) -> None:
    """Heed the options of HABITS before the command, and print what the library logs while it runs."""
    context.with_resource(speaking(Manner(quiet, verbose, no_color)))


class CommandLine(TyperGroup):
    """The commands; the options of COMPLETION take the name of a shell, or none for the one in use."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the shell in use behind an option of COMPLETION that names none."""
        if args and args[0] in COMPLETION and (len(args) == 1 or args[1].startswith("-")):
            args = [args[0], shell_in_use(), *args[1:]]
        return super().parse_args(ctx, args)


def shell_in_use() -> str:
    """Return the name of the shell that runs this program; where there is none, of the user's login shell."""
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return Path(os.environ.get("SHELL", "")).name


def show_completion(context: typer.Context, shell: str | None) -> None:
    """Print the script by which a shell completes words of this command line, and end."""
    from typer.completion import get_completion_script

    if shell is not None and not context.resilient_parsing:
        name = _program(context, shell)
        print(get_completion_script(prog_name=name, complete_var=f"_{name.upper()}_COMPLETE", shell=shell))
        raise typer.Exit


def install_completion(context: typer.Context, shell: str | None) -> None:
    """Put that script where the shell finds it, and end."""
    from typer.completion import install

    if shell is not None and not context.resilient_parsing:
        _, file = install(shell=shell, prog_name=_program(context, shell))
        print(f"completion for {shell} is in {file}, and works in shells that are started from now on")
        raise typer.Exit


def _program(context: typer.Context, shell: str) -> str:
    """Return the name of the program.

    Raises:
        InputError: no such shell has completion.
    """
    if shell not in SHELLS:
        raise InputError(
            f"completion: no shell {shell!r}{nearest(shell, SHELLS)}, name one of: {', '.join(SHELLS)}"
            if shell
            else f"completion: the shell in use is not known, name one of: {', '.join(SHELLS)}"
        )
    return context.find_root().info_name or "centerx"
