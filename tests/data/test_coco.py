"""COCO: what ids, categories, crowds, dirt and places of files become."""

import gc
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.check import picture_problems
from centerx.data.read import read_dataset, scan_dataset
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import actions_of, coco_annotation, coco_image, write_coco, write_picture


@pytest.mark.parametrize("image_id", [0, 7, 2**40, "a/b", ""])
@pytest.mark.parametrize("annotation_id", [0, 2**40, "x", None])
def test_any_id_counts(tmp_path: Path, image_id: int | str, annotation_id: int | str | None) -> None:
    annotation = coco_annotation(annotation_id, image_id=image_id)
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[coco_image(image_id)], annotations=[annotation]))
    assert dataset.problems == []
    assert dataset.records[0].image_id == image_id
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22]]


def test_annotation_id_0_and_category_id_0_of_real_data(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "facemask", split="val")
    counts = np.bincount(np.concatenate([record.objects.labels for record in dataset.records]), minlength=3)
    assert dict(zip(dataset.class_names, counts.tolist(), strict=True)) == {
        "with_mask": 741,
        "without_mask": 156,
        "mask_weared_incorrect": 18,
    }
    assert sum(len(record.objects.labels) for record in dataset.records) == 741 + 156 + 18
    assert all(record.image.is_file() for record in dataset.records)


def test_labels_are_positions_of_names_whatever_the_category_ids(tmp_path: Path) -> None:
    categories = [{"id": 90, "name": "dog"}, {"id": "c", "name": "cat"}]
    annotations = [coco_annotation(1, category_id="c"), coco_annotation(2, category_id=90)]
    dataset = read_dataset(write_coco(tmp_path / "a.json", categories=categories, annotations=annotations))
    assert dataset.class_names == ("dog", "cat")
    assert dataset.category_ids == (90, "c")
    assert dataset.records[0].objects.labels.tolist() == [1, 0]


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cat"}]
    annotations = [coco_annotation(i, category_id=i) for i in (1, 2, 3)]
    dataset = read_dataset(write_coco(tmp_path / "a.json", categories=categories, annotations=annotations))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.records[0].objects.labels.tolist() == [0, 1, 0]
    assert actions_of(dataset) == ["fixed"]


def test_crowds_and_ignored_objects_are_ignored_and_keep_their_area(tmp_path: Path) -> None:
    annotations = [
        coco_annotation(1, area=33.0),
        coco_annotation(2, iscrowd=1, area=44),
        coco_annotation(3, ignore=1),
        coco_annotation(4, iscrowd=0, area=-1),
    ]
    record = read_dataset(write_coco(tmp_path / "a.json", annotations=annotations)).records[0]
    assert record.objects.ignore.tolist() == [False, True, True, False]
    assert record.objects.values["area"].tolist() == [33, 44, 200, 200]


def test_crowds_of_real_data(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "fixtures" / "cocoeval" / "instances_val2014_100.json")
    assert sum(int(record.objects.ignore.sum()) for record in dataset.records) == 9
    assert sum(len(record.objects.labels) for record in dataset.records) == 839


def test_pictures_without_annotations_stay(tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[]))
    assert [record.objects.boxes.shape for record in dataset.records] == [(0, 4)]


BAD_ANNOTATIONS = {
    "not a mapping": 5,
    "no bbox": coco_annotation(2, bbox=None),
    "three numbers": coco_annotation(2, bbox=[1, 2, 3]),
    "texts": coco_annotation(2, bbox=["1", "2", "3", "4"]),
    "no area": coco_annotation(2, bbox=[1, 2, 0, 5]),
    "negative": coco_annotation(2, bbox=[10, 10, -3, 5]),
    "not a number": coco_annotation(2, bbox=[float("nan"), 2, 3, 5]),
    "infinite": coco_annotation(2, bbox=[1, 2, float("inf"), 5]),
    "too long for a float": coco_annotation(2, bbox=[1, 2, 10**400, 5]),
    "unknown image": coco_annotation(2, image_id=99),
    "image id of another type": coco_annotation(2, image_id="1"),
    "unhashable image id": coco_annotation(2, image_id=[1]),
    "unknown category": coco_annotation(2, category_id=99),
    "unhashable category id": coco_annotation(2, category_id={"a": 1}),
    "outside the picture": coco_annotation(2, bbox=[100, 2, 5, 5]),
}


