"""Large pictures as several samples, one a tile, without files of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from centerx.data.dataset import Dataset, readable_hw
from centerx.data.records import Record
from centerx.data.source import Entries, Entry, SampleSource
from centerx.fields import Field
from centerx.geometry import shift_matrix
from centerx.levels import AUTO, ValueRange
from centerx.objects import Objects
from centerx.problems import Kind, Problem
from centerx.tasks import BOXES, Task
from centerx.tiles import Tiles
from centerx.types import Sample


class TiledSource(SampleSource):
    """Tiles of the pictures of several data sets by index, picture by picture.

    A tile has the objects of which it shows a part, in its own pixels and clipped to it. Of a picture that is no larger
    than a tile, the sample is the picture. A picture is decoded for each of its tiles, unless a cache keeps it.

    Args:
        datasets: as for `SampleSource`.
        class_names: as for `SampleSource`.
        value_range: as for `SampleSource`.
        task: as for `SampleSource`.
        tiles: how pictures are cut.
        min_visible: share of a box that a tile must show; below it the object is ignored there.

    Attributes:
        problems: the objects that are ignored on a tile, a problem for each picture.

    Raises:
        InputError: there are no pictures.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        class_names: Sequence[str],
        value_range: ValueRange = AUTO,
        task: Task = BOXES,
        *,
        tiles: Tiles,
        min_visible: float,
    ) -> None:
        super().__init__(datasets, class_names, value_range, task)
        self.min_visible = min_visible
        self.problems: list[Problem] = []
        self.places: list[tuple[int, tuple[int, int, int, int]]] = []  # of each tile, its picture and window
        self.entries = Entries(
            cut for picture, entry in enumerate(self.entries) for cut in self._cut(picture, entry, tiles)
        )

    def _cut(self, picture: int, entry: Entry, tiles: Tiles) -> Iterator[Entry]:
        record, ignored = entry.record, 0
        hw = readable_hw(record.image) or record.declared_hw or tiles.size
        for left, top, right, bottom in tiles.windows(hw).tolist():
            window = left, top, right, bottom
            objects = cut_objects(record.objects, window, self.min_visible, self.task.carried)
            ignored += int(objects.ignore.sum()) - self._shown(record, window)
            self.places.append((picture, window))
            yield entry._replace(record=record._replace(objects=objects, declared_hw=(bottom - top, right - left)))
        if ignored:
            what = f"boxes of which tiles show less than {self.min_visible:g} are ignored there"
            self.problems.append(Problem(Kind.CUT_BY_TILE, str(record.image), what, ignored))

    def _shown(self, record: Record, window: tuple[int, int, int, int]) -> int:
        """Return how many objects that are ignored anyway a tile shows."""
        return len(cut_objects(record.objects.where(record.ignore), window, 0.0, self.task.carried).labels)

    def hw(self, index: int) -> tuple[int, int]:
        """Return height and width of a tile in pixels."""
        left, top, right, bottom = self.places[index][1]
        return bottom - top, right - left

    def sample(self, index: int, reduction: int = 1) -> Sample:
        """Read one tile, always whole.

        Raises:
            InputError: its picture cannot be read.
        """
        picture, (left, top, right, bottom) = self.places[index]
        record, supervised = self.entries[index]
        image = self.read(record.image, self.value_range, 1)[top:bottom, left:right].copy()  # frees the picture
        found = [
            cut_objects(each.of(picture, self.task), (left, top, right, bottom), self.min_visible, ())
            for each in self.detections
        ]
        return Sample(
            image,
            record.objects.with_fields(self.task.fields),
            supervised,
            record.image_id,
            tuple(found),
            tuple(bool(each.answered[picture]) for each in self.detections),
        )


def cut_objects(
    objects: Objects, window: tuple[int, int, int, int], min_visible: float, fields: Sequence[Field]
) -> Objects:
    """Return the objects that a window of their picture shows, in pixels of the window.

    Args:
        objects: on the picture.
        window: xyxy in pixels.
        min_visible: as for `Objects.crop`.
        fields: that the task's objects carry; those of which the objects have values move along.
    """
    left, top, right, bottom = window
    carried = tuple(field for field in fields if field.name in objects.values)
    moved = objects._replace(fields=carried).warp(shift_matrix(-left, -top))
    return moved.crop((bottom - top, right - left), min_visible)._replace(fields=objects.fields)
