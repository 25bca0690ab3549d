"""Labels changed where they are suspicious, and read back with what they still supervise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.auditing.find import Suspicion
from centerx.auditing.fix import CHANGES, FIXES, fix_record, fixed_tree
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.records import Record
from centerx.data.source import SampleSource
from centerx.geometry import box_area
from centerx.objects import make_objects

A, B = 0, 1
ROWS = [[0, 0, 20, 20], [30, 0, 50, 20], [60, 0, 80, 20], [0, 30, 20, 50]]
PLACE = np.array([30.0, 30, 50, 50])  # where something else was found


def suspicion(kind: str, row: int, label: int, found_label: int = -1) -> Suspicion:
    box = PLACE if row < 0 else np.array(ROWS[row], dtype=float)
    return Suspicion(kind, 0, 0.9, row, -1, label, box, found_label, None if found_label < 0 else PLACE, 0.4, 0.9)


MISSING = suspicion("missing", -1, B, B)
CLASS = suspicion("class", 0, A, B)
MOVED = suspicion("place", 1, A, A)
DOUBLED = suspicion("doubled", 2, A)
SPURIOUS = suspicion("spurious", 3, B)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    boxes = np.array(ROWS, dtype=float)
    labels = np.array([A, A, A, B])
    return Record(tmp_path / "a.png", 1, make_objects(boxes, labels, None, {"area": box_area(boxes)}), (80, 100))


def rows(record: Record) -> list[tuple[list[float], int, bool]]:
    return list(zip(record.boxes.tolist(), record.labels.tolist(), record.ignore.tolist(), strict=True))


@pytest.mark.parametrize("fix", FIXES)
def test_a_record_without_suspicions_stays(record: Record, fix: str) -> None:
    assert fix_record(record, [], fix) is record


@pytest.mark.parametrize("fix", FIXES)
def test_the_record_that_is_given_is_not_changed(record: Record, fix: str) -> None:
    before = rows(record)
    fix_record(record, [MISSING, CLASS, MOVED, DOUBLED, SPURIOUS], fix)
    assert rows(record) == before


def test_ignored_places_teach_neither_class(record: Record) -> None:
    place = PLACE.tolist()
    assert rows(fix_record(record, [MISSING], "ignore"))[4:] == [(place, B, True)]
    assert rows(fix_record(record, [CLASS], "ignore")) == [(ROWS[0], A, True), *rows(record)[1:], (place, B, True)]
    moved = rows(fix_record(record, [MOVED], "ignore"))
    assert moved[1] == (ROWS[1], A, True)
    assert moved[4:] == [(place, A, True)]
    assert rows(fix_record(record, [DOUBLED], "ignore")) == [row for row in rows(record) if row[0] != ROWS[2]]
    assert rows(fix_record(record, [SPURIOUS], "ignore"))[3] == (ROWS[3], B, True)


def test_applied_suspicions_change_labels(record: Record) -> None:
    changed = fix_record(record, [MISSING, CLASS, MOVED, DOUBLED, SPURIOUS], "apply")
    place = PLACE.tolist()
    assert rows(changed) == [(ROWS[0], B, False), (place, A, False), (place, B, False)]
    assert changed.objects.values["area"].tolist() == [400, 400, 400]


@pytest.mark.parametrize("fix", FIXES)
def test_the_file_supervises_what_is_sure(record: Record, tmp_path: Path, fix: str) -> None:
    other = record._replace(image=tmp_path / "b.png", image_id=2, objects=record.objects.where(slice(0, 1)))
    Image.new("RGB", (100, 80)).save(tmp_path / "b.png")
    dataset = Dataset(tmp_path, "coco", ("A", "B"), (7, 9), [record, other], [])
    file = tmp_path / "out" / "fixed.json"
    file.parent.mkdir()
    file.write_text(json.dumps(fixed_tree(dataset, {0: [MISSING]}, fix, file.parent)))
    first, second = SampleSource([read_dataset(file)], ["A", "B"]).entries
    assert first.record.image.samefile(tmp_path / "a.png")
    assert second.supervised.all()  # B has no label there, and still counts as labelled
    assert first.supervised[A].all()
    assert first.supervised[B].all() == (fix != "declare")
    boxes_of_b = first.record.objects.where(first.record.labels == B)
    assert boxes_of_b.ignore.tolist() == {"ignore": [False, True], "declare": [], "apply": [False, False]}[fix]


def test_a_picture_that_labels_some_classes_keeps_to_them(record: Record, tmp_path: Path) -> None:
    partly = record._replace(objects=record.objects.where(record.labels == A), labelled=frozenset([A]))
    other = record._replace(image_id=2)
    dataset = Dataset(tmp_path, "coco", ("A", "B"), (1, 2), [partly, other], [])
    tree = fixed_tree(dataset, {1: [MISSING]}, "declare", tmp_path)
    assert [each.get("neg_category_ids") for each in tree["images"]] == [[], []]
    assert [each.get("not_exhaustive_category_ids") for each in tree["images"]] == [None, [2]]


def test_each_kind_has_a_change_of_each_fix() -> None:
    assert set(CHANGES) == set(FIXES)
    assert all(len(each) == 5 for each in CHANGES.values())