@pytest.mark.parametrize("bad", BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS.keys())
def test_a_bad_annotation_is_skipped_and_named(tmp_path: Path, bad: object) -> None:
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(1), bad])
    dataset = read_dataset(file)
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22]]
    assert actions_of(dataset) == ["skipped"]
    assert dataset.problems[0].where.startswith(f"{file}: annotation ")


@pytest.mark.parametrize(
    "bad", [None, {}, {"id": 2}, {"file_name": "b.png"}, coco_image([2], "b.png"), coco_image(2, 3)]
)
def test_a_bad_image_is_skipped(tmp_path: Path, bad: object) -> None:
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[bad, coco_image()]))
    assert [record.image_id for record in dataset.records] == [1]
    assert actions_of(dataset) == ["skipped"]


@pytest.mark.parametrize("own_id", [0, 5, "x"])
def test_repeated_ids(tmp_path: Path, own_id: int | str) -> None:
    file = write_coco(
        tmp_path / "a.json",
        images=[coco_image(1, "a.png"), coco_image(1, "b.png")],
        categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}],
        annotations=[coco_annotation(own_id), coco_annotation(own_id, bbox=[3, 3, 4, 4])],
    )
    dataset = read_dataset(file)
    assert [record.image.name for record in dataset.records] == ["a.png"]
    assert dataset.class_names == ("cat",)
    assert len(dataset.records[0].objects.boxes) == 2, "an annotation's id means nothing here: both count"
    assert sorted(actions_of(dataset)) == ["fixed", "skipped", "skipped"]


def test_a_box_that_leaves_the_picture_is_clipped_beyond_rounding(tmp_path: Path) -> None:
    boxes = [[-1, 5, 20, 20], [30, 20, 400, 300]]
    annotations = [coco_annotation(number, bbox=box) for number, box in enumerate(boxes)]
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=annotations))
    assert dataset.records[0].objects.boxes.tolist() == [[-1, 5, 19, 25], [30, 20, 40, 30]]
    assert actions_of(dataset) == ["fixed"]


def test_the_pictures_own_size_is_believed_over_a_wrong_declared_one(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (400, 300))
    annotation = coco_annotation(bbox=[300, 200, 50, 50])
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[coco_image(width=40)], annotations=[annotation]))
    assert dataset.records[0].objects.boxes.tolist() == [[300, 200, 350, 250]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "malformed JSON"),
        (b'{"images": [', "malformed JSON"),
        (bytes(range(256)), "malformed JSON"),
        (b"\x00" * 50, "malformed JSON"),
        (b"[" * 100_000, "malformed JSON"),
        (b"[]", "not a COCO data set"),
        (b"3", "not a COCO data set"),
        (b'{"shapes": []}', "not a COCO data set"),
        (b'{"images": {}, "categories": []}', "not a COCO data set"),
        (b'{"images": [], "categories": [], "annotations": 5}', "annotations are not a list"),
        (b'[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]', "a list of detections"),
    ],
)
def test_another_file_is_one_fatal_line(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_dataset(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert actions_of(scan_dataset(file)) == ["fatal"]


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "a.json")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read_dataset(file).records) == 1


@pytest.mark.parametrize(
    ("json_place", "picture_place", "file_name"),
    [
        ("annotations/instances_train.json", "train/a.png", "a.png"),
        ("annotations/instances_train.json", "train/a.png", "train/a.png"),
        ("annotations/instances_train.json", "images/train/a.png", "a.png"),
        ("train/_annotations.coco.json", "train/a.png", "a.png"),
        ("a.json", "a.png", "a.png"),
        ("a.json", "pictures/a.png", "a.png"),
        ("a.json", "x/y/a.png", "x\\y\\a.png"),
        ("gts/coco/a.json", "images/a.png", "a.png"),
    ],
)
def test_pictures_are_found_near_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json_place: str, picture_place: str, file_name: str
) -> None:
    (tmp_path / "aaa").mkdir()
    picture = write_picture(tmp_path / picture_place)
    file = write_coco(tmp_path / json_place, images=[coco_image(1, file_name)])
    assert read_dataset(file).records[0].image.resolve() == picture
    monkeypatch.chdir(file.parent)
    assert read_dataset(file.name).records[0].image.resolve() == picture


