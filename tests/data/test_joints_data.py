"""Joints in data sets: COCO and YOLO read and written, several classes, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset, select_classes
from centerx.data.source import SampleSource
from centerx.data.union import merge_datasets
from centerx.data.write import WRITERS, coco_tree
from centerx.errors import InputError
from centerx.fields import KEYPOINTS
from centerx.joints import Joints
from centerx.problems import Kind
from centerx.tasks import make_task

CATEGORIES = [
    {"id": 3, "name": "person", "keypoints": ["nose", "left_hand", "right_hand"], "skeleton": [[1, 2], [1, 3]]},
    {"id": 7, "name": "dog", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]},
    {"id": 9, "name": "ball"},
]
PERSON = [10, 20, 2, 30, 40, 1, 0, 0, 0]
DOG = [50, 60, 2, 70.5, 61, 2]


def write(folder: Path, annotations: list[dict[str, Any]], categories: Any = CATEGORIES) -> Path:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (100, 80)).save(folder / "a.png")
    every = [
        {"id": number, "image_id": 1, "bbox": [5, 5, 80, 70], "area": 100, "iscrowd": 0} | each
        for number, each in enumerate(annotations, start=1)
    ]
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": every, "categories": categories}))
    return path


def kinds(dataset: Dataset) -> list[Kind]:
    return [problem.kind for problem in dataset.problems]


def test_each_class_has_joints_of_its_own(tmp_path: Path) -> None:
    own = [{"category_id": 3, "keypoints": PERSON}, {"category_id": 7, "keypoints": DOG}, {"category_id": 9}]
    dataset = read_dataset(write(tmp_path, own))
    assert dataset.joints.names == ("nose", "left_hand", "right_hand", "tail")
    assert dataset.joints.classes == ((0, 1, 2), (0, 3), ())
    assert dataset.joints.skeleton == ((0, 1), (0, 2), (0, 3))
    objects = dataset.records[0].objects
    assert objects.known[KEYPOINTS.name].tolist() == [[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    assert objects.values["visibility"].tolist() == [[2, 1, 0, 0], [2, 0, 0, 2], [0, 0, 0, 0]]
    assert objects.values[KEYPOINTS.name][1].tolist() == [50, 60, 0, 0, 0, 0, 70.5, 61]
    tree = coco_tree(dataset, tmp_path)
    assert [each.get("keypoints") for each in tree["categories"]] == [each.get("keypoints") for each in CATEGORIES]
    assert [each.get("skeleton", []) for each in tree["categories"]][:2] == [[[1, 2], [1, 3]], [[1, 2]]]
    assert [each.get("keypoints") for each in tree["annotations"]] == [PERSON, DOG, None]
    assert [each["num_keypoints"] for each in tree["annotations"]] == [2, 2, 0]  # pycocotools needs it of every object


def test_a_model_has_the_joints_that_it_names_in_its_order(tmp_path: Path) -> None:
    own = [{"category_id": 3, "keypoints": PERSON}, {"category_id": 7, "keypoints": DOG}]
    dataset = read_dataset(write(tmp_path, own))
    task = make_task("pose", joints=Joints(("tail", "paw", "nose")))
    sample = SampleSource([dataset], ("dog", "person"), task=task).sample(0)
    assert sample.objects.labels.tolist() == [1, 0]
    assert sample.objects.known[KEYPOINTS.name].tolist() == [[0, 0, 1], [1, 0, 1]]
    assert sample.objects.values[KEYPOINTS.name].tolist() == [[0, 0, 0, 0, 10, 20], [70.5, 61, 0, 0, 50, 60]]


def test_classes_that_are_chosen_renamed_or_joined_keep_their_joints(tmp_path: Path) -> None:
    own = [{"category_id": 3, "keypoints": PERSON}, {"category_id": 7, "keypoints": DOG}]
    dataset = read_dataset(write(tmp_path / "a", own))
    assert select_classes(dataset, ["dog=pet"]).joints.classes == ((0, 3),)
    assert select_classes(dataset, ["dog=being", "person=being"]).joints.classes == ((0, 1, 2, 3),)
    cat = [{"id": 1, "name": "cat", "keypoints": ["tail", "nose"]}]
    other = read_dataset(write(tmp_path / "b", [{"category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}], cat))
    merged = merge_datasets([other, dataset])
    assert merged.joints.names == ("tail", "nose", "left_hand", "right_hand")
    assert merged.joints.classes == ((0, 1), (1, 2, 3), (0, 1), ())
    objects = merged.records[1].objects
    assert objects.values[KEYPOINTS.name][1].tolist() == [70.5, 61, 50, 60, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("keypoints", "told", "known"),
    [
        ([10, 20, 2], "x, y and a flag of each of 3, not 3 values", None),
        ([10, 20, 2, "a", 1, 2, 0, 0, 0], "a flag of each of 3, numbers alone", None),
        ([10, 20, 3, 30, 40, 1, 0, 0, 0], "joint 1 has the flag 3, not 0, 1 or 2", [0, 1, 0, 0]),
        ([10, 20, 2, 130, 40, 1, 0, 0, 0], "joint 2 at 130 40 lies outside its picture", [1, 0, 0, 0]),
        ([10, 20, 2, 101, 40, 1, 0, 0, 0], None, [1, 1, 0, 0]),
    ],
)
def test_joints_that_cannot_be_used_are_told(
    keypoints: list[Any], told: str | None, known: list[int] | None, tmp_path: Path
) -> None:
    dataset = read_dataset(write(tmp_path, [{"category_id": 3, "keypoints": keypoints}]))
    found = [problem.what for problem in dataset.problems if problem.kind is Kind.UNUSABLE_JOINT]
    assert len(found) == (told is not None)
    assert told is None or told in found[0]
    objects = dataset.records[0].objects
    assert len(objects.labels) == 1
    if known is None:
        assert KEYPOINTS.name not in objects.values
    else:
        assert objects.known[KEYPOINTS.name].tolist() == [known]


@pytest.mark.parametrize("names", ["nose", ["nose", "nose"], [1, 2]])
def test_names_of_joints_that_cannot_be_used_are_told(names: Any, tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, [{"category_id": 3}], [{"id": 3, "name": "person", "keypoints": names}]))
    assert kinds(dataset) == [Kind.MALFORMED_ENTRY]
    assert dataset.joints.names == ()


def test_lines_beyond_the_joints_are_told(tmp_path: Path) -> None:
    category = {"id": 3, "name": "person", "keypoints": ["a", "b"], "skeleton": [[1, 2], [2, 3], [0, 1], "x"]}
    dataset = read_dataset(write(tmp_path, [{"category_id": 3}], [category]))
    assert kinds(dataset) == [Kind.MALFORMED_ENTRY] * 3
    assert dataset.joints.skeleton == ((0, 1),)


def test_coco_keeps_the_mirror_image_and_that_joints_have_no_names(tmp_path: Path) -> None:
    names = ["joint 1", "joint 2", "joint 3"]
    own = {"id": 1, "name": "person", "keypoints": names, "skeleton": [], "flip_idx": [0, 2, 1]}
    dataset = read_dataset(write(tmp_path, [{"category_id": 1, "keypoints": PERSON}], [own]))
    assert dataset.joints == Joints(tuple(names), (0, 2, 1), named=False)
    tree = coco_tree(dataset, tmp_path)
    assert tree["categories"] == [own | {"id": 1}]
    apart = dataset._replace(class_names=("person", "hand"), category_ids=(1, 2))
    apart = apart._replace(joints=dataset.joints._replace(classes=((0, 1, 2), (1,))))
    assert [each.get("flip_idx") for each in coco_tree(apart, tmp_path)["categories"]] == [[0, 2, 1], None]


def test_a_mirror_image_that_is_none_is_told(tmp_path: Path) -> None:
    category = {"id": 1, "name": "person", "keypoints": ["a", "b"], "flip_idx": [1, 1]}
    dataset = read_dataset(write(tmp_path, [{"category_id": 1}], [category]))
    assert kinds(dataset) == [Kind.MALFORMED_ENTRY]
    assert dataset.joints.flip == ()


def test_joints_come_back_from_yolo(tmp_path: Path) -> None:
    own = [{"category_id": 3, "keypoints": PERSON}, {"category_id": 3, "keypoints": [0] * 9}]
    dataset = read_dataset(write(tmp_path / "a", own, CATEGORIES[:1]))
    dataset = dataset._replace(joints=dataset.joints._replace(flip=(0, 2, 1)))
    WRITERS["yolo-pose"](dataset, tmp_path / "b", "train", iter, bool)
    tree = yaml.safe_load((tmp_path / "b" / "data.yaml").read_text())
    assert tree["kpt_shape"] == [3, 3]
    assert tree["flip_idx"] == [0, 2, 1]
    back = read_dataset(tmp_path / "b", split="train")
    assert back.problems == []
    assert back.joints == dataset.joints._replace(skeleton=())
    ours, theirs = dataset.records[0].objects, back.records[0].objects
    assert theirs.values["visibility"].tolist() == ours.values["visibility"].tolist()
    np.testing.assert_allclose(theirs.values[KEYPOINTS.name], ours.values[KEYPOINTS.name], atol=1e-5)
    with pytest.raises(InputError, match="has no joints, which yolo-pose is for, choose yolo"):
        WRITERS["yolo-pose"](dataset._replace(joints=Joints()), tmp_path / "c", "train", iter, bool)
    with pytest.raises(InputError, match="its joints"):
        WRITERS["yolo-pose"](
            dataset._replace(joints=dataset.joints._replace(flip=(0, 1, 2))), tmp_path / "b", "val", iter, bool
        )


def test_classes_with_different_joints_come_back_from_yolo(tmp_path: Path) -> None:
    own = [{"category_id": 3, "keypoints": PERSON}, {"category_id": 7, "keypoints": DOG}, {"category_id": 9}]
    dataset = read_dataset(write(tmp_path / "a", own))
    written = WRITERS["yolo-pose"](dataset, tmp_path / "b", "train", iter, bool)
    assert [problem.what for problem in written.problems] == [
        "all classes get the 4 joints of all, those that a class lacks are not labelled",
        "the 3 lines of the skeleton are left out",
    ]
    back = read_dataset(tmp_path / "b", split="train")
    assert back.problems == []
    assert back.joints == Joints(dataset.joints.names, flip=(0, 2, 1, 3))
    ours, theirs = dataset.records[0].objects, back.records[0].objects
    assert theirs.known[KEYPOINTS.name].tolist() == ours.known[KEYPOINTS.name].tolist()
    assert theirs.values["visibility"].tolist() == ours.values["visibility"].tolist()
    np.testing.assert_allclose(theirs.values[KEYPOINTS.name], ours.values[KEYPOINTS.name], atol=1e-5)


def yolo(folder: Path, row: str, facts: dict[str, Any]) -> Dataset:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    Image.new("RGB", (100, 80)).save(folder / "images" / "a.png")
    (folder / "labels" / "a.txt").write_text(row)
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": ["hand"], "train": "images"} | facts))
    return read_dataset(folder, split="train")


def test_yolo_without_flags_or_names(tmp_path: Path) -> None:
    """A joint at the corner of the picture is not labelled; joints without names have numbers."""
    dataset = yolo(tmp_path, "0 0.5 0.5 0.6 0.6 0.25 0.5 0 0\n", {"kpt_shape": [2, 2]})
    assert dataset.joints == Joints(("joint 1", "joint 2"), named=False)
    assert dataset.records[0].objects.known[KEYPOINTS.name].tolist() == [[True, False]]
    assert dataset.records[0].objects.values[KEYPOINTS.name][0, :2].tolist() == [25, 40]


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"kpt_shape": [2]}, "kpt_shape must be"),
        ({"kpt_shape": [2, 3], "flip_idx": [0, 3]}, "flip_idx must say"),
        ({"kpt_shape": [2, 3], "kpt_names": {0: ["a"]}}, "kpt_names must be"),
    ],
)
def test_wrong_facts_of_yolo_are_told(facts: dict[str, Any], kind: str, tmp_path: Path) -> None:
    dataset = yolo(tmp_path, "0 0.5 0.5 0.6 0.6 0.25 0.5 2 0.3 0.3 2\n", facts)
    assert any(kind in problem.what for problem in dataset.problems)
    assert len(dataset.records[0].objects.labels) == 1
