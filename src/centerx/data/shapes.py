"""What labelling tools write, pictures by name with shapes on them, as a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from centerx.data.dataset import Dataset, RecordBuilder, UnusableData, join_records, readable_hw
from centerx.data.places import find_pictures, is_neighbour, locate_pictures
from centerx.data.records import Records
from centerx.data.text import parse_json
from centerx.data.values import is_number, to_flag
from centerx.problems import Kind, Problem

IGNORE = ("ignore", "difficult", "iscrowd")  # names of flags that make an object an ignored one
FOUR_CORNERS = "has four corners: tasks without corners use the upright box around them"


class Shape(NamedTuple):
    """An object as a tool wrote it.

    Attributes:
        where: file, with line or number.
        name: of its class.
        xyxy: corners in pixels, or in shares of the picture's sides.
        ignore: whether it is neither positive nor negative; None if its flags are no flags.
        corners: x and y of its four corners, where it has four, in the same units.
    """

    where: str
    name: str
    xyxy: list[float]
    ignore: bool | None = False
    corners: list[float] | None = None


class Labelled(NamedTuple):
    """A picture as a tool wrote it.

    Attributes:
        name: of the picture, as the labels have it.
        shapes: on it.
        hw: height and width as the labels state them.
    """

    name: str
    shapes: Sequence[Shape]
    hw: tuple[int, int] | None = None


class Source(NamedTuple):
    """Where labels come from.

    Attributes:
        path: what the user named.
        file: of the labels; pictures are sought near it.
        format: name of the format.
        images: folder of the pictures, if the user named one.
        problems: list to which problems are appended.
    """

    path: Path
    file: Path
    format: str
    images: Path | None
    problems: list[Problem]

    def report(self, kind: Kind, where: str, what: str, times: int = 1) -> None:
        """Append a problem."""
        self.problems.append(Problem(kind, where, what, times))

    def report_outline(self, where: str, shape: str, corners: Sequence[float] | None) -> None:
        """Report that the box around a shape is used, if it has four corners by tasks without corners alone.

        Args:
            where: file, with line or number.
            shape: what it is, such as `a polygon`.
            corners: its four corners, None if it has other ones.
        """
        if corners is None:
            self.report(Kind.POLYGON, where, f"is {shape}, the box around it is used")
        else:
            self.report(Kind.ROTATED_BOX, where, FOUR_CORNERS)


def make_dataset(
    source: Source,
    pictures: Sequence[Labelled],
    *,
    declared: Iterable[str] = (),
    relative: bool = False,
    places: Sequence[str | Path] | None = None,
) -> Dataset:
    """Find the pictures and number the classes.

    Args:
        source: where the labels come from.
        pictures: as they are labelled; several of one file become one record.
        declared: names of classes that the labels list, first in order; others follow by name.
        relative: whether corners are shares of the upright picture's sides.
        places: a file for each picture, where the names alone do not tell it.
    """
    found = {shape.name for picture in pictures for shape in picture.shapes}
    declared = dict.fromkeys(declared)
    names = (*declared, *sorted(found - declared.keys()))
    label_of = {name: label for label, name in enumerate(names)}
    folder = None
    if places is None:
        called = [picture.name for picture in pictures]
        folder = source.images or find_pictures(source.file, called, source.problems)
        places = locate_pictures(folder, called, str(source.file), source.problems)
    records = Records()
    for picture, place in zip(pictures, places, strict=True):
        builder = RecordBuilder(Path(place), picture.name, source.problems, picture.hw)
        across, down = _sides(builder, picture.shapes) if relative else (1, 1)
        for where, name, xyxy, ignore, corners in picture.shapes if across else ():
            if ignore is None:
                source.report(Kind.MALFORMED_ENTRY, where, f"its {', '.join(IGNORE)} must be 0 or 1")
                continue
            box, own = (each and _scaled(each, across, down) for each in (xyxy, corners))
            builder.add(where, box or xyxy, label_of[name], ignore, corners=own)
        records.append(builder.build())
    neighbour = folder if folder and source.images is None and is_neighbour(folder, source.file) else None
    records = join_records(records, source.problems)
    ids = tuple(range(1, len(names) + 1))
    return Dataset(source.path, source.format, names, ids, records, source.problems, neighbour=neighbour)


def _scaled(positions: Sequence[float], across: int, down: int) -> list[float]:
    return [value * (down if place % 2 else across) for place, value in enumerate(positions)]


def _sides(builder: RecordBuilder, shapes: Sequence[Shape]) -> tuple[int, int]:
    """Return width and height that shares are of; zeros, and a problem, where nothing tells them."""
    hw = readable_hw(builder.image) or builder.declared_hw
    if hw is None:
        if shapes:
            what = f"its size is unknown, its {len(shapes)} boxes are left out"
            builder.problems.append(Problem(Kind.UNREADABLE_PICTURE, str(builder.image), what, len(shapes)))
        return 0, 0
    builder.declared_hw = builder.declared_hw or hw
    return hw[1], hw[0]


def read_json(file: Path) -> Any:
    """Read a JSON file.

    Raises:
        UnusableData: it is malformed.
    """
    try:
        return parse_json(file)
    except ValueError as error:
        raise UnusableData(file, f"malformed JSON ({error})") from None


def is_ignored(flags: Any) -> bool | None:
    """Return whether a mapping of flags or attributes has one of IGNORE that is set; None if one says nothing of it."""
    said = [to_flag(flags.get(name)) for name in IGNORE] if isinstance(flags, Mapping) else []
    return True if True in said else None if None in said else False


def around(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return the corners of the upright box around points."""
    across, down = zip(*points, strict=True)
    return [min(across), min(down), max(across), max(down)]


def four_corners(points: Sequence[tuple[float, float]]) -> list[float] | None:
    """Return x and y of points if they are four, else None."""
    return [value for point in points for value in point] if len(points) == 4 else None


def numbers(value: Any, count: int) -> list[float] | None:
    """Return a JSON list of some numbers as floats, or None if it is something else."""
    if not isinstance(value, list) or len(value) != count or not all(map(is_number, value)):
        return None
    return list(map(float, value))


def pairs(value: Any) -> list[tuple[float, float]] | None:
    """Return a JSON list of points as pairs of floats, or None if it is something else or empty."""
    points = [numbers(point, 2) for point in value] if isinstance(value, list) else []
    return [(point[0], point[1]) for point in points if point] if points and None not in points else None
