"""Evaluation at several scales, of a detector that finds the same thing at each."""

from pathlib import Path

import numpy as np
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.evaluation.api import run_model, scaled_sizes
from centerx.runtime.info import ModelInfo
from centerx.types import RawDetections
from tests.made import make_record

BOX = (40, 60, 120, 100)


class Bright:
    """A session that finds the bright pixels of a picture of any size."""

    info = ModelInfo(("thing",), (96, 128), 4)

    def __init__(self) -> None:
        self.sizes: set[tuple[int, ...]] = set()

    def __call__(self, images: np.ndarray) -> RawDetections:
        self.sizes.add(images.shape[2:])
        boxes = []
        for light in images[:, 0] > 185:  # halfway between the padding's grey, the picture's edge and white
            y, x = np.nonzero(light)
            boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1])
        scores = np.full((len(images), 1), 0.75, dtype=np.float32)
        return RawDetections(
            {"boxes": np.array(boxes, np.float32)[:, None]}, scores, np.zeros((len(images), 1), np.int64)
        )


def picture(folder: Path) -> Dataset:
    pixels = np.full((192, 256, 3), 114, np.uint8)
    pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    Image.fromarray(pixels).save(folder / "bright.png")
    record = make_record(folder / "bright.png", 1, [BOX], [0])
    return Dataset(folder, "coco", ("thing",), (1,), [record], [])


def test_what_is_found_at_every_scale_is_what_is_found_at_one(tmp_path: Path) -> None:
    data, session = picture(tmp_path), Bright()
    _, once = run_model(tmp_path, [data], 1, session)
    _, thrice = run_model(tmp_path, [data], 1, session, scales=(0.75, 1.0, 2.0))
    assert session.sizes == {(96, 128), (64, 96), (192, 256)}
    np.testing.assert_allclose(once[0].boxes, [BOX], atol=1.0)
    np.testing.assert_allclose(thrice[0].boxes, once[0].boxes, atol=1.0)
    np.testing.assert_allclose(thrice[0].scores, once[0].scores)
    assert thrice[0].labels.tolist() == [0]


def test_sizes_are_the_nearest_multiples_of_32() -> None:
    assert scaled_sizes((192, 256), (0.5, 1, 1.25, 0.01)) == [(96, 128), (192, 256), (256, 320), (32, 32)]
