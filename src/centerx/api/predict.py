"""`centerx.predict`: what a model finds on pictures, videos and streams, one after another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Container, Generator, Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError
from centerx.problems import Problem, log_problems
from centerx.progress import track
from centerx.show import encode_png, plot_picture
from centerx.tiles import OVERLAP

if TYPE_CHECKING:
    import numpy as np

    from centerx.runtime import Predictor
    from centerx.runtime.live import Live
    from centerx.runtime.picture import Picture as PictureLike
    from centerx.runtime.sources import Source
    from centerx.types import Detections

    Given = int | PictureLike | Source | Live

logger = logging.getLogger(__name__)

RECONNECT = 5  # attempts in a row after which a stream has ended


class Picture(NamedTuple):
    """A picture, or a frame of a video or stream.

    Attributes:
        number: of its source among the sources, from 0.
        source: the file, with its name below the folder that was given; or the camera or stream.
        frame: its number in the video or stream, from 0; None for a picture.
        image: (H, W, 3) uint8 RGB, as a viewer shows it.
        seconds: since the first frame of a camera or stream; None for files.
    """

    number: int
    source: Source | Live
    frame: int | None
    image: np.ndarray
    seconds: float | None = None


class Prediction(NamedTuple):
    """What was found on a picture, or on a frame of a video or stream.

    Attributes:
        number: of its source among the sources, from 0.
        source: the file, with its name below the folder that was given; or the camera or stream.
        frame: its number in the video or stream, from 0; None for a picture.
        image: (H, W, 3) uint8 RGB, as a viewer shows it.
        detections: boxes in pixels of `image`, best first.
        seconds: since the first frame of a camera or stream; None for files.
    """

    number: int
    source: Source | Live
    frame: int | None
    image: np.ndarray
    detections: Detections
    seconds: float | None = None

    @property
    def path(self) -> Path:
        """The file; of a camera or stream a name without one."""
        return self.source.path

    def __repr__(self) -> str:
        frame = "" if self.frame is None else f" frame {self.frame}"
        return f"Prediction({self.path}{frame}: {self.detections!r})"

    def _repr_png_(self) -> bytes:
        return encode_png(self.draw())

    def draw(self) -> np.ndarray:
        """Return the picture with what was found drawn on it, (H, W, 3) uint8 RGB."""
        return self.detections.draw(self.image)

    def crops(self) -> list[np.ndarray]:
        """Return each detection cut out, (h, w, 3) uint8 RGB: a box as it is, a quadrilateral seen from the front."""
        from centerx.geometry import BOX_CORNERS, rectify

        found = self.detections
        corners = found.values.get("corners", found.boxes[:, BOX_CORNERS].reshape(-1, 4, 2))
        return [rectify(self.image, each) for each in corners]

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of what `draw` returns.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return plot_picture(self.draw(), str(self.path).replace("$", r"\$"))

    def to_json(self) -> dict[str, Any]:
        """Return the entry that `predict --json` writes."""
        from centerx.runtime.entry import to_dict

        entry = to_dict(self.source.label, self.image.shape[:2], self.detections)
        entry |= {} if self.frame is None else {"frame": self.frame}
        return entry if self.seconds is None else entry | {"seconds": round(self.seconds, 3)}


def predict(
    model: str | Path | Predictor,
    sources: Given | Iterable[Given],
    *,
    score: float = 0.3,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    tiles: int | tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    whole: bool = False,
    max_megapixels: float | None = None,
    limit: int | None = None,
    reconnect: int = RECONNECT,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
    skipped: list[str] | None = None,
    done: Container[str] = (),
    bgr: bool = False,
) -> Generator[Prediction, None, None]:
    """Find objects on pictures, videos and streams.

    Sources and model are opened at once, pictures are read as the results are asked for. What cannot be read is left
    out with a warning, unless it is the only source. Of a camera or stream the newest frame is taken each time.

    Args:
        model: an exported file, a model file of a run, or what `centerx.load` returns.
        sources: one, or several. Texts and paths are images, folders, glob patterns or videos, a number is a camera,
            and a URL a stream; everything else is a picture in memory, as `centerx.load(model)` takes it.
        score: leave out what scores lower.
        backend: what runs the file, by name; `auto` takes the fastest that is installed.
        size: height and width of the input in pixels, of a file that takes any.
        batch: pictures a call of the network; with tiles as many of those, but 8 at least.
        tiles: cut larger pictures into tiles, as `centerx.load` does.
        overlap: of the tiles, as for `centerx.load`.
        whole: as for `centerx.load`.
        max_megapixels: the most of a picture, for the whole process; 178 without it. See `images.allow_megapixels`.
        limit: end after so many pictures and frames.
        reconnect: most attempts in a row to connect to a camera or stream again once its frames stop coming.
        threads: as for `centerx.load`.
        providers: as for `centerx.load`.
        skipped: gets what was wrong with each source that was left out.
        done: paths of files that are left out, as they were looked at before.
        bgr: whether arrays have their channels in the order BGR, as OpenCV reads them.

    Raises:
        InputError: a source leads to nothing, the model cannot be opened, or no source can be read.
    """
    from centerx.images import allow_megapixels
    from centerx.runtime import Predictor, load
    from centerx.runtime.tiled import TILES_AT_ONCE, TiledPredictor
    from centerx.tiles import Tiles

    if max_megapixels is not None:
        allow_megapixels(max_megapixels)
    found = resolve_sources(sources, reconnect, bgr)
    if isinstance(model, Predictor):
        if any(each is not None for each in (backend, size, threads, providers)):
            raise InputError("backend, size, threads, providers: go with a model file, leave them out")
        predictor = model
    else:
        predictor = load(model, backend, size, threads=threads, providers=providers)
    if tiles is not None:
        predictor = TiledPredictor.of(predictor, Tiles.of(tiles, overlap, whole), max(batch, TILES_AT_ONCE))
    return predict_sources(predictor, found, score, batch, skipped if skipped is not None else [], limit, done)


def resolve_sources(
    sources: Given | Iterable[Given], reconnect: int = RECONNECT, bgr: bool = False
) -> Sequence[Source | Live]:
    """Return the files and pictures, or the camera or stream, that are meant, in the order given.

    Args:
        sources: as for `predict`.
        reconnect: as for `predict`.
        bgr: as for `predict`.

    Raises:
        InputError: one of them leads to no picture and no video, or something stands beside a camera or stream.
    """
    from centerx.runtime.live import Live
    from centerx.runtime.picture import is_one, to_list
    from centerx.runtime.sources import Source, Sources, find_sources

    if isinstance(sources, Sources):
        return sources
    several: list[Any] = [sources] if isinstance(sources, (int, Source, Live)) or is_one(sources) else to_list(sources)
    parts: list[Sequence[Source | Live]] = []
    for number, each in enumerate(several):
        if isinstance(each, (Source, Live)):
            parts.append([each])
        elif isinstance(each, (str, int, os.PathLike)):
            parts += find_sources([str(each) if isinstance(each, int) else os.fsdecode(each)], reconnect).parts
        elif each is None:
            raise InputError(f"sources[{number}]: no picture, give a path or pixels")
        else:
            name = Path(f"sources[{number}]")
            parts.append([Source(name, name, each, bgr)])
    found = Sources(parts)
    endless = [each for each in found if isinstance(each, Live)]
    if endless and len(found) > 1:
        raise InputError(f"{endless[0].label}: goes on until it is stopped, run another command for other sources")
    return found


def predict_sources(
    predictor: Predictor,
    sources: Sequence[Source | Live],
    score: float,
    batch: int,
    skipped: list[str],
    limit: int | None = None,
    done: Container[str] = (),
) -> Generator[Prediction, None, None]:
    """Yield what is found in sources, while threads read the next ones; see `predict`.

    The frames of a camera or stream are used at once instead, as those read ahead would be old ones.
    """
    from centerx.runtime.live import Live
    from centerx.runtime.stream import prefetch

    problems: list[Problem] = []
    ahead = _at_once if any(isinstance(source, Live) for source in sources) else prefetch
    none = True
    with (
        closing(read_pictures(predictor, sources, problems, skipped, done)) as pictures,
        closing(ahead(detect(predictor, islice(pictures, limit), batch, score, ahead))) as results,
    ):
        for result in results:
            none = False
            yield result
    if none and not any(source.label in done for source in sources):
        raise InputError(f"none of {len(sources)} sources can be read, see the warnings above")
    log_problems(problems, "predict")


def read_pictures(
    predictor: Predictor,
    sources: Sequence[Source | Live],
    problems: list[Problem],
    skipped: list[str],
    done: Container[str],
) -> Generator[Picture, None, None]:
    """Yield the frames of all sources that are not done; what cannot be read is told, noted in `skipped` and left out.

    Raises:
        InputError: the only source cannot be read.
    """
    from centerx.runtime.live import Live

    value_range = predictor.session.info.value_range
    for number, source in enumerate(track(sources, "predicting")):
        if source.label in done:
            continue
        try:
            if isinstance(source, Live):
                for live in source.frames():
                    yield Picture(number, source, live.number, live.image, live.seconds)
                continue
            for frame, image in enumerate(source.frames(value_range, problems.append)):
                yield Picture(number, source, frame if source.is_video else None, image)
        except InputError as error:
            if len(sources) == 1:
                raise
            skipped.append(str(error))
            logger.warning(f"skipped: {error}")


def detect(
    predictor: Predictor,
    pictures: Iterable[Picture],
    batch: int,
    score: float,
    ahead: Callable[[Iterable[Any]], Generator[Any, None, None]],
) -> Generator[Prediction, None, None]:
    """Yield what is found on each picture.

    Args:
        predictor: finds it.
        pictures: to look at.
        batch: pictures a call of the network.
        score: leave out what scores lower.
        ahead: iterates over the pictures while the network runs.
    """
    from centerx.runtime.stream import groups

    with closing(ahead((picture, predictor.preprocess(picture.image)) for picture in pictures)) as read:
        for group in groups(read, batch):
            for (picture, _), found in zip(group, predictor.detect([placed for _, placed in group]), strict=True):
                number, source, frame, image, seconds = picture
                yield Prediction(number, source, frame, image, found.above(score), seconds)


def _at_once(items: Iterable[Any]) -> Generator[Any, None, None]:
    yield from items
