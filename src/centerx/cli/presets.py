"""`centerx presets`."""

from __future__ import annotations

from typing import Annotated

import typer

import centerx
from centerx.cli.options import complete_config
from centerx.cli.output import JsonFile, require_json, say, show, write_report


def presets(
    names: Annotated[
        list[str] | None, typer.Argument(help="only these; all without it", autocompletion=complete_config)
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """List the shipped configurations."""
    from rich.table import Table
    from rich.text import Text

    from centerx.cli.table import shown

    require_json(json_file)
    found = centerx.list_presets(names)
    table = Table(show_lines=True)
    for column in ("preset", "M", "input", "epochs", "AP", "published"):
        table.add_column(column, justify="left" if column == "preset" else "right", overflow="fold")
    for preset in found:
        size = "x".join(map(str, preset.input_hw))
        what = Text.assemble((preset.name, "bold"), "\n", preset.purpose)
        figures = f"{preset.parameters / 1e6:.1f}", size, str(preset.epochs), shown(preset.AP), shown(preset.published)
        table.add_row(what, *figures)
    show(table)
    say("M: millions of parameters. AP: measured here. published: AP of its counterpart, by centerX's README")
    write_report(json_file, [preset.to_json() for preset in found])
