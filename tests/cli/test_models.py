"""`centerx models` and `centerx presets`: what they list, and that files are only read."""

import json
import shutil
from pathlib import Path

import onnx
import pytest

import centerx as library
from centerx.build_model import load_detector
from centerx.config import load_config, preset_names
from centerx.runtime import open_session
from centerx.runtime.header import read_metadata
from tests.cli.conftest import CommandLine


@pytest.fixture
def runs(tmp_path: Path, model_file: Path, onnx_file: Path) -> Path:
    """A run with its models and metrics, a file of another project, and one that is cut."""
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    for name in ("best.safetensors", "last.safetensors"):
        shutil.copy(model_file, run / name)
    shutil.copy(onnx_file, run / "best.onnx")
    (run / "metrics.csv").write_text("epoch,val/AP\n1,0.25\n2,\n3,0.5\n4,0.375\n")
    (run / "cut.onnx").write_bytes(onnx_file.read_bytes()[:-5])
    (run / "cut.safetensors").write_bytes(model_file.read_bytes()[:100])
    (run / "junk.onnx").write_bytes(bytes(range(256)) * 8)
    (run / "huge.safetensors").write_bytes(b"\xff" * 64)
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    sides = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", sides[:1], sides[1:])), run / "other.onnx")
    return tmp_path / "runs"


def test_metadata_is_what_the_libraries_read(model_file: Path, onnx_file: Path) -> None:
    assert read_metadata(onnx_file) == {each.key: each.value for each in onnx.load(onnx_file).metadata_props}
    assert read_metadata(onnx_file)["class_names"] == '["red", "green", "blue"]'
    info = load_detector(model_file)[1]
    assert info.to_metadata().items() <= read_metadata(model_file).items()


def test_models_of_a_folder(centerx: CommandLine, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centerx.runtime.session.Backend.open", None)  # nothing is loaded
    status, out, err = centerx("models", runs, "--json", "-")
    assert (status, err) == (0, "")
    tree = json.loads(out)
    assert tree["downloads"] == []
    found = {Path(model.pop("path")).name: model for model in tree["models"]}
    assert set(found) == {"best.safetensors", "last.safetensors", "best.onnx"}
    assert {name: model["AP"] for name, model in found.items()} == {
        "best.safetensors": 0.5, "best.onnx": 0.5, "last.safetensors": 0.375,
    }  # fmt: skip
    for name, model in found.items():
        assert model["classes"] == ["red", "green", "blue"]
        assert (model["task"], model["input_size"]) == ("boxes", [96, 128])
        assert model["megabytes"] == pytest.approx((runs / "one" / name).stat().st_size / 1e6, abs=1e-3)
    others = {Path(path).name for path in tree["others"]}
    assert others == {"cut.onnx", "cut.safetensors", "junk.onnx", "huge.safetensors", "other.onnx"}
    out = centerx("models", runs)[1]
    assert out.startswith(f"models to download: none yet\nmodels in {runs}: 3\n")
    assert "5 files of other projects or unreadable, the first: " in out


def test_without_runs_there_are_none(centerx: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert centerx("models") == (0, "models to download: none yet\nmodels in runs: none\n", "")
    status, _, err = centerx("models", "nowhere")
    assert (status, err) == (2, "error: nowhere: no such folder, name one with model files in it\n")


def test_what_a_model_says_is_what_its_session_says(runs: Path) -> None:
    for model in library.list_models(runs).models:
        assert model.info == open_session(model.path).info


def test_presets(centerx: CommandLine) -> None:
    status, out, err = centerx("presets", "--json", "-")
    assert (status, err) == (0, "")
    presets = {each["name"]: each for each in json.loads(out)}
    assert list(presets) == preset_names()
    assert (presets["bccd_nano"]["AP"], presets["bccd_nano"]["published"]) == (0.532, None)
    assert (presets["coco/r18"]["AP"], presets["coco/r18"]["published"]) == (None, 0.302)
    assert presets["coco/r18"]["purpose"] == "COCO, ResNet-18, 140 epochs"
    for name, preset in presets.items():
        config = load_config(name)
        assert (preset["epochs"], tuple(preset["input_size"])) == (config.train.epochs, config.data.input_size)
        assert preset["command"].startswith("centerx ")
        assert "easured" not in preset["purpose"]
        assert 5 < len(preset["purpose"]) < 250
        assert 1e6 < preset["parameters"] < 1e8
    out = centerx("presets", "bccd_nano")[1]
    assert "0.532" in out
    assert "coco/r18" not in out
