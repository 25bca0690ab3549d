"""`centerx bench` as a user runs it."""

import csv
from pathlib import Path

import onnxruntime
import pytest

from centerx.bench import Timing
from tests.cli.conftest import CommandLine


def test_a_row_for_every_model_and_batch(
    centerx: CommandLine, model_file: Path, onnx_file: Path, tmp_path: Path
) -> None:
    table = tmp_path / "bench.csv"
    status, out, err = centerx("bench", model_file, onnx_file, "--batch", "1,3", "--runs", 2, "--csv", table)
    assert (status, err) == (0, "")
    assert "onnxruntime" in out
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == Timing._fields
    assert [(row["model"], row["backend"], row["batch"]) for row in rows] == [
        (str(file), backend, batch)
        for batch in ("1", "3")
        for file, backend in ((model_file, "torch"), (onnx_file, "onnxruntime"), (onnx_file, "openvino"))
    ]
    for row in rows:
        assert (row["height"], row["width"], row["runs"]) == ("96", "128", "2")
        per_second = int(row["batch"]) / float(row["ms"]) * 1e3
        assert float(row["pictures_per_second"]) == pytest.approx(per_second, rel=0.01)
    assert rows[1]["version"] == onnxruntime.__version__
