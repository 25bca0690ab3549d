"""Records in columns are what was put in, in a fraction of the memory."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centerx.data.dataset import VISIBILITY, with_corners
from centerx.data.records import BLOCK, Record, Records, all_objects, in_columns
from centerx.data.source import Entries, Entry
from centerx.fields import KEYPOINTS, SIZE
from centerx.objects import Objects, make_objects

COUNT = 2 * BLOCK + 7


def some_record(number: int) -> Record:
    """Records of all kinds, in a stated order."""
    rng = np.random.default_rng(number)
    count = number % 4
    boxes = rng.uniform(0, 50, (count, 4))
    values = {"area": rng.uniform(1, 9, count)}
    known = {SIZE.name: rng.random(count) < 0.5} if number % 5 == 1 else {}
    objects = make_objects(boxes, rng.integers(0, 9, count), rng.random(count) < 0.3, values, known)
    if number % 3 == 1:
        objects = with_corners(objects, rng.uniform(0, 50, (count, 8)), rng.random(count) < 0.5)
    if number % 7 == 2:
        field = KEYPOINTS._replace(num_values=3)
        seen = rng.integers(0, 3, (count, 3))
        values = {**objects.values, KEYPOINTS.name: rng.uniform(0, 50, (count, 6)), VISIBILITY: seen}
        known = {**objects.known, KEYPOINTS.name: seen > 0}
        objects = objects._replace(values=values, known=known, fields=(*objects.fields, field))
    return Record(
        Path(("a.jpg", "/deep/er/é b.png", "../x/../y.bmp", "\udcff.jpg")[number % 4]),
        (number, f"id {number}", str(number), -number * 10**20)[number % 4],
        objects,
        None if number % 6 == 0 else (number, 10**8),
        None if number % 2 else frozenset({number % 3}),
        (1, "b") if number % 11 == 3 else (),
    )


def plain(value: Any) -> Any:
    """A record or objects with arrays as their dtype, shape and values."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, Record | Objects):
        return {name: plain(each) for name, each in value._asdict().items()}
    return value


def test_records_are_what_was_put_in() -> None:
    due = [some_record(number) for number in range(COUNT)]
    records = Records(due)
    assert len(records) == COUNT
    for made in (records, pickle.loads(pickle.dumps(records))):
        assert [plain(each) for each in made] == [plain(each) for each in due]
    assert plain(records[-1]) == plain(due[-1])
    assert [plain(each) for each in records[250:-1:7]] == [plain(each) for each in due[250:-1:7]]
    assert list(records.paths()) == [str(each.image) for each in due]
    for place in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError):
            records[place]
    assert [type(records[place].image_id) for place in range(4)] == [int, str, str, int]


@pytest.mark.parametrize("packed", [True, False])
def test_columns_hold_every_object_once(packed: bool) -> None:
    due = [some_record(number) for number in range(COUNT)]
    found: dict[int, list[Any]] = {}
    for objects in in_columns(Records(due) if packed else due):
        assert (np.diff(objects.image) >= 0).all()
        for number in np.unique(objects.image).tolist():
            rows = objects.where(objects.image == number)
            found[number] = plain(rows._replace(image=np.zeros_like(rows.image)))
    assert found == {number: plain(each.objects) for number, each in enumerate(due) if len(each.labels)}
    every = all_objects(due)
    assert every.image.tolist() == [number for number, each in enumerate(due) for _ in each.labels]
    assert every.boxes.tolist() == [box for each in due for box in each.boxes.tolist()]
    assert all_objects([]).boxes.shape == (0, 4)


def test_entries_are_what_was_put_in() -> None:
    tables = [np.array([[True, False]]), np.array([[True, True]])]
    due = [Entry(some_record(number), tables[number % 3 == 0].copy()) for number in range(COUNT)]
    entries = Entries(iter(due))
    assert len(entries) == COUNT
    for (record, supervised), (given, told) in zip(entries, due, strict=True):
        assert plain(record) == plain(given)
        assert supervised.tolist() == told.tolist()
    assert entries[3].supervised is entries[-1 - (COUNT - 1) % 3].supervised, "equal tables are one in memory"


def test_a_packed_record_takes_a_fraction_of_its_memory() -> None:
    def one(number: int) -> Record:
        boxes = np.random.default_rng(number).uniform(0, 50, (2, 4))
        objects = make_objects(boxes, np.zeros(2, dtype=np.int64), values={"area": np.ones(2)})
        return Record(Path(f"/data/images/{number:08d}.jpg"), f"images/{number:08d}.jpg", objects, (480, 640))

    def bytes_of(kept: type[list[Record]] | type[Records]) -> float:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            records = kept(one(number) for number in range(8 * BLOCK))
            return (tracemalloc.get_traced_memory()[0] - before) / len(records)
        finally:
            tracemalloc.stop()

    assert bytes_of(Records) < 300
    assert bytes_of(list) > 1000
