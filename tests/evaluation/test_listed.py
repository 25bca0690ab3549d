"""A json teacher: each form says the same, and what it does not say is told."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.store import TeacherInfo, ask_once
from centerx.data.stored import Curve
from centerx.errors import InputError
from centerx.evaluation.fuse import fuse_stored
from centerx.evaluation.listed import read_detections
from centerx.types import Detections

BOXES: dict[str, list[tuple[list[float], float, str]]] = {
    "a.png": [([1.0, 2, 9, 12], 0.5, "dog"), ([3.0, 4, 7, 9], 0.75, "cat")],
    "b.png": [([0.0, 0, 30, 20], 1.0, "cat")],
    "c.png": [],
}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
IDS = {"a.png": 11, "b.png": 12, "c.png": 13}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for level, name in enumerate(BOXES):
        Image.fromarray(np.full((20, 30, 3), level, dtype=np.uint8)).save(tmp_path / name)
    write(
        tmp_path / "labels.json", coco(annotations=[{"id": 1, "image_id": 11, "category_id": 3, "bbox": [1, 1, 5, 5]}])
    )
    return tmp_path


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder / "labels.json")


def write(path: Path, tree: Any) -> Path:
    path.write_text(json.dumps(tree))
    return path


def coco(**more: Any) -> dict[str, Any]:
    images = [{"id": own, "file_name": name, "width": 30, "height": 20} for name, own in IDS.items()]
    return {"images": images, "categories": CATEGORIES, "annotations": [], **more}


def rows() -> list[dict[str, Any]]:
    category = {each["name"]: each["id"] for each in CATEGORIES}
    return [
        {"image_id": IDS[name], "category_id": category[label], "score": score,
         "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
        for name, some in BOXES.items() for box, score, label in some
    ]  # fmt: skip


def predictions(folder: Path | str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"image": os.path.join(folder, name), "width": 30, "height": 20,
         "detections": [{"label": label, "score": score, "box": box} for box, score, label in some], **more}
        for name, some in BOXES.items()
    ]  # fmt: skip


def images_of(dataset: Dataset) -> list[Path]:
    return [record.image for record in dataset.records]


def read(path: Path, dataset: Dataset) -> dict[str, list[tuple[list[float], float, str]]]:
    """What is known of each picture that is known."""
    found = read_detections(path, [dataset], images_of(dataset))
    objects = {
        image.name: found.detections(index) for index, image in enumerate(images_of(dataset)) if found.answered[index]
    }
    return {
        name: [
            (box, score, found.class_names[label])
            for box, score, label in zip(each.boxes.tolist(), each.scores.tolist(), each.labels, strict=True)
        ]
        for name, each in objects.items()
    }


def best_first(names: list[str]) -> dict[str, list[tuple[list[float], float, str]]]:
    return {name: sorted(BOXES[name], key=lambda each: -each[1]) for name in names}


def test_the_three_forms_and_a_function_say_the_same(folder: Path, dataset: Dataset) -> None:
    numbered = [{"id": number, **row} for number, row in enumerate(rows())]
    assert read(write(folder / "predicted.json", predictions(folder)), dataset) == best_first(list(BOXES))
    assert read(write(folder / "found.json", coco(annotations=numbered)), dataset) == best_first(list(BOXES))
    assert read(write(folder / "results.json", rows()), dataset) == best_first(["a.png", "b.png"])

    def detect(image: np.ndarray) -> Detections:
        some = list(BOXES.values())[image[0, 0, 0]]
        labels = np.array([("cat", "dog").index(label) for _, _, label in some], dtype=np.int64)
        return Detections(
            np.array([box for box, *_ in some]).reshape(-1, 4), np.array([each[1] for each in some]), labels
        )

    asked = ask_once(folder / "it.sqlite", TeacherInfo("", ("cat", "dog"), "boxes"), detect, images_of(dataset))
    found = read_detections(folder / "found.json", [dataset], images_of(dataset))
    for one, other in zip(asked, found, strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_pictures_are_found_by_the_end_of_their_path(
    folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = predictions("C:\\pictures\\of\\another")
    assert read(write(folder / "predicted.json", elsewhere), dataset) == best_first(list(BOXES))
    assert "3 pictures are found by the end of their path; the first: C:\\pictures" in caplog.text


def test_a_name_that_two_pictures_have_is_no_guess(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two folders have an a.png: `x/a.png` is one of them, `a.png` could be either."""
    for name in ("x/a.png", "y/a.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    images = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png"]
    for names, answered in ((["lost/x/a.png"], [True, False]), (["lost/x/a.png", "lost/z/a.png"], [True, False])):
        entries = [{**predictions("")[0], "image": name} for name in names]
        found = read_detections(write(tmp_path / "p.json", entries), [], images)
        assert found.answered.tolist() == answered
    assert "1 pictures of it are not in the data, or which is not clear; the first: lost/z/a.png" in caplog.text
    with pytest.raises(InputError, match="lists none of the 2 pictures"):
        read_detections(write(tmp_path / "p.json", [{**predictions("")[0], "image": "a.png"}]), [], images)


