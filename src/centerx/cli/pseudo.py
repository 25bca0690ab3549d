"""`centerx pseudo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import centerx
from centerx.api.label import SCORE
from centerx.cli.options import (
    Megapixels,
    Overlap,
    Providers,
    Resume,
    Threads,
    TileSize,
    Whole,
    parse_names,
    parse_tiles,
    plural,
)
from centerx.cli.output import JsonFile, require_json, say, write_report


def pseudo(
    model: Annotated[Path, typer.Argument(help="a model file or an exported file")],
    images: Annotated[Path, typer.Argument(help="folder of pictures, or a data set whose labels are not read")],
    out: Annotated[Path, typer.Option(help="the COCO json to write")],
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help=f"keep what scores as much; {SCORE} without --val")
    ] = None,
    val: Annotated[Path | None, typer.Option(help="labelled data on which to choose a score for each class")] = None,
    split: Annotated[str | None, typer.Option(help="split of --val")] = None,
    images_split: Annotated[str | None, typer.Option(help="split of IMAGES, where that has several")] = None,
    tiles: TileSize = None,
    overlap: Overlap = 0.2,
    whole: Whole = False,
    max_megapixels: Megapixels = None,
    resume: Resume = False,
    threads: Threads = None,
    providers: Providers = None,
    json_file: JsonFile = None,
) -> None:
    """Label pictures with a model, as a COCO file with scores. Its `info` says where they come from."""
    require_json(json_file, [model, images, out])
    result = centerx.label(
        model,
        images,
        out,
        score=score,
        val=val,
        split=split,
        images_split=images_split,
        tiles=parse_tiles(tiles),
        overlap=overlap,
        whole=whole,
        max_megapixels=max_megapixels,
        resume=resume,
        threads=threads,
        providers=parse_names(providers),
    )
    absent = [name for name, count in result.boxes.items() if not count]
    together = len(absent) > 1
    for name, count in result.boxes.items():
        if count or not together:
            say(f"{name}: {plural(count, 'box', 'es')} from score {result.scores[name]:.2f} on")
    if together:
        say(f"no boxes of {', '.join(absent)}")
    count = sum(result.boxes.values())
    say(f"{out}: {plural(count, 'box', 'es')} on {plural(result.pictures, 'picture')}")
    write_report(json_file, result.to_json())