def test_splits_with_pictures_of_the_same_names_are_told_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_picture(tmp_path / split / "a.png")
        write_coco(tmp_path / f"{split}.json")
    for split in ("train", "val"):
        assert read_dataset(tmp_path / f"{split}.json").records[0].image == tmp_path / split / "a.png"


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_picture(tmp_path / split / "a.png")
        write_coco(tmp_path / split / "_annotations.coco.json")
        assert read_dataset(tmp_path / split).records[0].image == tmp_path / split / "a.png"
    assert read_dataset(tmp_path, split="valid").records[0].image == tmp_path / "valid" / "a.png"
    with pytest.raises(InputError, match=r"which of train/_annotations\.coco, valid/_annotations\.coco"):
        read_dataset(tmp_path)


def test_the_boxes_of_coco_are_chosen_among_its_other_files(shared_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(shared_data / "coco_mini")
    assert len(dataset.class_names) == 80
    assert sum(len(record.objects.labels) for record in dataset.records) == 739
    for name in ("instances_train2017", "person_keypoints_train2017", "instances_val2017"):
        write_coco(tmp_path / "annotations" / f"{name}.json")
    assert read_dataset(tmp_path, split="val").format == "coco"
    with pytest.raises(InputError, match=r"no split 'test', there are: instances_train2017, instances_val2017$"):
        read_dataset(tmp_path, split="test")


def test_a_json_beside_pictures_that_is_not_coco_leaves_a_folder_of_images(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "report.json").write_text(json.dumps({"AP": 0.5}))
    assert read_dataset(tmp_path).format == "folder"


def test_four_times_the_pictures_take_four_times_as_long(tmp_path: Path) -> None:
    """A search through all for each would take sixteen times as long."""
    seconds = []
    for pictures in (2_500, 10_000):
        images = [coco_image(number, f"{number}.jpg") for number in range(pictures)]
        annotations = [coco_annotation(number, image_id=number % pictures) for number in range(7 * pictures)]
        file = write_coco(tmp_path / f"{pictures}.json", images=images, annotations=annotations)
        gc.disable()
        try:
            runs = [time.process_time()]
            for _ in range(3):
                dataset = read_dataset(file)
                runs.append(time.process_time())
        finally:
            gc.enable()
        assert sum(len(record.objects.labels) for record in dataset.records) == 7 * pictures
        seconds.append(min(end - start for start, end in pairwise(runs)))
    assert seconds[1] < 6 * seconds[0]


def test_one_picture_under_two_ids_is_one_record_with_the_labels_of_both(tmp_path: Path) -> None:
    images = [coco_image(1), coco_image(2, "./a.png"), coco_image(3, "b.png")]
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name)
    same, other = {"bbox": [1, 2, 10, 20]}, {"bbox": [3, 3, 4, 4]}
    annotations = [
        coco_annotation(number, image_id=image, **box)
        for number, (image, box) in enumerate([(1, same), (2, same), (2, other)])
    ]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=images, annotations=annotations))
    assert [(record.image_id, record.aliases) for record in dataset.records] == [(1, (2,)), (3, ())]
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22], [3, 3, 7, 7]]
    assert dataset.records[0].objects.labels.tolist() == [0, 0]
    (problem,) = dataset.problems
    assert (problem.kind, problem.where) == (Kind.REPEATED_PICTURE, str(tmp_path / "a.png"))


def test_a_box_that_one_image_has_twice_is_left_as_it_is(tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[coco_annotation(1), coco_annotation(2)]))
    assert len(dataset.records[0].objects.boxes) == 2


@pytest.mark.parametrize(("degrees", "box"), [(90, [30, 10, 50, 50]), (180, [20, 20, 60, 40]), (45, None), (0, None)])
def test_boxes_that_cvat_turned(tmp_path: Path, degrees: float, box: list[float] | None) -> None:
    annotation = coco_annotation(bbox=[20, 20, 40, 20], attributes={"occluded": False, "rotation": degrees})
    image = coco_image(width=100, height=100)
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[image], annotations=[annotation]))
    half = 30 * 0.5**0.5  # at 45 degrees both half sides are (20 + 10) / sqrt(2)
    expected = box or ([40 - half, 30 - half, 40 + half, 30 + half] if degrees else [20, 20, 60, 40])
    np.testing.assert_allclose(dataset.records[0].objects.boxes, [expected], atol=1e-9)
    assert [problem.kind for problem in dataset.problems] == ([Kind.ROTATED_BOX] if degrees else [])


