"""Reports: their numbers by hand, and what a page shows of them."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import centerx
from centerx.data.dataset import Dataset
from centerx.data.source import Entry, SampleSource
from centerx.data.tiled import TiledSource
from centerx.evaluation import coco_metrics, evaluate_found
from centerx.evaluation.mistakes import KINDS
from centerx.evaluation.report import Report, calibrate, make_report
from centerx.evaluation.report_page import FOUND, TRUTH, draw_mistake, mistake_pictures, report_page, write_report
from centerx.page import Gallery, Table, Text
from centerx.tasks import BOXES, CENTER
from centerx.tiles import Tiles
from centerx.types import Detections
from tests.evaluation.test_coco import CLASSES, random_case
from tests.evaluation.test_mistakes import CAT, DOG, ONE_OF_EACH, found
from tests.made import make_record
from tests.test_page import read


def source_of(entries, class_names=("cat", "dog"), task=BOXES):
    """A source of pictures that need not be there."""
    source = object.__new__(SampleSource)
    source.entries, source.class_names, source.task, source.value_range = entries, class_names, task, "auto"
    return source


def report_of(entries, detections, class_names=("cat", "dog"), task=BOXES) -> Report:
    source = source_of(entries, class_names, task)
    some = dict(enumerate(detections))
    return make_report("model.onnx", "data", source, some, evaluate_found(source, task, some))


@pytest.fixture
def one_of_each(tmp_path: Path) -> Report:
    """A picture with a mistake of each kind, once the thresholds are low enough: two more pictures see to that."""
    Image.new("RGB", (120, 100), (114, 114, 114)).save(tmp_path / "a.png")
    both = np.ones((2, 2), dtype=bool)
    labelled = make_record(tmp_path / "a.png", 1, [CAT, DOG, [80, 0, 85, 5]], [0, 1, 1], declared_hw=(100, 120))
    more = [make_record(tmp_path / "gone.png", n, [CAT] * 1, [0], declared_hw=(100, 120)) for n in (2, 3, 4, 5, 6, 7)]
    low = [found((CAT, 0, 0.3))] * 6
    return report_of([Entry(record, both) for record in (labelled, *more)], [found(*ONE_OF_EACH), *low])


def test_the_numbers_by_hand(one_of_each: Report) -> None:
    """All seven cats are found from 0.3 on, among six false ones: F1 = 14 / 20."""
    tree = json.loads(json.dumps(one_of_each.to_json(), allow_nan=False))
    cat, dog = tree["classes"]["cat"], tree["classes"]["dog"]
    assert (cat["objects"], cat["threshold"]) == (7, pytest.approx(0.3))
    assert (cat["precision"], cat["recall"], cat["F1"]) == (pytest.approx(7 / 13), 1, pytest.approx(0.7))
    assert (dog["objects"], dog["AP"], dog["threshold"], dog["F1"]) == (2, 0, None, None)
    assert {kind: each["count"] for kind, each in tree["mistakes"].items()} == {
        "doubled": 1, "wrong class": 1, "badly placed": 1, "wrong class and badly placed": 1, "background": 2,
        "missed": 1,
    }  # fmt: skip
    assert tree["mistakes"]["missed"]["per_class"] == {"cat": 0, "dog": 1}
    [wrong] = tree["mistakes"]["wrong class"]["worst"]
    image = wrong.pop("image")
    assert image.endswith("a.png")
    assert wrong == {
        "label": "cat", "score": 0.7, "box": DOG, "object_label": "dog", "object_box": DOG, "overlap": pytest.approx(1)
    }  # fmt: skip
    assert [each["score"] for each in tree["mistakes"]["background"]["worst"]] == [0.4, 0.35]
    assert tree["confusion"] == {"classes": ["cat", "dog", None], "matrix": [[7, 0, 0], [1, 0, 1], [5, 0, 0]]}


def test_calibration_by_hand() -> None:
    """Four of mean 0.15, none right; one of 0.5, right; two of mean 0.95, one right; what scores 0.05 is left out."""
    scores = np.array([0.05, 0.1, 0.1, 0.2 - 1e-9, 0.2 - 1e-9, 0.5, 0.9, 1.0])
    calibration = calibrate(scores, np.array([True, False, False, False, False, True, True, False]))
    assert calibration.counts.tolist() == [4, 0, 0, 0, 1, 0, 0, 0, 2]
    nothing = [np.nan] * 3
    np.testing.assert_allclose(calibration.scores, [0.15, *nothing, 0.5, *nothing, 0.95])
    np.testing.assert_allclose(calibration.rates, [0, *nothing, 1, *nothing, 0.5])
    assert calibration.error == pytest.approx((4 * 0.15 + 0.5 + 2 * 0.45) / 7)
    assert calibrate(scores[:1], np.array([True])).error is None


def test_scores_that_are_rates_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 20000)
    assert calibrate(scores, rng.random(20000) < scores).error == pytest.approx(0, abs=0.02)
    assert calibrate(scores, rng.random(20000) < scores / 2).error == pytest.approx(0.275, abs=0.02)


def test_agrees_with_the_metrics() -> None:
    """AP of classes and sizes, and the area under the curves, are those of COCO's own table."""
    entries, detections = random_case(1, images=40)
    metrics = coco_metrics(entries, detections, CLASSES)
    report = report_of(entries, detections, CLASSES)
    assert {each.name: each.AP for each in report.classes} == pytest.approx(metrics.per_class)
    assert np.mean([each.AP50 for each in report.classes]) == pytest.approx(metrics.AP50)
    assert [each.AP for each in report.sizes] == pytest.approx([metrics.APs, metrics.APm, metrics.APl])
    assert report.precisions["AP75"].mean() == pytest.approx(metrics.AP75)
    areas = np.concatenate([e.record.objects.values["area"][~e.record.ignore] for e in entries])
    assert [each.objects for each in report.sizes] == np.histogram(areas, [0, 1024, 9216, np.inf])[0].tolist()
    assert sum(each.objects for each in report.sizes) == sum(each.objects for each in report.classes)
    rows = report.mistakes.confusion[:-1].sum(axis=1)
    assert rows.tolist() == [each.objects for each in report.classes]
    right = np.diag(report.mistakes.confusion)[:-1]
    assert [each.recall for each in report.classes] == pytest.approx((right / rows).tolist())


