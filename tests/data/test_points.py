"""The reader of points, and points of COCO: from a file to objects and back."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data import dataset as dataset_module
from centerx.data.check import count_classes
from centerx.data.dataset import join_records
from centerx.data.points import recognises
from centerx.data.read import read_dataset, scan_dataset
from centerx.data.records import Record, Records
from centerx.data.write import WRITERS
from centerx.errors import InputError
from centerx.images import Header, read_image
from centerx.problems import Kind
from tests.data.handmade import coco_annotation, write_coco, write_picture, write_text
from tests.made import make_record


def write_points(folder: Path, *lines: str, name: str = "points.csv") -> Path:
    """A csv file beside the pictures a.png and b.png, of 40 x 30 pixels."""
    for picture in ("a.png", "b.png"):
        write_picture(folder / picture)
    return write_text(folder / name, "\n".join(lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("image,x,y,label", "a.png,3,4,ox", "a.png,10.5,20,cat", "b.png,,,"),
        ("label;Y;X;Filename", "ox;4;3;a.png", "cat;20;10.5;a.png", ";;;b.png"),
        ("file_name\tcenter_x\tcenter_y\tclass", "a.png\t3\t4\tox", "a.png\t10.5\t20\tcat", "b.png\t\t\t"),
        ('"image","x","y","id","label"', '"a.png","3","4","1","ox"', '"a.png","10.5","20","2","cat"', '"b.png",,,,'),
    ],
)
def test_points_are_read(lines: Sequence[str], tmp_path: Path) -> None:
    dataset = read_dataset(write_points(tmp_path, *lines))
    assert (dataset.format, dataset.class_names, dataset.problems) == ("points", ("ox", "cat"), [])
    first, second = (record.objects for record in dataset.records)
    assert first.boxes.tolist() == [[3, 4, 3, 4], [10.5, 20, 10.5, 20]]
    assert first.labels.tolist() == [0, 1]
    assert first.known["size"].tolist() == [False, False]
    assert len(second.labels) == 0


def test_points_without_labels_are_of_one_class(tmp_path: Path) -> None:
    dataset = read_dataset(write_points(tmp_path, "image,x,y", "a.png,3,4"))
    assert dataset.class_names == ("object",)


def test_what_is_wrong_with_points_is_told(tmp_path: Path) -> None:
    lines = "image,x,y", "a.png,3,4", "a.png,41,4", "a.png,nan,4", "a.png,3", "a.png,x,4", ",1,1"
    problems = scan_dataset(write_points(tmp_path, *lines)).problems
    assert sorted(((each.where[-2:], each.kind) for each in problems), key=lambda pair: (pair[0], pair[1].code)) == [
        (":3", Kind.BOX_OUTSIDE),
        (":4", Kind.BOX_NOT_FINITE),
        (":5", Kind.EXTRA_VALUES),
        (":5", Kind.MALFORMED_ENTRY),
        (":6", Kind.MALFORMED_ENTRY),
        (":7", Kind.MALFORMED_ENTRY),
    ]


def test_a_csv_file_of_boxes_is_none_of_points(tmp_path: Path) -> None:
    path = write_points(tmp_path, "image,x,y,width,height,label", "a.png,3,4,5,6,ox")
    with pytest.raises(InputError):
        read_dataset(path)


def test_one_keypoint_of_coco_is_a_point_unless_there_is_a_box(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    keypoint = {"keypoints": [7, 8, 2], "num_keypoints": 1}
    annotations = [coco_annotation(1, bbox=[0, 0, 0, 0]) | keypoint, coco_annotation(2, bbox=[1, 2, 10, 12]) | keypoint]
    file = write_coco(tmp_path / "a.json", annotations=annotations)
    (record,) = read_dataset(file).records
    assert record.objects.boxes.tolist() == [[7, 8, 7, 8], [1, 2, 11, 14]]
    assert record.objects.known["size"].tolist() == [False, True]


def test_points_come_back_from_coco_and_other_formats_say_that_they_cannot(tmp_path: Path) -> None:
    dataset = read_dataset(write_points(tmp_path, "image,x,y,label", "a.png,3,4,ox", "b.png,10,20,ox"))
    for name in WRITERS.keys() - {"yolo-pose"}:
        written = WRITERS[name](dataset, tmp_path / name, "train")
        kinds = {problem.kind for problem in written.problems}
        assert kinds == (set() if name == "coco" else {Kind.NOT_WRITTEN})
    back = read_dataset(next((tmp_path / "coco").rglob("*.json")))
    assert [record.objects.boxes.tolist() for record in back.records] == [[[3, 4, 3, 4]], [[10, 20, 10, 20]]]


def points_of(record: Record) -> list[list[float]]:
    """x and y of each object, which must be a point."""
    assert record.objects.is_point.all()
    centers: list[list[float]] = record.objects.centers.tolist()
    return centers


# Recognising


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_encoding_and_any_end_of_lines(encoding: str, end: str, tmp_path: Path) -> None:
    write_points(tmp_path)
    file = write_text(
        tmp_path / "p.csv", end.join(["image,x,y,label", "a.png,3,4,Bär", "b.png,5,6,ox"]).encode(encoding)
    )
    assert recognises(file)
    dataset = read_dataset(file)
    assert dataset.class_names == ("Bär", "ox")
    assert [points_of(record) for record in dataset.records] == [[[3, 4]], [[5, 6]]]
    told = [Kind.DECODED_TEXT] if encoding in ("utf-16", "utf-32") else []
    assert [problem.kind for problem in dataset.problems] == told


@pytest.mark.parametrize(
    "header",
    [
        "image;x;y;width;height;label",
        "image, x, y, width, height",
        "image,x,y,h,w\r\n",
        'image,x,y,"W",label',
        "image\tx\ty\tBox Width",
        "image,x,y,xmin,ymin,xmax,ymax",
        "image,x,y,x1,y1",
        "image,x,y,x_max",
        "image,cx,cy,bbox_w",
        "image,x,y,bbox",
        "image,x",
        "",
    ],
)
def test_a_header_of_boxes_or_of_anything_else_is_none_of_points(header: str, tmp_path: Path) -> None:
    assert not recognises(write_text(tmp_path / "a.csv", header))


@pytest.mark.parametrize("header", ["image, X , y", " image;x;y;label;size\r\n", "image,x,y,max,width_of_tree"])
def test_spaces_and_other_columns_do_no_harm(header: str, tmp_path: Path) -> None:
    assert recognises(write_text(tmp_path / "a.csv", header))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r",
        b"a\rb\rc",
        b'image,x,y,"',
        b'image,"x"z,y',
        b"\xff\xfe\x00",
        b"\0" * 9000,
        b"\xef\xbb",
        bytes(range(256)),
    ],
)
def test_recognising_never_fails(content: bytes, tmp_path: Path) -> None:
    assert not recognises(write_text(tmp_path / "a.csv", content))


def test_a_header_that_breaks_behind_what_is_looked_at_is_told(tmp_path: Path) -> None:
    path = write_points(tmp_path, "image,x,y," + "z," * 3000 + '"a"b', "a.png,1,2")
    (problem,) = scan_dataset(path).problems
    assert (problem.kind, problem.where) == (Kind.UNREADABLE_LABELS, str(path))


# Rows


def test_a_quote_that_nothing_closes_costs_its_own_row(tmp_path: Path) -> None:
    lines = "image,x,y", "a.png,1,2", '"a.png,3,4', "a.png,5,6", '"b.png"x,1,1', "b.png,7,8"
    dataset = scan_dataset(write_points(tmp_path, *lines))
    assert [points_of(record) for record in dataset.records] == [[[1, 2], [5, 6]], [[7, 8]]]
    assert [(problem.kind, problem.where[-2:]) for problem in dataset.problems] == [
        (Kind.MALFORMED_ENTRY, ":3"),
        (Kind.MALFORMED_ENTRY, ":5"),
    ]


def test_a_cell_too_long_for_csv_costs_its_own_row(tmp_path: Path) -> None:
    lines = "image,x,y", f"{'a' * 140_000},1,2", "a.png,5,6"
    dataset = scan_dataset(write_points(tmp_path, *lines))
    assert [points_of(record) for record in dataset.records] == [[[5, 6]]]
    assert [(problem.kind, problem.where[-2:]) for problem in dataset.problems] == [(Kind.MALFORMED_ENTRY, ":2")]


def test_problems_name_the_line_where_a_row_begins(tmp_path: Path) -> None:
    lines = "image,x,y,note", "", 'a.png,1,2,"two', 'lines"', 'a.png,1,a,"two', 'lines"', "a.png,1,b"
    dataset = scan_dataset(write_points(tmp_path, *lines))
    assert [problem.where[-2:] for problem in dataset.problems] == [":7", ":5", ":7"]


def test_names_of_one_picture_become_one_record(tmp_path: Path) -> None:
    lines = "image,x,y", "a.png,1,2", "./a.png,3,4", "a.png,1,2", "./a.png,1,2", "b.png,,"
    dataset = scan_dataset(write_points(tmp_path, *lines))
    first, second = dataset.records
    assert points_of(first) == [[1, 2], [1, 2], [3, 4]]
    assert (first.image_id, first.aliases, second.image_id) == ("a.png", ("./a.png",), "b.png")
    assert [problem.kind for problem in dataset.problems] == [Kind.REPEATED_PICTURE]


def test_joining_keeps_what_one_record_has_twice_and_drops_what_another_repeats() -> None:
    first = make_record("a.png", 1, [[1, 1, 2, 2], [1, 1, 2, 2]], [0, 0])
    second = make_record("a.png", 2, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4]], [0, 1, 0])
    (joined,) = join_records(Records([first, second]), [])
    assert joined.objects.boxes[:, 0].tolist() == [1, 1, 1, 3]
    assert joined.objects.labels.tolist() == [0, 0, 1, 0]


def test_a_picture_is_opened_once_however_many_points_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points inside, at the border and outside, on a picture that is there and on one that is not."""
    opened: list[Path] = []
    original = dataset_module.image_header

    def count(path: Path) -> Header:
        opened.append(path)
        return original(path)

    monkeypatch.setattr(dataset_module, "image_header", count)
    lines = ["a.png,3,4", "a.png,40,30", "c.png,3,4"] * 50
    dataset = read_dataset(write_points(tmp_path, "image,x,y", *lines))
    assert [len(record.objects.labels) for record in dataset.records] == [100, 50]
    assert len(opened) == 4  # c.png, of which no size is known, is tried by each of three steps
    opened.clear()
    read_dataset(write_points(tmp_path, "image,x,y", *lines, *["a.png,50,60"] * 50))
    assert len(opened) == 5


