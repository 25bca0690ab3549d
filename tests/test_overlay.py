"""Heatmaps: where they lie on their picture, and what of them is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import centerx
from centerx import overlay
from centerx.draw import class_colour
from centerx.errors import InputError
from centerx.geometry import Letterbox
from centerx.overlay import MOST_CLASSES, Heatmaps, blend, draw_heatmaps
from centerx.resize import OWN_RESIZE, Resize
from centerx.runtime import Predictor
from centerx.runtime.info import ModelInfo


class Brightness:
    """A network whose heatmap is how bright its input is at each cell."""

    any_size = True

    def __init__(self, resize: Resize) -> None:
        self.info = ModelInfo(("light",), (96, 128), 4, resize=resize)

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        batch, _, height, width = images.shape
        return images.reshape(batch, 3, height // 4, 4, width // 4, 4).mean(axis=(1, 3, 5))[:, None].astype(np.float32)


@pytest.mark.parametrize(
    "resize", [OWN_RESIZE, Resize(centred=True, filter="bilinear", pad_value=0), Resize(False, filter="area")]
)
@pytest.mark.parametrize("hw", [(480, 640), (250, 1000), (901, 333), (40, 30)])
def test_the_peak_lies_on_the_object(hw: tuple[int, int], resize: Resize) -> None:
    """A Gaussian of light on a dark picture, brought to the input by several rules, is where it was.

    Sampling by cells costs a tenth of a cell.
    """
    height, width = hw
    x, y = 0.7 * width, 0.3 * height
    cell = max(height / 24, width / 32)  # source pixels, at most
    rows, columns = np.mgrid[:height, :width] + 0.5
    light = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (2 * cell) ** 2))
    image = np.repeat(light[..., None], 3, axis=2).astype(np.uint8)
    found = centerx.heatmaps(Predictor(Brightness(resize)), image)  # type: ignore[arg-type]
    assert found.values.shape == (1, height, width)
    mass = np.maximum(found.values[0] - 150, 0)  # the middle of the peak, as its top is one cell wide
    centre = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()
    np.testing.assert_allclose(centre, (x, y), atol=0.1 * cell + 0.1)
    top = np.unravel_index(found.values[0].argmax(), hw)
    assert abs(top[1] + 0.5 - x) <= cell / 2 + 1
    assert abs(top[0] + 0.5 - y) <= cell / 2 + 1


def test_values_are_those_of_the_network(model_file: Path) -> None:
    """At 3 pixels of the picture a cell, the middle of a cell is that of a pixel; detections score what a cell says."""
    image = np.random.default_rng(0).integers(0, 255, (72, 96, 3), dtype=np.uint8)
    predictor = centerx.load(model_file)
    found = centerx.heatmaps(model_file, image)
    assert found.cells.shape == (3, 24, 32)
    np.testing.assert_allclose(found.values[:, 1::3, 1::3], found.cells, atol=1e-5)
    best = predictor(image)
    assert len(best) > 10
    for label, score in zip(best.labels, best.scores, strict=True):
        assert np.abs(found.cells[label] - score).min() < 1e-6
    assert found.highest("nothing") == 0


def test_an_exported_file_has_no_heatmaps(onnx_file: Path) -> None:
    with pytest.raises(InputError, match=r"model\.onnx: has no heatmaps, only a \.safetensors"):
        centerx.heatmaps(onnx_file, np.zeros((9, 9, 3), dtype=np.uint8))


def maps(cells: Any, names: tuple[str, ...] = ("a",), model: str = "m", hw: tuple[int, int] = (16, 24)) -> Heatmaps:
    """Over a white picture that fills the input."""
    image = np.full((*hw, 3), 255, dtype=np.uint8)
    return Heatmaps(model, image, np.array(cells, dtype=np.float32), names, Letterbox.fit(hw, hw), 4)


def test_one_class_is_drawn_in_the_size_of_the_picture() -> None:
    cells = np.zeros((1, 4, 6))
    cells[0, :, :3] = 1
    drawn = draw_heatmaps([maps(cells)])
    assert drawn.shape == (16, 24, 3)
    assert (drawn[:, :10] == class_colour(0)).all()  # up to the middle of the last cell of 1
    assert (drawn[:, 14:] == 128).all()


def test_the_highest_class_shows_and_networks_share_the_scale() -> None:
    """A class has its colour by its name, whatever its place in a network."""
    first = maps([np.full((4, 6), 0.5), np.full((4, 6), 0.25)], ("a", "b"))
    second = maps([np.full((4, 6), 0.25)], ("b",))
    half = np.rint(127.5 + 0.5 * (np.array(class_colour(0)) - 127.5))
    quarter = np.rint(127.5 + 0.25 * (np.array(class_colour(1)) - 127.5))
    names, hw = ("a", "b"), (16, 24)
    assert (blend(first, names, names, hw) == half).all()
    assert (blend(first, ["b"], names, hw) == quarter).all()
    assert (blend(second, names, names, hw) == quarter).all()
    assert (blend(second, ["a"], names, hw) == 128).all()


def captions(several: list[Heatmaps], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    whole = overlay.contact_sheet

    def watch(images: Any, columns: int, hw: tuple[int, int], told: list[str]) -> np.ndarray:
        seen.extend(told)
        return whole(images, columns, hw, told)

    monkeypatch.setattr(overlay, "contact_sheet", watch)
    draw_heatmaps(several)
    return seen


def test_many_classes_are_cut_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"c{number}" for number in range(30))
    cells = np.arange(30)[::-1, None, None] / 30 * np.ones((1, 4, 6))
    told = captions([maps(cells, names)], monkeypatch)
    assert told[0] == f"all classes, of 30 the {MOST_CLASSES} highest follow"
    assert told[1:] == [f"c{number}, highest {(29 - number) / 30:.2f}" for number in range(MOST_CLASSES)]


def test_a_class_that_a_network_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = np.full((4, 6), 0.5), np.full((4, 6), 0.75)
    told = captions([maps([one, two], ("a", "b"), "student"), maps([two], ("b",), "teacher")], monkeypatch)
    assert told == [
        "all classes: student", "all classes: teacher", "a, highest 0.50: student", "no a: teacher",
        "b, highest 0.75: student", "b, highest 0.75: teacher",
    ]  # fmt: skip