def test_a_page_shows_the_mistakes_and_says_which_pictures_are_gone(one_of_each: Report, tmp_path: Path) -> None:
    page = write_report(tmp_path / "report", one_of_each)
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == one_of_each.to_json()
    parsed = read(page.read_text(encoding="utf-8"))
    titles = ["doubled: 1 of 1", "wrong class: 1 of 1", "badly placed: 1 of 1", "wrong class and badly placed: 1 of 1",
              "background: 2 of 2", "missed: 1 of 1"]  # fmt: skip
    assert parsed.of("h3") == titles
    captions = parsed.of("figcaption")
    assert "cat 0.70, label dog, IoU 1.00; a.png" in captions
    assert "dog; a.png" in captions


def test_mistakes_on_a_tile_are_drawn_on_that_tile(tmp_path: Path) -> None:
    """The right half of the picture is white."""
    Image.fromarray(np.repeat(np.uint8([[0, 255]] * 60), 60, axis=1)).convert("RGB").save(tmp_path / "a.png")
    record = make_record(tmp_path / "a.png", 1, [[70, 10, 110, 50]], [0], declared_hw=(60, 120))
    data = Dataset(tmp_path, "made", ("cat",), (1,), [record], [])
    source = TiledSource([data], data.class_names, tiles=Tiles.of(60, 0), min_visible=0.5)
    some = {1: found(([10, 10, 50, 50], 0, 0.9))}  # right, in pixels of the second tile; the first cannot be read
    assert make_report("model", "data", source, some, evaluate_found(source, BOXES, some)).counts.sum() == 0
    some = {1: found()}
    report = make_report("model", "data", source, some, evaluate_found(source, BOXES, some))
    drawn, unread = mistake_pictures(report)
    assert unread == 0
    [missed] = drawn[KINDS.index("missed")]
    with Image.open(BytesIO(base64.b64decode(missed.source.split(",")[1]))) as picture:
        assert np.median(np.asarray(picture)) > 250


def test_pictures_that_are_gone_are_told() -> None:
    gone = Entry(make_record("gone.png", 1, [CAT], [0], declared_hw=(100, 100)), np.ones((2, 2), dtype=bool))
    blocks = report_page(report_of([gone], [found()])).sections[-1].blocks
    assert Text("1 of the pictures cannot be read, and are not shown.") in blocks
    assert not any(isinstance(block, Gallery) for block in blocks)


