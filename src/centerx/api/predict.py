"""`centerx.predict`: what a model finds on pictures and videos, one after another."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError
from centerx.problems import Problem, log_problems
from centerx.progress import track
from centerx.show import encode_png, plot_picture

if TYPE_CHECKING:
    import numpy as np

    from centerx.runtime import Predictor
    from centerx.runtime.picture import Picture as PictureLike
    from centerx.runtime.sources import Source
    from centerx.types import Detections

    Given = PictureLike | Source

logger = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A picture, or a frame of a video.

    Attributes:
        number: of its source among the sources, from 0.
        source: the file, with its name below the folder that was given.
        frame: its number in the video, from 0; None for a picture.
        image: (H, W, 3) uint8 RGB, as a viewer shows it.
    """

    number: int
    source: Source
    frame: int | None
    image: np.ndarray


class Prediction(NamedTuple):
    """What was found on a picture, or on a frame of a video.

    Attributes:
        number: of its source among the sources, from 0.
        source: the file, with its name below the folder that was given.
        frame: its number in the video, from 0; None for a picture.
        image: (H, W, 3) uint8 RGB, as a viewer shows it.
        detections: boxes in pixels of `image`, best first.
    """

    number: int
    source: Source
    frame: int | None
    image: np.ndarray
    detections: Detections

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    def __repr__(self) -> str:
        frame = "" if self.frame is None else f" frame {self.frame}"
        return f"Prediction({self.path}{frame}: {self.detections!r})"

    def _repr_png_(self) -> bytes:
        return encode_png(self.draw())

    def draw(self) -> np.ndarray:
        """Return the picture with what was found drawn on it, (H, W, 3) uint8 RGB."""
        return self.detections.draw(self.image)

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of what `draw` returns.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return plot_picture(self.draw(), str(self.path).replace("$", r"\$"))

    def to_json(self) -> dict[str, Any]:
        """Return the entry that `predict --json` writes."""
        from centerx.runtime.entry import to_dict

        entry = to_dict(str(self.path), self.image.shape[:2], self.detections)
        return entry if self.frame is None else entry | {"frame": self.frame}


def predict(
    model: str | Path | Predictor,
    sources: Given | Iterable[Given],
    *,
    score: float = 0.3,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    skipped: list[str] | None = None,
    bgr: bool = False,
) -> Generator[Prediction, None, None]:
    """Find objects on pictures and videos.

    Sources and model are opened at once, pictures are read as the results are asked for. What cannot be read is left
    out with a warning, unless it is the only source.

    Args:
        model: an exported file, a model file of a run, or what `centerx.load` returns.
        sources: one, or several. Texts and paths are images, folders, glob patterns or videos; everything else is a
            picture in memory, as `centerx.load(model)` takes it.
        score: leave out what scores lower.
        backend: what runs the file, by name; `auto` takes the fastest that is installed.
        size: height and width of the input in pixels, of a file that takes any.
        batch: pictures a call of the network.
        skipped: gets what was wrong with each source that was left out.
        bgr: whether arrays have their channels in the order BGR, as OpenCV reads them.

    Raises:
        InputError: a source leads to nothing, the model cannot be opened, or no source can be read.
    """
    from centerx.runtime import Predictor, load

    found = resolve_sources(sources, bgr)
    if isinstance(model, Predictor):
        if backend is not None or size is not None:
            raise InputError("backend, size: go with a model file, leave them out")
        predictor = model
    else:
        predictor = load(model, backend, size)
    return predict_sources(predictor, found, score, batch, skipped if skipped is not None else [])


def resolve_sources(sources: Given | Iterable[Given], bgr: bool = False) -> list[Source]:
    """Return the files and pictures that are meant, in the order given.

    Args:
        sources: as for `predict`.
        bgr: as for `predict`.

    Raises:
        InputError: one of them leads to no picture and no video.
    """
    from centerx.runtime.picture import is_one, to_list
    from centerx.runtime.sources import Source, find_sources

    several: list[Any] = [sources] if isinstance(sources, Source) or is_one(sources) else to_list(sources)
    found: list[Source] = []
    for number, each in enumerate(several):
        if isinstance(each, Source):
            found.append(each)
        elif isinstance(each, (str, os.PathLike)):
            found += find_sources([os.fsdecode(each)])
        elif each is None:
            raise InputError(f"sources[{number}]: no picture, give a path or pixels")
        else:
            name = Path(f"sources[{number}]")
            found.append(Source(name, name, each, bgr))
    return found


def predict_sources(
    predictor: Predictor, sources: Sequence[Source], score: float, batch: int, skipped: list[str]
) -> Generator[Prediction, None, None]:
    """Yield what is found in sources, while threads read the next ones; see `predict`."""
    from centerx.runtime.stream import prefetch

    problems: list[Problem] = []
    pictures = read_pictures(predictor, sources, problems, skipped)
    none = True
    with closing(prefetch(detect(predictor, pictures, batch, score))) as results:
        for result in results:
            none = False
            yield result
    if none:
        raise InputError(f"none of {len(sources)} sources can be read, see the warnings above")
    log_problems(problems, "predict")


def read_pictures(
    predictor: Predictor, sources: Sequence[Source], problems: list[Problem], skipped: list[str]
) -> Iterator[Picture]:
    """Yield the frames of all sources; what cannot be read is told, noted in `skipped` and left out.

    Raises:
        InputError: the only source cannot be read.
    """
    value_range = predictor.session.info.value_range
    for number, source in enumerate(track(sources, "predicting")):
        try:
            for frame, image in enumerate(source.frames(value_range, problems.append)):
                yield Picture(number, source, frame if source.is_video else None, image)
        except InputError as error:
            if len(sources) == 1:
                raise
            skipped.append(str(error))
            logger.warning(f"skipped: {error}")


def detect(predictor: Predictor, pictures: Iterable[Picture], batch: int, score: float) -> Iterator[Prediction]:
    """Yield what is found on each picture, while a thread reads the next ones."""
    from centerx.runtime.stream import groups, prefetch

    with closing(prefetch((picture, predictor.preprocess(picture.image)) for picture in pictures)) as read:
        for group in groups(read, batch):
            for (picture, _), found in zip(group, predictor.detect([placed for _, placed in group]), strict=True):
                yield Prediction(*picture, found.above(score))
