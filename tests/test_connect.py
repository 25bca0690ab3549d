"""Detections to other libraries and back: nothing is lost, hand-worked numbers, and what is impossible is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from centerx.errors import InputError
from centerx.types import Detections

NAMES = ("person", "face")
CATEGORIES = [{"id": 7, "name": "person", "supercategory": "x"}, {"id": 3, "name": "face"}]
HW = (50, 200)


def boxes() -> Detections:
    rows = np.array([[20.0, 10, 60, 40], [0, 0, 200, 50], [100, 20, 101, 21]])
    return Detections(rows, np.array([0.9, 0.5, 0.25]), np.array([1, 0, 1]), NAMES)


def points() -> Detections:
    rows = np.tile(np.array([[20.0, 10], [3.5, 4.5]]), 2)
    return Detections(rows, np.array([0.75, 0.5]), np.array([0, 1]), NAMES, {"points": rows[:, :2]}, "center")


def nothing() -> Detections:
    return boxes().above(1.1)


def same(first: Detections, second: Detections) -> None:
    np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-9)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-7)
    assert first.labels.tolist() == second.labels.tolist()
    assert first.labels.dtype == np.int64
    assert (first.class_names, first.task) == (second.class_names, second.task)


TRIPS: dict[str, Callable[[Detections], Detections]] = {
    "supervision": lambda found: Detections.from_supervision(found.to_supervision(), NAMES),
    "coco": lambda found: Detections.from_coco(found.to_coco("a", CATEGORIES), CATEGORIES),
    "yolo": lambda found: Detections.from_yolo(found.to_yolo(HW), HW, NAMES),
    "pandas": lambda found: Detections.from_pandas(found.to_pandas(), NAMES),
}


@pytest.mark.parametrize("way", TRIPS)
@pytest.mark.parametrize("make", [boxes, nothing])
def test_there_and_back(way: str, make: Callable[[], Detections]) -> None:
    same(TRIPS[way](make()), make())


@pytest.mark.parametrize("way", ["coco", "pandas"])
def test_points_there_and_back(way: str) -> None:
    same(TRIPS[way](points()), points())


def test_rows_of_coco() -> None:
    first = {"image_id": 5, "category_id": 3, "bbox": [20, 10, 40, 30], "score": 0.9}
    assert boxes().to_coco(5, CATEGORIES)[0] == first
    assert boxes().to_coco(5, {3: "face", 7: "person"}) == boxes().to_coco(5, CATEGORIES)
    assert points().to_coco(5, CATEGORIES)[1] == {
        "image_id": 5, "category_id": 3, "keypoints": [3.5, 4.5, 2], "score": 0.5}  # fmt: skip
    labels = [{key: value for key, value in first.items() if key != "score"}]
    assert Detections.from_coco(labels, CATEGORIES, score=1.0).scores.tolist() == [1]
    unsorted = [first | {"score": 0.1}, first | {"score": 0.2, "category_id": 7}]
    assert Detections.from_coco(unsorted, CATEGORIES).names == ["person", "face"]


def test_rows_of_yolo() -> None:
    assert boxes().to_yolo(HW)[0].tolist() == pytest.approx([1, 0.2, 0.5, 0.2, 0.6, 0.9])
    text = "1 0.2 0.5 0.2 0.6\n\n0 .5 .5 1 1\n"
    found = Detections.from_yolo(text, HW, NAMES, score=1)
    assert found.boxes.tolist() == [pytest.approx([20, 10, 60, 40]), pytest.approx([0, 0, 200, 50])]
    assert len(Detections.from_yolo("", HW)) == 0


def test_columns_of_pandas() -> None:
    values = {"depth": np.array([1.0, 2, 3]), "ends": np.zeros((3, 2))}
    found = boxes()
    frame = Detections(found.boxes, found.scores, found.labels, NAMES, values).to_pandas()
    assert list(frame) == ["class_name", "label", "score", "x0", "y0", "x1", "y1", "depth"]
    assert frame.iloc[0].tolist() == ["face", 1, 0.9, 20, 10, 60, 40, 1]
    assert list(points().to_pandas()) == ["class_name", "label", "score", "x", "y"]


def test_names_come_along() -> None:
    face = boxes().of("face")
    for found in (Detections.from_supervision(face.to_supervision()), Detections.from_pandas(face.to_pandas())):
        assert found.class_names == ("class 0", "face")
        assert found.labels.tolist() == [1, 1]
    unnamed = Detections(np.zeros((1, 4)), np.ones(1), np.array([2]))
    assert unnamed.to_supervision().data["class_name"].tolist() == ["class 2"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: points().to_yolo(HW), "these detections are points"),
        (lambda: boxes().to_coco(1, {1: "person"}), "categories: lack the class 'face'"),
        (lambda: boxes().to_coco(1, {1: "face", 2: "face"}), "is there twice"),
        (lambda: Detections.from_coco([{"category_id": 9, "bbox": [0] * 4}], CATEGORIES), r"rows\[0\]: category_id 9"),
        (lambda: Detections.from_coco([{"category_id": 3, "bbox": [0] * 3}], CATEGORIES), "bbox must be 4 numbers"),
        (lambda: Detections.from_coco([{"category_id": 3, "bbox": [0] * 4}], CATEGORIES), "have no scores"),
        (lambda: Detections.from_coco([{"image_id": 1}, {"image_id": 2}], CATEGORIES), "of 2 pictures"),
        (lambda: Detections.from_yolo("0 .5 .5 1", HW), r"must be \(K, 5\) or \(K, 6\)"),
        (lambda: Detections.from_yolo("0 .5 .5 1 1\n0 .5 .5 1 1 1", HW), "must be numbers, 5 or 6"),
        (lambda: Detections.from_yolo("0 .5 .5 1 1\n0 20 5 1 1", HW, score=1), r"rows\[1\]: must be a class index"),
        (lambda: Detections.from_yolo("0.5 .5 .5 1 1", HW, score=1), r"rows\[0\]: must be a class index"),
        (lambda: Detections.from_yolo("2 .5 .5 1 1", HW, NAMES, score=1), "labels must be below 2"),
        (lambda: Detections.from_yolo([[0, 0.5, 0.5, 1, 1, 2]], HW), r"scores in \[0, 1\]"),
        (lambda: Detections.from_pandas(boxes().to_pandas().drop(columns="y1")), "lacks the column 'y1'"),
        (lambda: boxes().of("fac"), r"no class 'fac' \(did you mean 'face'\?\), known: person, face"),
        (lambda: boxes()["face"], r"use of\('face'\)"),  # type: ignore[call-overload]
    ],
)
def test_what_is_impossible_is_told_in_one_line(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_selection() -> None:
    found = boxes()
    assert found[found.scores > 0.4].names == ["face", "person"]
    assert found[1:].scores.tolist() == [0.5, 0.25]
    assert found[[2, 0]].scores.tolist() == [0.25, 0.9]
    assert found.of("face").scores.tolist() == [0.9, 0.25]
    assert len(found.of("face", "person")) == 3
    assert len(found.of()) == 0
    assert found[-1] == ((100, 20, 101, 21), 0.25, 1, "face")
    assert found[0].center == (40, 25)
    assert [each.class_name for each in found] == found.names
    with pytest.raises(IndexError):
        found[3]


def test_repr() -> None:
    assert repr(boxes()) == "Detections(3: face 0.90, person 0.50, face 0.25)"
    assert repr(nothing()) == "Detections(0)"
    assert repr(points()) == "Detections(2: person 0.75, face 0.50; task center)"
    four = boxes()[[0, 0, 0, 1]]
    assert repr(four) == "Detections(4: face 0.90, face 0.90, face 0.90, ...)"


def test_html_is_escaped() -> None:
    found = Detections(np.zeros((1, 4)), np.ones(1), np.array([0]), ("<script>alert(1)</script>",))
    html = found._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "30 rows" not in boxes()._repr_html_()


def test_drawn() -> None:
    grey = np.full(HW, 90, np.uint8)
    drawn = boxes().draw(grey)
    assert (drawn.shape, drawn.dtype) == ((*HW, 3), np.uint8)
    assert (drawn[10:40, 21] != 90).any()
    assert (grey == 90).all()
    blue = np.zeros((*HW, 3), np.uint8)
    blue[:, :, 0] = 200
    assert nothing().draw(blue, bgr=True)[0, 0].tolist() == [0, 0, 200]
    assert Detections(np.array([[5.0, 5, 9, 9]]), np.ones(1), np.array([3])).draw(grey).shape == (*HW, 3)
    assert boxes().plot(grey)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("pandas", "notebook", lambda: boxes().to_pandas()),
        ("supervision", "supervision", lambda: boxes().to_supervision()),
        ("matplotlib", "notebook", lambda: boxes().plot(np.zeros(HW, np.uint8))),
    ],
)
def test_a_missing_package_is_named(
    package: str, extra: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"package {package} is not installed: pip install 'centerx\[{extra}"
    ):
        call()
