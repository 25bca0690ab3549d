"""Pixels and boxes move by the same matrix, and pixel centres lie at whole numbers and a half."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.geometry import (
    PAD_VALUE,
    Letterbox,
    box_area,
    box_iou,
    clip_boxes,
    rotation_matrix,
    scale_matrix,
    shift_matrix,
    transform_boxes,
    warp_image,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

EMPTY = np.zeros((0, 4), np.float32)
MIDDLE_GREY = 128  # halfway from black to white, and above PAD_VALUE: where an edge lies after interpolation


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def white_rectangle(box: list[int], image_hw: tuple[int, int]) -> np.ndarray:
    image = np.zeros((*image_hw, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


def seen_box(image: np.ndarray) -> np.ndarray:
    """xyxy around the white pixels."""
    y, x = np.nonzero(image[:, :, 0] >= MIDDLE_GREY)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64)


# Warping


def test_identity_changes_nothing():
    image = random_image(37, 53)
    assert np.array_equal(warp_image(image, np.eye(3), (37, 53)), image)


def test_whole_pixel_shift_copies_pixels_and_pads():
    image = random_image(20, 30)
    warped = warp_image(image, shift_matrix(4, -3), (20, 30))
    assert np.array_equal(warped[:17, 4:], image[3:, :26])
    assert np.all(warped[17:] == PAD_VALUE)
    assert np.all(warped[:, :4] == PAD_VALUE)


def test_mirror_about_the_middle_is_a_flip():
    image = random_image(21, 34)
    assert np.array_equal(warp_image(image, shift_matrix(34, 0) @ scale_matrix(-1, 1), (21, 34)), image[:, ::-1])
    assert np.array_equal(warp_image(image, shift_matrix(0, 21) @ scale_matrix(1, -1), (21, 34)), image[::-1])


def test_quarter_turn_is_exact_and_clockwise():
    image = random_image(21, 34)
    turned = warp_image(image, shift_matrix(21, 0) @ rotation_matrix(90), (34, 21))
    assert np.array_equal(turned, np.rot90(image, k=-1))


def test_doubling_interpolates_between_pixel_centres():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 200
    doubled = warp_image(image, scale_matrix(2, 1), (1, 4))[0, :, 0].astype(int)
    # The output's pixel centres lie at source x = 0.25, 0.75, 1.25, 1.75; the source's at 0.5 and 1.5.
    assert np.abs(doubled[1:3] - [50, 150]).max() <= 1
    assert np.abs(doubled[[0, 3]] - [0.25 * PAD_VALUE, 0.75 * 200 + 0.25 * PAD_VALUE]).max() <= 1


@pytest.mark.parametrize("factor", [2, 3, 4, 6, 8, 10, 22])
def test_whole_shrink_is_the_mean_of_blocks(factor):
    image = random_image(6 * factor, 9 * factor)
    shrunk = warp_image(image, scale_matrix(1 / factor, 1 / factor), (6, 9))
    assert np.array_equal(shrunk, cv2.resize(image, (9, 6), interpolation=cv2.INTER_AREA))
    means = image.reshape(6, factor, 9, factor, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - means).max() <= 1


@pytest.mark.parametrize("side", [63, 99, 127])
@pytest.mark.parametrize("scale", [0.9, 0.5, 0.34, 0.126, 0.11])
def test_a_ramp_keeps_its_place_where_blocks_do_not_divide_the_side(side, scale):
    """A picture whose value is twice x, shrunk: pixel i must show what lay around x = (i + 0.5) / scale."""
    image = np.repeat(2 * np.arange(side, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(side, axis=0)
    out = int(side * scale)
    shrunk = warp_image(image, scale_matrix(scale, scale), (out, out))[:, 1:-1, 0].astype(float)
    expected = 2 * (np.arange(1, out - 1) + 0.5) / scale - 1
    assert np.abs(shrunk[1:-1] - expected).max() <= 1.5


@pytest.mark.parametrize("scale", [0.45, 0.3, 0.21, 0.1, 0.037])
def test_shrinking_does_not_alias(scale):
    """A one-pixel chessboard is grey from afar; sampling without averaging shows black or white pixels."""
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    image = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    side = int(400 * scale)
    inner = warp_image(image, scale_matrix(scale, scale), (side, side))[1:-1, 1:-1].astype(float)
    assert np.abs(inner - 127.5).max() < 64


@pytest.mark.parametrize(("source_hw", "scale"), [((1, 1), 0.25), ((1, 500), 0.1), ((5, 7), 0.02), ((3, 3), 40.0)])
def test_extreme_sizes_give_the_asked_size(source_hw, scale):
    warped = warp_image(np.full((*source_hw, 3), 255, np.uint8), scale_matrix(scale, scale), (32, 64))
    assert warped.shape == (32, 64, 3)
    assert warped.dtype == np.uint8


def test_warping_leaves_its_input_alone():
    image = random_image(40, 40)
    before = image.copy()
    warp_image(image, scale_matrix(0.4, 0.4), (16, 16))
    assert np.array_equal(image, before)


@settings(max_examples=80, deadline=None)
@given(
    zoom=st.floats(0.15, 3),
    degrees=st.floats(-180, 180),
    shift=st.tuples(st.floats(-15, 15), st.floats(-15, 15)),
    mirror=st.booleans(),
    left=st.integers(4, 60),
    top=st.integers(4, 40),
    width=st.integers(30, 56),
    height=st.integers(30, 36),
)
def test_a_rectangle_stays_in_its_moved_box(zoom, degrees, shift, mirror, left, top, width, height):
    box = [left, top, left + width, top + height]
    matrix = (
        shift_matrix(200 + shift[0], 200 + shift[1])
        @ rotation_matrix(degrees)
        @ scale_matrix(-zoom if mirror else zoom, zoom)
        @ shift_matrix(-60, -40)
    )
    seen = seen_box(warp_image(white_rectangle(box, (80, 120)), matrix, (420, 420)))
    moved = transform_boxes(np.array([box], np.float64), matrix)[0]
    assert np.all(seen[:2] >= moved[:2] - 1)
    assert np.all(seen[2:] <= moved[2:] + 1)
    assert np.abs(seen - moved).max() <= 1 + zoom  # a turned corner ends in a point that interpolation rounds off


# Letterbox


@pytest.mark.parametrize(
    ("source_hw", "input_hw", "scale"),
    [
        ((480, 640), (256, 256), 0.4),
        ((640, 480), (256, 256), 0.4),
        ((100, 50), (64, 64), 0.64),
        ((10, 20), (64, 160), 6.4),
        ((256, 256), (256, 256), 1.0),
    ],
)
def test_letterbox_scale_by_hand(source_hw, input_hw, scale):
    frame = Letterbox.fit(source_hw, input_hw)
    assert frame.scale == pytest.approx(scale)
    assert frame.source_hw == source_hw
    corner = transform_boxes(np.array([[0, 0, source_hw[1], source_hw[0]]], np.float64), frame.matrix)[0]
    assert corner.tolist() == pytest.approx([0, 0, source_hw[1] * scale, source_hw[0] * scale])


@settings(max_examples=60, deadline=None)
@given(
    source_hw=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    input_hw=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    seed=st.integers(0, 999),
)
def test_letterbox_round_trip(source_hw, input_hw, seed):
    input_hw = (input_hw[0] * 32, input_hw[1] * 32)
    limit = np.array([source_hw[1], source_hw[0]])
    points = np.random.default_rng(seed).uniform(0, 1, (5, 2, 2)) * limit
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(np.float32)
    frame = Letterbox.fit(source_hw, input_hw)
    placed = transform_boxes(boxes, frame.matrix)
    assert placed.dtype == np.float32
    assert np.all(placed <= np.array([input_hw[1], input_hw[0]] * 2) * (1 + 1e-6))
    assert np.abs(frame.to_source(placed) - boxes).max() <= 1e-3 * max(1, limit.max() / 1000)


def test_letterbox_pixels_come_back_where_they_were():
    box = [40, 20, 200, 90]
    frame = Letterbox.fit((120, 310), (96, 128))
    image = warp_image(white_rectangle(box, (120, 310)), frame.matrix, (96, 128))
    assert np.abs(frame.to_source(seen_box(image)) - box).max() <= 1 / frame.scale
    used = int(np.ceil(120 * frame.scale))
    assert np.all(image[used:] == PAD_VALUE)


def test_to_source_clips_and_takes_no_boxes():
    frame = Letterbox.fit((100, 200), (64, 64))
    assert frame.to_source(np.array([[-5.0, -5.0, 64.0, 64.0]])).tolist() == [[0, 0, 200, 100]]
    assert frame.to_source(EMPTY).shape == (0, 4)


# Boxes


@pytest.mark.parametrize(
    ("matrix", "moved"),
    [
        (np.eye(3), [1, 2, 5, 4]),
        (shift_matrix(10, -2), [11, 0, 15, 2]),
        (scale_matrix(2, 3), [2, 6, 10, 12]),
        (scale_matrix(-1, 1), [-5, 2, -1, 4]),
        (rotation_matrix(90), [-4, 1, -2, 5]),
        (rotation_matrix(180), [-5, -4, -1, -2]),
        (shift_matrix(1, 0) @ scale_matrix(2, 2), [3, 4, 11, 8]),
    ],
)
def test_transform_boxes_by_hand(matrix, moved):
    boxes = np.array([[1, 2, 5, 4]], np.float32)
    result = transform_boxes(boxes, matrix)
    assert result.dtype == np.float32
    assert result[0].tolist() == pytest.approx(moved, abs=1e-5)
    assert boxes.tolist() == [[1, 2, 5, 4]]


def test_a_turned_square_gets_the_box_around_its_corners():
    turned = transform_boxes(np.array([[-1.0, -1.0, 1.0, 1.0]]), rotation_matrix(45))
    assert turned[0].tolist() == pytest.approx([-np.sqrt(2), -np.sqrt(2), np.sqrt(2), np.sqrt(2)])


@pytest.mark.parametrize("operation", [xyxy_to_xywh, xywh_to_xyxy])
def test_formats_keep_shape(operation):
    assert operation(EMPTY).shape == (0, 4)
    assert operation(np.zeros((2, 3, 4))).shape == (2, 3, 4)


def test_formats_by_hand():
    assert xyxy_to_xywh(np.array([[1, 2, 5, 4]])).tolist() == [[1, 2, 4, 2]]
    assert xywh_to_xyxy(np.array([[1, 2, 4, 2]])).tolist() == [[1, 2, 5, 4]]


def test_area_clip_and_empty_boxes():
    assert box_area(np.array([[0, 0, 3, 4], [3, 3, 1, 5], [2, 2, 2, 9]])).tolist() == [12, 0, 0]
    clipped = clip_boxes(np.array([[-1.0, 2, 300, 500], [70, 80, 90, 95]]), (60, 100))
    assert clipped.tolist() == [[0, 2, 100, 60], [70, 60, 90, 60]]
    assert clip_boxes(EMPTY, (5, 5)).shape == transform_boxes(EMPTY, np.eye(3)).shape == (0, 4)
    assert box_area(EMPTY).shape == (0,)
    assert box_iou(EMPTY, np.ones((3, 4))).shape == (0, 3)
    assert box_iou(np.ones((3, 4)), EMPTY).shape == (3, 0)


def test_iou_by_hand():
    first = np.array([[0, 0, 2, 2], [5, 5, 5, 5]], np.float64)
    second = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2], [0, 0, 1, 1], [5, 5, 5, 5]], np.float64)
    assert box_iou(first, second)[0].tolist() == pytest.approx([1 / 7, 1, 0, 1 / 4, 0])
    assert box_iou(first, second)[1].tolist() == [0, 0, 0, 0, 0]


def test_iou_agrees_with_torchvision():
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    points = np.random.default_rng(0).uniform(0, 50, (2, 60, 2, 2))
    first, second = np.concatenate([points.min(axis=2), points.max(axis=2)], axis=-1)
    expected = ops.box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert np.abs(box_iou(first, second) - expected).max() < 1e-9
