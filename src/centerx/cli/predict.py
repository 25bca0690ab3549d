"""`centerx predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
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
    from rich.progress import track

    from centerx.runtime import load
    from centerx.runtime.sources import find_sources, unique_names

    found = find_sources(sources)
    predictor = load(model)
    entries: list[dict[str, Any]] = []
    failed = 0
    work = list(zip(found, unique_names(found), strict=True))
    for source, name in track(work, "predicting", disable=not sys.stdout.isatty(), transient=True):
        target = out / name if out is not None else None
        try:
            for entry in (
                _video(predictor, source, score, target)
                if source.is_video
                else _image(predictor, source, score, target)
            ):
                entries.append(entry)
                if json_file is None and out is None:
                    _tell(entry)
        except InputError as error:
            failed += 1
            print(f"warning: skipped: {error}", file=sys.stderr)
    if failed == len(found):
        raise InputError(f"none of {failed} sources can be read, see the warnings above")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    objects = sum(len(entry["detections"]) for entry in entries)
    where = "".join(f", {what} in {place}" for what, place in (("drawn", out), ("listed", json_file)) if place)
    print(f"{objects} objects on {len(entries)} pictures{where}{f', {failed} sources skipped' if failed else ''}")


def _image(predictor: Predictor, source: Source, score: float, target: Path | None) -> Iterator[dict[str, Any]]:
    from centerx.draw import save_image
    from centerx.images import read_image

    image = read_image(source.path)
    detections = predictor(image).above(score)
    if target is not None:
        save_image(target, _drawn(image, detections))
    yield describe(str(source.path), image, detections)


def _video(predictor: Predictor, source: Source, score: float, target: Path | None) -> Iterator[dict[str, Any]]:
    from centerx.runtime.sources import Video, VideoFile

    video = Video(source.path)
    file = VideoFile(target.with_suffix(".mp4"), video.frames_per_second) if target is not None else None
    for number, frame in enumerate(video):
        detections = predictor(frame).above(score)
        if file is not None:
            file.add(_drawn(frame, detections))
        yield describe(str(source.path), frame, detections) | {"frame": number}
    if file is not None:
        file.close()


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


def _drawn(image: np.ndarray, found: Detections) -> np.ndarray:
    from centerx.draw import draw_boxes

    return draw_boxes(image, found.boxes, found.labels, found.class_names, found.scores)


def _tell(entry: dict[str, Any]) -> None:
    frame = f" frame {entry['frame']}" if "frame" in entry else ""
    print(f"{entry['image']}{frame}: {len(entry['detections'])} objects")
    for found in entry["detections"]:
        print(f"  {found['label']}  {found['score']:.2f}  " + " ".join(f"{value:.1f}" for value in found["box"]))
