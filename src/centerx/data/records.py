"""Records of pictures, and many of them packed into columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centerx.lazy import LazySequence
from centerx.objects import Objects, join_objects, make_objects

BLOCK = 256  # records that are packed together
NO_SIZE = (-1, -1)


class Record(NamedTuple):
    """One picture of a data set, not yet read.

    Attributes:
        image: the picture's file.
        image_id: the data set's own id.
        objects: on it, float64 in pixels of the upright picture, `labels` into `Dataset.class_names`. Their `area` in
            square pixels is the object's own where the format gives it (COCO), else the box's.
        declared_hw: the picture's height and width as the data set states them, None where it does not.
        labelled: the labels of the classes that are labelled exhaustively on this picture; None: all of the data set's.
        aliases: further ids of the picture, where the data set lists it more than once.
    """

    image: Path
    image_id: int | str
    objects: Objects
    declared_hw: tuple[int, int] | None = None
    labelled: frozenset[int] | None = None
    aliases: tuple[int | str, ...] = ()

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float64 xyxy pixels."""
        return np.asarray(self.objects.boxes)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64 into `Dataset.class_names`."""
        return np.asarray(self.objects.labels)

    @property
    def ignore(self) -> np.ndarray:
        """(N,) bool; crowds and difficult objects."""
        return np.asarray(self.objects.ignore)


class Records(LazySequence[Record]):
    """A list of records that packs them as it grows; a packed one is made anew each time it is asked for.

    A record alone takes some 2,500 bytes, most of them for the heads of its arrays and for its path. Packed it takes
    150, and 49 for each box, and a forked worker copies none of them by counting references.

    Args:
        records: the first ones.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._packed: list[_Block] = []
        self._latest: list[Record] = []
        for record in records:
            self.append(record)

    def append(self, record: Record) -> None:
        """Add a record."""
        self._latest.append(record)
        if len(self._latest) == BLOCK:
            self._packed.append(_Block(self._latest))
            self._latest = []

    def __len__(self) -> int:
        return len(self._packed) * BLOCK + len(self._latest)

    def make(self, place: int) -> Record:
        """Return a record."""
        block, rest = divmod(place, BLOCK)
        return self._packed[block].record(rest) if block < len(self._packed) else self._latest[rest]

    def paths(self) -> Iterator[str]:
        """Yield the file of each picture."""
        for block in self.blocks():
            yield from block.paths()

    def blocks(self) -> Iterator[_Block]:
        """Yield all records in columns, BLOCK at a time."""
        yield from self._packed
        if self._latest:
            yield _Block(self._latest)


def in_columns(records: Sequence[Record]) -> Iterator[Objects]:
    """Yield the objects of records, those of many at a time; `image` is the number of the record of each.

    Objects that carry different things come apart, so that records are not always in order.
    """
    packed = records if isinstance(records, Records) else Records(records)
    for number, block in enumerate(packed.blocks()):
        *_, kinds, _, _, _, starts, ends = block.facts.T
        for kind, objects in enumerate(block.objects):
            places = np.flatnonzero(kinds == kind)
            yield objects._replace(image=np.repeat(number * BLOCK + places, (ends - starts)[places]))


def all_objects(records: Sequence[Record]) -> Objects:
    """Return the objects of records in their order, without what they carry; `image` is the number of the record."""
    nothing = make_objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    joined = join_objects([nothing, *(part._replace(values={}, known={}, fields=()) for part in in_columns(records))])
    return joined.where(np.argsort(joined.image, kind="stable"))


class _Block:
    """Some records in columns."""

    def __init__(self, records: Sequence[Record]) -> None:
        paths = [str(record.image).rpartition(os.sep) for record in records]
        kinds = [_kind(record.objects) for record in records]
        sets = [record.labelled for record in records]
        self.folders = list(dict.fromkeys(folder + separator for folder, separator, _ in paths))
        self.labelled = list(dict.fromkeys(sets))
        self.names, self.ids = _Texts([name for _, _, name in paths]), _Texts([str(each.image_id) for each in records])
        self.aliases = {place: record.aliases for place, record in enumerate(records) if record.aliases}
        self.objects: list[Objects] = []
        rows = np.zeros((len(records), 2), dtype=np.int64)  # first row and end among the objects of a kind
        different = list(dict.fromkeys(kinds))
        for kind in different:
            places = [place for place, each in enumerate(kinds) if each == kind]
            parts = [records[place].objects for place in places]
            ends = np.cumsum([len(part.labels) for part in parts])
            rows[places] = np.column_stack([np.concatenate([[0], ends[:-1]]), ends])
            self.objects.append(_joined(parts))
        facts = [
            (
                self.folders.index(folder + separator),
                self.labelled.index(record.labelled),
                different.index(kind),
                not isinstance(record.image_id, str),
                *(record.declared_hw or NO_SIZE),
            )
            for record, (folder, separator, _), kind in zip(records, paths, kinds, strict=True)
        ]
        self.facts = np.column_stack([np.array(facts, dtype=np.int64), rows])

    def paths(self) -> Iterator[str]:
        """Yield their files."""
        for place, folder in enumerate(self.facts[:, 0].tolist()):
            yield self.folders[folder] + self.names[place]

    def record(self, place: int) -> Record:
        """Return one of them."""
        folder, labelled, kind, numbered, height, width, start, end = self.facts[place].tolist()
        own_id = self.ids[place]
        objects = self.objects[kind].where(slice(start, end))
        return Record(
            Path(self.folders[folder] + self.names[place]),
            int(own_id) if numbered else own_id,
            objects._replace(image=np.zeros(end - start, dtype=np.int64)),
            None if (height, width) == NO_SIZE else (height, width),
            self.labelled[labelled],
            self.aliases.get(place, ()),
        )


class _Texts:
    """Texts in a single one."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.whole, self.ends = "".join(texts), np.cumsum([0, *map(len, texts)], dtype=np.int32)

    def __getitem__(self, index: int) -> str:
        start, end = self.ends[index : index + 2].tolist()
        return self.whole[start:end]


def _kind(objects: Objects) -> Any:
    """Return what the objects of records have in common if their arrays can be joined."""
    carried = [*objects.values.items(), *objects.known.items()]
    shapes = tuple((name, rows.dtype, rows.shape[1:]) for name, rows in carried)
    return objects.labels.dtype, objects.boxes.dtype, len(objects.values), shapes, objects.fields


def _joined(parts: Sequence[Objects]) -> Objects:
    """Return the objects of one kind, one after another, without the numbers of their pictures."""
    first = parts[0]
    return Objects(
        first.image[:0],
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.ignore for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
        {name: np.concatenate([part.known[name] for part in parts]) for name in first.known},
        first.fields,
    )
