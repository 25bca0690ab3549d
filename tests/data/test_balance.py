"""Rare classes are seen more often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from centerx.data.batch import EpochBatches, epoch_size, repeated
from centerx.data.source import Entry, repeat_factors
from tests.made import make_record

KNOWN = np.ones((3, 2), dtype=bool)


def entries(classes: list[list[int]], ignored: tuple[int, ...] = ()) -> list[Entry]:
    return [
        Entry(
            make_record(f"{n}.png", n, [[0, 0, 9, 9]] * len(labels), labels, [n in ignored] * len(labels)),
            KNOWN,
        )
        for n, labels in enumerate(classes)
    ]


def test_factors_by_hand() -> None:
    """Of 16 pictures, 4 show class 1 and one class 2; with t = 1/4 the latter comes sqrt(4) = 2 times."""
    labels = [[0]] * 11 + [[0, 1]] * 3 + [[1, 2], []]
    factors = repeat_factors(entries(labels), 3, 0.25)
    assert factors.tolist() == [1.0] * 14 + [2.0, 1.0]
    assert repeat_factors(entries(labels), 3, 0.5).max() == pytest.approx(np.sqrt(8))
    assert repeat_factors(entries(labels), 3, 0.5)[11] == pytest.approx(np.sqrt(2))
    assert repeat_factors(entries(labels, ignored=(14,)), 3, 0.25).tolist() == [
        *[1.0] * 11,
        *[np.sqrt(4 / 3)] * 3,
        1,
        1,
    ]


@pytest.mark.parametrize("seed", range(20))
def test_each_picture_comes_as_often_as_it_should(seed: int) -> None:
    rng = np.random.default_rng(seed)
    factors = np.maximum(1, rng.uniform(0, 4, 50))
    total = epoch_size(factors)
    assert factors.sum() <= total < factors.sum() + 1
    numbers = repeated(factors, total, np.random.default_rng((seed, 3)))
    counts = np.bincount(numbers % 50, minlength=50)
    exact = factors * total / factors.sum()
    assert len(numbers) == total
    assert ((counts == np.floor(exact)) | (counts == np.ceil(exact))).all()
    assert len(set(numbers.tolist())) == total  # each repeat has a number, and so an augmentation, of its own
    again = repeated(factors, total, np.random.default_rng((seed, 3)))
    np.testing.assert_array_equal(numbers, again)


def test_epochs_have_one_length_and_differ() -> None:
    factors = np.array([1.0] * 9 + [3.5])
    batches = EpochBatches(10, 4, seed=1, factors=factors)
    assert len(batches) == 13 // 4
    seen: Counter[int] = Counter()
    epochs = []
    for epoch in range(200):
        batches.set_epoch(epoch)
        keys = [key for batch in batches for key in batch]
        assert len(keys) == 12
        assert all(each == epoch for each, _ in keys)
        epochs.append([number for _, number in keys])
        seen.update(number % 10 for _, number in keys)
    assert epochs[0] != epochs[1]
    assert seen[9] / seen[0] == pytest.approx(3.5, rel=0.1)


def test_processes_share_an_epoch() -> None:
    factors = np.array([1.0, 1.0, 2.0, 2.0])
    shares = [[key for batch in EpochBatches(4, 2, 0, rank, 2, factors) for key in batch] for rank in (0, 1)]
    whole = [key for batch in EpochBatches(4, 2, 0, factors=factors) for key in batch]
    assert sorted(shares[0] + shares[1]) == sorted(whole)
    assert {number for _, number in whole} == {0, 1, 2, 3, 6, 7}


def test_repeats_are_augmented_apart(scenes: Path) -> None:
    from centerx.build_data import build_source, build_train_pictures
    from centerx.config import load_config
    from centerx.data.read import read_dataset

    config = load_config("digits", [f"data.train=[{scenes}]"])
    pictures = build_train_pictures(config, build_source(config, [read_dataset(scenes)]))
    first, again, other = (pictures[0, number] for number in (3, 3, 3 + len(pictures)))
    assert first.image_ids == again.image_ids == other.image_ids
    assert first.images.equal(again.images)
    assert not first.images.equal(other.images)
