"""Objects with corners: how they move, what a network learns of them and how it is decoded."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.data.dataset import span, turned_corners, with_corners
from centerx.decode import TORCH, Decode
from centerx.detector import mean_with_mirror
from centerx.fields import CORNERS, Outline
from centerx.geometry import rectify, rotation_matrix, scale_matrix, shift_matrix
from centerx.objects import Objects, make_objects
from centerx.runtime.outputs import NUMPY, detections_from_maps
from centerx.targets.soft import maps_from_objects
from centerx.tasks import QUADS, ROTATED, Task, make_task
from centerx.tasks.rotated import angle_of, sides_of
from centerx.types import Maps

HW = (96, 128)
MIRROR = shift_matrix(HW[1], 0) @ scale_matrix(-1, 1)


def quads(*corners: list[float]) -> Objects:
    """Objects with these corners, and the boxes around them."""
    rows = np.array(corners, dtype=np.float64)
    objects = make_objects(np.array([span(each) for each in corners]), np.zeros(len(rows), dtype=np.int64))
    return with_corners(objects, rows, np.ones(len(rows), dtype=bool))


def taught(objects: Objects, task: Task) -> Maps:
    """The maps of a teacher that finds the objects, all surely."""
    carried = objects.with_fields(task.fields).map(torch.from_numpy)
    score = torch.full((len(objects.labels), 1), 0.9)
    return maps_from_objects(carried._replace(values={**carried.values, "score": score}), 1, task, 1, 4, HW)


def decoded(maps: Maps, task: Task) -> dict[str, np.ndarray]:
    found = Decode(top_k=5, stride=4, task=task)(maps, HW)
    return {name: each[0][found.scores[0] > 0.5].numpy() for name, each in found.values.items()}


def same_polygon(first: np.ndarray, second: np.ndarray) -> float:
    """The largest distance of corners, wherever the order begins."""
    turns = [np.roll(second.reshape(4, 2), turn, axis=0) for turn in range(4)]
    return min(float(np.abs(first.reshape(4, 2) - each).max()) for each in turns)


# Order


@pytest.mark.parametrize("begin", range(4))
@pytest.mark.parametrize("backwards", [False, True])
def test_canonical_corners_begin_at_the_top_left_and_go_clockwise(begin: int, backwards: bool) -> None:
    corners = np.array([[10.0, 10], [30, 12], [28, 40], [8, 38]])
    given = np.roll(corners[::-1] if backwards else corners, begin, axis=0)
    assert Outline.normal(given.reshape(1, 8)).tolist() == [corners.ravel().tolist()]


def test_labelled_corners_keep_their_order_and_canonical_ones_do_not() -> None:
    objects = quads([30, 12, 28, 40, 8, 38, 10, 10])
    labelled = make_task("quads", "labelled")
    assert objects.with_fields(labelled.fields).values["corners"].tolist() == [[30, 12, 28, 40, 8, 38, 10, 10]]
    assert objects.with_fields(QUADS.fields).values["corners"].tolist() == [[10, 10, 30, 12, 28, 40, 8, 38]]


def test_in_a_mirror_the_left_of_an_object_becomes_its_right() -> None:
    """The first corner of a plate stays the one at its top left, seen in the mirror."""
    objects = quads([10, 10, 30, 12, 28, 40, 8, 38]).with_fields([CORNERS]).warp(MIRROR)
    assert objects.values["corners"].tolist() == [[98, 12, 118, 10, 120, 38, 100, 40]]
    assert objects.boxes.tolist() == [[98, 10, 120, 40]]


# Moves


def test_a_turned_quadrilateral_has_the_box_around_its_corners_and_not_around_its_box() -> None:
    """A square on its tip, turned by 45 degrees about its middle, is an upright square of half the area of its box."""
    diamond = quads([50, 30, 70, 50, 50, 70, 30, 50])
    turn = shift_matrix(50, 50) @ rotation_matrix(45) @ shift_matrix(-50, -50)
    half = 20 / math.sqrt(2)
    around = [50 - half, 50 - half, 50 + half, 50 + half]
    np.testing.assert_allclose(diamond.with_fields([CORNERS]).warp(turn).boxes, [around], rtol=1e-6)
    alone = make_objects(diamond.boxes, diamond.labels).with_fields([CORNERS]).warp(turn)
    assert (alone.boxes[0, 2:] - alone.boxes[0, :2]).min() > 50  # of a box alone it grows
    assert not alone.known["corners"].any()


def test_a_box_with_corners_is_not_clipped_and_one_without_is() -> None:
    objects = quads([-10, 10, 20, 10, 20, 30, -10, 30])
    assert objects.crop((96, 128), 0.3).boxes.tolist() == [[-10, 10, 20, 30]]
    assert make_objects(objects.boxes, objects.labels).crop((96, 128), 0.3).boxes.tolist() == [[0, 10, 20, 30]]
    assert objects.crop((96, 128), 0.9).ignore.tolist() == [True]


@pytest.mark.parametrize("task", [QUADS, make_task("quads", "labelled"), ROTATED], ids=["canonical", "labelled", "box"])
@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(40, 88), st.floats(36, 60)),
    st.tuples(st.floats(18, 30), st.floats(6, 14)),
    st.floats(-3.1, 3.1),
    st.floats(-180, 180),
)
def test_warp_encode_and_decode_commute(
    task: Task, centre: tuple[float, float], sides: tuple[float, float], radians: float, degrees: float
) -> None:
    """What is learned of a moved picture is the moved object: turned, scaled and in a mirror."""
    corners = turned_corners(centre, sides, radians)
    objects = quads(corners)
    middle = shift_matrix(64, 48) @ rotation_matrix(degrees) @ scale_matrix(0.8, 0.8) @ shift_matrix(-64, -48)
    for matrix in (np.eye(3), middle, MIRROR):
        moved = objects.with_fields(task.fields).warp(matrix)
        found = decoded(taught(moved, task), task)
        expected = np.reshape(corners, (4, 2)) @ matrix[:2, :2].T + matrix[:2, 2]
        (only,) = found["corners"]
        forwards, backwards = same_polygon(only, expected), same_polygon(only, expected[::-1])
        assert min(forwards, backwards) < 0.02
        np.testing.assert_allclose(found["boxes"][0], np.clip(span(expected.ravel()), 0, 128), atol=0.02)


@pytest.mark.parametrize("task", [QUADS, make_task("quads", "labelled"), ROTATED], ids=["canonical", "labelled", "box"])
def test_the_mean_with_the_mirror_image_is_the_same_object(task: Task) -> None:
    objects = quads(turned_corners((61, 45), (30, 14), 0.4))
    maps, mirrored = (taught(objects.with_fields(task.fields).warp(each), task) for each in (np.eye(3), MIRROR))
    both = decoded(mean_with_mirror(maps, mirrored, task.branches), task)
    alone = decoded(maps, task)
    np.testing.assert_allclose(both["corners"], alone["corners"], atol=0.02)


# Rotated boxes


@pytest.mark.parametrize("degrees", [0, 30, 89, 90, -30, -89, 135, 180])
def test_sides_and_angle_of_a_rectangle(degrees: float) -> None:
    """The longer side counts, and half a turn is none; the decoded angle is that of it, above -90 and up to 90."""
    for sides, turn in (((20, 8), 0), ((8, 20), 90)):
        corners = np.array([turned_corners((50, 40), sides, math.radians(degrees - turn))])
        np.testing.assert_allclose(sides_of(corners), [[20, 8]])
        twice = math.radians(2 * degrees)
        np.testing.assert_allclose(angle_of(corners), [[math.cos(twice), math.sin(twice)]], atol=1e-12)
        found = decoded(taught(quads(*corners.tolist()), ROTATED), ROTATED)
        wrapped = (degrees + 90) % 180 - 90
        off = abs(found["angles"][0, 0] - wrapped)
        assert min(off, 180 - off) < 0.01


def test_the_first_corners_of_a_rotated_box_lie_along_the_longer_side() -> None:
    found = decoded(taught(quads(turned_corners((50, 40), (8, 20), 0.0)), ROTATED), ROTATED)
    first, second, third, _ = found["corners"][0].reshape(4, 2)
    assert np.linalg.norm(second - first) == pytest.approx(20, abs=1e-3)
    assert np.linalg.norm(third - second) == pytest.approx(8, abs=1e-3)
    assert np.cross(second - first, third - second) > 0  # clockwise on a screen


@pytest.mark.parametrize("task", [QUADS, ROTATED])
def test_a_file_of_maps_gives_what_the_graph_gives(task: Task) -> None:
    rng = np.random.default_rng(0)
    objects = quads(*(turned_corners((x, y), (16, 8), rng.uniform(0, 3)) for x in (20, 60, 100) for y in (20, 60)))
    maps = taught(objects, task)
    graph = Decode(top_k=20, stride=4, task=task)(maps, HW)
    peaks = maps.heatmap.sigmoid() * (torch.nn.functional.max_pool2d(maps.heatmap, 3, 1, 1) == maps.heatmap)
    arrays: dict[str, Any] = {name: each.numpy() for name, each in maps.fields.items()} | {"heatmap": peaks.numpy()}
    ours = detections_from_maps(arrays, task, 4, 20)
    best = int((graph.scores[0] > 0.5).sum())
    assert best == 6
    boxes = ours.values["boxes"][0, :best], graph.values["boxes"][0, :best].numpy()
    first, second = (np.lexsort(each.T.round(1)) for each in boxes)
    for name, each in ours.values.items():
        theirs = graph.values[name][0, :best].numpy()  # in another order, as all score alike
        np.testing.assert_allclose(each[0, :best][first], theirs[second], atol=1e-3)


def test_the_outputs_have_the_shapes_of_the_contract() -> None:
    for output, channels, shape in zip(ROTATED.outputs, (4, 8, 1), ((2, 5, 4), (2, 5, 4, 2), (2, 5)), strict=True):
        shaped = output.shaped(np.zeros((2, 5, channels)))
        assert shaped.shape == shape
        assert output.flat(shaped).shape == (2, 5, channels)
    assert NUMPY._fields == TORCH._fields


def test_a_quadrilateral_seen_from_the_front() -> None:
    """Begun at its top right, red above blue becomes red beside blue."""
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    image[20:30, 20:40], image[30:40, 20:40] = (200, 0, 0), (0, 0, 200)
    front = rectify(image, np.array([[40.0, 20], [40, 40], [20, 40], [20, 20]]))  # begins at the top right
    assert front.shape == (20, 20, 3)
    assert front[2, 2, 0] == 200
    assert front[2, 17, 2] == 200
