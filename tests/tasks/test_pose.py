"""Poses: decoding, targets, losses and teachers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from centerx.data.stored import store_detections
from centerx.decode import TORCH, Decode
from centerx.detector import mean_with_mirror
from centerx.errors import InputError
from centerx.fields import KEYPOINTS
from centerx.joints import Joints
from centerx.losses.distill import DISTILL_LOSSES
from centerx.losses.terms import label_terms
from centerx.models import Branch, CenterHead
from centerx.runtime.outputs import NUMPY, detections_from_maps
from centerx.tasks import KEYPOINT_SCORES, make_task
from centerx.training.teachers import Distiller, Teacher, TeacherOutput, map_channels
from centerx.types import Batch, Detections, Maps
from tests.tasks.hands import (
    GRID,
    HAND,
    INPUT_HW,
    MIRROR,
    NAN,
    POSE,
    STRIDE,
    TWO,
    batch_of,
    hands,
    perfect_maps,
    targets_of,
)


def test_what_is_rendered_is_decoded() -> None:
    """Encode and decode are each other's reverse, and both decoders are one."""
    objects = hands(TWO, score=0.9)
    maps = perfect_maps(objects)
    ours = Decode(4, STRIDE, POSE)(maps, INPUT_HW)
    arrays = {name: each.numpy() for name, each in POSE.with_probabilities(maps.fields, TORCH).items()}
    peaks = torch.where(maps.heatmap.sigmoid() > 0.85, maps.heatmap.sigmoid(), 0).numpy()
    theirs = detections_from_maps({"heatmap": peaks, **arrays}, POSE, STRIDE, 4)
    for found in (ours, theirs):
        points = np.asarray(found.values["keypoints"])[0].reshape(-1, 3, 2)
        scores = np.asarray(found.values[KEYPOINT_SCORES])[0]
        first = 0 if abs(points[0, 0, 0] - 10) < 1 else 1
        np.testing.assert_allclose(points[first], TWO[0], atol=1e-3)
        np.testing.assert_allclose(points[1 - first, :2], TWO[1][:2], atol=1e-3)
        np.testing.assert_allclose(scores[first], 0.9, atol=1e-3)
        assert scores[1 - first, 2] < 0.5  # the joint that nobody knows


def test_joints_move_to_peaks_by_hand() -> None:
    """One centre at (34, 26); peaks: near, outside of the box, too far, too weak."""
    raw = {
        "size": torch.full((1, 2, *GRID), 5.0),  # cells: the box is 24..44 and 16..36
        "keypoints": torch.zeros(1, 6, *GRID),
        "offset": torch.full((1, 2, *GRID), 0.5),
        "joint_offset": torch.full((1, 2, *GRID), 0.25),
        "joint_heatmap": torch.full((1, 3, *GRID), -6.0),
    }
    raw["keypoints"][0, :, 6, 8] = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.0, 0.0])  # wrist at cell (9, 7), left at (7, 6)
    raw["joint_heatmap"][0, 0, 8, 9] = 2.0  # a cell below the wrist
    raw["joint_heatmap"][0, 1, 6, 4] = 2.0  # outside of the box
    raw["joint_heatmap"][0, 2, 6, 9] = -2.5  # weak: probability 0.076
    heatmap = torch.full((1, 1, *GRID), -6.0)
    heatmap[0, 0, 6, 8] = 3.0
    found = Decode(1, STRIDE, POSE)(Maps(heatmap, raw), INPUT_HW)
    points = found.values["keypoints"][0, 0].view(3, 2)
    assert points.tolist() == [[37.0, 33.0], [28.0, 24.0], [32.0, 24.0]]
    sure = torch.tensor([2.0, -6.0, -6.0]).sigmoid()
    torch.testing.assert_close(found.values[KEYPOINT_SCORES][0, 0], sure)
    far = raw | {"joint_heatmap": raw["joint_heatmap"].clone()}
    far["joint_heatmap"][0, 0] = -6.0
    far["joint_heatmap"][0, 0, 5, 7] = 2.0  # in the box, 2.8 cells away, where 0.3 of its side are 1.5
    points = Decode(1, STRIDE, POSE)(Maps(heatmap, far), INPUT_HW).values["keypoints"][0, 0].view(3, 2)
    assert points[0].tolist() == [36.0, 28.0]


