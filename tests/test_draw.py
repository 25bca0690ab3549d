"""Boxes where they belong, names inside the picture, inputs untouched."""

from pathlib import Path

import numpy as np
import pytest

from centerx.draw import PAPER, class_colour, contact_sheet, draw_boxes, save_image
from centerx.errors import InputError
from centerx.images import read_image

NAMES = ("RBC", "Zellkörper", "赤血球")


def grey(height: int = 120, width: int = 200) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def drawn(box: list[float], label: int = 0, **shape: int) -> np.ndarray:
    """Where drawing a box changes a grey picture, (H, W) bool."""
    image = grey(**shape)
    return (draw_boxes(image, np.array([box]), np.array([label]), NAMES) != image).any(axis=2)


def test_inputs_are_unchanged() -> None:
    image, boxes, labels = grey(), np.array([[10.0, 20, 90, 80]]), np.array([1])
    copies = image.copy(), boxes.copy(), labels.copy()
    out = draw_boxes(image, boxes, labels, NAMES, np.array([0.5]))
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert (out != image).any()
    for value, copy in zip((image, boxes, labels), copies, strict=True):
        assert np.array_equal(value, copy)


def test_without_boxes_the_picture_stays() -> None:
    image = grey()
    out = draw_boxes(image, np.zeros((0, 4)), np.zeros(0, np.int64), NAMES)
    assert np.array_equal(out, image)
    assert out is not image


def test_the_line_lies_on_the_pixels_of_the_border() -> None:
    changed = drawn([30, 60, 90, 100])
    below_the_name = changed[60:100, :]
    assert np.flatnonzero(below_the_name.any(axis=0))[[0, -1]].tolist() == [30, 89]
    assert np.flatnonzero(changed[:, 60:90].any(axis=1))[-1] == 99
    assert not changed[70:90, 40:80].any(), "the object itself stays visible"


def test_a_box_of_the_whole_picture_shows_all_four_sides() -> None:
    changed = drawn([0, 0, 200, 120])
    assert changed[0].all()
    assert changed[-1].all()
    assert changed[:, 0].all()
    assert changed[:, -1].all()


@pytest.mark.parametrize("corner", [(0, 0), (198, 118), (0, 118), (198, 0), (-30, -30), (100, 3)])
def test_the_name_is_inside_the_picture(corner: tuple[int, int]) -> None:
    x, y = corner
    tag = drawn([x, y, x + 2, y + 2]).sum()
    free = drawn([100, 60, 102, 62]).sum()
    assert tag >= free * 0.9, "as much of the plate shows as in the middle of the picture"


@pytest.mark.parametrize("label", range(len(NAMES)))
@pytest.mark.parametrize("shape", [{"height": 1, "width": 1}, {"height": 5, "width": 400}, {"height": 400, "width": 5}])
def test_any_name_on_any_shape(label: int, shape: dict[str, int]) -> None:
    assert drawn([0, 0, 1, 1], label, **shape).any()


def test_the_best_box_lies_on_top() -> None:
    boxes = np.array([[50.0, 50, 100, 100]] * 2)
    out = draw_boxes(grey(), boxes, np.array([0, 1]), NAMES, np.array([0.9, 0.1]))
    assert tuple(out[99, 75]) == class_colour(0)


def test_no_line_crosses_a_name() -> None:
    boxes = np.array([[60.0, 30, 150, 110], [50.0, 60, 150, 110]])  # the first one's left side runs through the name
    alone = draw_boxes(grey(), boxes[1:], np.array([1]), NAMES)
    both = draw_boxes(grey(), boxes, np.array([0, 1]), NAMES)
    plate = (alone[:58, :] != 128).any(axis=2)
    assert plate.any()
    assert np.array_equal(both[:58][plate], alone[:58][plate])


def test_names_of_near_boxes_do_not_cover_each_other() -> None:
    boxes = np.array([[20.0, 60, 120, 140], [24, 62, 124, 142], [22, 58, 118, 138], [28, 60, 128, 150]])
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    names = ["x" * 8] * 4

    def painted(picture: np.ndarray, label: int) -> int:
        return int((picture == class_colour(label)).all(axis=2).sum())

    together = draw_boxes(image, boxes, np.arange(4), names)
    alone = [painted(draw_boxes(image, boxes[[row]], np.array([row]), names), row) for row in range(4)]
    shares = [painted(together, row) / alone[row] for row in range(4)]
    assert min(shares) > 0.7, "lines cross plates, plates cover none"


def test_colours_are_stable_and_far_apart() -> None:
    colours = np.array([class_colour(label) for label in range(12)], dtype=float)
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 1e9 * np.eye(12)
    assert distance.min() > 45
    assert class_colour(3) == class_colour(3)
    assert len({class_colour(label) for label in range(80)}) == 80


def test_a_sheet_places_scaled_pictures_and_leaves_paper_between() -> None:
    black, white = np.zeros((10, 20, 3), np.uint8), np.full((40, 20, 3), 255, np.uint8)
    sheet = contact_sheet([black, white, black], columns=2, cell_hw=(30, 40), gap=4)
    assert sheet.shape == (4 + 2 * 34, 4 + 2 * 44, 3)
    assert tuple(sheet[0, 0]) == PAPER
    assert (sheet[9:29, 4:44] == 0).all(), "20 x 40 in the middle of a cell of 30 x 40"
    assert (sheet[4:34, 48 + 13 : 48 + 27] == 255).all(), "30 x 15 in the middle of a cell of 30 x 40"
    assert (sheet[43:63, 4:44] == 0).all()


def test_a_long_caption_stays_in_its_column() -> None:
    pictures = [grey(60, 80)] * 2
    plain = contact_sheet(pictures, 2, (60, 80), ["", ""])
    wordy = contact_sheet(pictures, 2, (60, 80), ["a_very_long_name_of_a_picture_0001.jpg" * 3, ""])
    changed = np.flatnonzero((plain != wordy).any(axis=(0, 2)))
    assert changed.min() >= 8
    assert changed.max() <= 8 + 80


def test_saving_makes_folders_and_tells_what_fails(tmp_path: Path) -> None:
    save_image(tmp_path / "a" / "b.png", grey())
    assert np.array_equal(read_image(tmp_path / "a" / "b.png"), grey())
    with pytest.raises(InputError, match=r"b\.nonsense: cannot write"):
        save_image(tmp_path / "b.nonsense", grey())
    with pytest.raises(InputError, match="cannot write"):
        save_image(tmp_path / "a" / "b.png" / "c.png", grey())
