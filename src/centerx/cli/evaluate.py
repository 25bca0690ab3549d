"""`centerx eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.cli.options import (
    FRAME_HELP,
    Megapixels,
    Overlap,
    Providers,
    Threads,
    TileSize,
    Whole,
    parse_names,
    parse_tiles,
)
from centerx.cli.output import JsonFile, require_json, say, write_report
from centerx.errors import InputError


def evaluate(
    model: Annotated[Path, typer.Argument(help="a model file, an exported file, or a COCO results json")],
    data: Annotated[Path, typer.Argument(help="a data set")],
    split: Annotated[str | None, typer.Option(help="split of the data set")] = None,
    classes: Annotated[str | None, typer.Option(help="only these classes, separated by commas")] = None,
    images: Annotated[Path | None, typer.Option(help="folder of the pictures")] = None,
    format: Annotated[str | None, typer.Option(help="format of the data set, by name")] = None,
    frame: Annotated[str, typer.Option(help=FRAME_HELP)] = "upright",
    joints: Annotated[
        str | None, typer.Option(help="names of its joints in order, separated by commas, where it has others or none")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="look at the mirror image of each picture too")] = False,
    scales: Annotated[str, typer.Option(help="sizes to look at, relative to the model's, such as 0.75,1,1.25")] = "1",
    max_detections: Annotated[
        int | None,
        typer.Option(min=10, help="count so many detections of a class on a picture; COCO's 100 without it"),
    ] = None,
    metric: Annotated[str, typer.Option(help="coco, or voc: AP at IoU 0.50 as PASCAL VOC has it")] = "coco",
    tiles: TileSize = None,
    overlap: Overlap = 0.2,
    whole: Whole = False,
    max_megapixels: Megapixels = None,
    batch: Annotated[int, typer.Option(min=1, help="pictures at once")] = 8,
    threads: Threads = None,
    providers: Providers = None,
    json_file: JsonFile = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="write a page of curves, confusions and the worst mistakes, and its numbers, into this folder"
        ),
    ] = None,
) -> None:
    """Evaluate a model by labelled data.

    The metrics are COCO's, or with `--metric voc` those of PASCAL VOC.
    """
    from centerx.cli.table import metrics_table

    require_json(json_file, [model, data])
    metrics = centerx.evaluate(
        model,
        data,
        split=split,
        classes=parse_names(classes or None),
        images=images,
        format=format,
        frame=frame,
        joints=parse_names(joints or None),
        flip=flip,
        scales=read_scales(scales),
        max_detections=max_detections,
        metric=metric,
        tiles=parse_tiles(tiles),
        overlap=overlap,
        whole=whole,
        max_megapixels=max_megapixels,
        batch=batch,
        report=report,
        threads=threads,
        providers=parse_names(providers),
    )
    metrics_table(metrics)
    write_report(json_file, metrics.to_json())
    if metrics.report is not None:
        say(f"report: {metrics.report}")


def read_scales(text: str) -> list[float]:
    """'0.75,1' -> numbers above 0.

    Raises:
        InputError: they are not.
    """
    try:
        factors = [float(part) for part in text.split(",")]
    except ValueError:
        factors = [0.0]
    if not all(0 < factor < 100 for factor in factors):
        raise InputError(f"--scales: {text!r} is not a list of numbers above 0, such as 0.75,1,1.25")
    return factors