def test_a_name_of_another_file_is_not_a_picture_of_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The pictures of two splits are called alike; those of train say nothing of those of val."""
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for name in BOXES:
            Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / split / name)
    labels = [{"id": 1, "image_id": 11, "category_id": 3, "bbox": [1, 1, 5, 5]}]
    dataset = read_dataset(write(tmp_path / "train" / "labels.json", coco(annotations=labels)))
    val = sorted((tmp_path / "val").glob("*.png"))
    predicted = write(tmp_path / "p.json", predictions(tmp_path / "train"))
    for path in (predicted, write(tmp_path / "train" / "f.json", coco()), write(tmp_path / "r.json", rows())):
        assert not read_detections(path, [dataset], val, quiet=True).answered.any()
        with pytest.raises(InputError, match="lists none of the 3 pictures"):
            read_detections(path, [dataset], val)
    assert "by the end" not in caplog.text
    moved = write(tmp_path / "m.json", predictions("lost"))
    assert read_detections(moved, [], val).answered.all()
    assert not read_detections(moved, [], val, quiet=True).answered.any()


def test_a_run_without_pictures_is_no_fault_of_a_file(folder: Path, dataset: Dataset) -> None:
    found = read_detections(write(folder / "p.json", predictions(folder)), [dataset], [])
    assert (len(found.answered), found.class_names) == (0, ("dog", "cat"))


def test_nothing_is_taught_in_a_crowd(folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an object nor background, of its class alone, whatever becomes of the detections."""
    some = [
        {"image_id": 11, "category_id": 3, "bbox": [1, 1, 5, 5], "score": 0.4},
        {"image_id": 11, "category_id": 5, "bbox": [8, 2, 40, 9], "iscrowd": 1},
        {"image_id": 12, "category_id": 3, "bbox": [2, 2, 6, 6], "ignore": 1},
    ]
    stored = read_detections(write(folder / "f.json", coco(annotations=some)), [dataset], images_of(dataset))
    assert "2 crowds and ignored annotations, in whose boxes nothing is taught" in caplog.text
    assert stored.answered.all()
    half = Curve(np.array([0.0, 1.0]), np.array([0.0, 0.5]))
    for each, cat, score in (
        (stored, 0, 0.4),
        (stored.calibrated([half, half]), 0, 0.2),
        (stored.renamed({"cat": "cat", "dog": "dog"}, ("dog", "cat")), 1, 0.4),
        (fuse_stored([stored, stored]), 0, 0.4),
    ):
        found, crowd = each.detections(0), each.ignored(0)
        assert (found.boxes.tolist(), found.labels.tolist()) == ([[1, 1, 6, 6]], [cat])
        assert found.scores == pytest.approx([score])
        assert {tuple(box) for box in crowd.boxes.tolist()} == {(8, 2, 30, 11)}
        assert set(crowd.labels.tolist()) == {1 - cat}
        objects = each.of(0)
        assert objects.boxes[~objects.ignore].tolist() == [[1, 1, 6, 6]]
        assert objects.ignore.sum() == len(crowd)
        assert (len(each.detections(1)), each.of(1).ignore.all(), len(each.of(2).labels)) == (0, True, 0)


