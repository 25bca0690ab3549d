"""`centerx bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.cli.options import Providers, Threads, parse_names
from centerx.cli.output import JsonFile, require_json, show, write_report
from centerx.errors import InputError
from centerx.files import quoted, require_writable, write_atomic


def bench(
    models: Annotated[list[Path], typer.Argument(help="model files of any backend")],
    batch: Annotated[str, typer.Option(help="pictures a call, several separated by commas")] = "1,8",
    runs: Annotated[int, typer.Option(min=1, help="calls of each, taken in turn")] = 20,
    backend: Annotated[str | None, typer.Option(help="only this one; all that are installed without it")] = None,
    threads: Threads = None,
    providers: Providers = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="write the rows here")] = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the speed of models in every runtime installed."""
    import csv
    import io

    from rich.table import Table
    from rich.text import Text

    try:
        batches = [int(text) for text in batch.split(",")]
    except ValueError:
        raise InputError(f"--batch: {batch!r} is not a list of numbers, such as 1,8") from None
    if csv_file is not None:
        require_writable(csv_file, models)
    require_json(json_file, models)
    rows = centerx.benchmark(models, batches, runs, backend, threads=threads, providers=parse_names(providers))
    table = Table(title=rows[0].machine)
    for column in ("model", "backend", "input", "batch", "ms a call", "pictures/s"):
        table.add_column(column, justify="left" if column in ("model", "backend") else "right")
    for row in rows:
        cells = (row.model, f"{row.backend} {row.version}", f"{row.height}x{row.width}", str(row.batch))
        table.add_row(*map(Text, cells), f"{row.ms:.1f}", f"{row.pictures_per_second:.1f}")
    show(table)
    if csv_file is not None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([rows[0]._fields, *(row._replace(model=quoted(row.model)) for row in rows)])
        write_atomic(csv_file, text.getvalue().encode())
    write_report(json_file, [row._asdict() for row in rows])
