"""Pseudo labels: the original centerX's text, and the COCO file with scores that `centerx pseudo` writes."""

from pathlib import Path

import pytest

from centerx.data.read import read_dataset
from tests.data.handmade import actions_of, coco_annotation, write_coco, write_picture, write_text

GOOD = "a.jpg;40;30;face;1;2;11;22;person;0;0;20.5;30"


def write_pseudo(tmp_path: Path, *lines: str) -> Path:
    write_picture(tmp_path / "JPEGImages" / "a.jpg")
    return write_text(tmp_path / "crowdhuman_pseudo_face.txt", "\n".join(lines))


def test_objects_by_name_and_pictures_without(tmp_path: Path) -> None:
    dataset = read_dataset(write_pseudo(tmp_path, GOOD, "", "b.jpg;40;30"))
    assert dataset.format == "pseudo"
    assert dataset.class_names == ("face", "person")
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 20.5, 30]]
    assert dataset.records[0].objects.labels.tolist() == [0, 1]
    assert dataset.records[0].image.is_file()
    assert len(dataset.records[1].objects.labels) == 0
    assert dataset.problems == []


BAD = {
    "a field short": ("b.jpg;40;30;face;1;2;11", 0),
    "no size": ("b.jpg;0;30;face;1;2;11;22", 0),
    "size in words": ("b.jpg;w;h", 0),
    "no separators": ("b.jpg 40 30", 0),
    "a picture twice": (GOOD, 0),
    "corners in words": ("b.jpg;40;30;face;1;2;x;22", 1),
    "no name": ("b.jpg;40;30;;1;2;3;22", 1),
    "no area": ("b.jpg;40;30;face;1;2;1;22", 1),
    "not finite": ("b.jpg;40;30;face;1;2;nan;22", 1),
    "outside": ("b.jpg;40;30;face;100;2;110;22", 1),
}


@pytest.mark.parametrize(("bad", "pictures"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_or_object_is_skipped_and_named(tmp_path: Path, bad: str, pictures: int) -> None:
    file = write_pseudo(tmp_path, GOOD, bad)
    dataset = read_dataset(file)
    assert actions_of(dataset) == ["skipped"]
    assert dataset.problems[0].where.startswith(f"{file}:2")
    assert len(dataset.records) == 1 + pictures
    assert sum(len(record.objects.labels) for record in dataset.records) == 2


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    dataset = read_dataset(write_pseudo(tmp_path, f"\ufeff{GOOD}\r", "b.jpg;40;30\r", ""))
    assert [len(record.objects.labels) for record in dataset.records] == [2, 0]
    assert dataset.problems == []


def test_scores_in_a_coco_file_leave_plain_labels(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(score=0.4)], info={"description": "a model"})
    dataset = read_dataset(file)
    assert dataset.problems == []
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22]]
    assert not dataset.records[0].objects.ignore.any()
