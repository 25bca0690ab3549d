"""What is found in a data set beyond reading it: boxes, classes, headers, sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.build import build_run
from centerx.config import load_config
from centerx.data.check import (
    alike_classes,
    box_problems,
    crowded_pictures,
    log_dataset_problems,
    picture_problems,
    repeated_boxes,
    small_boxes,
)
from centerx.data.read import read_dataset
from centerx.data.records import Record
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture, write_text, write_voc
from tests.made import make_record


def record(
    boxes: list[list[float]], labels: list[int], hw: tuple[int, int] | None = (30, 40), **more: object
) -> Record:
    return make_record("a.png", 1, boxes, labels, area=[1] * len(boxes), declared_hw=hw, **more)


def kinds(problems: object) -> list[Kind]:
    return [problem.kind for problem in problems]  # type: ignore[attr-defined]


def test_the_same_box_of_one_class_on_one_picture_is_found() -> None:
    box, other = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0]
    records = [
        record([box, other, box], [0, 0, 0]),
        record([box, box], [0, 1]),
        record([], []),
        record([box, box, other, other, other], [1, 1, 0, 0, 0]),
    ]
    assert [problem.times for problem in repeated_boxes(records)] == [1, 3]
    assert "box 1 2 3 4 " in next(iter(repeated_boxes(records))).what


def test_equal_sums_of_different_boxes_are_not_one_box() -> None:
    generator = np.random.default_rng(0)
    boxes = generator.permuted(np.tile(np.arange(4.0), (200, 1)), axis=1).tolist()
    distinct = len({tuple(box) for box in boxes})
    found = list(repeated_boxes([record(boxes, [0] * 200)]))
    assert [problem.times for problem in found] == [200 - distinct]


def test_classes_without_a_box_and_boxes_that_are_all_ignored(tmp_path: Path) -> None:
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    crowd = coco_annotation(1, iscrowd=1)
    dataset = read_dataset(write_coco(tmp_path / "a.json", categories=names, annotations=[crowd]))
    found = list(box_problems(dataset))
    assert kinds(found) == [Kind.ONLY_IGNORED_BOXES, Kind.CLASS_WITHOUT_BOX]
    assert "'dog'" in found[1].what
    assert kinds(box_problems(read_dataset(write_coco(tmp_path / "b.json", annotations=[])))) == [Kind.NO_BOXES]
    write_picture(tmp_path / "folder" / "a.png")
    assert list(box_problems(read_dataset(tmp_path / "folder"))) == []


def turned_picture(path: Path, orientation: int, wh: tuple[int, int] = (40, 30)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", wh).save(path, exif=exif)


@pytest.mark.parametrize(
    ("orientation", "declared", "kind"),
    [
        (6, (40, 30), Kind.TURNED_FRAME),
        (6, (30, 40), None),
        (8, (40, 30), Kind.TURNED_FRAME),
        (3, (40, 30), None),
        (6, (41, 30), Kind.OTHER_SIZE),
        (1, (40, 31), Kind.OTHER_SIZE),
        (9, (40, 30), Kind.ORIENTATION),
    ],
)
def test_declared_sizes_against_the_pictures(
    tmp_path: Path, orientation: int, declared: tuple[int, int], kind: Kind | None
) -> None:
    turned_picture(tmp_path / "a.jpg", orientation)
    image = coco_image(1, "a.jpg", width=declared[0], height=declared[1])
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[image]))
    for decode in (False, True):
        assert kinds(picture_problems(dataset, decode=decode)) == ([kind] if kind else [])


def test_missing_and_broken_pictures(tmp_path: Path) -> None:
    images = [coco_image(1, "a.png"), coco_image(2, "cut.jpg"), coco_image(3, "gone.png")]
    write_picture(tmp_path / "a.png", (400, 300))
    whole = write_picture(tmp_path / "cut.jpg", (400, 300)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    dataset = read_dataset(
        write_coco(tmp_path / "a.json", images=[{**each, "width": 400, "height": 300} for each in images])
    )
    for decode in (False, True):
        found = picture_problems(dataset, decode=decode)
        assert [Path(problem.where).name for problem in found] == ["cut.jpg", "gone.png"]


def test_boxes_under_one_pixel_and_the_size_at_which_they_train() -> None:
    # 400 x 300 at 64 x 64 is scaled by 0.16: 6.25 pixels are one, 5 are 0.8 and want 80, the next multiple is 96
    records = [record([[0, 0, 5, 50], [0, 0, 6.25, 6.25], [0, 0, 50, 50]], [0, 0, 0], (300, 400)), record([], [])]
    (problem,) = small_boxes(records, (64, 64))
    assert (problem.kind, problem.times) == (Kind.BOX_UNDER_ONE_PIXEL, 1)
    assert problem.what.startswith("1 of 3 boxes are under one pixel at data.input_size=64 and are not trained")
    assert problem.what.endswith("least size for all of them: 96")
    assert small_boxes(records, (96, 96)) == []
    (problem,) = small_boxes(records, (32, 64))  # scaled by 0.1067: 5 pixels are 0.53
    assert "2 of 3 boxes are under one pixel at data.input_size=[32,64]" in problem.what
    assert problem.what.endswith("least size for all of them: [64,128]")
    ignored = record([[0, 0, 1, 1]], [0], (300, 400), ignore=np.array([True]))
    assert small_boxes([ignored], (64, 64)) == []


def test_more_objects_than_a_model_gives() -> None:
    ignored = np.arange(4) < 2
    records = [record([[0, 0, 9, 9]] * 4, [0, 1, 0, 1]), record([[0, 0, 9, 9]] * 4, [0] * 4, ignore=ignored)]
    assert [problem.what[:13] for problem in crowded_pictures(records, 3)] == ["has 4 objects"]
    assert crowded_pictures(records, 4) == []


def test_names_that_are_nearly_one() -> None:
    mask, dog = alike_classes(["Face mask", "dog", "face_mask", "Dogs", "s", "person", "people"])
    assert mask.kind is dog.kind is Kind.ALIKE_CLASSES
    assert "'Face mask' and 'face_mask' are learned as 2 classes" in mask.what
    assert "'dog' and 'Dogs' are learned as 2 classes" in dog.what


def test_announce_tells_what_reader_boxes_and_pictures_show(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "a.png")
    annotations = [coco_annotation(1), coco_annotation(2), coco_annotation(3, bbox=[1, 1, 0, 1])]
    images = [coco_image(), coco_image(2, "b.png")]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=images, annotations=annotations))
    found = log_dataset_problems(dataset)
    assert kinds(found) == [Kind.BOX_WITHOUT_AREA, Kind.REPEATED_BOX, Kind.UNREADABLE_PICTURE]
    assert [message.split(": ")[1] for message in caplog.messages] == [
        "unreadable_picture",
        "box_without_area",
        "repeated_box",
    ]
    with pytest.raises(InputError, match=r"on_problem\.repeated_box=warn"):
        log_dataset_problems(dataset, {Kind.REPEATED_BOX: "fail"})


def test_boxes_in_shares_of_the_sides_are_doubted(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    annotation = coco_annotation(bbox=[0.1, 0.2, 0.5, 0.5])
    found = box_problems(read_dataset(write_coco(tmp_path / "a.json", annotations=[annotation])))
    assert kinds(found) == [Kind.RELATIVE_BOXES]


def test_a_run_tells_the_problems_of_every_split_of_one_path(tmp_path: Path) -> None:
    for stem, corners in (("a", (1, 2, 1, 4)), ("b", (1, 2, 3, 4))):
        write_picture(tmp_path / "data" / f"{stem}.png")
        write_voc(tmp_path / "data" / f"{stem}.xml", ("cat", corners), ("cat", (5, 5, 9, 9)), file_name=f"{stem}.png")
    for split, stem in (("train", "a"), ("val", "b")):
        write_text(tmp_path / "data" / "ImageSets" / "Main" / f"{split}.txt", f"{stem}\n")
    entries = [f"data.{split}={{path: {tmp_path / 'data'}, split: {split}}}" for split in ("train", "val")]
    small = ["data.input_size=64", "data.workers=0", "train.batch_size=1", "data.on_problem.box_without_area=fail"]
    with pytest.raises(InputError, match=r"a\.xml: object 1"):
        build_run(load_config("nano", [*entries, *small]), tmp_path / "run")
