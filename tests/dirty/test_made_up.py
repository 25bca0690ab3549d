"""Inputs that hypothesis makes up: readers, adapters, configurations and decoders, whatever they are given.

`--hypothesis-profile soak` makes twenty times as many.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from centerx.config import load_config
from centerx.data.read import scan_dataset
from centerx.decode import Decode
from centerx.errors import InputError
from centerx.runtime.foreign import decode as foreign
from centerx.runtime.foreign.adapter import parse_adapter
from centerx.tasks import BOXES
from tests.data.handmade import write_picture
from tests.dirty.bases import ADAPTER
from tests.made import box_maps

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
TREE = st.recursive(LEAF, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside))
WORDS = st.sampled_from(
    ["a.png", "cat", "1", "-2.5", "0.5", "nan", "1e39", ",", ";", " ", "\n", "\t", '"', "#", "image,x,y\n"]
)
KEYS = st.sampled_from(
    [
        "images", "annotations", "categories", "id", "image_id", "category_id", "bbox", "name", "file_name", "iscrowd",
        "shapes", "imagePath", "label", "points", "shape_type", "regions", "filename", "shape_attributes", "data",
        "region_attributes", "image", "coordinates", "x", "y", "width", "height", "result", "value", "gtboxes", "ID",
        "from_name", "to_name", "tag", "fbox", "labels", "classes", "samples", "detections", "bounding_box",
    ]
)  # fmt: skip
LABELS = st.recursive(
    LEAF | st.just("a.png") | st.just("cat"),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(KEYS, inside, max_size=6),
    max_leaves=40,
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "a" / "b"
        write_picture(folder / "a.png")
        yield folder


@contextmanager
def one_line() -> Iterator[None]:
    """Let an InputError of one line pass."""
    try:
        yield
    except InputError as error:
        if len(str(error).splitlines()) != 1:
            raise AssertionError(repr(str(error))) from None


@given(tree=LABELS, suffix=st.sampled_from([".json", ".odgt"]))
def test_json_of_any_form(home: Path, tree: Any, suffix: str) -> None:
    (home / f"l{suffix}").write_text(json.dumps(tree), encoding="utf-8")
    with one_line():
        assert all(record.objects.boxes.shape[1] == 4 for record in scan_dataset(home / f"l{suffix}").records)


@given(words=st.lists(WORDS, max_size=30), suffix=st.sampled_from([".csv", ".txt", ".yaml", ".xml"]))
def test_text_of_any_form(home: Path, words: list[str], suffix: str) -> None:
    (home / f"l{suffix}").write_text("".join(words), encoding="utf-8")
    with one_line():
        assert all(np.isfinite(record.objects.boxes).all() for record in scan_dataset(home / f"l{suffix}").records)


@given(key=st.sampled_from(["input", "boxes", "scores", "classes", "labels", "keypoints", "x\ny"]), value=TREE)
def test_adapters_of_any_form(key: str, value: Any) -> None:
    with one_line():
        parse_adapter(ADAPTER | {key: value}, "m")


@given(key=st.sampled_from(["data", "model", "train", "loss", "augment", "classes", "distill", "x\ny"]), value=TREE)
def test_configurations_of_any_form(key: str, value: Any) -> None:
    with one_line():
        load_config({"base": "nano", key: value})


@given(
    heat=arrays.arrays(np.float32, (1, 2, 4, 5), elements=st.floats(-80, 80, width=32)),
    size=arrays.arrays(np.float32, (1, 2, 4, 5), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_what_maps_of_any_value_decode_to_lies_in_the_input(heat: np.ndarray, size: np.ndarray) -> None:
    maps = box_maps(torch.from_numpy(heat), torch.from_numpy(size), torch.full((1, 2, 4, 5), 0.5))
    found = Decode(6, 4, BOXES)(maps, (16, 20))
    boxes, scores, labels = found.values["boxes"][0], found.scores[0], found.labels[0]
    assert ((boxes >= 0) & (boxes <= torch.tensor([20, 16, 20, 16]))).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[:-1] >= scores[1:]).all()
    assert ((labels >= 0) & (labels < 2)).all()


@given(
    corners=arrays.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 60)),
    seed=st.integers(0, 99),
)
def test_suppression_keeps_the_best_and_no_two_that_overlap(corners: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([corners, corners + rng.integers(5, 30, corners.shape)], axis=1)
    scores, labels = rng.permutation(len(boxes)) / len(boxes) + 0.01, rng.integers(0, 2, len(boxes))
    kept = foreign.suppress(boxes, scores, labels, 0.5, 100).tolist()

    def overlap(one: int, other: int) -> float:
        low, high = np.maximum(boxes[one, :2], boxes[other, :2]), np.minimum(boxes[one, 2:], boxes[other, 2:])
        shared = np.maximum(high - low, 0).prod()
        areas = (boxes[[one, other], 2:] - boxes[[one, other], :2]).prod(axis=1).sum()
        return float(shared / (areas - shared)) if labels[one] == labels[other] else 0.0

    assert kept[0] == int(scores.argmax())
    assert all(overlap(one, other) <= 0.5 + 1e-6 for one in kept for other in kept if one != other)
    for out in set(range(len(boxes))) - set(kept):
        assert any(overlap(out, each) >= 0.5 - 1e-6 and scores[each] > scores[out] for each in kept)
