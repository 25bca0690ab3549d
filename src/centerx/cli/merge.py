"""`centerx merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import centerx
from centerx.cli.options import complete_config
from centerx.cli.output import JsonFile, require_json, say, show, write_report
from centerx.cli.plan import DryRun, print_plan
from centerx.cli.processes import NumProcesses, train_in

if TYPE_CHECKING:
    from centerx.api.merge import Comparison
    from centerx.evaluation import Metrics


def merge(
    teachers: Annotated[
        list[Path], typer.Option(help="model files or jsons of detections, each with the classes it knows")
    ],
    student: Annotated[
        str, typer.Option(help="the preset or YAML file of the detector to train", autocompletion=complete_config)
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="folders of pictures to learn from, without labels; beside those of --labels, if any"),
    ] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="labelled data sets, to learn from as well")] = None,
    val: Annotated[list[Path] | None, typer.Option(help="labelled data to judge by; else that of --labels")] = None,
    labels_split: Annotated[str | None, typer.Option(help="split of --labels, where those have several")] = None,
    val_split: Annotated[str | None, typer.Option(help="split of --val, where that has several")] = None,
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/merged"),
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
    processes: NumProcesses = 1,
    dry_run: DryRun = False,
    json_file: JsonFile = None,
) -> None:
    """Make one detector of several, without labels.

    The student learns all classes that the teachers know.

    Options with several values take them in a row: --teachers a.safetensors b.safetensors.
    """
    require_json(json_file)
    options: dict[str, Any] = {
        "labels": labels,
        "val": val,
        "labels_split": labels_split,
        "val_split": val_split,
        "out": out,
        "resume": resume,
        "overrides": overrides or [],
    }
    if dry_run:
        print_plan(centerx.plan_merge(teachers, images, student, **options), json_file)
        return
    train_in(processes)
    result = centerx.merge(teachers, images, student, **options)
    if result.rank:
        return
    if result.seen:
        say("judged by pictures that it was trained on; name others with --val")
    if result.metrics:
        print_comparison(result.metrics, result.rows)
    say(f"model: {result.model}")
    write_report(json_file, result.to_json())


def print_comparison(student: Metrics, rows: Sequence[Comparison]) -> None:
    """Print, for each class, the AP of each teacher that knows it, of the student, and the difference.

    The last row is the mean of the classes.
    """
    from rich.table import Table
    from rich.text import Text

    from centerx.api.merge import difference, mean_alone
    from centerx.cli.table import shown

    table = Table(title="AP")
    for title in ("class", "teacher", "teacher alone", "student", "difference"):
        table.add_column(title, overflow="fold")
    for row in rows:
        figures = map(shown, (row.alone, row.student, row.difference))
        table.add_row(Text(row.class_name), Text(row.teacher or "-"), *figures)
    mean = mean_alone(student, rows)
    table.add_section()
    table.add_row("mean", "", shown(mean), shown(student.AP), shown(difference(mean, student.AP)))
    show(table)
