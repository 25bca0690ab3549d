"""Digit scenes: deterministic, with boxes that are exactly the visible ink."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data import digits
from centerx.data.digits import Glyphs, iterate_scenes, load_glyphs, render_scene, write_digit_scenes
from centerx.errors import InputError
from centerx.geometry import box_iou

pytest.importorskip("sklearn")

STEP = 25  # grey levels between two digits of a plainly painted scene


@pytest.fixture(scope="module")
def glyphs() -> Glyphs:
    return load_glyphs("train")


def plain_scenes(monkeypatch: pytest.MonkeyPatch, glyphs: Glyphs, count: int):
    """Scenes whose k-th digit is flat grey 25 k on black: (scene, k of each pixel, lone ink of each)."""

    def paint(rng, canvas, cover, ground, light):
        areas.append(int((cover >= 0.5).sum()))
        canvas[cover >= 0.5] = len(areas) * STEP

    monkeypatch.setattr(digits, "paint_digit", paint)
    monkeypatch.setattr(digits, "paint_background", lambda rng, hw, tone: np.zeros((*hw, 3), np.float32))
    monkeypatch.setattr(digits, "_grain", lambda rng, hw: np.float32(0))
    for seed in range(count):
        areas: list[int] = []
        scene = render_scene(np.random.default_rng(seed), glyphs)
        yield scene, scene.image[:, :, 0] // STEP, areas


def test_boxes_are_the_visible_ink(monkeypatch, glyphs):
    for scene, painted, areas in plain_scenes(monkeypatch, glyphs, 40):
        assert scene.boxes.dtype == np.float64
        assert scene.boxes.shape == (len(scene.labels), 4) == (len(areas), 4)
        assert np.array_equal(np.unique(painted), np.arange(len(areas) + 1))
        for k, box in enumerate(scene.boxes, start=1):
            y, x = np.nonzero(painted == k)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_overlaps_happen_and_hide_little(monkeypatch, glyphs):
    shares = []
    for _, painted, areas in plain_scenes(monkeypatch, glyphs, 60):
        shares += [(painted == k).sum() / area for k, area in enumerate(areas, start=1)]
    assert min(shares) >= 1 - digits.MAX_HIDDEN
    assert np.mean(np.array(shares) < 1) > 0.05


def test_ink_stands_out_at_the_edges_of_its_box(glyphs):
    """Seen in the finished picture: a lone digit's colour begins where its box does, give or take a pixel."""
    errors = []
    for seed in range(100):
        scene = render_scene(np.random.default_rng(seed), glyphs)
        image = scene.image.astype(float)
        around = scene.boxes + np.array([-5, -5, 5, 5])
        alone = (box_iou(around, scene.boxes) > 0).sum(axis=1) == 1
        inside = (around.min(axis=1, initial=0) == 0) & (around.max(axis=1, initial=192) == 192)
        for k in np.flatnonzero(alone & inside):
            x0, y0, x1, y1 = around[k].astype(int)
            crop = image[y0:y1, x0:x1]
            ring = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
            distance = np.linalg.norm(crop - np.median(ring, axis=0), axis=2)
            y, x = np.nonzero(distance > np.quantile(distance, 0.95) / 2)
            seen = np.array([x0 + x.min(), y0 + y.min(), x0 + x.max() + 1, y0 + y.max() + 1])
            errors.append(np.abs(seen - scene.boxes[k]).max())
    assert len(errors) > 30
    assert np.mean(np.array(errors) <= 1) > 0.9


def test_labels_belong_to_the_glyphs(glyphs):
    square, bar = np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32)
    bar[3:5] = 1
    made = Glyphs(np.stack([square, bar]), np.array([3, 7]))
    seen = set()
    for seed in range(20):
        scene = render_scene(np.random.default_rng(seed), made)
        width, height = (scene.boxes[:, 2:] - scene.boxes[:, :2]).T
        assert np.array_equal(scene.labels, np.where(width > 1.6 * height, 7, 3))
        seen |= set(scene.labels.tolist())
    assert seen == {3, 7}


def test_every_scan_is_in_one_split_only():
    from sklearn.datasets import load_digits

    train, val = load_glyphs("train"), load_glyphs("val")
    everything = load_digits()
    for kept, those in ((val, slice(4, None, 5)), (train, np.arange(len(everything.target)) % 5 != 4)):
        assert np.array_equal(kept.ink * 16, everything.images[those])
        assert np.array_equal(kept.labels, everything.target[those])
    assert len(val.labels) + len(train.labels) == len(everything.target)
    assert set(val.labels.tolist()) == set(range(10))
    assert not {scan.tobytes() for scan in train.ink} & {scan.tobytes() for scan in val.ink}


