"""`centerx tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import centerx
from centerx.api.tune import TRIALS
from centerx.cli.options import complete_config
from centerx.cli.output import JsonFile, require_json, say, show, write_report

if TYPE_CHECKING:
    from centerx.api.tune import TunePlan, TuneResult

SHOWN = 5  # trials that the table has room for


def complete_prune(incomplete: str) -> list[str]:
    """Return the ways to end trials early for the completion of a shell."""
    from centerx.tuning.study import PRUNERS

    return [name for name in PRUNERS if name.startswith(incomplete)]


def tune(
    config: Annotated[
        str,
        typer.Argument(help="a YAML file or the name of a preset, such as bccd_nano", autocompletion=complete_config),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=20, for all trials")
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="YAML file of the keys to search, docs/tune.md; rates, losses and augmentation without it"),
    ] = None,
    trials: Annotated[int, typer.Option(help="how many, those of an earlier call with the same words too")] = TRIALS,
    out: Annotated[Path | None, typer.Option(help="the folder of the search; runs/NAME_tune without it")] = None,
    seed: Annotated[int, typer.Option(help="of the suggestions; that of the trainings is train.seed")] = 0,
    prune: Annotated[
        str,
        typer.Option(
            help="when a trial is ended at an evaluation: median, where it is below what complete trials had; halving; "
            "none",
            autocompletion=complete_prune,
        ),
    ] = "median",
    jobs: Annotated[int, typer.Option(help="trials that are trained at the same time")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="train them on a Ray cluster: auto, the one that this machine belongs to; HOST:PORT; local",
            metavar="ADDRESS",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the space, trials and minutes; write nothing")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Search for a better configuration.

    Trains with values of the space, judges by the AP on data.val, and suggests the next values by what it found.

    The same command goes on with a search that was interrupted.
    """
    require_json(json_file)
    options: dict[str, Any] = {"space": space, "trials": trials, "out": out, "overrides": overrides or [], "jobs": jobs}
    if dry_run:
        plan = centerx.plan_tune(config, **options)
        print_tune_plan(plan)
        write_report(json_file, plan.to_json())
        return
    try:
        result = centerx.tune(config, **options, seed=seed, prune=prune, cluster=cluster)
    except KeyboardInterrupt as interruption:
        if (known := getattr(interruption, "result", None)) is not None:
            print_trials(known)
            write_report(json_file, known.to_json())
        raise
    print_trials(result)
    write_report(json_file, result.to_json())


def print_tune_plan(plan: TunePlan) -> None:
    """Print the space, and the line of the plan."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="searched")
    for column in plan.table().columns:
        table.add_column(column, overflow="fold")
    for row in plan.table().rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    show(table)
    say(plan.line())
    say(f"folder: {plan.folder}, nothing is written by --dry-run")


def print_trials(result: TuneResult) -> None:
    """Print the best trials and that of the configuration itself, a column each, and where everything is."""
    from rich.table import Table
    from rich.text import Text

    from centerx.cli.table import shown
    from centerx.tuning.report import COLUMNS, ranked, trial_cells

    best = [trial for trial in ranked(result.trials) if trial.counts and trial.AP is not None][:SHOWN]
    own = [result.own] if result.own is not None and result.own not in best else []
    if best:
        table = Table(title="best trials", show_header=False)
        for _ in range(1 + len(best + own)):
            table.add_column(overflow="fold")
        cells = [trial_cells(trial, list(result.space)) for trial in best + own]
        for row, title in enumerate([*COLUMNS, *short_names(list(result.space))]):
            values = [
                shown(trial.AP) if title == "AP" else str(column[row])
                for trial, column in zip(best + own, cells, strict=True)
            ]
            table.add_row(Text(title), *map(Text, values), end_section=title == COLUMNS[-1])
        show(table)
    if result.own is not None:
        say(f"the configuration itself: AP {shown(result.own.AP)}, trial {result.own.number}")
    if result.best is not None:
        say(f"best configuration: {result.config}, AP {shown(result.best.AP)}, trial {result.best.number}")
        if not result.best.AP:
            say("no trial found anything, so that none is better than another: train longer, or on more data")
    say(f"report: {result.page}")


def short_names(keys: Sequence[str]) -> list[str]:
    """Return the last part of each dotted key, or the whole key where several end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return [name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)]
