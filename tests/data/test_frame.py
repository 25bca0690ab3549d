"""Boxes of stored pictures, turned with the picture's EXIF orientation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.read import read_dataset
from centerx.images import image_header, read_image
from centerx.problems import Kind
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_yolo

BOX = (4, 6, 14, 11)  # a white rectangle in the stored picture of 40 x 30


def save_turned(path: Path, orientation: int) -> None:
    stored = np.zeros((30, 40, 3), dtype=np.uint8)
    stored[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif)


def white(picture: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(picture[..., 0] > 128)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_follow_the_pixels(tmp_path: Path, orientation: int) -> None:
    save_turned(tmp_path / "a.png", orientation)
    bbox = [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
    file = write_coco(tmp_path / "a.json", images=[coco_image()], annotations=[coco_annotation(bbox=bbox)])
    dataset = read_dataset(file, frame="stored")
    picture = read_image(tmp_path / "a.png")
    assert dataset.records[0].objects.boxes.tolist() == [white(picture)]
    assert dataset.records[0].declared_hw == picture.shape[:2] == image_header(tmp_path / "a.png").hw
    assert [problem.kind for problem in dataset.problems] == ([Kind.TURNED_BOXES] if orientation > 1 else [])
    assert read_dataset(file).records[0].objects.boxes.tolist() == [list(BOX)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_shares_of_the_stored_picture(tmp_path: Path, orientation: int) -> None:
    x, y, width, height = (BOX[0] + BOX[2]) / 80, (BOX[1] + BOX[3]) / 60, 10 / 40, 5 / 30
    folder = write_yolo(tmp_path, a=f"0 {x} {y} {width} {height}\n")
    save_turned(folder / "images" / "a.png", orientation)
    dataset = read_dataset(folder, frame="stored")
    np.testing.assert_allclose(
        dataset.records[0].objects.boxes, [white(read_image(folder / "images" / "a.png"))], atol=1e-5
    )