def test_many_points_are_read_within_seconds(tmp_path: Path) -> None:
    """100,000 points take half a second; ten times as long is allowed."""
    rng = random.Random(0)
    rows = [f"{rng.choice('ab')}.png,{rng.uniform(0, 40):.2f},{rng.uniform(0, 30):.2f},ox" for _ in range(100_000)]
    path = write_points(tmp_path, "image,x,y,label", *rows)
    start = time.perf_counter()
    dataset = read_dataset(path)
    assert time.perf_counter() - start < 5
    assert sum(len(record.objects.labels) for record in dataset.records) == len(rows)


# Pictures that EXIF turns

POINT = (37, 6)  # a white pixel's centre in the stored picture of 40 x 30, outside one of 30 x 40


def save_turned(path: Path, orientation: int) -> None:
    stored = np.zeros((30, 40, 3), dtype=np.uint8)
    stored[POINT[1] - 1 : POINT[1] + 1, POINT[0] - 1 : POINT[0] + 1] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif)


def place_of_white(path: Path) -> list[float]:
    rows, columns = np.nonzero(read_image(path)[..., 0] > 128)
    return [float(columns.mean()) + 0.5, float(rows.mean()) + 0.5]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_of_stored_pictures_follow_the_pixels(orientation: int, tmp_path: Path) -> None:
    path = write_points(tmp_path, "image,x,y", f"a.png,{POINT[0]},{POINT[1]}")
    save_turned(tmp_path / "a.png", orientation)
    dataset = read_dataset(path, frame="stored")
    assert [points_of(record) for record in dataset.records] == [[place_of_white(tmp_path / "a.png")]]
    assert [problem.kind for problem in dataset.problems] == ([Kind.TURNED_BOXES] if orientation > 1 else [])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_of_upright_pictures_stay(orientation: int, tmp_path: Path) -> None:
    path = write_points(tmp_path, "image,x,y")
    save_turned(tmp_path / "a.png", orientation)
    x, y = place_of_white(tmp_path / "a.png")
    write_text(path, f"image,x,y\na.png,{x},{y}\n")
    dataset = read_dataset(path)
    assert [points_of(record) for record in dataset.records] == [[[x, y]]]
    assert dataset.problems == []


