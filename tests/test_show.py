"""How results show themselves: text, HTML in which nothing from outside is markup, frames and figures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centerx.api.add import AddResult, Change
from centerx.api.audit import AuditResult
from centerx.api.export import ExportedFile
from centerx.api.label import LabelResult
from centerx.api.merge import Comparison, MergeResult
from centerx.api.predict import Prediction
from centerx.api.train import TrainResult
from centerx.evaluation import Metrics
from centerx.runtime.sources import Source
from centerx.show import MOST_ROWS, Table
from centerx.types import Detections

EVIL = "<b onload='x'>&"
METRICS = Metrics(0.5, 0.75, None, per_class={"person": 0.25, EVIL: None}, images=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["epoch", "train/loss", "lr", "val/AP"])
        rows.writeheader()
        rows.writerow({"epoch": 1, "train/loss": 2.5, "lr": 0.1, "val/AP": ""})
        rows.writerow({"epoch": 2, "train/loss": 1.5, "lr": 0.1, "val/AP": 0.5})
    return tmp_path


def results(folder: Path) -> list[Any]:
    files = folder, folder / "last.safetensors", folder / "best.safetensors"
    return [
        METRICS,
        TrainResult(*files, METRICS),
        MergeResult(*files, METRICS, [Comparison("person", "a.onnx", 0.5, 0.25), Comparison(EVIL, None, None, 0.5)]),
        AddResult(*files, METRICS, [Change("person", False, 0.5, 0.25), Change(EVIL, True, None, 0.5)]),
    ]


def test_results_without_metrics_show_themselves(folder: Path) -> None:
    counts = {"missing": {"person": 4}, "wrong class": {EVIL: 2}}
    audited = AuditResult(folder / "index.html", folder / "audit.json", [folder / "a.json"], counts, 90, 20, 7, 3)
    labelled = LabelResult(folder / "found.json", {"person": 12, EVIL: 0}, {"person": 0.25, EVIL: 0.5}, 20)
    for result, parts in ((audited, ("missing", "4", "90", "a.json")), (labelled, ("person", "12", "0.250"))):
        text, html = repr(result), result._repr_html_()
        assert all(part in text and part in html for part in parts)
        assert EVIL in text
        assert "<b onload" not in html
        assert len(result.to_pandas()) == 2


def test_exported_files_show_themselves(folder: Path) -> None:
    path = folder / f"{EVIL.replace('/', '')}.onnx"
    file = ExportedFile(path, "onnx", "detections", 3.2, (96, 128), True, 32, "scores within 1e-6", None, (0.5, 0.25))
    text, html = repr(file), file._repr_html_()
    for part in ("Exported as onnx", "96 x 128, or any", "compared on 32 pictures", "within 1e-6", "0.250", "3.2"):
        assert part in text
        assert part in html
    assert "<b onload" not in html
    other = file._replace(parity=None, not_compared="no device", AP=None, any_size=False)
    assert [line.split("  ")[0] for line in repr(other).splitlines()[-1:]] == ["not compared"]


@pytest.mark.parametrize("number", range(4))
def test_every_result_shows_itself(number: int, folder: Path) -> None:
    result = results(folder)[number]
    text, html = repr(result), result._repr_html_()
    for part in ("0.500", "person", "0.250"):
        assert part in text
        assert part in html
    assert all(each in text for each in (EVIL, "AP"))
    assert "<b onload" not in html
    assert "&lt;b onload=&#x27;x&#x27;&gt;&amp;" in html
    assert len(result.to_pandas()) == 2
    assert result.plot()._repr_png_().startswith(b"\x89PNG")
    assert result == result._replace()


def test_text_of_metrics() -> None:
    lines = repr(METRICS).splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["Metrics of 3 pictures", "AP, IoU 0.50:0.95", "AP, IoU 0.50"]
    assert [line.split()[-1] for line in lines[1:4]] == ["0.500", "0.750", "–"]
    assert len({line.index(line.split()[-1]) for line in lines[1:4]}) == 1
    assert lines[-2].split() == ["person", "0.250"]
    assert METRICS.to_pandas()["AP"].tolist() == [0.25, pytest.approx(np.nan, nan_ok=True)]


def test_a_training_is_read_back(folder: Path) -> None:
    trained = results(folder)[1]
    assert trained.to_pandas()["train/loss"].tolist() == [2.5, 1.5]
    curves = [line.get_xydata().tolist() for axis in trained.plot().axes for line in axis.lines]
    assert curves == [[[1, 2.5], [2, 1.5]], [[1, 0.1], [2, 0.1]], [[2, 0.5]]]


def test_without_an_evaluation(folder: Path) -> None:
    assert "AP" not in repr(TrainResult(folder, folder / "a", folder / "b", None))
    assert Table("nothing").text() == "nothing"


def test_many_rows_are_cut_and_counted() -> None:
    table = Table("many", {}, ("n",), [(n,) for n in range(MOST_ROWS + 5)])
    assert table.text().endswith("and 5 rows more")
    assert table.html().count("<tr>") == MOST_ROWS + 1
    assert len(table.frame()) == MOST_ROWS + 5


def test_a_prediction() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    found = Detections(np.array([[5.0, 5, 30, 30]]), np.array([0.5]), np.array([0]), ("cat",))
    prediction = Prediction(0, Source(Path("a$.png"), Path("a$.png")), None, image, found)
    assert repr(prediction) == "Prediction(a$.png: Detections(1: cat 0.50))"
    assert prediction.draw().any()
    assert prediction._repr_png_().startswith(b"\x89PNG")
    assert prediction.plot()._repr_png_().startswith(b"\x89PNG")
    assert not image.any()
