"""Augmentation: pixels and boxes move together, cut objects are kept or dropped, the key decides what is random."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")

from torchvision.transforms import v2  # noqa: E402

from centerx.data.augment import (  # noqa: E402
    ColorJitter,
    ColourTransform,
    RandomAffine,
    RandomCrop,
    ShortestEdge,
    mosaic,
    warp_sample,
)
from centerx.data.batch import TrainPictures, collate, to_batch  # noqa: E402
from centerx.data.dataset import Record  # noqa: E402
from centerx.data.source import Entries, Entry  # noqa: E402
from centerx.errors import InputError  # noqa: E402
from centerx.geometry import PAD_VALUE, perspective_matrix, shift_matrix, transform_boxes  # noqa: E402
from centerx.images import read_image  # noqa: E402
from centerx.objects import make_objects  # noqa: E402
from centerx.types import Sample  # noqa: E402

MIDDLE_GREY = 128  # where a white object on black or on padding ends after interpolation


def make_sample(boxes=(), labels=None, ignore=None, image=None, image_hw=(80, 120), annotated=(True, True)) -> Sample:
    rng = np.random.default_rng(0)
    return Sample(
        image=rng.integers(0, 256, (*image_hw, 3), dtype=np.uint8) if image is None else image,
        objects=make_objects(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array([0] * len(boxes) if labels is None else labels, np.int64),
            np.array([False] * len(boxes) if ignore is None else ignore, bool),
        ),
        supervised=np.repeat(np.array(annotated)[:, None], 2, axis=1),
        image_id=7,
    )


def white_on_black(box: list[int], image_hw=(80, 120)) -> Sample:
    image = np.zeros((*image_hw, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return make_sample([box], image=image)


def seen_box(image: np.ndarray) -> np.ndarray | None:
    y, x = np.nonzero(image[:, :, 0] >= MIDDLE_GREY)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float) if len(x) else None


def check_types(sample: Sample, image_hw: tuple[int, int]) -> None:
    assert sample.image.shape == (*image_hw, 3)
    assert sample.image.dtype == np.uint8
    assert sample.objects.boxes.dtype == np.float32
    assert sample.objects.labels.dtype == np.int64
    assert sample.objects.ignore.dtype == sample.supervised[:, 0].dtype == bool
    assert sample.objects.boxes.shape == (len(sample.objects.labels), 4) == (len(sample.objects.ignore), 4)


def same(first: Sample, second: Sample) -> bool:
    pairs = zip(first.objects[:4], second.objects[:4], strict=True)
    others = (first.image, second.image), (first.supervised, second.supervised)
    return first.image_id == second.image_id and all(np.array_equal(a, b) for a, b in (*pairs, *others))


# Reduced decoding
@pytest.mark.parametrize("crop", [None, RandomCrop((0.5, 0.5), more=True)])
def test_a_reduced_picture_shows_the_same(crop, tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = tmp_path / "a.jpg"
    Image.fromarray(cv2.resize(small, (640, 478), interpolation=cv2.INTER_CUBIC)).save(file, quality=95)
    whole = make_sample([(100, 50, 300, 250)], image=read_image(file))
    affine = RandomAffine((96, 128), 0.5, 0.5, (0.3, 5.0), 0.3, 0.2, 30.0, crop=crop)
    seen = set()
    for seed in range(40):
        warp = affine.draw((478, 640), whole.objects, np.random.default_rng(seed))
        shrinks = 1 / np.linalg.norm(warp.matrix[:2, :2], 2)
        assert warp.reduction == max(times for times in (1, 2, 4, 8) if times <= max(shrinks, 1))
        reduced = warp(whole._replace(image=read_image(file, reduction=warp.reduction)))
        expected = affine(whole, np.random.default_rng(seed))
        assert np.array_equal(reduced.objects.boxes, expected.objects.boxes)
        inner = cv2.erode((expected.image != PAD_VALUE).any(axis=2).astype(np.uint8), np.ones((7, 7))) > 0
        difference = np.abs(reduced.image.astype(int) - expected.image)[inner]
        assert difference.mean() < 2.5, (seed, warp.reduction)
        seen.add(warp.reduction)
    assert seen >= {1, 2, 4}


def test_bent_pictures_are_read_whole():
    affine = RandomAffine((32, 32), perspective=0.2)
    assert affine.draw((400, 400), make_sample().objects, np.random.default_rng(0)).reduction == 1


# Geometry


@pytest.mark.parametrize("direction", ["flip", "flip_vertical"])
@pytest.mark.parametrize("image_hw", [(80, 120), (81, 37)])
def test_flipping_twice_changes_nothing(direction, image_hw):
    sample = make_sample([(3, 5, 30, 22), (10, 0, 37, 80)], labels=[1, 0], image_hw=image_hw)
    affine = RandomAffine(image_hw, **{direction: 1.0})
    once = affine(sample, np.random.default_rng(0))
    twice = affine(once, np.random.default_rng(1))
    assert not np.array_equal(once.image, sample.image)
    assert same(twice, sample)


def test_flips_by_hand():
    sample = make_sample([(3, 5, 30, 22)])
    flipped = RandomAffine((80, 120), flip=1.0)(sample, np.random.default_rng(0))
    assert np.array_equal(flipped.image, sample.image[:, ::-1])
    assert flipped.objects.boxes.tolist() == [[90, 5, 117, 22]]
    flipped = RandomAffine((80, 120), flip_vertical=1.0)(sample, np.random.default_rng(0))
    assert np.array_equal(flipped.image, sample.image[::-1])
    assert flipped.objects.boxes.tolist() == [[3, 58, 30, 75]]


def test_without_randomness_the_picture_fits_in_the_middle():
    white = make_sample([(0, 0, 50, 100)], image=np.full((100, 50, 3), 255, np.uint8))
    placed = RandomAffine((64, 64))(white, np.random.default_rng(0))
    assert placed.objects.boxes[0].tolist() == pytest.approx([16, 0, 48, 64])
    assert np.all(placed.image[:, 17:47] == 255)
    assert np.all(placed.image[:, :15] == PAD_VALUE)
    assert np.all(placed.image[:, 49:] == PAD_VALUE)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    output_hw=st.tuples(st.integers(2, 6), st.integers(2, 6)),
    left=st.integers(4, 70),
    top=st.integers(4, 40),
    width=st.integers(24, 46),
    height=st.integers(24, 36),
    scale=st.floats(0.4, 3),
)
def test_a_box_follows_its_pixels(seed, output_hw, left, top, width, height, scale):
    output_hw = (output_hw[0] * 32, output_hw[1] * 32)
    affine = RandomAffine(output_hw, 0.5, 0.5, scale=(scale * 0.8, scale * 1.2), aspect=0.4, shift=0.4)
    moved = affine(white_on_black([left, top, left + width, top + height]), np.random.default_rng(seed))
    check_types(moved, output_hw)
    seen = seen_box(moved.image)
    if len(moved.objects.boxes):
        x1, y1, x2, y2 = moved.objects.boxes[0].astype(float)
        assert 0 <= x1 <= x2 <= output_hw[1]
        assert 0 <= y1 <= y2 <= output_hw[0]
        if min(x2 - x1, y2 - y1) >= 2:
            assert np.abs(seen - [x1, y1, x2, y2]).max() <= 1
    else:
        assert seen is None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.5, 2))
def test_a_turned_object_stays_in_its_box(seed, scale):
    affine = RandomAffine((128, 160), 0.5, 0.5, scale=(scale, scale), aspect=0.2, shift=0.1, rotate=180)
    moved = affine(white_on_black([40, 20, 80, 60]), np.random.default_rng(seed))
    seen = seen_box(moved.image)
    assert seen is not None
    assert np.all(seen[:2] >= moved.objects.boxes[0, :2] - 1)
    assert np.all(seen[2:] <= moved.objects.boxes[0, 2:] + 1)
    if moved.objects.boxes[0].min() > 1 and np.all(moved.objects.boxes[0, 2:] < [159, 127]):  # whole: tight as well
        assert np.abs(seen - moved.objects.boxes[0]).max() <= 1 + 1.5 * scale


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("perspective", [0.05, 0.24])
def test_a_bent_object_stays_in_its_box(seed, perspective):
    sample = white_on_black([40, 20, 90, 60])
    affine = RandomAffine((160, 240), scale=(0.7, 1.1), rotate=15, perspective=perspective, min_visible=0)
    moved = affine(sample, np.random.default_rng(seed))
    seen = seen_box(moved.image)
    (box,) = moved.objects.boxes
    assert np.all(seen[:2] >= box[:2] - 1.5)
    assert np.all(seen[2:] <= box[2:] + 1.5)
    assert np.abs(seen - box).max() <= 0.1 * max(box[2:] - box[:2]) + 2  # tight: its corners are the object's own


def test_corners_go_where_they_are_sent():
    moved = np.array([[10, 5], [110, 0], [120, 70], [0, 80]])
    matrix = perspective_matrix(moved, (80, 120))
    for corner, (x, y) in zip([(0, 0), (120, 0), (120, 80), (0, 80)], moved, strict=True):
        box = np.array([[*corner, *corner]], dtype=np.float64)
        assert transform_boxes(box, matrix)[0] == pytest.approx([x, y, x, y], abs=1e-3)


@pytest.mark.parametrize("option", ["scale", "aspect", "shift", "rotate", "perspective"])
def test_every_option_changes_something_and_differs_by_seed(option):
    value = {"scale": (0.5, 2.0), "aspect": 0.5, "shift": 0.3, "rotate": 45.0, "perspective": 0.1}[option]
    affine = RandomAffine((80, 120), **{option: value})
    matrices = [affine.matrix((80, 120), (80, 120), np.random.default_rng(seed)) for seed in range(5)]
    assert len({matrix.round(6).tobytes() for matrix in matrices}) == 5


def test_the_zoom_covers_its_range_and_no_more():
    affine = RandomAffine((80, 120), scale=(0.5, 2.0))
    zooms = np.array([affine.matrix((40, 60), (80, 120), np.random.default_rng(seed))[0, 0] for seed in range(400)]) / 2
    assert 0.5 <= zooms.min() < 0.55
    assert 1.8 < zooms.max() <= 2.0
    assert 0.4 < np.mean(zooms < 1) < 0.6  # log-uniform: as often smaller as larger


def test_aspect_stretches_one_way_and_keeps_the_area():
    affine = RandomAffine((80, 120), aspect=0.5)
    x, y = np.array(
        [np.diag(affine.matrix((80, 120), (80, 120), np.random.default_rng(seed)))[:2] for seed in range(200)]
    ).T
    assert x * y == pytest.approx(np.ones(200))
    assert 1 / 1.5 <= (x / y).min() < 0.7
    assert 1.45 < (x / y).max() <= 1.5


# Crop and scale


@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)),
    more=st.booleans(),
    left=st.integers(0, 90),
    top=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_window_holds_the_centre_of_an_object_and_its_box_lies_on_its_pixels(seed, size, more, left, top):
    sample = white_on_black([left, top, left + 30, top + 20])
    cut = RandomCrop(size, more)(sample, np.random.default_rng(seed))
    height, width = cut.image.shape[:2]
    check_types(cut, (height, width))
    least = np.rint(np.array([80, 120]) * size)
    assert (height, width) == tuple(least) if not more else (height >= least[0] and width >= least[1])
    assert len(cut.objects.boxes) == 1
    assert np.array_equal(seen_box(cut.image), cut.objects.boxes[0])
    # the centre is inside: at least a quarter of the object is, unless the window is smaller than that
    assert cut.objects.boxes[0, 2] - cut.objects.boxes[0, 0] >= min(15, width)
    assert cut.objects.boxes[0, 3] - cut.objects.boxes[0, 1] >= min(10, height)


def test_a_window_of_a_picture_without_objects_or_with_ignored_ones_lies_anywhere():
    for sample in (make_sample(), make_sample([(0, 0, 4, 4)], ignore=[True])):
        cuts = [RandomCrop((0.5, 0.25))(sample, np.random.default_rng(seed)) for seed in range(30)]
        assert {cut.image.shape for cut in cuts} == {(40, 30, 3)}
        assert len({cut.image.tobytes() for cut in cuts}) > 20
        assert any(len(cut.objects.boxes) == 0 for cut in cuts)


def test_the_whole_window_is_the_picture_and_every_object_is_chosen():
    sample = make_sample([(3, 5, 30, 22), (90, 60, 118, 79)], labels=[0, 1])
    assert same(RandomCrop((1.0, 1.0))(sample, np.random.default_rng(0)), sample)
    cuts = [RandomCrop((0.5, 0.5))(sample, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len(cut.objects.labels) for cut in cuts)
    assert {label for cut in cuts for label in cut.objects.labels} == {0, 1}


@pytest.mark.parametrize(
    ("source_hw", "short_sides", "long_side", "frame"),
    [
        ((480, 640), (384,), 1333, {(384, 512)}),
        ((640, 480), (384, 448), 1333, {(512, 384), (597, 448)}),
        ((480, 640), (384, 448, 512), 512, {(384, 512)}),  # the published recipe: the longer side wins
        ((10, 1000), (512,), 512, {(5, 512)}),
        ((1, 4000), (512,), 100, {(1, 100)}),
    ],
)
def test_the_shorter_side_by_hand(source_hw, short_sides, long_side, frame):
    edge = ShortestEdge(short_sides, long_side)
    assert {edge(source_hw, np.random.default_rng(seed)) for seed in range(30)} == frame


def test_the_shorter_side_may_be_any_between():
    edge = ShortestEdge((40, 50), 1333, between=True)
    assert {edge((80, 160), np.random.default_rng(seed))[0] for seed in range(200)} == set(range(40, 51))


@given(seed=st.integers(0, 10**6), flip=st.sampled_from([0.0, 1.0]), left=st.integers(0, 80), top=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_boxes_of_a_scaled_window_lie_on_their_pixels_and_the_rest_is_padding(seed, flip, left, top):
    sample = white_on_black([left, top, left + 40, top + 30])
    affine = RandomAffine(ShortestEdge((50, 90), 120), flip=flip, crop=RandomCrop((0.75, 0.75)))
    moved = affine(sample, np.random.default_rng(seed))
    height, width = moved.image.shape[:2]
    assert height % 32 == width % 32 == 0
    check_types(moved, (height, width))
    assert np.abs(seen_box(np.where(moved.image == PAD_VALUE, 0, moved.image)) - moved.objects.boxes[0]).max() <= 2
    shown = {(50, 75): (64, 96), (80, 120): (96, 128)}  # a window of 60 x 90; the longer side's 120 cuts 90 to 80
    frame = next(frame for frame, padded in shown.items() if padded == (height, width))
    assert np.all(moved.image[frame[0] :] == PAD_VALUE)
    assert np.all(moved.image[:, frame[1] :] == PAD_VALUE)
    assert not np.any(moved.image[frame[0] - 1, : frame[1]] == PAD_VALUE)


def test_pictures_of_different_sizes_are_padded_to_the_largest_and_boxes_stay():
    parts = [make_sample([(3, 5, 30, 22)], image_hw=hw) for hw in ((32, 96), (64, 32), (96, 64))]
    batch = collate([to_batch(part, None, []) for part in parts])
    assert batch.images.shape == (3, 3, 96, 96)
    assert batch.images.permute(0, 2, 3, 1).is_contiguous()
    assert batch.objects.image.tolist() == [0, 1, 2]
    for image, box, part in zip(batch.images, batch.objects.boxes, parts, strict=True):
        height, width = part.image.shape[:2]
        pixels = image.permute(1, 2, 0).numpy()
        assert np.array_equal(pixels[:height, :width], part.image)
        assert np.all(pixels[height:] == PAD_VALUE)
        assert np.all(pixels[:, width:] == PAD_VALUE)
        assert np.array_equal(box[None].numpy(), part.objects.boxes)


# Fates


def test_the_fate_of_cut_objects():
    boxes = [
        (70, 10, 90, 30),  # 15 of 20 pixels stay: kept, clipped
        (60, 10, 80, 30),  # 5 of 20 stay: ignored
        (0, 0, 20, 20),  # wholly outside: gone
        (80, 40, 100, 60),  # whole, but ignored before
    ]
    sample = make_sample(boxes, labels=[0, 1, 0, 1], ignore=[False, False, False, True])
    moved = warp_sample(sample, shift_matrix(-75, 0), (80, 120), min_visible=0.3)
    assert moved.objects.boxes.tolist() == [[0, 10, 15, 30], [0, 10, 5, 30], [5, 40, 25, 60]]
    assert moved.objects.labels.tolist() == [0, 1, 1]
    assert moved.objects.ignore.tolist() == [False, True, True]
    assert moved.supervised[:, 0].tolist() == [True, True]
    assert moved.image_id == 7


@pytest.mark.parametrize(("min_visible", "ignored"), [(0.0, False), (0.24, False), (0.26, True), (1.0, True)])
def test_min_visible_is_a_share_of_the_area(min_visible, ignored):
    sample = make_sample([(60, 60, 80, 80)])  # half of the width and half of the height stay
    moved = warp_sample(sample, shift_matrix(-70, -70), (80, 120), min_visible)
    assert moved.objects.boxes.tolist() == [[0, 0, 10, 10]]
    assert moved.objects.ignore.tolist() == [ignored]


def test_pictures_without_objects():
    affine = RandomAffine((64, 96), 0.5, 0.5, (0.5, 2.0), 0.3, 0.2, 30.0)
    moved = affine(make_sample(), np.random.default_rng(0))
    check_types(moved, (64, 96))
    check_types(mosaic([moved] * 4, np.random.default_rng(0)), (64, 96))


def test_samples_are_not_edited():
    sample, untouched = (make_sample([(3, 5, 30, 22), (50, 10, 118, 79)]) for _ in range(2))
    RandomAffine((64, 64), 0.5, 0.5, (0.5, 2.0), 0.3, 0.5, 30.0)(sample, np.random.default_rng(3))
    mosaic([sample] * 4, np.random.default_rng(0))
    ColourTransform([{"ColorJitter": {"brightness": 0.9}}])(sample.image, np.random.default_rng(0))
    assert same(sample, untouched)


# Mosaic


@pytest.mark.parametrize("seed", range(12))
def test_mosaic_boxes_lie_on_their_pixels(seed):
    rng = np.random.default_rng(seed)
    samples = []
    for label in range(4):
        image = np.zeros((80, 120, 3), np.uint8)
        x, y = rng.integers(5, 70), rng.integers(5, 40)
        image[y : y + 30, x : x + 40] = 60 * (label + 1)
        samples.append(make_sample([(x, y, x + 40, y + 30)], labels=[label], image=image))
    joined = mosaic(samples, rng)
    check_types(joined, (80, 120))
    for label in range(4):
        y, x = np.nonzero(joined.image[:, :, 0] == 60 * (label + 1))
        boxes = joined.objects.boxes[joined.objects.labels == label]
        assert len(boxes) == (len(x) > 0)
        if len(boxes):
            assert boxes[0].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_mosaic_uses_all_four_pictures():
    samples = [make_sample(image=np.full((80, 120, 3), 50 * k, np.uint8)) for k in range(1, 5)]
    for seed in range(5):
        image = mosaic(samples, np.random.default_rng(seed)).image
        assert np.unique(image).tolist() == [50, 100, 150, 200]
        assert [int(image[y, x, 0]) for y in (0, -1) for x in (0, -1)] == [50, 100, 150, 200]


def test_mosaic_trusts_only_what_all_four_annotate():
    rows = [(True, True, True), (True, True, False), (True, False, True), (True, True, True)]
    joined = mosaic([make_sample(annotated=row) for row in rows], np.random.default_rng(0))
    assert joined.supervised[:, 0].tolist() == [True, False, False]


def test_mosaic_keeps_ignored_objects_ignored():
    sample = make_sample([(0, 0, 120, 80)], ignore=[True])
    assert mosaic([sample] * 4, np.random.default_rng(0)).objects.ignore.tolist() == [True] * 4


# Colour

JITTER = [{"ColorJitter": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.1}}]


def test_colour_depends_on_the_generator_alone():
    image = make_sample().image
    colour = ColourTransform(JITTER)
    first = colour(image, np.random.default_rng(1))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again = colour(image, np.random.default_rng(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, colour(image, np.random.default_rng(2)))
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous


def test_no_colour_is_the_picture_itself():
    image = make_sample().image
    assert np.array_equal(ColourTransform([])(image, np.random.default_rng(0)), image)


def test_colour_keeps_channels_in_order():
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    grey = ColourTransform([{"RandomGrayscale": {"p": 1.0}}])(red, np.random.default_rng(0))
    assert np.abs(grey.astype(int) - round(0.299 * 200)).max() <= 1


def test_lighting_shifts_along_the_colours_of_imagenet_and_is_seen():
    grey = np.full((4, 4, 3), 128, np.uint8)
    lighting = ColourTransform([{"Lighting": {"scale": 0.5}}])
    shifts = np.array([lighting(grey, np.random.default_rng(seed))[0, 0].astype(int) - 128 for seed in range(300)])
    # the first axis, nearly grey, has a deviation of 255 * 0.5 * 0.2175 over its three parts of about 0.58
    assert shifts.std(axis=0) == pytest.approx([255 * 0.5 * 0.2175 * part for part in (0.568, 0.581, 0.584)], rel=0.15)
    assert np.corrcoef(shifts.T).min() > 0.95
    assert np.abs(shifts.mean(axis=0)).max() < 5


def test_any_transform_may_have_a_probability():
    image = make_sample().image
    blur = ColourTransform([{"GaussianBlur": {"kernel_size": 5, "p": 0.25}}])
    changed = [not np.array_equal(blur(image, np.random.default_rng(seed)), image) for seed in range(200)]
    assert 0.15 < np.mean(changed) < 0.35


@pytest.mark.parametrize(
    ("transforms", "named"),
    [
        ([{"ColourJitter": {}}], "ColorJitter"),
        ([{"functional": {}}], "functional"),
        ([{"RandomHorizontalFlip": {"p": 1.0}}], "no colour transform"),
        ([{"Grayscale": {}}], "no colour transform"),
        ([{"ColorJitter": {"brightnes": 1}}], "brightnes"),
        ([{"ColorJitter": {"hue": 3}}], "ColorJitter"),
        ([{"GaussianBlur": {"kernel_size": 3, "p": 2}}], "GaussianBlur"),
        ([{"Ligthing": {}}], "did you mean 'Lighting'"),
        ([{"Lighting": {"scales": 1}}], "Lighting"),
    ],
)
def test_bad_colour_transforms_are_named(transforms, named):
    with pytest.raises(InputError, match=named):
        ColourTransform(transforms)


# Randomness


class Source:
    """Five entries that show `different` noise pictures."""

    class_names = ("a", "b")

    def __init__(self, different: int) -> None:
        self.different = different

    def __len__(self) -> int:
        return 5

    @property
    def entries(self) -> Entries:
        return Entries(Entry(Record(Path(), k, self.sample(k).objects), self.sample(k).supervised) for k in range(5))

    def hw(self, _: int) -> tuple[int, int]:
        return 80, 120

    def sample(self, index: int, _: int = 1) -> Sample:
        shown = index % self.different
        image = np.random.default_rng(shown).integers(0, 256, (80, 120, 3), dtype=np.uint8)
        return make_sample([(10 * shown, 10, 10 * shown + 40, 60)], image=image)


def train_pictures(seed: int = 0, different: int = 5) -> TrainPictures:
    affine = RandomAffine((64, 96), 0.5, 0.5, (0.5, 2.0), 0.3, 0.2, 10.0)
    return TrainPictures(Source(different), affine, ColourTransform(JITTER), mosaic_probability=0.5, seed=seed)


def test_windows_and_scales_depend_on_the_key_alone():
    affine = RandomAffine(ShortestEdge((32, 64, 96), 128), crop=RandomCrop((0.5, 0.5), more=True))
    first, second = (TrainPictures(Source(5), affine, ColourTransform([]), 0.0, seed=3) for _ in range(2))
    keys = [(epoch, index) for epoch in range(3) for index in range(5)]
    before = {key: contents(first[key]) for key in keys}
    assert len({images.shape for images, *_ in before.values()}) > 3
    for key in reversed(keys):
        for one, other in zip(before[key], contents(second[key]), strict=True):
            assert np.array_equal(one, other)


def contents(batch) -> list[np.ndarray]:
    return [each.numpy() for each in (batch.images, *batch.objects[:4], batch.supervised)]


def test_the_same_key_gives_the_same_sample_whatever_came_before():
    pictures, others = train_pictures(), train_pictures()
    keys = [(epoch, index) for epoch in range(4) for index in range(5)]
    before = {key: contents(pictures[key]) for key in keys}
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    for key in reversed(keys):
        for first, second in zip(before[key], contents(others[key]), strict=True):
            assert np.array_equal(first, second)


def test_another_epoch_index_or_seed_gives_another_sample():
    images = [train_pictures(seed, different=1)[epoch, 0].images for seed in range(3) for epoch in range(3)]
    images += [train_pictures(different=1)[0, index].images for index in range(1, 5)]
    assert len({image.numpy().tobytes() for image in images}) == len(images)


@pytest.mark.parametrize(
    "amounts", [{"brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5}, {"contrast": 0.3}]
)
def test_colour_jitter_is_that_of_torchvision_to_the_last_bit(amounts):
    theirs, ours = v2.ColorJitter(**amounts), ColorJitter(**amounts)
    for seed in range(20):
        image = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, 40, 50), dtype=np.uint8))
        results = []
        for jitter in (theirs, ours):
            torch.manual_seed(seed)
            results.append(jitter(image))
        assert torch.equal(*results)
