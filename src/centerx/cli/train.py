"""`centerx train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from centerx.errors import InputError


def train(
    config: Annotated[str, typer.Argument(help="a YAML file or the name of a preset, such as bccd_nano")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    out: Annotated[Path | None, typer.Option(help="the run folder; runs/NAME without it")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
) -> None:
    """Train a detector; the run folder gets models, metrics and pictures."""
    from centerx.build import build_run
    from centerx.config import load_config
    from centerx.evaluate.table import metrics_table

    folder = out or Path("runs") / Path(config).stem
    checkpoint = folder / "last.ckpt"
    if resume and not checkpoint.is_file():
        raise InputError(f"{checkpoint}: nothing to resume, leave --resume out or name the run folder with --out")
    run = build_run(load_config(config, overrides or []), folder)
    run.trainer.fit(run.module, run.batches, ckpt_path=checkpoint if resume else None, weights_only=True)
    if not run.trainer.is_global_zero:
        return
    if run.trainer.interrupted:
        raise KeyboardInterrupt
    if run.evaluation and run.evaluation.metrics:
        metrics_table(run.evaluation.metrics)
    print(f"model: {folder / 'best.safetensors'}")
