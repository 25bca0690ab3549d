"""Large pictures in tiles, seen by a session that finds every rectangle, as far as its tile shows it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

import centerx as package
from centerx.exporting.parity import synthetic_images
from centerx.geometry import box_iou
from centerx.runtime import Predictor, TiledPredictor, Tiles
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import stack_rows
from centerx.runtime.tiled import join_views
from centerx.tasks import CENTER
from centerx.types import Detections, RawDetections

SIDE, OVERLAP = 128, 0.25  # objects up to 32 pixels are whole in some tile
CELL = np.array([4.0, 4.0])


class Seeing:
    """Finds each connected area of one grey level, of at least two pixels; the level is its class and score.

    Args:
        task: `boxes` or `center`.
    """

    any_size = False

    def __init__(self, task: str = "boxes") -> None:
        self.info = ModelInfo(("a", "b", "c"), (SIDE, SIDE), 4, top_k=200, task=task)
        self.calls: list[int] = []

    def __call__(self, images: np.ndarray) -> RawDetections:
        self.calls.append(len(images))
        rows = []
        for image in images[:, 0]:
            found, scores, labels = [], [], []
            for label, level in enumerate((100, 150, 200)):
                mask = (np.abs(image.astype(int) - level) < 8).astype(np.uint8)
                for x, y, width, height, area in cv2.connectedComponentsWithStats(mask, connectivity=4)[2][1:]:
                    if area >= 4 and min(width, height) >= 2:  # a line is where a resized area fades
                        found.append([x, y, x + width, y + height])
                        scores.append(0.5 + 0.4 * area / SIDE**2)
                        labels.append(label)
            boxes = np.array(found, dtype=np.float32).reshape(-1, 4)
            values = {"boxes": boxes} if self.info.task == "boxes" else {"points": (boxes[:, :2] + boxes[:, 2:]) / 2}
            rows.append((values, np.array(scores, dtype=np.float32), np.array(labels, dtype=np.int64)))
        return stack_rows(rows)


def painted(boxes: np.ndarray, labels: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    image = np.zeros((*image_hw, 3), np.uint8)
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        image[top:bottom, left:right] = (100, 150, 200)[label]
    return image


def apart(rng: np.random.Generator, sides: tuple[int, int], count: int, image_hw: tuple[int, int]) -> np.ndarray:
    """Random boxes that do not touch, (N, 4)."""
    boxes = np.zeros((0, 4), dtype=np.int64)
    for _ in range(count):
        size = rng.integers(*sides, size=2, endpoint=True)
        low = rng.integers(0, np.array(image_hw[::-1]) - size)
        box = np.concatenate([low, low + size])[None]
        grown = box + np.array([-3, -3, 3, 3])
        touching = (boxes[:, :2] < grown[:, 2:]).all(axis=1) & (boxes[:, 2:] > grown[:, :2]).all(axis=1)
        boxes = boxes if touching.any() else np.concatenate([boxes, box])
    return boxes


def tiled(session: Seeing, batch: int = 8, whole: bool = False) -> TiledPredictor:
    return TiledPredictor(session, None, None, Tiles.of(SIDE, OVERLAP, whole), batch)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_every_object_up_to_the_overlap_is_found_once_and_exactly(seed: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    image_hw = int(rng.integers(129, 700)), int(rng.integers(129, 700))
    boxes = apart(rng, (3, 24), 400, image_hw)  # a cell, 4 pixels, is lost at either border
    labels = rng.integers(0, 3, len(boxes))
    found = tiled(Seeing(), whole=whole)(painted(boxes, labels, image_hw))
    assert len(found) == len(boxes) > 10
    assert sorted(map(tuple, np.column_stack([found.boxes, found.labels]).tolist())) == sorted(
        map(tuple, np.column_stack([boxes, labels]).astype(float).tolist())
    )
    assert (np.diff(found.scores) <= 0).all()
    at_once = Predictor(Seeing())(painted(boxes, labels, image_hw))
    assert len(at_once) < len(boxes)  # small ones are lost where the picture is shrunk


@pytest.mark.parametrize("seed", range(5))
def test_large_objects_are_found_once_on_the_whole_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image_hw = (600, 500)
    boxes = apart(rng, (140, 260), 6, image_hw)
    labels = rng.integers(0, 3, len(boxes))
    found = tiled(Seeing(), whole=True)(painted(boxes, labels, image_hw))
    overlap = box_iou(boxes, found.boxes) * (labels[:, None] == found.labels)
    assert (overlap.max(axis=1) > 0.9).all()
    assert len(found) == len(boxes)
    assert len(tiled(Seeing())(painted(boxes, labels, image_hw))) > len(boxes)  # their parts


def test_objects_of_a_crowd_do_not_suppress_each_other() -> None:
    """Two boxes of one class and IoU 0.6 in a corner that four tiles show."""
    first, second = np.array([90.0, 90, 120, 120]), np.array([97.5, 90, 127.5, 120])
    windows = Tiles.of(SIDE, OVERLAP).windows((224, 224))
    assert len(windows) == 4
    inside = [(first >= np.tile(window[:2], 2)).all() for window in windows]
    assert sum(inside) == 1  # of the others, borders cut the boxes
    jitter = np.random.default_rng(0).normal(0, 0.5, (4, 2, 4))
    parts = []
    for window, moved in zip(windows, jitter, strict=True):
        boxes = np.clip(np.stack([first, second]) + moved, np.tile(window[:2], 2), np.tile(window[2:], 2))
        parts.append(Detections(boxes, np.array([0.9, 0.4]), np.zeros(2, dtype=np.int64)))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    found = join_views(nothing, parts, windows, np.array([1.0, 1.0]))
    assert len(found) == 2
    assert box_iou(found.boxes, np.stack([first, second])).argmax(axis=1).tolist() == [0, 1]


def test_another_class_is_another_object() -> None:
    windows = np.array([[0, 0, 100, 100], [60, 0, 160, 100]])
    box = np.array([[70.0, 20, 90, 40]])
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    parts = [Detections(box, np.array([0.8]), np.array([label])) for label in (0, 1)]
    assert join_views(nothing, parts, windows, CELL).labels.tolist() == [0, 1]
    same = [part.where([0]) for part in (parts[0], Detections(box + 1, np.array([0.9]), np.array([0])))]
    joined = join_views(nothing, same, windows, CELL)
    assert (joined.scores.tolist(), joined.boxes.tolist()) == ([0.9], [[71.0, 21.0, 91.0, 41.0]])


@pytest.mark.parametrize("seed", range(3))
def test_points_are_found_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = apart(rng, (6, 12), 200, (400, 500))
    labels = rng.integers(0, 3, len(boxes))
    found = tiled(Seeing(CENTER.name))(painted(boxes, labels, (400, 500)))
    due = (boxes[:, :2] + boxes[:, 2:]) / 2
    distances = np.linalg.norm(found.centers[:, None] - due, axis=-1)
    assert len(found) == len(boxes)
    assert (distances.min(axis=0) < 0.1).all()
    np.testing.assert_array_equal(found.values["points"], found.boxes[:, :2])


def test_tiles_go_through_the_network_in_batches() -> None:
    session = Seeing()
    tiled(session, batch=3).predict_batch([np.zeros((128, 200, 3), np.uint8), np.zeros((90, 128, 3), np.uint8)])
    assert session.calls == [3]  # two tiles, and a picture of one
    tiled(session, batch=2, whole=True)(np.zeros((128, 200, 3), np.uint8))
    assert session.calls == [3, 2, 1]


def test_a_picture_of_one_tile_is_as_without_tiles(onnx_file: Path) -> None:
    image = synthetic_images(1, (90, 128), seed=3)[0].transpose(1, 2, 0)
    plain, cut = package.load(onnx_file)(image), package.load(onnx_file, tiles=128)(image)
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(plain, name))


def test_a_tile_is_seen_as_the_picture_it_is(onnx_file: Path) -> None:
    """What only one tile shows, away from its borders, has the boxes of that part alone, moved."""
    image = synthetic_images(1, (96, 400), seed=5)[0].transpose(1, 2, 0)
    detector = package.load(onnx_file, tiles=(96, 128), overlap=0.25)
    left = detector.tiles.windows((96, 400))[1, 0]
    alone = package.load(onnx_file)(np.ascontiguousarray(image[:, left : left + 128]))
    found = detector(image)
    middle = (alone.boxes[:, 0] > 45) & (alone.boxes[:, 2] < 83)
    assert middle.sum() > 3
    moved = alone.boxes[middle] + np.float32([left, 0, left, 0])
    assert (box_iou(moved, found.boxes).max(axis=1) > 0.999).all()


def test_copies_and_pickles_keep_their_tiles(onnx_file: Path) -> None:
    detector = package.load(onnx_file, tiles=(96, 64), overlap=0.5, batch=5)
    for other in (copy.copy(detector), pickle.loads(pickle.dumps(detector))):
        assert isinstance(other, TiledPredictor)
        assert (other.tiles, other.batch) == (Tiles((96, 64), 0.5), 5)