def test_scenes_hold_two_to_five_digits_or_none():
    counts = np.bincount([len(scene.labels) for scene in iterate_scenes(300, 0, "train", (192, 192))])
    assert len(counts) == 6
    assert counts[2:].min() > 40
    assert 3 <= counts[0] <= 30
    assert counts[1] <= 3  # a full picture


@pytest.mark.parametrize("image_hw", [(64, 64), (128, 320)])
def test_boxes_lie_inside_pictures_of_other_shapes(image_hw):
    for scene in iterate_scenes(30, 0, "val", image_hw):
        assert scene.image.shape == (*image_hw, 3)
        assert scene.image.dtype == np.uint8
        assert np.all(scene.boxes[:, :2] >= 0)
        assert np.all(scene.boxes[:, 2:] <= image_hw[::-1])
        assert np.all(scene.boxes[:, 2:] - scene.boxes[:, :2] >= 4)


def test_a_scene_depends_on_seed_split_and_index_only(tmp_path):
    def pictures(name, count, seed, split, **options):
        path = write_digit_scenes(tmp_path / name, count, seed, split, **options)
        return [file.read_bytes() for file in sorted((path.parent / split).iterdir())], path.read_bytes()

    long, text = pictures("long", 5, 0, "train")
    assert len(set(long)) == 5
    assert pictures("again", 5, 0, "train") == (long, text)
    assert pictures("short", 3, 0, "train")[0] == long[:3]
    assert pictures("fewer", 5, 0, "train", classes=["4"])[0] == long
    assert not set(pictures("seed", 5, 1, "train")[0]) & set(long)
    assert not set(pictures("val", 5, 0, "val")[0]) & set(long)


def test_the_json_says_what_was_rendered(tmp_path):
    path = write_digit_scenes(tmp_path, 12, 7, "val", image_hw=(128, 160))
    content = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert list(names.values()) == [str(digit) for digit in range(10)]
    assert len({annotation["id"] for annotation in content["annotations"]}) == len(content["annotations"])
    scenes = list(iterate_scenes(12, 7, "val", (128, 160)))
    for image, scene in zip(content["images"], scenes, strict=True):
        with Image.open(path.parent / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (160, 128)
            assert np.abs(np.asarray(picture).astype(int) - scene.image).mean() < 3
        own = [note for note in content["annotations"] if note["image_id"] == image["id"]]
        assert [names[note["category_id"]] for note in own] == [str(label) for label in scene.labels]
        for note, (x0, y0, x1, y1) in zip(own, scene.boxes, strict=True):
            assert note["bbox"] == [x0, y0, x1 - x0, y1 - y0]
            assert note["area"] == (x1 - x0) * (y1 - y0)


def test_classes_restrict_annotations_not_ids(tmp_path):
    everything = json.loads(write_digit_scenes(tmp_path / "all", 8, 0, "train").read_text())
    some = json.loads(write_digit_scenes(tmp_path / "some", 8, 0, "train", classes=("7", "2")).read_text())
    assert [category["name"] for category in some["categories"]] == ["7", "2"]
    assert some["images"] == everything["images"]

    kept = [category["id"] for category in some["categories"]]

    def described(content):
        rows = [(note["image_id"], note["category_id"], note["bbox"]) for note in content["annotations"]]
        return [row for row in rows if row[1] in kept]

    assert described(some) == described(everything)
    assert len(described(some)) == len(some["annotations"]) > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split": "test"}, "test"),
        ({"image_hw": (63, 192)}, "64"),
        ({"classes": ("3", "ten")}, "ten"),
        ({"classes": ("3", "3")}, "3"),
    ],
)
def test_bad_input_is_named(tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        write_digit_scenes(tmp_path, **({"count": 1, "seed": 0, "split": "train"} | options))
    assert not list(tmp_path.iterdir())


def test_importing_needs_neither_torch_nor_sklearn():
    program = "import sys, centerx.data.digits; print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_paths_may_be_nested_and_reused(tmp_path: Path):
    folder = tmp_path / "a" / "b"
    paths = [write_digit_scenes(folder, 2, 0, split) for split in digits.SPLITS]
    assert sorted(path.name for path in folder.iterdir()) == ["train", "train.json", "val", "val.json"]
    assert [path.parent for path in paths] == [folder, folder]