def test_torch_and_numpy_refine_alike() -> None:
    rng = np.random.default_rng(0)
    table = Joints(HAND.names, HAND.flip, classes=((0, 1), (0, 1, 2)))
    task = make_task("pose", joints=table)
    maps = {
        "joint_heatmap": rng.random((2, 3, *GRID), dtype=np.float32),
        "joint_offset": rng.random((2, 2, *GRID), dtype=np.float32),
    }
    low = rng.uniform(0, 40, (2, 5, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (2, 5, 2))], axis=2).astype(np.float32)
    points = (np.tile(low, 3) + rng.uniform(0, 20, (2, 5, 6))).astype(np.float32)
    found = {"boxes": boxes, "whole": boxes, "keypoints": points}
    labels = rng.integers(0, 2, (2, 5))
    assert task.refine is not None
    theirs = task.refine(dict(found), labels, maps, STRIDE, NUMPY)
    tensors = [{name: torch.from_numpy(each) for name, each in some.items()} for some in (found, maps)]
    ours = task.refine(tensors[0], torch.from_numpy(labels), tensors[1], STRIDE, TORCH)
    for name, each in theirs.items():
        np.testing.assert_allclose(ours[name].numpy(), each, atol=1e-4)
    assert (theirs[KEYPOINT_SCORES][labels == 0, 2] == 0).all()
    assert (theirs[KEYPOINT_SCORES][labels == 1] > 0).all()


def test_a_mirror_image_swaps_left_and_right() -> None:
    objects = hands([[[10, 10], [17, 20], [NAN, NAN]]])
    mirrored = objects.warp(MIRROR)
    points = mirrored.values[KEYPOINTS.name].reshape(3, 2)
    assert mirrored.known[KEYPOINTS.name].tolist() == [[True, False, True]]
    assert points[[0, 2]].tolist() == [[54, 10], [47, 20]]
    again = mirrored.warp(MIRROR)
    assert again.known[KEYPOINTS.name].tolist() == objects.known[KEYPOINTS.name].tolist()
    np.testing.assert_allclose(again.values[KEYPOINTS.name][:, :4], objects.values[KEYPOINTS.name][:, :4])


def test_maps_of_a_mirror_image_are_the_mirror_image_of_maps() -> None:
    objects = hands([[[10, 10], [17.5, 20.25], [24, 9]]], score=0.8)
    maps, mirrored = perfect_maps(objects), perfect_maps(objects.warp(MIRROR))
    mean = mean_with_mirror(maps, mirrored, POSE.branches)
    found = Decode(1, STRIDE, POSE)(mean, INPUT_HW)
    np.testing.assert_allclose(found.values["keypoints"][0, 0].view(3, 2), TWO[0], atol=1e-2)


def test_joints_outside_a_picture_are_not_known() -> None:
    cut = hands(TWO).crop((48, 45), 0.1)
    assert cut.known[KEYPOINTS.name].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_targets_of_joints_by_hand() -> None:
    targets = targets_of(batch_of(hands(TWO))).joints
    ones = {tuple(each) for each in (targets.heatmap[0] == 1).nonzero().tolist()}  # joint, row, column
    assert ones == {(0, 2, 2), (1, 5, 4), (2, 2, 6), (0, 7, 10), (1, 10, 12)}
    assert (targets.weight[0, 2, 7:10, 10:12] == 0).all()  # in the box of the hand that lacks this joint
    assert targets.weight[0, 2].sum() == GRID[0] * GRID[1] - 4 * 4
    assert (targets.weight[0, :2] == 1).all()
    offsets = {tuple(each) for each in targets.places.goals["offset"][0].T.tolist()}
    assert (17.5 / 4 - 4, 20.25 / 4 - 5) in offsets
    assert targets.places.weights["offset"].sum() == 5


def test_what_labels_do_not_tell_is_no_background() -> None:
    """Joints of a class that a data set does not label have weight 0 everywhere, those of others keep theirs."""
    joints = HAND._replace(classes=((0, 1), (2,)))
    task = make_task("pose", joints=joints)
    supervised = np.ones((1, 2, 3), dtype=bool)
    supervised[0, 0, 2] = False
    targets = targets_of(batch_of(hands(TWO), supervised), 2, task)
    assert (targets.joints.weight[0, :2] == 0).all()
    assert (targets.joints.weight[0, 2] == 1).all()  # class 0 lacks this joint, so its boxes hide nothing
    assert targets.places.weights["keypoints"].sum() == 0
    assert targets.places.weights["size"].sum() == 2


@pytest.fixture(scope="module")
def branches() -> dict[str, Branch]:
    torch.manual_seed(0)
    return dict(CenterHead(4, 1, 4, POSE.branches).branches)


