"""Detect objects on large pictures tile by tile, and join what the tiles see.

The peaks of a tile are different objects, so only detections of different tiles may be of one object. Libraries for
slicing suppress among all detections, which would cost objects that overlap in a crowd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from centerx.geometry import box_area, box_iou
from centerx.resize import Letterboxed
from centerx.runtime.picture import Picture, to_image
from centerx.runtime.predictor import Predictor
from centerx.runtime.session import Session
from centerx.tiles import Tiles
from centerx.types import Detections

NEAR, CLEAR = 1.0, 3.0  # cells from a border at which a box is cut, and at which the next tile does not cut it
SAME = 0.5  # IoU from which on boxes of two tiles are of one object, and covered share of a part that goes
TILES_AT_ONCE = 8  # a call of the network
REACH = 2.0  # cells around a point that stand for its object


class TiledPicture(Letterboxed):
    """A picture that is brought to the input as a whole and tile by tile.

    Attributes:
        tiles: as the picture itself; their letterboxes have an origin in it. Empty where one tile would be the picture.
        windows: (T, 4) xyxy of the tiles in pixels of the picture.
    """

    tiles: list[Letterboxed]
    windows: np.ndarray


class TiledPredictor(Predictor):
    """Detector that looks at large pictures tile by tile.

    Args:
        session: the loaded model.
        input_hw: as for `Predictor`; each tile is resized to it.
        reopen: as for `Predictor`.
        tiles: how pictures are cut.
        batch: tiles a call of the network.

    Raises:
        InputError: as for `Predictor`.
    """

    def __init__(
        self,
        session: Session,
        input_hw: tuple[int, int] | None,
        reopen: Callable[[], Session] | None,
        tiles: Tiles,
        batch: int = TILES_AT_ONCE,
    ) -> None:
        super().__init__(session, input_hw, reopen)
        self.tiles, self.batch = tiles, batch

    @classmethod
    def of(cls, predictor: Predictor, tiles: Tiles, batch: int = TILES_AT_ONCE) -> TiledPredictor:
        """Return a predictor with the same session that looks at tiles."""
        return cls(predictor.session, predictor.input_hw, predictor.reopen, tiles, batch)

    def preprocess(self, picture: Picture, bgr: bool = False) -> TiledPicture:
        """Read a picture and fit it and its tiles into the model's input: the first half of a call."""
        image = to_image(picture, bgr, self.session.info.value_range)
        placed = TiledPicture(*super().preprocess(image))
        placed.windows = self.tiles.windows((image.shape[0], image.shape[1]))
        placed.tiles = []
        for left, top, right, bottom in placed.windows.tolist() if len(placed.windows) > 1 else []:
            tile, letterbox = super().preprocess(image[top:bottom, left:right])
            placed.tiles.append(Letterboxed(tile, letterbox._replace(origin=(left, top))))
        return placed

    def detect(self, letterboxed: Sequence[Letterboxed]) -> list[Detections]:
        """Run the network on preprocessed pictures and their tiles, and join what is found: the second half of a call.

        Returns:
            The detections of each picture, with boxes in its pixels.
        """
        views = [self._views(each) for each in letterboxed]
        flat = [view for some in views for view in some]
        batches = [flat[start : start + self.batch] for start in range(0, len(flat), self.batch)]
        found = iter([each for some in batches for each in super(TiledPredictor, self).detect(some)])
        return [self._joined(each, [next(found) for _ in some]) for each, some in zip(letterboxed, views, strict=True)]

    def _views(self, picture: Letterboxed) -> list[Letterboxed]:
        tiles = picture.tiles if isinstance(picture, TiledPicture) else []
        return [picture, *tiles] if self.tiles.whole or not tiles else tiles

    def _joined(self, picture: Letterboxed, found: list[Detections]) -> Detections:
        if not isinstance(picture, TiledPicture) or not picture.tiles:
            return found[0]
        cell = self.session.info.stride / np.array(picture.tiles[0].letterbox.scales)
        parts = found[1:] if self.tiles.whole else found
        whole = found[0] if self.tiles.whole else found[0].where(slice(0))
        return join_views(whole, parts, picture.windows, cell, self.task.has_area)


