"""`centerx audit`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.api.audit import LEAST, SHOW
from centerx.cli.options import FRAME_HELP, plural
from centerx.cli.output import JsonFile, require_json, say, write_report
from centerx.cli.output import show as show_table


def audit(
    data: Annotated[list[Path], typer.Argument(help="data sets, such as the splits of one; before --models")],
    models: Annotated[
        list[Path],
        typer.Option(help="model files, exported files, or with one data set COCO results jsons; several agree better"),
    ],
    out: Annotated[Path, typer.Option(help="the folder to write")] = Path("audit"),
    split: Annotated[list[str] | None, typer.Option(help="splits of the data, each is a data set of its own")] = None,
    classes: Annotated[str | None, typer.Option(help="only these, THEIRS=OURS renames; separated by commas")] = None,
    images: Annotated[Path | None, typer.Option(help="folder of the pictures")] = None,
    format: Annotated[str | None, typer.Option(help="format of the data, by name")] = None,
    frame: Annotated[str, typer.Option(help=FRAME_HELP)] = "upright",
    fix: Annotated[
        str,
        typer.Option(
            help="what becomes of suspicious places in the fixed file: ignore, they teach nothing; declare, the same, "
            "and the class of a missing label counts as unlabelled on its picture; apply, labels are added, changed "
            "and removed"
        ),
    ] = "ignore",
    least: Annotated[float, typer.Option(min=0, max=1, help="score from which on a suspicion counts")] = LEAST,
    similar: Annotated[
        float | None, typer.Option(min=0, max=1, help="similarity from which on pictures are nearly the same; 0.9")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="suspicions of a kind that the page shows")] = SHOW,
    batch: Annotated[int, typer.Option(min=1, help="pictures at once")] = 8,
    json_file: JsonFile = None,
) -> None:
    """Find labels that are probably wrong, and doubled pictures.

    Labels may be missing, wrong in class or place, or doubled; pictures nearly the same, in one data set or in several.

    Writes a page, a json of all suspicions, and a COCO file in which suspicious places teach nothing.
    """
    require_json(json_file, data)
    result = centerx.audit(
        data,
        models,
        out=out,
        split=split,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        images=images,
        format=format,
        frame=frame,
        fix=fix,
        least=least,
        similar=similar,
        show=show,
        batch=batch,
    )
    print_counts(result.counts)
    say(f"among {plural(result.labels, 'label')} of {plural(result.pictures, 'picture')}")
    across = f", {result.across} of them of two data sets" if result.across else ""
    say(f"{plural(result.similar, 'pair')} of pictures that are nearly the same{across}")
    for name, file in [("page", result.page), ("all suspicions", result.report)]:
        say(f"{name}: {file}")
    for file in result.fixed:
        say(f"fixed labels: {file}")
    write_report(json_file, result.to_json())


def print_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Print how many suspicions there are, a row for each kind and a column for each class."""
    from rich.table import Table
    from rich.text import Text

    names = list(dict.fromkeys(name for row in counts.values() for name in row))
    table = Table(title="suspicious labels")
    for title in ("kind", *names, "all"):
        table.add_column(Text(title), overflow="fold", justify="left" if title == "kind" else "right")
    for kind, row in counts.items():
        table.add_row(kind, *(str(row.get(name, 0)) for name in names), str(sum(row.values())))
    show_table(table)
