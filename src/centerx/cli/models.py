"""`centerx models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.api.models import RUNS
from centerx.cli.options import plural
from centerx.cli.output import JsonFile, require_json, say, show, write_report
from centerx.files import quoted

SHOWN = 4  # class names


def models(
    folder: Annotated[Path, typer.Argument(help="look through this folder")] = RUNS,
    json_file: JsonFile = None,
) -> None:
    """List models to download, and the model files of a folder. Files are read as data and never run."""
    from rich.table import Table
    from rich.text import Text

    from centerx.cli.table import shown

    require_json(json_file)
    found = centerx.list_models(folder)
    say(f"models to download: {', '.join(found.downloads) or 'none yet'}")
    say(f"models in {quoted(str(folder))}: {len(found.models) or 'none'}")
    if found.models:
        table = Table()
        for column in ("file", "classes", "input", "task", "AP", "MB"):
            table.add_column(column, justify="right" if column in ("AP", "MB") else "left", overflow="fold")
        for model in found.models:
            height, width = model.info.input_hw
            names = classes_text(model.info.class_names)
            cells = quoted(str(model.path.relative_to(folder))), names, f"{height}x{width}", model.info.task
            table.add_row(*map(Text, cells), shown(model.AP), f"{model.megabytes:.1f}")
        show(table)
    if found.others:
        say(f"{plural(len(found.others), 'file')} of other projects or unreadable, the first: {found.others[0]}")
    write_report(json_file, found.to_json())


def classes_text(names: tuple[str, ...]) -> str:
    """How class names are told: their number, and the first of them."""
    return f"{len(names)}: {quoted(', '.join(names[:SHOWN]))}{', ...' if len(names) > SHOWN else ''}"
