"""How many objects have joints and corners, and which of these are doubtful."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import centerx
from centerx.data.attributes import AttributeCounts, JointCount, attribute_problems, count_attributes
from centerx.data.check import log_dataset_problems
from centerx.data.read import read_dataset
from centerx.problems import Kind
from centerx.tasks import BOXES, POSE, QUADS, QUADS_AS_LABELLED
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture

NAMES = ["head", "left_elbow", "right_elbow", "left_hand", "right_hand"]
LINES = [[1, 2], [1, 3], [2, 4], [3, 5]]
RIGHT = [20, 5, 2, 30, 10, 2, 10, 10, 1, 32, 20, 2, 8, 20, 2]
SWAPPED = [*RIGHT[:9], *RIGHT[12:], *RIGHT[9:12]]  # the hands
OUTSIDE = [20, 5, 2, 30, 10, 2, 10, 10, 2, 32, 20, 2, 0, 0, 0]
CLOCKWISE, UPRIGHT = [10, 5, 20, 10, 16, 20, 6, 15], [5, 5, 25, 5, 25, 15, 5, 15]


def write(folder: Path, *annotations: dict[str, Any]) -> Path:
    write_picture(folder / "a.png")
    rows = [coco_annotation(number, **{"bbox": [5, 4, 30, 20]} | each) for number, each in enumerate(annotations)]
    categories = [{"id": 1, "name": "man", "keypoints": NAMES, "skeleton": LINES}, {"id": 2, "name": "ball"}]
    return write_coco(folder / "a.json", images=[coco_image()], annotations=rows, categories=categories)


def test_joints_and_corners_are_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"keypoints": RIGHT},
        {"keypoints": OUTSIDE, "segmentation": [CLOCKWISE], "bbox": [6, 5, 14, 15]},
        {},
        {"iscrowd": 1},
        {"category_id": 2, "segmentation": [UPRIGHT], "bbox": [5, 5, 20, 10]},
    )
    joints = [
        JointCount(name, *numbers)
        for name, numbers in zip(NAMES, [(2, 2), (2, 2), (2, 1), (2, 2), (1, 1)], strict=True)
    ]
    assert count_attributes(read_dataset(path)) == AttributeCounts(joints, 2, 1, 2, 2, 1)
    tree = centerx.check_data(path).to_json()
    assert tree["attributes"]["with_joints"] == 2
    assert tree["attributes"]["joints"][2] == {"name": "right_elbow", "labelled": 2, "visible": 1}
    json.dumps(tree)


def test_joints_that_seem_wrong_are_doubted(tmp_path: Path) -> None:
    path = write(tmp_path, {"keypoints": RIGHT}, {"keypoints": SWAPPED}, {"keypoints": OUTSIDE, "bbox": [5, 4, 12, 18]})
    outside, swapped = attribute_problems(read_dataset(path))
    assert (outside.kind, swapped.kind) == (Kind.JOINT_OUTSIDE_BOX, Kind.SWAPPED_JOINTS)
    assert "object 3: 'left_elbow' lies 13 pixels outside" in outside.what
    assert "object 2: 'left_hand' and 'right_hand' seem" in swapped.what
    assert not list(attribute_problems(read_dataset(path), BOXES))


def test_corners_that_go_the_other_way_are_doubted(tmp_path: Path) -> None:
    other = [*CLOCKWISE[:2], *CLOCKWISE[6:], *CLOCKWISE[4:6], *CLOCKWISE[2:4]]
    rows = [{"segmentation": [each], "bbox": [6, 5, 14, 15]} for each in (CLOCKWISE, CLOCKWISE, other)]
    dataset = read_dataset(write(tmp_path, *rows))
    (problem,) = attribute_problems(dataset)
    assert problem.kind is Kind.CORNER_ORDER
    assert "object 3: its corners go counterclockwise" in problem.what
    kinds = [
        [each.kind for each in log_dataset_problems(dataset, task=task)] for task in (QUADS, QUADS_AS_LABELLED, POSE)
    ]
    assert [Kind.CORNER_ORDER in each for each in kinds] == [False, True, False]
