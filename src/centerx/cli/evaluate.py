"""`centerx eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from centerx.errors import InputError


def evaluate(
    model: Annotated[Path, typer.Argument(help="a model file, an exported file, or a COCO results json")],
    data: Annotated[Path, typer.Argument(help="a data set")],
    split: Annotated[str | None, typer.Option(help="split of the data set")] = None,
    classes: Annotated[str | None, typer.Option(help="only these classes, separated by commas")] = None,
    images: Annotated[Path | None, typer.Option(help="folder of the pictures")] = None,
    format: Annotated[str | None, typer.Option(help="format of the data set, by name")] = None,
    batch: Annotated[int, typer.Option(min=1, help="pictures at once")] = 8,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Evaluate a model on a data set with COCO's metrics."""
    from centerx.data.read import read_dataset
    from centerx.evaluate.api import evaluate_model, evaluate_results
    from centerx.evaluate.table import metrics_table

    wanted = tuple(name.strip() for name in classes.split(",")) if classes else None
    dataset = read_dataset(data, split=split, classes=wanted, images=images, format=format)
    if not any(len(record.labels) for record in dataset.records):
        raise InputError(f"{data}: no boxes on any of {len(dataset.records)} pictures, nothing to evaluate against")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
    is_results = model.suffix == ".json"
    metrics = evaluate_results(model, dataset) if is_results else evaluate_model(model, [dataset], batch)
    metrics_table(metrics)
    if json_file is not None:
        json_file.write_text(json.dumps(metrics._asdict(), indent=2) + "\n", encoding="utf-8")