def test_a_mistake_is_drawn_where_it_is(one_of_each: Report) -> None:
    """The dog's box 50 to 60 fills 10 of 48 pixels around 55, at 5 times its size; the label lies under it."""
    grey = np.full((100, 120, 3), 114, dtype=np.uint8)
    [wrong] = one_of_each.worst[KINDS.index("wrong class")]
    picture = draw_mistake(grey, one_of_each, wrong)
    assert picture.shape == (240, 240, 3)
    rows, columns = np.nonzero((picture == FOUND).all(axis=-1))
    low, high = 5 * (50 - 31), 5 * (60 - 31)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (low, high, low, high)
    [missed] = one_of_each.worst[KINDS.index("missed")]
    assert draw_mistake(grey, one_of_each, missed).shape == (132, 240, 3)  # 58 to 107 and 0 to 27: cut by the edge
    [badly] = one_of_each.worst[KINDS.index("badly placed")]
    assert (draw_mistake(grey, one_of_each, badly) == TRUTH).all(axis=-1).any()


def test_points_have_no_sizes_and_are_near_or_far(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    record = make_record(tmp_path / "a.png", 1, [[50, 50, 50, 50], [20, 20, 20, 20]], [0, 1], declared_hw=(100, 100))
    entry = Entry(record, np.ones((2, 1), dtype=bool))
    some = found(([51, 50, 51, 50], 0, 0.9), ([26, 20, 26, 20], 1, 0.8))
    report = report_of([entry], [Detections(some.boxes, some.scores, some.labels, task="center")], task=CENTER)
    tree = report.to_json()
    assert "sizes" not in tree
    assert tree["mistakes"]["badly placed"]["count"] == 1
    page = report_page(report)
    assert "AP by size" not in [section.title for section in page.sections]
    assert any("figures by size are left out" in b.text for b in page.sections[0].blocks if isinstance(b, Text))
    assert "APs" not in json.dumps(tree)


def test_no_object_of_a_class_and_nothing_found() -> None:
    empty = Entry(make_record("a.png", 1, [CAT], [0], declared_hw=(9, 9)), np.ones((2, 2), dtype=bool))
    tree = json.loads(json.dumps(report_of([empty], [found()]).to_json(), allow_nan=False))
    assert tree["classes"]["dog"] == {"objects": 0} | dict.fromkeys(
        ("AP", "AP50", "AP75", "threshold", "precision", "recall", "F1", "calibration_error")
    )
    assert tree["calibration"]["error"] is None


@pytest.mark.parametrize("count", [1, 30])
def test_any_number_of_classes_has_a_page(count: int) -> None:
    names = tuple(f"$class_{number}$" for number in range(count))
    record = make_record("a.png", 1, [CAT, DOG], [0, count - 1], declared_hw=(100, 100))
    entry = Entry(record, np.ones((count, 2), dtype=bool))
    page = report_page(report_of([entry], [found((CAT, 0, 0.9), (DOG, count - 1, 0.8))], names))
    [table] = [b for b in page.sections[1].blocks if isinstance(b, Table)]
    assert [row[0] for row in table.rows] == list(names)


def test_every_kind_of_model_has_a_report(model_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    """A model file, its export, and results of which no picture is there."""
    record = {"id": 1, "file_name": "a.png", "width": 128, "height": 96}
    names = ("red", "green", "blue")
    box = {"image_id": 1, "category_id": 0, "bbox": [30, 20, 40, 30]}
    tree = {
        "images": [record],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [{"id": 1, "area": 1200, "iscrowd": 0} | box],
    }
    (tmp_path / "data.json").write_text(json.dumps(tree))
    (tmp_path / "found.json").write_text(json.dumps([box | {"score": 0.5}]))
    results = centerx.evaluate(tmp_path / "found.json", tmp_path / "data.json", report=tmp_path / "results")
    assert results.report == tmp_path / "results" / "index.html"
    assert results.to_json() == centerx.evaluate(tmp_path / "found.json", tmp_path / "data.json").to_json()
    Image.new("RGB", (128, 96), (90, 20, 20)).save(tmp_path / "a.png")
    numbers = []
    for number, model in enumerate((model_file, onnx_file)):
        metrics = centerx.evaluate(model, tmp_path / "data.json", report=tmp_path / str(number))
        assert metrics.report is not None
        numbers.append(json.loads(metrics.report.with_name("report.json").read_text()))
        assert numbers[-1]["metrics"] == metrics.to_json()
    assert numbers[0]["confusion"] == numbers[1]["confusion"]
