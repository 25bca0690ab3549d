"""`centerx add`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import centerx
from centerx.cli.output import JsonFile, require_json, say, show, write_report
from centerx.cli.plan import DryRun, print_plan
from centerx.cli.processes import NumProcesses, train_in

if TYPE_CHECKING:
    from centerx.api.add import Change
    from centerx.evaluation import Metrics


def add(
    old: Annotated[Path, typer.Argument(help="the model file of the detector to add to")],
    labels: Annotated[list[Path], typer.Option(help="data sets that label the new classes")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="folders of further pictures, without labels, on which OLD teaches")
    ] = None,
    val: Annotated[list[Path] | None, typer.Option(help="labelled data to judge by; else that of --labels")] = None,
    student: Annotated[
        str | None,
        typer.Option(
            help="the preset or YAML file of the detector to train; else the configuration in OLD, or the preset nano "
            "where OLD holds none"
        ),
    ] = None,
    labels_split: Annotated[str | None, typer.Option(help="split of --labels, where those have several")] = None,
    val_split: Annotated[str | None, typer.Option(help="split of --val, where that has several")] = None,
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/added"),
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
    processes: NumProcesses = 1,
    dry_run: DryRun = False,
    json_file: JsonFile = None,
) -> None:
    """Add classes to a detector, without its old data.

    OLD teaches its classes, labels teach the new ones; the student starts from the weights of OLD where its network is
    the same.
    """
    require_json(json_file)
    options: dict[str, Any] = {
        "images": images,
        "val": val,
        "student": student,
        "labels_split": labels_split,
        "val_split": val_split,
        "out": out,
        "resume": resume,
        "overrides": overrides or [],
    }
    if dry_run:
        print_plan(centerx.plan_add(old, labels, **options), json_file)
        return
    train_in(processes)
    result = centerx.add(old, labels, **options)
    if result.rank:
        return
    if result.seen:
        say("judged by pictures that it was trained on; name others with --val")
    if result.metrics:
        print_changes(result.metrics, result.rows)
    say(f"model: {result.model}")
    write_report(json_file, result.to_json())


def print_changes(student: Metrics, rows: Sequence[Change]) -> None:
    """Print the AP of each class before and after, the mean of the old classes, and that of all."""
    from rich.table import Table
    from rich.text import Text

    from centerx.api.add import mean_of_old
    from centerx.api.merge import difference
    from centerx.cli.table import shown

    table = Table(title="AP")
    for title in ("class", "before", "after", "difference"):
        table.add_column(title, overflow="fold")
    for row in rows:
        name = Text(f"{row.class_name}, added" if row.added else row.class_name)
        table.add_row(name, *map(shown, (row.before, row.after, row.difference)))
    table.add_section()
    before, after = mean_of_old(rows)
    table.add_row("mean of the old classes", *map(shown, (before, after, difference(before, after))))
    table.add_row("mean of all", "", shown(student.AP), "")
    show(table)
