"""What stands in files of labels is taken as it is, or told; nothing is taken for something else."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from centerx.data import wider
from centerx.data.corner_rows import NUMBER
from centerx.data.kitti import ROW
from centerx.data.read import scan_dataset
from centerx.data.values import class_name, is_number, to_flag, to_hw, to_number
from centerx.errors import InputError
from centerx.files import is_line
from centerx.images import image_header, read_image
from centerx.problems import Kind
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture, write_voc


@pytest.mark.parametrize("word", ["1_0", ".5_5", "١٢", "１", "0x10", "1e", "", "1,5", "1 2", "true", None])
def test_words_that_are_no_ascii_numbers(word: str | None) -> None:
    assert to_number(word) is None


@pytest.mark.parametrize(("word", "number"), [("10", 10), ("-.5", -0.5), ("+5.", 5), ("1e3", 1000), (" 7 ", 7)])
def test_ascii_numbers(word: str, number: float) -> None:
    assert to_number(word) == number


def test_numbers_that_are_not_finite_are_left_to_those_who_use_them() -> None:
    assert math.isnan(to_number("nan") or 0)
    assert to_number("-inf") == to_number("-1e999") == -math.inf


def test_flags() -> None:
    assert [to_flag(value) for value in (1, True, "1", "true", "Yes", 1.0)] == [True] * 6
    assert [to_flag(value) for value in (0, False, "0", "no", None, "", 0.0)] == [False] * 7
    assert [to_flag(value) for value in (2, "2", [0], {}, [], "maybe", math.nan, -1)] == [None] * 8
    assert [to_flag(value, words=False) for value in ("0", "1", "no", "")] == [None] * 4


def test_names_are_text() -> None:
    assert [class_name(value) for value in ("cat", 7)] == ["cat", "7"]
    assert [class_name(value) for value in (None, "", " \t", [], {}, True, False, 1.5, math.nan, 10**400)] == [""] * 10
    assert all(map(is_line, ("cat", "größe", "信号", "a b", "🙂")))
    assert not any(map(is_line, ("", " ", "a\nb", "\x1b[31m", "\ud800", "\udc80", "a\x00", "\u2028", "\x85")))


def test_numbers_and_sizes_of_json() -> None:
    assert [is_number(value) for value in (1, 1.5, True, "1", None, 10**400)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert to_hw(480, 640) == (480, 640)
    sides: list[Any] = [True, 0, -1, 10**9, 10**400, math.inf, math.nan, "640", None, 0.5]
    assert [to_hw(side, 640) for side in sides] == [None] * len(sides)


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [True, True, 50, 50]},
        {"bbox": [1e39, 0, 1e39, 5]},
        {"bbox": [0, 0, 10**400, 5]},
        {"bbox": [0, 0, "5", 5]},
    ],
    ids=["booleans", "too large for float32", "400 digits", "a text"],
)
def test_boxes_that_are_none_are_told(tmp_path: Path, change: dict[str, Any]) -> None:
    write_picture(tmp_path / "a.png")
    dataset = scan_dataset(write_coco(tmp_path / "a.json", annotations=[coco_annotation(1, **change)]))
    assert not len(dataset.records[0].labels)
    assert {problem.kind for problem in dataset.problems} <= {Kind.MALFORMED_ENTRY, Kind.BOX_NOT_FINITE}
    assert len(dataset.problems) == 1


@pytest.mark.parametrize("side", [10**8, 10**400, -5, "640", True])
def test_boxes_are_clipped_to_the_picture_and_not_to_a_declared_size_that_is_none(tmp_path: Path, side: Any) -> None:
    write_picture(tmp_path / "a.png", (64, 48))
    images = [coco_image(1, "a.png") | {"width": side, "height": side}]
    annotation = coco_annotation(1, bbox=[10, 10, 1e8 - 10, 1e8 - 10])
    dataset = scan_dataset(write_coco(tmp_path / "a.json", images=images, annotations=[annotation]))
    assert dataset.records[0].boxes.tolist() == [[10, 10, 64, 48]]
    assert [problem.kind for problem in dataset.problems] == [Kind.BOX_CLIPPED]


def test_a_huge_box_on_a_picture_of_which_nothing_is_known_is_told(tmp_path: Path) -> None:
    images = [coco_image(1, "gone.png") | {"width": None, "height": None}]
    annotation = coco_annotation(1, bbox=[0, 0, 1e8, 1e8])
    dataset = scan_dataset(write_coco(tmp_path / "a.json", images=images, annotations=[annotation]))
    assert [problem.kind for problem in dataset.problems] == [Kind.BOX_OUTSIDE]


@pytest.mark.parametrize("name", [None, "", "  ", [], {}, True, False, 1.5, "\ud800", "a\nb", "\x1b[31mred"])
def test_names_of_classes_that_are_none_are_told(tmp_path: Path, name: Any) -> None:
    write_picture(tmp_path / "a.png")
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": name}]
    file = write_coco(
        tmp_path / "a.json", categories=categories, annotations=[coco_annotation(1), coco_annotation(2, category_id=2)]
    )
    dataset = scan_dataset(file)
    assert dataset.class_names == ("cat",)
    assert dataset.records[0].labels.tolist() == [0]
    assert Kind.MALFORMED_ENTRY in {problem.kind for problem in dataset.problems}


@pytest.mark.parametrize(
    "name", ["a" * 5000 + ".jpg", "x/" * 3000 + "a.jpg", "a\0b.jpg", "a\0/b.jpg", "\ud800.jpg", "/" * 5000]
)
@pytest.mark.parametrize("form", ["coco", "odgt", "wider", "pseudo", "csv", "points", "openimages"])
def test_names_that_no_file_can_have(tmp_path: Path, form: str, name: str) -> None:
    write_picture(tmp_path / "a.png", (64, 48))
    if form == "coco":
        images = [coco_image(1, "a.png"), coco_image(2, name)]
        file = write_coco(tmp_path / "a.json", images=images, annotations=[coco_annotation(1, image_id=1)])
    else:
        line = {
            "odgt": json.dumps({"ID": name, "gtboxes": []}),
            "wider": f"{name.replace('.jpg', '')}.jpg 1 2 3 4\na.png 1 2 3 4",
            "pseudo": f"{name};64;48;cat;1;2;3;4\na.png;64;48;cat;1;2;3;4",
            "csv": f"filename,class,xmin,ymin,xmax,ymax\n{name},cat,1,2,3,4\na.png,cat,1,2,3,4",
            "points": f"image,x,y\n{name},1,2\na.png,1,2",
            "openimages": f"ImageID,LabelName,XMin,XMax,YMin,YMax\n{name},/m/0,0.1,0.2,0.1,0.2",
        }[form]
        suffix = {"odgt": ".odgt", "csv": ".csv", "points": ".csv", "openimages": ".csv"}.get(form, ".txt")
        file = tmp_path / f"a{suffix}"
        file.write_bytes(line.encode("utf-8", "surrogatepass"))
    with suppress(InputError):
        scan_dataset(file)


def test_a_pipe_in_the_place_of_a_picture_or_of_labels_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, image_header):
        with pytest.raises(InputError, match=r"a\.png: not a readable image \(no ordinary file\)"):
            read(tmp_path / "a.png")
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(1)])
    assert len(scan_dataset(file).records) == 1
    write_picture(tmp_path / "voc" / "b.png")
    os.mkfifo(tmp_path / "voc" / "b.xml")
    write_voc(tmp_path / "voc" / "a.xml", ("cat", (1, 1, 2, 2)))
    assert Kind.UNREADABLE_LABELS in {problem.kind for problem in scan_dataset(tmp_path / "voc").problems}


@pytest.mark.parametrize("flag", ["2", "maybe", "-1"])
def test_difficult_is_a_flag(tmp_path: Path, flag: str) -> None:
    write_picture(tmp_path / "a.png")
    write_voc(tmp_path / "a.xml", ("cat", (1, 1, 2, 2)), extra=f"<difficult>{flag}</difficult>")
    assert [problem.kind for problem in scan_dataset(tmp_path).problems] == [Kind.MALFORMED_ENTRY]


def test_patterns_of_rows_take_linear_time() -> None:
    started = time.perf_counter()
    assert not ROW.fullmatch("car " + " ".join(["1" * 60] * 14) + " x!,")
    assert not wider.PICTURE.fullmatch("#" + " " * 100_000 + "x")
    assert not wider.PICTURE.fullmatch(".jpg" * 5_000 + "\n")
    assert time.perf_counter() - started < 2
    assert "\\d" not in NUMBER  # which takes digits of all scripts


def test_the_whole_file_system_is_no_folder_of_pictures(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    for place in ("/", "\\", "../" * 50):
        file.write_text(json.dumps({"names": ["a"], "pictures": place}))
        with pytest.raises(InputError, match="is the whole file system, name a folder of pictures"):
            scan_dataset(file)
