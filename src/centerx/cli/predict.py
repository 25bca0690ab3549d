"""`centerx predict`."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import centerx
from centerx.api.predict import RECONNECT
from centerx.cli.options import (
    Megapixels,
    Overlap,
    Providers,
    Resume,
    Threads,
    TileSize,
    Whole,
    parse_names,
    parse_size,
    parse_tiles,
    plural,
)
from centerx.cli.output import STDOUT, JsonFile, reported_list, require_json, say
from centerx.errors import InputError
from centerx.files import json_list, require_writable

if TYPE_CHECKING:
    import numpy as np

    from centerx.api.predict import Prediction
    from centerx.runtime import Predictor
    from centerx.runtime.live import Live
    from centerx.runtime.sources import Source
    from centerx.unfinished import Unfinished


def predict(
    model: Annotated[Path, typer.Argument(help="an exported file, or a model file of a run")],
    sources: Annotated[
        list[str],
        typer.Argument(help="images, folders, glob patterns or videos; or a camera's number or a stream's URL"),
    ],
    score: Annotated[float, typer.Option(min=0, max=1, help="leave out what scores lower")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="write drawn pictures and videos into this folder")] = None,
    crops: Annotated[
        Path | None, typer.Option(help="write each detection, cut out and seen from the front, into this folder")
    ] = None,
    json_file: JsonFile = None,
    backend: Annotated[
        str | None, typer.Option(help="what runs the file, by name; auto takes the fastest that is installed")
    ] = None,
    size: Annotated[str | None, typer.Option(help="input HxW in pixels, of a file exported with --size any")] = None,
    batch: Annotated[int, typer.Option(min=1, help="pictures a call of the network; with --tiles as many tiles")] = 1,
    heatmap: Annotated[
        bool,
        typer.Option(
            "--heatmap", help="write NAME.heatmap.jpg beside each drawn picture, of a .safetensors model file"
        ),
    ] = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="a .safetensors model file, such as a teacher, whose heatmaps are drawn beside; repeatable"),
    ] = None,
    tiles: TileSize = None,
    overlap: Overlap = 0.2,
    whole: Whole = False,
    max_megapixels: Megapixels = None,
    resume: Resume = False,
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
    require_json(json_file, chain([model], (source.path for source in found)))
    if heatmap and tiles is not None:
        raise InputError("--heatmap: shows what a network finds on a whole picture, leave it or --tiles out")
    open_model = partial(centerx.load, threads=threads, providers=parse_names(providers))
    shown = HeatmapDrawings(model, beside or [], found, targets, open_model) if heatmap else None
    if beside and not heatmap:
        raise InputError("--beside: goes with --heatmap, add it")
    cut_out = output_files(found, crops, "--crops") if crops is not None else []
    bases = base_names(cut_out)
    for target in chain(targets, cut_out):
        require_writable(target)
    pictures = objects = 0
    skipped: list[str] = []
    with ExitStack() as stack:
        kept = None
        if resume:
            facts = {"--score": score, "--backend": backend, "--size": size}
            facts |= {"--tiles": tiles, "--overlap": overlap, "--whole": whole}
            kept = stack.enter_context(open_unfinished(json_file, model, found, facts))
        done = kept.done if kept is not None else set()
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
            limit=max(limit - len(done), 0) if limit is not None else None,
            threads=threads,
            providers=parse_names(providers),
            skipped=skipped,
            done=done,
        )
        nothing = out is None and crops is None
        write: Callable[[dict[str, Any]], object] | None = _tell if nothing else None
        if kept is None and json_file is not None:
            write = stack.enter_context(reported_list(json_file))
        drawings = stack.enter_context(Drawings(targets))
        stack.enter_context(stopped_by_signals(found))
        for result in stack.enter_context(closing(results)):
            drawings.add(result)
            if cut_out:
                save_crops(bases[result.number], result)
            if shown is not None:
                shown.add(result)
            pictures += 1
            objects += len(result.detections.scores)
            if kept is not None:
                kept.add(result.path, result.to_json())
            elif write is not None:
                write(result.to_json())
        if kept is not None and json_file is not None:
            pictures, objects = finish(kept, json_file)
    places = (("drawn", out), ("cut out", crops), ("listed", json_file))
    where = "".join(f", {what} in {place}" for what, place in places if place)
    left_out = f", {plural(len(skipped), 'source')} skipped" if skipped else ""
    none = "" if objects or not pictures else f"; none scores {score:g} or more, --score lowers the limit"
    say(f"{plural(objects, 'object')} on {plural(pictures, 'picture')}{where}{left_out}{none}")


def open_unfinished(
    json_file: Path | None, model: Path, sources: Sequence[Source | Live], facts: dict[str, Any]
) -> Unfinished:
    """Open what an earlier command left beside the JSON.

    Args:
        json_file: the JSON.
        model: file of the model.
        sources: what is looked at.
        facts: options on which the answers depend, by name.

    Raises:
        InputError: there is no JSON file, a source is no picture, or another command left it.
    """
    from centerx.unfinished import Unfinished

    if json_file is None or json_file == STDOUT:
        raise InputError("--resume: keeps answers beside a JSON file, name one with --json")
    video = next((source.label for source in sources if source.is_video), None)
    if video is not None:
        raise InputError(f"{video}: --resume goes with pictures, not with videos, cameras and streams")
    return Unfinished(json_file, model, facts)


def finish(kept: Unfinished, json_file: Path) -> tuple[int, int]:
    """Write the JSON of all that was found; return how many pictures and objects there are."""
    pictures = objects = 0
    with json_list(json_file) as add:
        for _, entry in kept.answers():
            pictures += 1
            objects += len(entry["detections"])
            add(entry)
    kept.remove()
    return pictures, objects


def save_crops(base: Path, result: Prediction) -> None:
    """Write each detection of a result into a file of its own.

    Args:
        base: how their paths begin; the frame, a number and the class stand behind it.
        result: the result.
    """
    from centerx.draw import save_image

    frame = "" if result.frame is None else f".{result.frame:06d}"
    for number, (crop, name) in enumerate(zip(result.crops(), result.detections.names, strict=True), start=1):
        word = re.sub(r"[^\w-]+", "_", name)
        save_image(base.with_name(f"{base.name}{frame}.{number:03d}.{word}.jpg"), crop)


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
        from centerx.tasks import task_of

        if not self.targets:
            return
        target, found = self.targets[result.number], result.detections
        draw = task_of(found).draw
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


def heatmap_files(targets: Sequence[Path]) -> list[Path]:
    """Return a path beside each drawing."""
    return [base.with_name(f"{base.name}.heatmap.jpg") for base in base_names(targets)]


def base_names(targets: Sequence[Path]) -> list[Path]:
    """Return each path without its suffix; of paths that differ in their suffix alone, it stays."""
    stems = Counter(target.with_suffix("") for target in targets)
    return [target if stems[target.with_suffix("")] > 1 else target.with_suffix("") for target in targets]


class HeatmapDrawings:
    """Draws the heatmaps of models over pictures, into a file beside the drawing of each.

    Args:
        model: file of the model.
        beside: files of those that are drawn beside it.
        sources: the pictures.
        targets: the drawing of each source.
        open_model: loads a file.

    Raises:
        InputError: nothing is drawn, a source is a video, camera or stream, or a model has no heatmaps.
    """

    def __init__(
        self,
        model: Path,
        beside: Sequence[Path],
        sources: Sequence[Source | Live],
        targets: Sequence[Path],
        open_model: Callable[[Path], Predictor],
    ) -> None:
        from centerx.api.heatmaps import require_heatmaps

        if not targets:
            raise InputError("--heatmap: writes pictures, name their folder with --out")
        video = next((source.label for source in sources if source.is_video), None)
        if video is not None:
            raise InputError(
                f"{video}: --heatmap goes with pictures, not with videos, cameras and streams, leave one of them out"
            )
        self.targets = heatmap_files(targets)
        for target in self.targets:
            if target in targets:
                raise InputError(f"{target}: would be a drawing and a heatmap, rename one of the sources")
            require_writable(target, [source.path for source in sources])
        self.models = {path: open_model(path) for path in (model, *beside)}
        for path, predictor in self.models.items():
            require_heatmaps(predictor, path)

    def add(self, result: Prediction) -> None:
        """Draw the heatmaps of a picture and write them."""
        from centerx.draw import save_image
        from centerx.overlay import draw_heatmaps

        maps = [
            centerx.heatmaps(predictor, result.image, name="/".join(path.parts[-2:]))
            for path, predictor in self.models.items()
        ]
        save_image(self.targets[result.number], draw_heatmaps(maps))


def _tell(entry: dict[str, Any]) -> None:
    frame = f" frame {entry['frame']}" if "frame" in entry else ""
    say(f"{entry['image']}{frame}: {len(entry['detections'])} objects")
    for found in entry["detections"]:
        place = found.get("box") or found["point"]
        say(f"  {found['label']}  {found['score']:.2f}  " + " ".join(f"{value:.1f}" for value in place))
