"""`centerx predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from centerx.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from centerx.runtime import Predictor
    from centerx.runtime.sources import Source
    from centerx.types import Detections


def predict(
    model: Annotated[Path, typer.Argument(help="an exported file, or a model file of a run")],
    sources: Annotated[list[str], typer.Argument(help="images, folders, glob patterns or videos")],
    score: Annotated[float, typer.Option(min=0, max=1, help="leave out what scores lower")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="write drawn pictures and videos into this folder")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all detections here")] = None,
) -> None:
    """Find objects on pictures and videos."""
    from centerx.progress import track
    from centerx.runtime import load
    from centerx.runtime.sources import find_sources, output_files

    found = find_sources(sources)
    targets = output_files(found, out) if out is not None else [None] * len(found)
    predictor = load(model)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    unreadable: list[str] = []
    work = list(zip(found, targets, strict=True))
    for source, target in track(work, "predicting"):
        for entry in _detect(predictor, source, score, target, unreadable if len(work) > 1 else None):
            entries.append(entry)
            if json_file is None and out is None:
                _tell(entry)
    if not entries:
        raise InputError(f"none of {len(found)} sources can be read, see the warnings above")
    if json_file is not None:
        rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        json_file.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    objects = sum(len(entry["detections"]) for entry in entries)
    where = "".join(f", {what} in {place}" for what, place in (("drawn", out), ("listed", json_file)) if place)
    skipped = f", {len(unreadable)} sources skipped" if unreadable else ""
    print(f"{objects} objects on {len(entries)} pictures{where}{skipped}")


def _detect(
    predictor: Predictor, source: Source, score: float, target: Path | None, unreadable: list[str] | None
) -> Iterator[dict[str, Any]]:
    """The `--json` entry of each frame of a source, after drawing it into `target`."""
    from centerx.draw import draw_boxes

    with _drawing(source, target) as draw:
        for number, image in enumerate(_readable(source, unreadable)):
            found = predictor(image).above(score)
            if draw is not None:
                draw(draw_boxes(image, found.boxes, found.labels, found.class_names, found.scores))
            yield describe(str(source.path), image, found) | ({"frame": number} if source.is_video else {})


def _readable(source: Source, unreadable: list[str] | None) -> Iterator[np.ndarray]:
    """The frames of a source; what cannot be read is told and noted, and the work goes on; without a list it ends."""
    try:
        yield from source.frames()
    except InputError as error:
        if unreadable is None:
            raise
        unreadable.append(str(error))
        print(f"warning: skipped: {error}", file=sys.stderr)


@contextmanager
def _drawing(source: Source, target: Path | None) -> Iterator[Callable[[np.ndarray], None] | None]:
    """What takes the drawn frames of a source."""
    from centerx.draw import save_image
    from centerx.runtime.sources import VideoFile

    if target is None:
        yield None
    elif source.is_video:
        with closing(VideoFile(target, like=source.path)) as file:
            yield file.add
    else:
        yield partial(save_image, target)


def describe(name: str, image: np.ndarray, detections: Detections) -> dict[str, Any]:
    """The `--json` entry of one picture: boxes in pixels of the picture as a viewer shows it."""
    return {
        "image": name,
        "width": image.shape[1],
        "height": image.shape[0],
        "detections": [
            {"label": detections.class_names[label], "score": float(score), "box": [float(value) for value in box]}
            for box, score, label in zip(detections.boxes, detections.scores, detections.labels, strict=True)
        ],
    }


def _tell(entry: dict[str, Any]) -> None:
    frame = f" frame {entry['frame']}" if "frame" in entry else ""
    print(f"{entry['image']}{frame}: {len(entry['detections'])} objects")
    for found in entry["detections"]:
        print(f"  {found['label']}  {found['score']:.2f}  " + " ".join(f"{value:.1f}" for value in found["box"]))
