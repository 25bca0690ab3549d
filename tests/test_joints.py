"""Joints: their names in a mirror image, and joints of several parts together."""

from __future__ import annotations

import json

import pytest

from centerx.errors import InputError
from centerx.joints import (
    COCO_JOINTS,
    COCO_SKELETON,
    Joints,
    default_sigmas,
    flip_by_names,
    flip_by_pairs,
    is_mirror,
    join_joints,
    mirrored_name,
    renamed_joints,
    twice_paired,
)

FACE = Joints(("nose", "left_eye", "right_eye"), (0, 2, 1), ((0, 1), (0, 2)))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("left_eye", "right_eye"), ("RightHand", "LeftHand"), ("eye_L", "eye_R"), ("l_wrist", "r_wrist"),
        ("leftear", "rightear"), ("nose", None), ("handLeft", "handRight"),
        ("bright_spot", None), ("copyright", None), ("tail", None), ("curl", None), ("handR", "handL"),
    ],
)  # fmt: skip
def test_names_of_a_side_have_a_mirror_image(name: str, other: str | None) -> None:
    assert mirrored_name(name) == other
    if other is not None:
        assert mirrored_name(other) == name


def test_the_order_of_a_mirror_image() -> None:
    assert flip_by_names(FACE.names, "data") == (0, 2, 1)
    assert flip_by_names(COCO_JOINTS, "data")[:5] == (0, 2, 1, 4, 3)
    assert flip_by_pairs(("a", "b", "c"), [("c", "a")]) == (2, 1, 0)
    with pytest.raises(InputError, match="data: the joint 'left_ear' has no 'right_ear'"):
        flip_by_names(("left_ear",), "data")


def test_the_skeleton_of_coco_joins_its_joints() -> None:
    assert {name for pair in COCO_SKELETON for name in pair} == set(COCO_JOINTS)
    assert all(sigma > 0 for sigma in default_sigmas(COCO_JOINTS))
    assert default_sigmas(("nose", "tail")) == (0.026, 0.05)


def test_joints_of_one_name_are_one() -> None:
    dog = Joints(("nose", "tail"), skeleton=((0, 1),))
    both = join_joints([(FACE, ("person",)), (dog, ("dog",))], ("dog", "person"))
    assert both.names == ("nose", "left_eye", "right_eye", "tail")
    assert both.classes == ((0, 3), (0, 1, 2))
    assert both.skeleton == ((0, 1), (0, 2), (0, 3))
    assert both.flip == (0, 2, 1, 3)  # nobody told it of the tail, which has no side
    assert both.table(2) == [[1, 0, 0, 1], [1, 1, 1, 0]]
    assert renamed_joints(both, [-1, 0], 1).classes == ((0, 1, 2),)
    assert join_joints([(FACE, ("person",)), (FACE, ("child",))], ("person", "child")) == FACE


def test_numbered_joints_go_with_the_same_alone() -> None:
    numbered = Joints(("joint 1", "joint 2"), named=False)
    assert join_joints([(numbered, ("a",)), (numbered, ("b",))], ("a", "b")).names == numbered.names
    with pytest.raises(InputError, match="has 2 joints without names, another 3"):
        join_joints([(numbered, ("a",)), (FACE, ("a",))], ("a",))


def test_text_of_joints_comes_back() -> None:
    whole = FACE._replace(sigmas=(0.1, 0.2, 0.3), classes=((0,), (1, 2)))
    assert Joints.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "tree",
    [
        [], {"names": "nose"}, {"names": ["a", "a"]}, {"names": [1]}, {"names": ["a"], "flip": [1]},
        {"names": ["a", "b"], "flip": [0, 0]}, {"names": ["a"], "skeleton": [[0, 1]]}, {"names": ["a"], "other": 1},
        {"names": ["a"], "skeleton": [[0]]}, {"names": ["a"], "sigmas": [0.0]}, {"names": ["a"], "sigmas": [1, 2]},
        {"names": ["a"], "classes": [[True]]}, {"names": ["a"], "classes": [["a"]]}, {"names": ["a"], "flip": 3},
    ],
)  # fmt: skip
def test_other_texts_are_no_joints(tree: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Joints.from_json(json.dumps(tree))


def test_what_one_part_tells_of_a_mirror_image_stays() -> None:
    hand, foot = Joints(("hand", "foot"), (1, 0)), Joints(("left_eye", "right_eye", "tail"))
    assert join_joints([(hand, ("a",)), (foot, ("a",))], ("a",)).flip == (1, 0, 3, 2, 4)
    with pytest.raises(InputError, match=r"in the place of 'hand' in a mirror image, another 'hand'; set"):
        join_joints([(hand, ("a",)), (hand._replace(flip=(0, 1)), ("a",))], ("a",))


def test_a_joint_is_in_one_pair() -> None:
    assert twice_paired([("a", "b"), ("c", "d")]) is None
    assert twice_paired([("a", "b"), ("c", "a")]) == "a"
    assert is_mirror((1, 0, 2), 3)
    assert not is_mirror((1, 2, 0), 3)
