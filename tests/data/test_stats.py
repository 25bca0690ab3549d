"""Figures of a data set, worked out by hand, and their plots."""

from pathlib import Path

import numpy as np
import pytest

from centerx.data.dataset import Dataset
from centerx.data.plots import PLOTS, write_plots
from centerx.data.stats import CELLS, dataset_stats
from centerx.images import read_image
from tests.data.handmade import write_picture
from tests.made import make_record


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three pictures: boxes of 30 x 30, 120 x 30 and an ignored one, a point, nothing."""
    picture = write_picture(tmp_path / "a.png", (200, 100))
    objects = [[0, 0, 30, 30], [40, 35, 160, 65], [1, 1, 2, 2]]
    records = [
        make_record(picture, 1, objects, [0, 1, 1], [False, False, True]),
        make_record(tmp_path / "gone.png", 2, [[7, 9, 7, 9]], [0], declared_hw=(10, 10)),
        make_record(tmp_path / "unknown.png", 3, [], []),
    ]
    return Dataset(tmp_path, "memory", ("cat", "$o_x$", "pig"), (1, 2, 3), records, [])


def test_figures(dataset: Dataset) -> None:
    stats = dataset_stats(dataset)
    assert (stats.pictures, stats.empty) == (3, 1)
    np.testing.assert_allclose(stats.sides, [30, 60])
    np.testing.assert_allclose(stats.shares, np.array([30, 60]) / np.sqrt(200 * 100))
    np.testing.assert_allclose(stats.shapes, [1, 4])
    assert stats.per_picture.tolist() == [2, 1, 0]
    assert stats.hw.tolist() == [[100, 200], [10, 10], [0, 0]]
    cells = {(CELLS * 15 // 100, CELLS * 15 // 200), (CELLS // 2, CELLS // 2), (CELLS * 9 // 10, CELLS * 7 // 10)}
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(stats.places)), strict=True)) == cells
    tree = stats.to_dict()
    assert tree["sizes"] == {"small": 1, "medium": 1, "large": 0}
    assert tree["objects"] == 3
    assert tree["side"]["median"] == 45
    assert [(each["objects"], each["ignored"], each["pictures"]) for each in tree["classes"]] == [
        (2, 0, 2),
        (1, 1, 1),
        (0, 0, 0),
    ]
    assert tree["classes"][2]["side"] is None


@pytest.mark.slow
def test_plots(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    empty = dataset._replace(records=dataset.records[2:])
    for name, some in (("some", dataset), ("none", empty), ("no classes", empty._replace(class_names=()))):
        files = write_plots(dataset_stats(some), tmp_path / name)
        assert [file.stem for file in files] == list(PLOTS)
        assert all(read_image(file).std() > 0 for file in files)
