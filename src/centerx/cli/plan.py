"""What `--dry-run` prints: what would be trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from centerx.cli.options import plural
from centerx.cli.output import say, show, write_report

if TYPE_CHECKING:
    from centerx.build_plan import Supervised, TrainPlan

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="print what would be trained, who teaches what, steps and minutes; write nothing"),
]


def print_plan(plan: TrainPlan, json_file: Path | None) -> None:
    """Print data, supervision, steps and minutes, and write them as JSON where that is asked for."""
    from centerx.training.pace import MEASURED

    print_data(plan)
    print_supervision(plan)
    config, pace = plan.config, plan.pace
    height, width = config.data.input_size
    network = f"{config.model.backbone}, {plan.parameters / 1e6:.2f} M parameters to train, input {height}x{width}"
    say(f"network: {network}")
    pictures, epochs = plural(plan.batch_size, "picture"), plural(config.train.epochs, "epoch")
    say(f"steps: {plan.epoch_steps} an epoch, of {pictures} each; {plan.steps} in all {epochs}")
    parts = [f"{plan.steps} steps of {pace.step:.3g} s"]
    parts += [f"{minutes_text(pace.evaluation)} for evaluation"] if pace.evaluation else []
    parts += [f"{minutes_text(pace.asking)} to ask teachers"] if pace.asking >= 1 else []
    where = f"on {plan.device} in {plan.precision}"
    say(f"time: about {minutes_text(pace.total)} {where}, by {MEASURED} steps done here: {', '.join(parts)}")
    say(f"run folder: {plan.folder}, nothing is written by --dry-run")
    write_report(json_file, plan.to_json())


def print_data(plan: TrainPlan) -> None:
    """Print a table of the data sets: pictures, and objects of each class."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="objects")
    table.add_column("class", overflow="fold")
    for data in plan.data:
        table.add_column(Text(f"{data.part}: {data.name}"), justify="right", overflow="fold")
    for name in plan.classes:
        table.add_row(Text(name), *(str(data.objects.get(name, "not labelled")) for data in plan.data))
    table.add_section()
    table.add_row("pictures", *(str(data.pictures) for data in plan.data))
    show(table)


def print_supervision(plan: TrainPlan) -> None:
    """Print a table of who supervises which class on the pictures of each data set."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="who supervises whom")
    table.add_column("class", overflow="fold")
    for name in plan.supervision[0].labels:
        table.add_column(Text(f"on {name}"), overflow="fold")
    for name in plan.teachers:
        table.add_column(Text(f"teacher {name}"), overflow="fold")
    for class_name, group in groupby(plan.supervision, key=lambda row: row.class_name):
        rows = list(group)
        texts = [supervision_texts(row, plan.teachers, plan.config.distill.shared == "by_ap") for row in rows]
        if all(cells == texts[0] for cells in texts):
            table.add_row(Text(class_name), *map(Text, texts[0]))
            continue
        for row, cells in zip(rows, texts, strict=True):
            table.add_row(Text(f"{class_name}, {row.field}"), *map(Text, cells))
    show(table)
    until = plan.config.distill.until
    if plan.teachers and until < 1:
        say(f"after {until:.0%} of the steps labels alone teach")


def supervision_texts(row: Supervised, teachers: Sequence[str], by_ap: bool) -> list[str]:
    """Return the cells of a row: those of the data sets, then those of the teachers.

    Args:
        row: of a field of a class.
        teachers: their names.
        by_ap: whether teachers of one class are weighed by an AP that is measured only when training starts.
    """
    cells = []
    for share in row.labels.values():
        others = "teachers" if row.teachers else "nobody"
        labels = "labels" if share == 1 else f"labels on {share:.0%}, else {others}"
        cells.append(labels if share else others)
    for name in teachers:
        weight = row.teachers.get(name)
        shared = "by its AP" if by_ap else f"weight {weight:.2f}" if weight is not None else ""
        cells.append("-" if weight is None else "teaches" if weight == 1 else f"teaches, {shared}")
    return cells


def minutes_text(seconds: float) -> str:
    """How a time is told, in minutes."""
    return f"{seconds / 60:.1f} minutes" if seconds < 600 else f"{seconds / 60:.0f} minutes"
