"""Export to LiteRT by onnx2tf, which is a program of an environment of its own, and the files that it makes."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from centerx.build_model import load_detector
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.runtime import load, open_session
from tests.exporting.test_formats import compare

pytest.importorskip("ai_edge_litert")
from centerx.exporting import litert
from centerx.exporting.litert import PROGRAM, VARIABLE, choose_layout, with_facts
from centerx.runtime.litert import FACTS, read_facts

HERE = shutil.which(os.environ.get(VARIABLE, PROGRAM))
needs_program = pytest.mark.skipif(HERE is None, reason="onnx2tf is not installed")


@needs_program
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_file_answers_as_torch_does(model_file: Path, tmp_path: Path, precision: str) -> None:
    detector, info = load_detector(model_file)
    path = tmp_path / "a.tflite"
    export_model(detector, info, path, "litert", ExportOptions("maps", precision))
    session = open_session(path)
    assert session.info == info
    close = compare(detector, path, synthetic_images(3, info.input_hw, seed=7), reach=16.0)
    assert close.small if precision == "fp32" else close.matched > 50 and close.score < 0.02
    assert len(load(path, threads=2)(synthetic_images(1, (50, 90))[0].transpose(1, 2, 0)).scores)
    with pytest.raises(InputError, match="leave the adapter out"):
        open_session(path, adapter={})


def test_a_file_that_does_not_say_how_its_maps_lie(model_file: Path, tmp_path: Path) -> None:
    facts = load_detector(model_file)[1].to_metadata()
    (tmp_path / "a.tflite").write_bytes(with_facts(b"TFL3", facts))
    with pytest.raises(InputError, match="does not say how its maps lie"):
        open_session(tmp_path / "a.tflite")
    (tmp_path / "a.tflite").write_bytes(with_facts(b"TFL3", facts | {"layouts": '{"heatmap": "up"}'}))
    with pytest.raises(InputError, match="does not say how its maps lie"):
        open_session(tmp_path / "a.tflite")


def test_maps_that_onnx2tf_turned_are_found_by_their_values() -> None:
    due = np.random.default_rng(0).random((1, 8, 8, 8))  # 8 classes on 8 x 8 cells: the shape says nothing
    assert choose_layout(due, due) == "nchw"
    assert choose_layout(due.transpose(0, 2, 3, 1), due) == "nhwc"
    with pytest.raises(InputError, match=r"makes a map \(1, 8, 64\)"):
        choose_layout(due.reshape(1, 8, 64), due)


def test_metadata_lie_behind_the_model(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(with_facts(b"a model", {"producer": "centerx", "class_names": '["über"]'}))
    assert (tmp_path / "a").read_bytes().startswith(b"a model")
    assert read_facts(tmp_path / "a") == {"producer": "centerx", "class_names": '["über"]'}
    (tmp_path / "b").write_bytes(b"a model of another project")
    with zipfile.ZipFile(tmp_path / "c", "w") as archive:
        archive.writestr("labels.txt", "a\nb")
    with zipfile.ZipFile(tmp_path / "d", "w") as archive:
        archive.writestr(FACTS, "[1, 2")
    assert read_facts(tmp_path / "b") == read_facts(tmp_path / "c") == read_facts(tmp_path / "d") == {}


def test_without_the_program_the_line_says_where_it_is_from(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for named, says in ((None, "the program onnx2tf is absent"), ("no/such", f"{VARIABLE}=no/such is no program")):
        monkeypatch.delenv(VARIABLE, raising=False)
        if named:
            monkeypatch.setenv(VARIABLE, named)
        with pytest.raises(InputError, match=f"^litert: {says}, install it in an environment of its own"):
            export_model(*load_detector(model_file), tmp_path / "a.tflite", "litert", ExportOptions("maps"))


def test_what_onnx2tf_cannot_convert_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "onnx2tf"
    program.write_text("#!/bin/sh\necho first\necho 'DeformConv is not supported' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match=r"cannot convert this network.*\(first DeformConv is not supported\)$"):
        litert.convert(str(program), tmp_path / "a.onnx", tmp_path / "out" / "a.tflite")
