"""`centerx train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx


def train(
    config: Annotated[str, typer.Argument(help="a YAML file or the name of a preset, such as bccd_nano")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; runs/NAME without it")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
) -> None:
    """Train a detector. The run folder gets models, metrics and pictures."""
    result = centerx.train(config, out=out, resume=resume, overrides=overrides or [])
    if result.rank:
        return
    if result.metrics:
        from centerx.cli.table import metrics_table

        metrics_table(result.metrics)
    print(f"model: {result.best}")