def test_a_root_category_that_only_names_a_supercategory_is_left_out(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "shapes", "supercategory": "none"},
        {"id": 1, "name": "square", "supercategory": "shapes"},
        {"id": 2, "name": "disc", "supercategory": "shapes"},
    ]
    annotations = [coco_annotation(1, category_id=2)]
    dataset = read_dataset(write_coco(tmp_path / "a.json", categories=categories, annotations=annotations))
    assert (dataset.class_names, dataset.category_ids) == (("square", "disc"), (1, 2))
    assert dataset.records[0].objects.labels.tolist() == [1]
    assert [problem.kind for problem in dataset.problems] == [Kind.EMPTY_ROOT_CATEGORY]
    annotations.append(coco_annotation(2, category_id=0))
    used = read_dataset(write_coco(tmp_path / "b.json", categories=categories, annotations=annotations))
    assert used.class_names == ("shapes", "square", "disc")
    plain = [{"id": i, "name": name, "supercategory": "person"} for i, name in enumerate(("person", "cat"), start=1)]
    assert len(read_dataset(write_coco(tmp_path / "c.json", categories=plain)).class_names) == 2


def test_lvis_says_of_each_picture_which_classes_it_labels(tmp_path: Path) -> None:
    write_picture(tmp_path / "train2017" / "1.jpg")
    write_picture(tmp_path / "train2017" / "2.jpg")
    lists = [{"neg_category_ids": [3], "not_exhaustive_category_ids": [1]}, {"neg_category_ids": []}]
    images = [
        {"id": number, "width": 40, "height": 30, "coco_url": f"http://images/train2017/{number}.jpg"} | some
        for number, some in enumerate(lists, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(("cat", "dog", "cow", "owl"), start=1)]
    annotations = [
        coco_annotation(number, image_id=image, category_id=category)
        for number, (image, category) in enumerate([(1, 1), (1, 2), (2, 1)])
    ]
    file = write_coco(tmp_path / "lvis.json", images=images, categories=categories, annotations=annotations)
    dataset = read_dataset(file)
    assert [record.image for record in dataset.records] == [tmp_path / "train2017" / f"{n}.jpg" for n in (1, 2)]
    assert [record.labelled for record in dataset.records] == [{1, 2}, {0}]
    assert [record.objects.labels.tolist() for record in dataset.records] == [[1], [0]]
    assert [(problem.kind, problem.times) for problem in dataset.problems] == [(Kind.NOT_EXHAUSTIVE, 1)]
    ours = SampleSource([dataset], ("owl", "cow", "fox", "cat", "dog"))
    assert [entry.supervised[:, 0].tolist() for entry in ours.entries] == [
        [False, True, False, False, True],
        [False, False, False, True, False],
    ]
    pets = read_dataset(file, classes=["cat=pet", "dog=pet", "cow"])
    assert [record.labelled for record in pets.records] == [{1}, set()], "a class of several needs all of them"


@pytest.mark.parametrize(
    "name",
    [
        "/data/upload/4/my photo.jpg",
        "/data/local-files/?d=images/my%20photo.jpg",
        "images/my%20photo.jpg",
        "..\\..\\media\\upload\\my photo.jpg",
        "C:\\Users\\ann\\images\\my photo.jpg",
        "http://host:8080/pictures/my%20photo.jpg?token=1",
        "MY PHOTO.JPG",
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_pictures_are_found_by_the_end_of_their_path(tmp_path: Path, name: str, named: bool) -> None:
    picture = write_picture(tmp_path / "images" / "my photo.jpg")
    file = write_coco(tmp_path / "a.json", images=[coco_image(1, name)])
    dataset = read_dataset(file, images=picture.parent if named else None)
    assert dataset.records[0].image == picture
    assert [problem.kind for problem in dataset.problems] == [Kind.FOUND_ELSEWHERE]


def test_two_names_never_become_one_picture_by_their_ends(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "1.png")
    images = [coco_image(1, "a/1.png"), coco_image(2, "b/1.png")]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=images), images=tmp_path / "images")
    assert [record.image.exists() for record in dataset.records] == [True, False]
    images = [coco_image(1, "a/1.png"), coco_image(2, "1.png")]
    dataset = read_dataset(write_coco(tmp_path / "b.json", images=images), images=tmp_path / "images")
    assert [record.image.exists() for record in dataset.records] == [False, True]


def test_names_that_differ_in_unicode_normalisation_alone(tmp_path: Path) -> None:
    decomposed = write_picture(tmp_path / "cafe\u0301.png")
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[coco_image(1, "caf\u00e9.png")]))
    assert dataset.records[0].image == decomposed