def test_what_is_left_out_is_told(folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    more = [
        {"image_id": 11, "category_id": 3, "bbox": [-5, 0, 10, 10]},
        {"image_id": 11, "category_id": 3, "bbox": [50, 0, 10, 10], "score": 0.5},
        {"image_id": 11, "category_id": 3, "bbox": [0, 0, 10, 10], "score": 0.5, "iscrowd": 1},
        {"image_id": 11, "category_id": 9, "bbox": [0, 0, 10, 10], "score": 0.5},
    ]
    assert read(write(folder / "f.json", coco(images=coco()["images"][:1], annotations=more)), dataset) == {
        "a.png": [([0, 0, 5, 10], 1.0, "cat")]
    }
    for what in (
        "1 annotations without a score have score 1; the first: annotation 0",
        "1 crowds and ignored annotations, in whose boxes nothing is taught of their class; the first: annotation 2",
        "1 annotations of an image or category that is not there are left out; the first: annotation 3",
        "1 boxes reach outside their picture, clipped",
        "1 boxes have no area inside their picture, left out",
        f"2 pictures have no entry, and this teacher teaches nothing there; the first: {folder / 'b.png'}",
    ):
        assert what in caplog.text
    caplog.clear()
    strangers = [*rows(), {**rows()[0], "image_id": 99}, {**rows()[0], "category_id": 4}]
    assert read(write(folder / "r.json", strangers), dataset) == best_first(["a.png", "b.png"])
    assert "1 detections on pictures that are not in the data; the first: entry 3 counted" in caplog.text
    assert "1 detections of a category that the data lacks; the first: entry 4 counted" in caplog.text


def test_points_are_those_of_a_detector_of_points(folder: Path, dataset: Dataset) -> None:
    entries = predictions(folder)
    entries[0]["detections"] = [{"label": "cat", "score": 0.5, "point": [4, 5]}]
    entries[1]["detections"] = []
    found = read_detections(write(folder / "p.json", entries), [dataset], images_of(dataset))
    assert (found.task, found.boxes.tolist()) == ("center", [[4, 5, 4, 5]])


def test_a_box_without_sides_is_no_point_among_boxes(
    folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    entries = predictions(folder)
    entries[0]["detections"].append({"label": "cat", "score": 0.9, "box": [10, 10, 10, 10]})
    assert read(write(folder / "p.json", entries), dataset) == best_first(list(BOXES))
    assert "1 boxes have no area inside their picture, left out; the first: entry 0" in caplog.text


def test_boxes_that_are_shares_of_the_picture_are_told(
    folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    entries = predictions(folder)
    entries[0]["detections"] = [{"label": "cat", "score": 0.9, "box": [0.1, 0.1, 0.5, 0.5]}]
    read(write(folder / "p.json", entries), dataset)
    assert "1 boxes under one pixel, where nothing is taught: they must be in pixels; the first: entry 0" in caplog.text


def test_a_file_is_of_points_or_boxes_whatever_pictures_are_asked_for(folder: Path, dataset: Dataset) -> None:
    entries = predictions(folder)
    entries[0]["detections"] = [{"label": "cat", "score": 0.5, "point": [4, 5]}]
    found = read_detections(write(folder / "p.json", entries), [dataset], images_of(dataset)[:1])
    assert (found.task, len(found.boxes)) == ("boxes", 0)


def changed(**change: Any) -> list[dict[str, Any]]:
    return [{**rows()[0], **change}, *rows()[1:]]


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ([], "holds no detections"),
        ({"a": 1}, "holds no detections"),
        (changed(bbox=[1, 1, math.nan, 4]), "entry 0 counted from 0 lacks one of"),
        (changed(bbox=[1, 1, -2, 4]), "image 11: a box of negative width or height"),
        (changed(score=1.5), "image 11: a score that is no number in"),
        ([{**row, "image_id": 99} for row in rows()], "its image ids, such as 99, are in none of"),
        ([{**row, "category_id": 99} for row in rows()], "none of its category ids is in"),
        (predictions("", width=31), "entry 0 counted from 0: says that .* has 31 x 20 pixels"),
        (predictions("", image="other.png"), "none of the 3 pictures, such as .* but 3 others, such as other.png"),
        (predictions("", detections=[]), "has no detection and so no class to teach"),
        (predictions("", detections=[{"label": "cat", "score": 0.5}]), "a detection needs label, score and box"),
        (predictions("", detections=[{"label": "cat", "score": math.nan, "box": [1, 1, 2, 2]}]), "a score that is no"),
        (predictions("", detections=[None]), "a detection needs label, score and box or point, not None"),
        (predictions("", detections=[{"label": "", "score": 0.5, "box": [1, 1, 4, 4]}]), "the class name '' is no"),
        (coco(annotations=None), "has no list of annotations"),
        (coco(categories=[*CATEGORIES, CATEGORIES[0]]), "its images need different ids .* its categories ids"),
        (predictions("", detections={}), "entry 0 counted from 0: lacks one of image, width"),
        ([predictions("")[0]] * 2, "pictures, such as"),
        (coco(annotations=[{"image_id": 11, "category_id": 3, "bbox": [1, 1, math.inf, 2]}]), "a box that is not"),
        (coco(annotations=[{"image_id": 11, "category_id": 3}]), "annotation 0: needs image_id, category_id, bbox"),
        (coco(images=[{"id": 11, "file_name": 5}]), "its images need different ids and file names"),
        (coco(images=[{"id": 11, "file_name": "a\0.png"}]), r"image 11: '.*a\\x00.png' cannot be the path"),
        (predictions("\ud800"), "entry 0 counted from 0: .* cannot be the path of a picture"),
        (predictions("", image="a\0b"), "entry 0 counted from 0: .* cannot be the path of a picture"),
        (changed(score=10**400), "entry 0 counted from 0 lacks one of"),
        (changed(bbox=[1, 1, 10**400, 4]), "entry 0 counted from 0 lacks one of"),
        (coco(categories=[]), "its images need different ids"),
        *((coco(annotations=[{"image_id": 11, "category_id": 3, "bbox": [1, 1, 2, 2], name: value}]), "must be 0 or 1")
          for name in ("iscrowd", "ignore") for value in ("0", "false", [0], 2, {"a": 1})),
        *((coco(categories=[{"id": 3, "name": name}]), says)
          for name, says in ((" ", "the class name '' is no"), ("a\nb", "is no line"), ("\ud800", "is no line"),
                             (True, "its images need different ids"))),
        *((coco(images=[{"id": 11, "file_name": "a.png", "width": side, "height": 20}]), "must be its pixels")
          for side in ("30", None, -5, [30], True, 10**400)),
        (coco(images=[{"id": True, "file_name": "a.png"}]), "its images need different ids"),
        (changed(image_id=True), "entry 0 counted from 0 lacks one of"),
    ],
)  # fmt: skip
def test_what_cannot_teach_is_refused(tree: Any, says: str, folder: Path, dataset: Dataset) -> None:
    with pytest.raises(InputError, match=says) as error:
        read_detections(write(folder / "wrong.json", tree), [dataset], images_of(dataset))
    assert str(error.value).startswith(f"{folder / 'wrong.json'}: ")
    assert "\n" not in str(error.value)


def test_ids_are_those_of_one_labelled_data_set(folder: Path, dataset: Dataset) -> None:
    path, images = write(folder / "results.json", rows()), images_of(dataset)
    bare = dataset._replace(class_names=(), category_ids=())
    with pytest.raises(
        InputError, match="no training data has labels and so ids; use predict --json or a COCO data set"
    ):
        read_detections(path, [bare], images)
    with pytest.raises(InputError, match="are in several of"):
        read_detections(path, [dataset, dataset], images)
    assert read_detections(path, [bare, dataset], images).answered.tolist() == [True, True, False]
    twice = write(folder / "twice.json", predictions(folder)[:1] * 2)
    with pytest.raises(InputError, match=r"lists .*a.png twice"):
        read_detections(twice, [dataset], images)


def test_pictures_to_judge_by_need_not_be_listed_and_no_entry_ends_a_run(
    folder: Path, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    entries = predictions(folder)
    entries[1]["detections"] = [{"label": "cat", "score": 2.0, "box": [1, 1, 4, 4]}]
    path = write(folder / "p.json", entries[:2])
    found = read_detections(path, [dataset], images_of(dataset), quiet=True)
    assert found.answered.tolist() == [True, False, False]
    assert [each.partition(":")[0] for each in caplog.messages] == ["left out"]
    none = read_detections(path, [dataset], [folder / "other.png"], quiet=True)
    assert (none.class_names, none.answered.tolist()) == (("dog", "cat"), [False])
