"""Pictures that are nearly the same."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from centerx.data.similar import SimilarPair, describe_picture, find_similar, group_similar


def scene(seed: int, hw: tuple[int, int] = (240, 320)) -> np.ndarray:
    """A picture of soft blobs."""
    noise = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(noise, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content).convert("RGB"))


CHANGES = {
    "compressed": lambda image: jpeg(image, 25),
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "another shape": lambda image: cv2.resize(image, (300, 300)),
    "brighter": lambda image: np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.2)),
    "darker": lambda image: np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(0.7)),
    "grey": lambda image: np.asarray(Image.fromarray(image).convert("L").convert("RGB")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_among_other_pictures(change) -> None:
    pictures = [scene(seed) for seed in range(40)]
    vectors = np.stack([describe_picture(image) for image in [*pictures, change(pictures[7])]])
    assert [pair[:2] for pair in find_similar(vectors)] == [(7, 40)]


def test_another_part_of_a_scene_is_another_picture() -> None:
    image = scene(3)
    pair = np.stack([describe_picture(each) for each in (image, np.roll(image, 80, axis=1))])
    assert find_similar(pair) == []


def test_a_mirror_image_is_another_picture() -> None:
    assert find_similar(np.stack([describe_picture(each) for each in (scene(3), scene(3)[:, ::-1])])) == []


def test_pictures_of_one_colour_are_similar_to_none() -> None:
    flat = np.full((20, 30, 3), 200, dtype=np.uint8)
    vectors = np.stack([describe_picture(flat), describe_picture(flat // 2)])
    assert not vectors.any()
    assert find_similar(vectors) == []


def test_pairs_are_the_same_whatever_the_size_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.stack([describe_picture(scene(seed % 5)) for seed in range(12)])
    whole = find_similar(vectors)
    monkeypatch.setattr("centerx.data.similar.BLOCK", 3)
    assert [pair[:2] for pair in find_similar(vectors)] == [pair[:2] for pair in whole]
    assert sorted(pair[:2] for pair in whole) == [(i, j) for i in range(12) for j in range(i + 1, 12) if i % 5 == j % 5]


def test_numbers_by_hand() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [1, 0], [0, 1]], dtype=np.float32)
    found = find_similar(vectors, 0.6)
    assert [pair[:2] for pair in found] == [(0, 2), (1, 3), (0, 1), (1, 2)]
    assert [pair.similarity for pair in found] == pytest.approx([1, 0.8, 0.6, 0.6])
    assert find_similar(np.zeros((0, 2), dtype=np.float32)) == []


def test_groups_join_pairs() -> None:
    pairs = [SimilarPair(*pair, 1.0) for pair in [(4, 7), (1, 2), (2, 9), (7, 8), (4, 8)]]
    assert group_similar(pairs, 11).tolist() == [0, 1, 1, 3, 4, 5, 6, 4, 4, 1, 10]
    assert group_similar([], 2).tolist() == [0, 1]
