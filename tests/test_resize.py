"""How pictures are brought to an input: places, sizes and the way back, worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from centerx.geometry import PAD_VALUE, Letterbox, warp_image
from centerx.resize import OWN_RESIZE, Resize

WHITE = np.full((100, 200, 3), 255, dtype=np.uint8)


def covered(image: np.ndarray) -> list[int]:
    """Return left, top, right and bottom of what is white."""
    rows, columns = np.nonzero((image == 255).all(axis=2))
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize(
    ("rule", "input_hw", "size", "white"),
    [
        (Resize(filter="bilinear"), (64, 64), (64, 64), [0, 0, 64, 32]),
        (Resize(filter="bilinear", centred=True), (64, 64), (64, 64), [0, 16, 64, 48]),
        (Resize(filter="bilinear", centred=True), (64, 67), (64, 67), [0, 15, 67, 49]),
        (Resize(filter="area", keep_ratio=False), (64, 96), (64, 96), [0, 0, 96, 64]),
        (Resize(filter="bilinear", rounding="floor"), (64, 67), (64, 67), [0, 0, 67, 33]),
        (Resize(filter="bilinear", frame="longest", multiple=32), (80, 80), (64, 96), [0, 0, 80, 40]),
        (Resize(filter="bilinear", frame="shortest"), (50, 90), (45, 90), [0, 0, 90, 45]),
        (Resize(filter="bilinear", frame="picture", multiple=32), (32, 32), (128, 224), [0, 0, 200, 100]),
        (Resize(filter="nearest", frame="picture", multiple=32, keep_ratio=False), (32, 32), (128, 224),
         [0, 0, 224, 128]),
    ],
)  # fmt: skip
def test_where_a_picture_lies(rule, input_hw, size, white):
    image, letterbox = rule(WHITE, input_hw)
    assert image.shape == (*size, 3)
    assert covered(image) == white
    assert (image[image[..., 0] != 255] == PAD_VALUE).all()
    np.testing.assert_allclose(letterbox.to_source(np.array([white], np.float32)), [[0, 0, 200, 100]], atol=3)


def test_boxes_come_back_by_the_whole_pixels_of_the_picture():
    image, letterbox = Resize(filter="bilinear", rounding="floor")(np.zeros((427, 640, 3), np.uint8), (416, 416))
    assert image.shape == (416, 416, 3)
    assert letterbox.scales == (416 / 640, 277 / 427)
    assert letterbox.to_source(np.array([[65.0, 0.0, 130.0, 277.0]]))[0].tolist() == pytest.approx([100, 0, 200, 427])


def test_exact_samples_at_the_scale_itself():
    picture = np.random.default_rng(0).integers(0, 256, (267, 400, 3), dtype=np.uint8)
    exact, whole = (Resize(filter="bilinear", rounding=word, frame="longest")(picture, (640, 640))
                    for word in ("exact", "round"))  # fmt: skip
    assert exact.image.shape == whole.image.shape == (427, 640, 3)
    assert exact.letterbox == whole.letterbox
    np.testing.assert_array_equal(exact.image, cv2.resize(picture, None, fx=1.6, fy=1.6))
    assert (exact.image != whole.image).any()


def test_our_own_rule_is_the_letterbox():
    picture = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    image, letterbox = OWN_RESIZE(picture, (64, 96))
    assert letterbox == Letterbox.fit((90, 130), (64, 96))
    np.testing.assert_array_equal(image, warp_image(picture, letterbox.matrix, (64, 96)))
    assert not OWN_RESIZE.varies


def test_one_pixel_stays_one():
    image, _ = Resize(filter="bilinear")(np.zeros((1, 900, 3), np.uint8), (64, 64))
    assert image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("name", "pillow", "opencv"),
    [
        ("antialias", Image.Resampling.BILINEAR, "bilinear"),
        ("antialias-bicubic", Image.Resampling.BICUBIC, "bicubic"),
    ],
)
def test_pillow_averages_what_it_shrinks(name, pillow, opencv):
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    image, letterbox = Resize(keep_ratio=False, filter=name)(picture, (30, 48))
    np.testing.assert_array_equal(image, np.asarray(Image.fromarray(picture).resize((48, 30), pillow)))
    assert letterbox == Resize(keep_ratio=False, filter=opencv)(picture, (30, 48)).letterbox
    other = Resize(keep_ratio=False, filter=opencv)(picture, (30, 48)).image
    assert other.std() > 1.2 * image.std()  # noise that is not averaged stays
    padded = Resize(filter=name, centred=True)(picture, (30, 48)).image
    np.testing.assert_array_equal(padded[:, 4:44], np.asarray(Image.fromarray(picture).resize((40, 30), pillow)))
    assert (padded[:, :4] == PAD_VALUE).all()
