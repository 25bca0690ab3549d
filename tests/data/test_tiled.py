"""Large pictures as samples of tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource
from centerx.data.stored import store_detections
from centerx.data.tiled import TiledSource
from centerx.problems import Kind
from centerx.tiles import Tiles
from centerx.types import Detections
from tests.made import make_record

BOXES = [[0, 0, 10, 10], [55, 10, 75, 30], [58, 50, 98, 60], [90, 70, 130, 110]]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A picture of 100 x 140 whose pixels tell their place, and a small one."""
    rows, columns = np.mgrid[:100, :140]
    large = np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    Image.fromarray(large[:30, :40]).save(tmp_path / "small.png")
    records = [
        make_record(tmp_path / "large.png", 7, BOXES, [0, 1, 0, 1], [False, False, False, True], declared_hw=(1, 1)),
        make_record(tmp_path / "small.png", 8, [[1, 2, 30, 20]], [0]),
    ]
    return Dataset(tmp_path, "made", ("a", "b"), (1, 2), records, [])


def tiled(dataset: Dataset, min_visible: float = 0.3) -> TiledSource:
    return TiledSource([dataset], dataset.class_names, tiles=Tiles.of((100, 80), 0.25), min_visible=min_visible)


def test_tiles_have_their_pixels_and_objects(dataset: Dataset) -> None:
    source = tiled(dataset)
    assert [window for _, window in source.places] == [(0, 0, 80, 100), (60, 0, 140, 100), (0, 0, 40, 30)]
    left, right, small = (source.sample(index) for index in range(3))
    assert (left.image.shape, right.image.shape, small.image.shape) == ((100, 80, 3), (100, 80, 3), (30, 40, 3))
    assert right.image[5, 3].tolist() == [5, 63, 0]
    assert left.objects.boxes.tolist() == [[0, 0, 10, 10], [55, 10, 75, 30], [58, 50, 80, 60]]
    assert left.objects.ignore.tolist() == [False, False, False]
    # 15 / 20 and 38 / 40 of two boxes are shown, and all the width of the last, which the picture cuts itself.
    assert right.objects.boxes.tolist() == [[0, 10, 15, 30], [0, 50, 38, 60], [30, 70, 70, 100]]
    assert right.objects.labels.tolist() == [1, 0, 1]
    assert right.objects.ignore.tolist() == [False, False, True]
    assert source.problems == []
    assert [entry.record.declared_hw for entry in source.entries] == [(100, 80), (100, 80), (30, 40)]


def test_what_a_tile_hardly_shows_is_ignored_and_counted(dataset: Dataset) -> None:
    source = tiled(dataset, min_visible=0.8)
    assert source.sample(0).objects.ignore.tolist() == [False, False, True]  # 22 / 40
    assert source.sample(1).objects.ignore.tolist() == [True, False, True]  # 15 / 20, 38 / 40, and what always is
    [problem] = source.problems
    assert (problem.kind, problem.times) == (Kind.CUT_BY_TILE, 2)
    assert problem.where.endswith("large.png")


def test_a_tile_as_large_as_the_picture_is_the_picture(dataset: Dataset) -> None:
    cut = TiledSource([dataset], dataset.class_names, tiles=Tiles.of(200), min_visible=0.0)
    for one, other in zip(
        map(cut.sample, range(2)), map(SampleSource([dataset], ("a", "b")).sample, range(2)), strict=True
    ):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.objects.labels, other.objects.labels)
        inside = np.minimum(other.objects.boxes, [*one.image.shape[1::-1]] * 2)
        np.testing.assert_array_equal(one.objects.boxes, inside)


def test_what_teachers_found_on_the_picture_is_cut_too(dataset: Dataset) -> None:
    found = Detections(np.array([[50.0, 0, 70, 20]]), np.array([0.7]), np.array([1]))
    stored = store_detections(("a", "b"), "boxes", [found, None], [None, None])
    source = tiled(dataset).with_detections([stored])
    left, right, small = (source.sample(index) for index in range(3))
    assert [each.detections[0].boxes.tolist() for each in (left, right, small)] == [
        [[50, 0, 70, 20]],
        [[0, 0, 10, 20]],
        [],
    ]
    assert [each.answered for each in (left, right, small)] == [(True,), (True,), (False,)]


def test_a_missing_picture_is_one_tile_that_cannot_be_read(dataset: Dataset) -> None:
    gone = dataset._replace(records=[dataset.records[0]._replace(image=Path("gone.png"), declared_hw=(50, 60))])
    assert [window for _, window in tiled(gone).places] == [(0, 0, 60, 50)]