def test_pictures_of_a_neighbour_and_of_two_folders_are_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "one" / "other" / "images" / "a.png")
    neighbour = read_dataset(write_coco(tmp_path / "one" / "mine" / "train.json"))
    assert neighbour.records[0].image == tmp_path / "one" / "other" / "images" / "a.png"
    assert [problem.kind for problem in picture_problems(neighbour)] == [Kind.FOUND_ELSEWHERE]
    usual = read_dataset(write_coco(tmp_path / "one" / "annotations" / "train.json"))
    assert list(picture_problems(usual)) == [], "labels in a folder of their own have their pictures beside it"
    named = read_dataset(tmp_path / "one" / "mine" / "train.json", images=tmp_path / "one" / "other" / "images")
    assert list(picture_problems(named)) == []
    write_picture(tmp_path / "one" / "own" / "images" / "a.png")
    assert read_dataset(write_coco(tmp_path / "one" / "own" / "a.json")).problems == [], "those of others do not count"
    for folder in "xy":
        write_picture(tmp_path / "two" / folder / "a.png")
    two = read_dataset(write_coco(tmp_path / "two" / "labels.json"))
    assert [problem.kind for problem in two.problems] == [Kind.TWO_PLACES]
    write_picture(tmp_path / "two" / "a.png")
    assert read_dataset(tmp_path / "two" / "labels.json").problems == [], "its own folder is what a name means"


@pytest.mark.parametrize("name", [None, "", "  ", True, [], {}])
def test_a_category_without_a_name_is_no_class(tmp_path: Path, name: object) -> None:
    write_picture(tmp_path / "a.png")
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": name}]
    dataset = read_dataset(write_coco(tmp_path / "a.json", categories=categories))
    assert dataset.class_names == ("cat",)
    assert [problem.kind for problem in dataset.problems] == [Kind.MALFORMED_ENTRY]


def test_images_named_by_another_key_are_one_error(tmp_path: Path) -> None:
    images = [{"id": number, "picture": f"{number}.png"} for number in range(3)]
    (problem,) = scan_dataset(write_coco(tmp_path / "a.json", images=images)).problems
    assert problem.kind is Kind.UNREADABLE_LABELS
    assert "file_name" in problem.what
    assert "id, picture" in problem.what


def test_lists_of_lvis_that_are_none_are_left_out(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    image = coco_image() | {"neg_category_ids": 5, "not_exhaustive_category_ids": None}
    assert read_dataset(write_coco(tmp_path / "a.json", images=[image])).records[0].labelled == {0}


def test_boxes_of_the_stored_picture_are_clipped_to_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    annotation = coco_annotation(bbox=[30, 5, 14, 10])  # leaves the stored picture of 40 x 30 by 4 pixels
    file = write_coco(tmp_path / "a.json", images=[coco_image(1, "a.jpg")], annotations=[annotation])
    # stored 30 5 40 15, turned clockwise: x' = 30 - y, y' = x
    assert read_dataset(file, frame="stored").records[0].objects.boxes.tolist() == [[15, 30, 25, 40]]


@pytest.mark.parametrize("flag", ["0", "false", "no", [0], 2, {}, 0.5])
@pytest.mark.parametrize("key", ["iscrowd", "ignore", "difficult"])
def test_flags_that_are_none_are_told(tmp_path: Path, key: str, flag: object) -> None:
    write_picture(tmp_path / "a.png")
    annotations = [coco_annotation(1, **{key: flag}), coco_annotation(2, **{key: True}), coco_annotation(3, **{key: 0})]
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=annotations))
    assert dataset.records[0].objects.ignore.tolist() == [True, False]
    assert [problem.kind for problem in dataset.problems] == [Kind.MALFORMED_ENTRY]
