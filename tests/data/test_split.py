"""Splits keep the share of every class, groups stay whole, and the same seed gives the same parts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.data.dataset import Dataset
from centerx.data.split import folder_groups, split_dataset, stratify
from centerx.errors import InputError
from tests.made import make_record


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_case_worked_out_by_hand() -> None:
    """The rare class is first: its two pictures go to different parts, then the common one is evened out."""
    counts = np.array([[4, 1], [4, 1], [4, 0], [4, 0], [0, 0], [0, 0]])
    part = stratify(counts, np.arange(6), [0.5, 0.5], rng())
    for rows in ([0, 1], [2, 3], [4, 5]):
        assert sorted(part[rows].tolist()) == [0, 1]


def test_shares_are_closer_than_those_of_chance() -> None:
    counts = rng(1).poisson([6, 2, 0.3, 0.04], (600, 4))
    shares = np.array([0.7, 0.2, 0.1])
    expected = counts.sum(axis=0)[:, None] * shares

    def error(part: np.ndarray) -> np.ndarray:
        return np.abs(np.stack([counts[part == n].sum(axis=0) for n in range(3)], axis=1) - expected)

    found = error(stratify(counts, np.arange(600), shares.tolist(), rng()))
    chance = np.mean([error(rng(seed).choice(3, 600, p=shares)) for seed in range(20)], axis=0)
    assert found.max() <= 4, "objects of a class in a part"
    assert (found.max(axis=1) < chance.max(axis=1)).all()


@settings(max_examples=50, deadline=None)
@given(data=st.data(), pictures=st.integers(1, 30), classes=st.integers(0, 3))
def test_every_picture_is_in_one_part_and_groups_are_whole(data: st.DataObject, pictures: int, classes: int) -> None:
    numbers = st.lists(st.integers(0, 5), min_size=pictures * classes, max_size=pictures * classes)
    counts = np.array(data.draw(numbers), dtype=np.int64).reshape(pictures, classes)
    groups = np.array(data.draw(st.lists(st.integers(0, 5), min_size=pictures, max_size=pictures)))
    part = stratify(counts, groups, [0.6, 0.4], rng())
    assert set(part.tolist()) <= {0, 1}
    assert all(len(set(part[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    assert (part == stratify(counts, groups, [0.6, 0.4], rng())).all()


def dataset_of(folders: list[str]) -> Dataset:
    records = [make_record(Path(folder, f"{n}.png"), n, [[0, 0, 2, 2]], [0]) for n, folder in enumerate(folders)]
    return Dataset(Path("x"), "memory", ("ox",), (1,), records, [])


def test_folders_stay_together() -> None:
    dataset = dataset_of(["a", "b", "a", "b", "c", "c"])
    groups = folder_groups(dataset)
    parts = split_dataset(dataset, {"train": 2 / 3, "val": 1 / 3}, groups)
    folders = {name: {record.image.parent.name for record in part.records} for name, part in parts.items()}
    assert sorted(map(len, folders.values())) == [1, 2]
    assert not folders["train"] & folders["val"]


def test_ignored_objects_have_no_share() -> None:
    records = [make_record(f"{n}.png", n, [[0, 0, 2, 2]] * 9, [0] * 9, [n > 1] * 9) for n in range(4)]
    parts = split_dataset(Dataset(Path("x"), "memory", ("ox",), (1,), records, []), {"train": 0.5, "val": 0.5})
    assert [sum(int(record.image_id) < 2 for record in part.records) for part in parts.values()] == [1, 1]


def test_too_few_pictures_or_groups_are_an_error() -> None:
    with pytest.raises(InputError, match=r"1 pictures in 1 groups are too few for the shares train 0\.8, val 0\.2"):
        split_dataset(dataset_of(["a"]), {"train": 0.8, "val": 0.2})
    dataset = dataset_of(["a", "a"])
    with pytest.raises(InputError, match="would be empty"):
        split_dataset(dataset, {"train": 0.8, "val": 0.2}, folder_groups(dataset))
