"""`centerx train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.cli.options import complete_config
from centerx.cli.output import JsonFile, require_json, say, write_report
from centerx.cli.plan import DryRun, print_plan
from centerx.cli.processes import NumProcesses, train_in


def train(
    config: Annotated[
        str,
        typer.Argument(help="a YAML file or the name of a preset, such as bccd_nano", autocompletion=complete_config),
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; runs/NAME without it")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
    processes: NumProcesses = 1,
    dry_run: DryRun = False,
    json_file: JsonFile = None,
) -> None:
    """Train a detector. The run folder gets models, metrics and pictures."""
    require_json(json_file)
    if dry_run:
        print_plan(centerx.plan(config, out=out, resume=resume, overrides=overrides or []), json_file)
        return
    train_in(processes)
    result = centerx.train(config, out=out, resume=resume, overrides=overrides or [])
    if result.rank:
        return
    if result.metrics:
        from centerx.cli.table import metrics_table

        metrics_table(result.metrics)
    say(f"model: {result.best}")
    write_report(json_file, result.to_json())
