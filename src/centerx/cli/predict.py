"""`centerx predict`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import centerx
from centerx.api.predict import RECONNECT
from centerx.cli.options import (
    Megapixels,
    Overlap,
    Providers,
    Threads,
    TileSize,
    Whole,
    parse_names,
    parse_size,
    parse_tiles,
    plural,
)
from centerx.files import json_list, require_writable

if TYPE_CHECKING:
    import numpy as np

    from centerx.api.predict import Prediction
    from centerx.runtime.live import Live
    from centerx.runtime.sources import Source


def predict(
    model: Annotated[Path, typer.Argument(help="an exported file, or a model file of a run")],
    sources: Annotated[
        list[str],
        typer.Argument(help="images, folders, glob patterns or videos; or a camera's number or a stream's URL"),
    ],
    score: Annotated[float, typer.Option(min=0, max=1, help="leave out what scores lower")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="write drawn pictures and videos into this folder")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all detections here")] = None,
    backend: Annotated[
        str | None, typer.Option(help="what runs the file, by name; auto takes the fastest that is installed")
    ] = None,
    size: Annotated[str | None, typer.Option(help="input HxW in pixels, of a file exported with --size any")] = None,
    batch: Annotated[int, typer.Option(min=1, help="pictures a call of the network; with --tiles as many tiles")] = 1,
    tiles: TileSize = None,
    overlap: Overlap = 0.2,
    whole: Whole = False,
    max_megapixels: Megapixels = None,
    limit: Annotated[int | None, typer.Option(min=1, help="end after so many pictures and frames")] = None,
    reconnect: Annotated[
        int, typer.Option(min=0, help="attempts in a row to connect to a lost camera or stream again")
    ] = RECONNECT,
    threads: Threads = None,
    providers: Providers = None,
) -> None:
    """Find objects on pictures, videos, cameras and streams."""
    from centerx.api.predict import resolve_sources
    from centerx.runtime.sources import output_files

    found = resolve_sources(sources, reconnect)
    targets = output_files(found, out) if out is not None else []
    if json_file is not None:
        require_writable(json_file, [model, *(source.path for source in found)])
    for target in targets:
        require_writable(target)
    pictures = objects = 0
    skipped: list[str] = []
    results = centerx.predict(
        model,
        found,
        score=score,
        backend=backend,
        size=parse_size(size) if size is not None else None,
        batch=batch,
        tiles=parse_tiles(tiles),
        overlap=overlap,
        whole=whole,
        max_megapixels=max_megapixels,
        limit=limit,
        threads=threads,
        providers=parse_names(providers),
        skipped=skipped,
    )
    with ExitStack() as stack:
        write = stack.enter_context(json_list(json_file)) if json_file is not None else _tell if out is None else None
        drawings = stack.enter_context(Drawings(targets))
        stack.enter_context(stopped_by_signals(found))
        for result in stack.enter_context(closing(results)):
            drawings.add(result)
            pictures += 1
            objects += len(result.detections.scores)
            if write is not None:
                write(result.to_json())
    where = "".join(f", {what} in {place}" for what, place in (("drawn", out), ("listed", json_file)) if place)
    left_out = f", {plural(len(skipped), 'source')} skipped" if skipped else ""
    print(f"{plural(objects, 'object')} on {plural(pictures, 'picture')}{where}{left_out}", flush=True)


class Drawings(ExitStack):
    """Draws results into files; of a video, all into one, which an error leaves as it was.

    Args:
        targets: the file of each source; empty where nothing is drawn.
    """

    def __init__(self, targets: Sequence[Path]) -> None:
        super().__init__()
        self.targets = targets
        self._video: Path | None = None
        self._frames = 0  # of the video
        self._append: Callable[[np.ndarray], None]

    def add(self, result: Prediction) -> None:
        """Draw a result and write it, where something is drawn."""
        from centerx.draw import save_image
        from centerx.runtime.sources import USUAL_SPEED, video_file
        from centerx.tasks import TASKS

        if not self.targets:
            return
        target, found = self.targets[result.number], result.detections
        draw = TASKS[found.task].draw
        drawn = draw(result.image, found, found.class_names, found.scores)
        if result.frame is None:
            save_image(target, drawn)
            return
        if self._video != target:
            self.close()
            self._video = target
            self._frames = 0
            self._append = self.enter_context(video_file(target, like=result.path if result.seconds is None else None))
        due = self._frames + 1 if result.seconds is None else max(round(result.seconds * USUAL_SPEED), self._frames) + 1
        for _ in range(due - self._frames):  # frames of a camera are as far apart as they were taken
            self._append(drawn)
        self._frames = due


@contextmanager
def stopped_by_signals(sources: Sequence[Source | Live]) -> Iterator[None]:
    """Let the first Ctrl-C, or SIGTERM, end a camera or stream after its current frame; a second one interrupts."""
    from centerx.runtime.live import Live

    endless = [source for source in sources if isinstance(source, Live)]
    if not endless or threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in former.items():
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        restore()
        for source in endless:
            source.stop()

    for number in former:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def _tell(entry: dict[str, Any]) -> None:
    frame = f" frame {entry['frame']}" if "frame" in entry else ""
    print(f"{entry['image']}{frame}: {len(entry['detections'])} objects")
    for found in entry["detections"]:
        place = found.get("box") or found["point"]
        print(f"  {found['label']}  {found['score']:.2f}  " + " ".join(f"{value:.1f}" for value in place))
