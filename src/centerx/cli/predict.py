"""`centerx predict`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from centerx.cli.options import parse_size, plural
from centerx.errors import InputError
from centerx.files import json_list, require_writable

if TYPE_CHECKING:
    import numpy as np

    from centerx.detections import Detections
    from centerx.runtime import Predictor
    from centerx.runtime.sources import Source

logger = logging.getLogger(__name__)


def predict(
    model: Annotated[Path, typer.Argument(help="an exported file, or a model file of a run")],
    sources: Annotated[list[str], typer.Argument(help="images, folders, glob patterns or videos")],
    score: Annotated[float, typer.Option(min=0, max=1, help="leave out what scores lower")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="write drawn pictures and videos into this folder")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all detections here")] = None,
    backend: Annotated[
        str | None, typer.Option(help="what runs the file, by name; auto takes the fastest that is installed")
    ] = None,
    size: Annotated[str | None, typer.Option(help="input HxW in pixels, of a file exported with --size any")] = None,
    batch: Annotated[int, typer.Option(min=1, help="pictures a call of the network")] = 1,
) -> None:
    """Find objects on pictures and videos."""
    from centerx.problems import Problem, log_problems
    from centerx.progress import track
    from centerx.runtime import load
    from centerx.runtime.entry import to_dict
    from centerx.runtime.sources import Source, find_sources, output_files
    from centerx.runtime.stream import prefetch

    found = find_sources(sources)
    targets = output_files(found, out) if out is not None else [None] * len(found)
    if json_file is not None:
        require_writable(json_file, [model, *(source.path for source in found)])
    for target in filter(None, targets):
        require_writable(target)
    predictor = load(model, backend, parse_size(size) if size is not None else None)
    pictures = objects = 0
    unreadable: list[str] = []
    problems: list[Problem] = []
    work = list(zip(found, targets, strict=True))
    read = partial(Source.frames, value_range=predictor.session.info.value_range, note=problems.append)
    frames = read_frames(track(work, "predicting"), read, unreadable if len(work) > 1 else None)
    with ExitStack() as stack:
        write = stack.enter_context(json_list(json_file)) if json_file is not None else _tell if out is None else None
        drawings = stack.enter_context(Drawings())
        results = stack.enter_context(closing(prefetch(detect(predictor, frames, batch, score))))
        for frame, detections in results:
            drawings.add(frame, detections)
            entry = to_dict(str(frame.source.path), frame.image.shape[:2], detections, predictor.task)
            pictures += 1
            objects += len(detections.scores)
            if write is not None:
                write(entry | ({"frame": frame.number} if frame.source.is_video else {}))
        if not pictures:
            raise InputError(f"none of {len(found)} sources can be read, see the warnings above")
    where = "".join(f", {what} in {place}" for what, place in (("drawn", out), ("listed", json_file)) if place)
    skipped = f", {plural(len(unreadable), 'source')} skipped" if unreadable else ""
    print(f"{plural(objects, 'object')} on {plural(pictures, 'picture')}{where}{skipped}", flush=True)
    log_problems(problems, "predict")  # last, where it is seen


class Frame(NamedTuple):
    """A picture, or one of a video.

    Attributes:
        source: where it is from. target: where to draw it, None for nowhere. number: in its video, from 0.
        image: (H, W, 3) uint8 RGB.
    """

    source: Source
    target: Path | None
    number: int
    image: np.ndarray


def read_frames(
    work: Iterable[tuple[Source, Path | None]],
    read: Callable[[Source], Iterator[np.ndarray]],
    unreadable: list[str] | None,
) -> Iterator[Frame]:
    """The frames of all sources; what cannot be read is told, noted and left out; without a list that ends it."""
    for source, target in work:
        try:
            for number, image in enumerate(read(source)):
                yield Frame(source, target, number, image)
        except InputError as error:
            if unreadable is None:
                raise
            unreadable.append(str(error))
            logger.warning(f"skipped: {error}")


def detect(
    predictor: Predictor, frames: Iterable[Frame], batch: int, score: float
) -> Iterator[tuple[Frame, Detections]]:
    """What is found on each frame, while a thread reads the next ones."""
    from centerx.runtime.stream import groups, prefetch

    with closing(prefetch((frame, predictor.preprocess(frame.image)) for frame in frames)) as read:
        for group in groups(read, batch):
            for (frame, _), found in zip(group, predictor.detect([placed for _, placed in group]), strict=True):
                yield frame, found.above(score)


class Drawings(ExitStack):
    """Draws frames into their targets; of a video, all into one file, which an error leaves as it was."""

    _video: Path | None = None
    _append: Callable[[np.ndarray], None]

    def add(self, frame: Frame, found: Detections) -> None:
        """Draw what was found on a frame and write it, unless it has no target."""
        from centerx.draw import draw_boxes, save_image
        from centerx.runtime.sources import video_file

        if frame.target is None:
            return
        drawn = draw_boxes(frame.image, found.boxes, found.labels, found.class_names, found.scores)
        if not frame.source.is_video:
            save_image(frame.target, drawn)
            return
        if self._video != frame.target:
            self.close()
            self._video = frame.target
            self._append = self.enter_context(video_file(frame.target, like=frame.source.path))
        self._append(drawn)


def _tell(entry: dict[str, Any]) -> None:
    frame = f" frame {entry['frame']}" if "frame" in entry else ""
    print(f"{entry['image']}{frame}: {len(entry['detections'])} objects")
    for found in entry["detections"]:
        print(f"  {found['label']}  {found['score']:.2f}  " + " ".join(f"{value:.1f}" for value in found["box"]))