def test_losses_are_least_where_maps_are_right(branches: dict[str, Branch]) -> None:
    batch = batch_of(hands(TWO))
    targets, maps = targets_of(batch), perfect_maps(hands(TWO))
    terms = {term.field: float(value) for term, value in label_terms(maps, targets, branches).items()}
    assert set(terms) == {"heatmap", "size", "keypoints", "offset", "joint_heatmap", "joint_offset"}
    assert terms["keypoints"] < 1e-5
    assert terms["joint_offset"] < 1e-5
    moved = {**maps.fields, "keypoints": maps.fields["keypoints"] + 1}
    again = {t.field: float(v) for t, v in label_terms(maps._replace(fields=moved), targets, branches).items()}
    assert again["keypoints"] == pytest.approx(1, abs=1e-4)  # the mean over the known joints, in cells
    unknown = {**maps.fields, "keypoints": maps.fields["keypoints"].clone()}
    unknown["keypoints"][0, 4:, 8:, 10:] += 7  # the joint that nobody knows of the second hand
    again = {t.field: float(v) for t, v in label_terms(maps._replace(fields=unknown), targets, branches).items()}
    assert again["keypoints"] < 1e-5


class Says:
    """A teacher that gives maps."""

    def __init__(self, maps: Maps) -> None:
        self.maps = maps

    def __call__(self, batch: Batch, channels: list[int]) -> TeacherOutput:
        return TeacherOutput(self.maps)


@pytest.mark.parametrize("loss", DISTILL_LOSSES)
def test_a_teacher_teaches_the_joints_that_it_shares_by_name(loss: str, branches: dict[str, Branch]) -> None:
    """A teacher of other joints in another order: what it lacks has no error, what it has is in the student's place."""
    theirs = Joints(("thumb", "right_tip", "wrist"))
    order = [2, -1, 1]  # of wrist, left_tip, right_tip
    teacher_task = make_task("pose", joints=theirs)
    student = perfect_maps(hands(TWO[:1]))
    points = student.fields["keypoints"].unflatten(1, (3, 2))
    fields = student.fields | {
        "keypoints": torch.stack([points[:, 1] + 9, points[:, 2], points[:, 0]], dim=1).flatten(1, 2),
        "joint_heatmap": student.fields["joint_heatmap"][:, [1, 2, 0]],
    }
    teacher = Teacher("t", Says(student._replace(fields=fields)), ("hand",), teacher_task)
    (channel_map,) = map_channels([teacher], ("hand",), None, POSE)
    assert channel_map.joints == (2, 0, 1)
    assert channel_map.weights["keypoints"].tolist() == [[1, 0, 1]]
    assert theirs.places(HAND.names) == order
    distiller = Distiller([teacher], [channel_map], DISTILL_LOSSES[loss], ("hand",), POSE, branches, True, 1)
    terms = {term.field: float(v) for term, v in distiller.terms(student, torch.zeros(1), batch_of(hands(TWO))).items()}
    assert set(terms) == {"heatmap", "size", "keypoints", "offset", "joint_heatmap", "joint_offset"}
    assert terms["keypoints"] == pytest.approx(0, abs=1e-6)
    wrong = student.fields | {"keypoints": student.fields["keypoints"] + 1}
    terms = {
        term.field: float(v)
        for term, v in distiller.terms(student._replace(fields=wrong), torch.zeros(1), batch_of(hands(TWO))).items()
    }
    assert terms["keypoints"] == pytest.approx(2 if loss == "article" else 1, rel=1e-3)
    other = Teacher("t", Says(student), ("hand",), make_task("pose", joints=Joints(("tail",))))
    with pytest.raises(InputError, match="t knows none of the joints wrist, left_tip, right_tip, its own are tail"):
        map_channels([other], ("hand",), None, POSE)


def test_what_a_teacher_is_unsure_of_counts_for_less(branches: dict[str, Branch]) -> None:
    sure = np.array([[1.0, 0.2, 0.0]], dtype=np.float32)
    objects = hands(TWO[:1])
    found = Detections(
        objects.boxes, np.array([1.0]), objects.labels, ("hand",), task="pose", joints=HAND,
        values={"keypoints": objects.values["keypoints"].reshape(1, 3, 2), KEYPOINT_SCORES: sure},
    )  # fmt: skip
    stored = store_detections(("hand",), "pose", [found], joints=HAND)
    back = stored.of(0)
    np.testing.assert_array_equal(back.known[KEYPOINTS.name], sure)
    assert stored.detections(0).values["keypoints"].shape == (1, 3, 2)
    maps = perfect_maps(back.with_fields(POSE.fields)._replace(values=dict(back.values)))
    assert maps.sure["keypoints"][0, :, 3, 4].tolist() == pytest.approx([1.0, 0.2, 0.0])
    peaks = maps.fields["joint_heatmap"].sigmoid().amax(dim=(2, 3))
    assert peaks[0].tolist() == pytest.approx([1.0, 0.2, 1e-4], abs=1e-3)