def join_views(
    whole: Detections, parts: Sequence[Detections], windows: np.ndarray, cell: np.ndarray, has_area: bool = True
) -> Detections:
    """Join what was found on a picture as a whole and on its tiles, each object once.

    1. Of the whole picture, only boxes that are larger than an overlap count, as tiles may cut such objects.
    2. Two boxes of a class on two views that are each other's nearest and overlap by SAME are of one object. One that
       no border cuts is preferred, else the better one.
    3. A box that a border between tiles cuts goes if it lies in what both tiles show: the other shows more of its
       object.
    4. A box that a border cuts goes if a larger one of another view, which none cuts, covers SAME of it.

    Args:
        whole: found on the whole picture, in its pixels.
        parts: found on each tile, in pixels of the picture.
        windows: (T, 4) xyxy of the tiles.
        cell: (2,) width and height of a cell of the network in pixels of a tile, by which boxes may be off.
        has_area: whether objects are boxes. Points stand for boxes of a few cells, and those of the whole picture do
            not count.

    Returns:
        The detections, highest score first.
    """
    found = _concatenated([whole, *parts])
    view = np.repeat(np.arange(1 + len(parts)), [len(each) for each in (whole, *parts)])
    boxes = found.boxes if has_area else found.boxes + np.concatenate([-cell, cell]) * REACH
    low, high, shared = _borders(windows, cell)
    borders = np.concatenate([boxes[:, :2] <= low[view, :2], boxes[:, 2:] >= high[view, :2]], axis=1)
    beyond = np.concatenate([boxes[:, 2:] <= low[view, 2:], boxes[:, :2] >= high[view, 2:]], axis=1)
    cut, left = borders.any(axis=1), (borders & beyond).any(axis=1)
    large = ((boxes[:, 2:] - boxes[:, :2]) > shared).any(axis=1)
    alive = (view > 0) | (large & has_area)
    rank = np.lexsort((-found.scores, cut, left)).argsort()
    for number, window in enumerate(windows, start=1):
        new = np.flatnonzero(alive & (view == number))
        inside = (boxes[:, :2] < window[2:]).all(axis=1) & (boxes[:, 2:] > window[:2]).all(axis=1)
        near = np.flatnonzero(alive & (view < number) & inside)
        first, second = _pairs(boxes[new], boxes[near], found.labels[new], found.labels[near])
        first, second = new[first], near[second]
        alive[np.where(rank[first] < rank[second], second, first)] = False
    alive &= ~left
    parts_left, covering = np.flatnonzero(alive & cut), np.flatnonzero(alive & ~cut)
    covered = _covered(boxes[parts_left], boxes[covering]) & (view[parts_left, None] != view[covering])
    covered &= found.labels[parts_left, None] == found.labels[covering]
    alive[parts_left[covered.any(axis=1)]] = False
    joined = found.where(alive)
    return joined.where(np.argsort(-joined.scores, kind="stable"))


def _borders(windows: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where boxes of each view are cut and seen by the next tile; view 0 is the whole picture.

    Args:
        windows: (T, 4) xyxy.
        cell: (2,) width and height of a cell of the network in pixels.

    Returns:
        `low` (1 + T, 4): a box whose left (top) is at most 0 (1) is cut; one whose right (bottom) is at most 2 (3) lies
        in the tile before. `high` (1 + T, 4): the same with at least, for right and bottom, and left and top of a box.
        `shared` (2,): the least width and height of an overlap; infinite where there is none.
    """
    low, high = np.full((1 + len(windows), 4), -np.inf), np.full((1 + len(windows), 4), np.inf)
    shared = np.full(2, np.inf)
    for axis in (0, 1):
        starts, ends = np.unique(windows[:, axis]), np.unique(windows[:, axis + 2])
        place = np.searchsorted(starts, windows[:, axis])
        before, after = place > 0, place < len(starts) - 1
        low[1:, axis][before] = windows[before, axis] + NEAR * cell[axis]
        low[1:, axis + 2][before] = ends[place[before] - 1] - CLEAR * cell[axis]
        high[1:, axis][after] = windows[after, axis + 2] - NEAR * cell[axis]
        high[1:, axis + 2][after] = starts[place[after] + 1] + CLEAR * cell[axis]
        if len(starts) > 1:
            shared[axis] = (ends[:-1] - starts[1:]).min()
    return low, high, shared


def _pairs(
    first: np.ndarray, second: np.ndarray, first_labels: np.ndarray, second_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of boxes that are each other's nearest of their class and overlap by SAME."""
    overlap = box_iou(first, second) * (first_labels[:, None] == second_labels)
    if not overlap.size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows, nearest = np.arange(len(overlap)), overlap.argmax(axis=1)
    mutual = (overlap.argmax(axis=0)[nearest] == rows) & (overlap[rows, nearest] >= SAME)
    return rows[mutual], nearest[mutual]


def _covered(parts: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (N, M) bool: whether a larger box (M, 4) covers SAME of a part (N, 4)."""
    low = np.maximum(parts[:, None, :2], boxes[None, :, :2])
    high = np.minimum(parts[:, None, 2:], boxes[None, :, 2:])
    area = box_area(parts)[:, None]
    return (np.prod(np.maximum(high - low, 0), axis=-1) >= SAME * area) & (area < box_area(boxes))


def _concatenated(parts: Sequence[Detections]) -> Detections:
    values = {name: np.concatenate([each.values[name] for each in parts]) for name in parts[0].values}
    boxes, scores, labels = (
        np.concatenate([getattr(each, name) for each in parts]) for name in ("boxes", "scores", "labels")
    )
    return Detections(boxes, scores, labels, parts[0].class_names, values, parts[0].task, parts[0].joints)