def test_points_that_only_the_stored_picture_holds_are_left_out_of_the_upright_one(tmp_path: Path) -> None:
    path = write_points(tmp_path, "image,x,y", "a.png,37,6", "a.png,5,6", "a.png,41,6", "b.png,37,6")
    save_turned(tmp_path / "a.png", 6)
    dataset = scan_dataset(path)
    assert [points_of(record) for record in dataset.records] == [[[5, 6]], [[37, 6]]]
    first, second = dataset.problems
    assert (first.kind, first.where[-2:]) == (Kind.BOX_OUTSIDE, ":4")
    assert (second.kind, second.where, second.times) == (Kind.BOX_OUTSIDE, str(tmp_path / "a.png"), 1)
    assert "frame: stored" in second.what


# COCO


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
def test_an_ignored_keypoint_is_ignored_and_a_wrong_flag_is_told(flag: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    annotations = [
        {"id": k, "image_id": 1, "category_id": 1, "keypoints": [k, 8, 2], flag: value}
        for k, value in enumerate([0, 1, 7], start=1)
    ]
    dataset = scan_dataset(write_coco(tmp_path / "a.json", annotations=annotations))
    assert points_of(dataset.records[0]) == [[1, 8], [2, 8]]
    assert dataset.records[0].objects.ignore.tolist() == [False, True]
    assert [problem.kind for problem in dataset.problems] == [Kind.MALFORMED_ENTRY]


def test_ignored_points_come_back_from_coco(tmp_path: Path) -> None:
    dataset = read_dataset(write_points(tmp_path, "image,x,y", "a.png,3,4", "a.png,5,6"))
    (record,) = dataset.records
    ignored = record._replace(objects=record.objects._replace(ignore=np.array([True, False])))
    WRITERS["coco"](dataset._replace(records=[ignored]), tmp_path / "out", "train", iter, bool)
    back = read_dataset(next((tmp_path / "out").rglob("*.json")))
    assert points_of(back.records[0]) == [[3, 4], [5, 6]]
    assert back.records[0].objects.ignore.tolist() == [True, False]
    assert [(each.boxes, each.ignored) for each in count_classes(back)] == [(1, 1)]
