"""`centerx export` as a user runs it."""

import json
import shutil
from pathlib import Path

import pytest

from centerx.cli.options import parse_size
from centerx.errors import InputError
from centerx.runtime import open_session
from tests.cli.conftest import CommandLine
from tests.cli.test_habits import documented, keys_of


def test_the_file_lies_beside_the_model_and_is_checked(centerx: CommandLine, model_file: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy(model_file, tmp_path / "best.v1.safetensors"))
    status, out, err = centerx("export", model, "--format", "onnx", "--size", "64x96")
    assert (status, err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"best.v1.safetensors", "best.v1.onnx"}
    first, second = out.splitlines()
    assert first.startswith(f"{tmp_path / 'best.v1.onnx'}: ")
    assert first.endswith("input 64x96, detections")
    assert second.startswith("checked against the model on synthetic pictures: ")
    assert open_session(tmp_path / "best.v1.onnx").info.input_hw == (64, 96)


@pytest.mark.soak
def test_maps_go_to_a_name_of_their_own(centerx: CommandLine, model_file: Path, tmp_path: Path) -> None:
    status, out, err = centerx(
        "export",
        model_file,
        "--outputs",
        "maps",
        "--size",
        "32x64",
        "--out",
        tmp_path / "new",
        "--json",
        tmp_path / "a",
    )
    assert (status, err) == (0, "")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model-maps.onnx"]
    first, second = out.splitlines()
    assert first.endswith("input 32x64, maps")
    assert second.startswith("checked against the model on synthetic pictures: ")
    [report] = tree = json.loads((tmp_path / "a").read_bytes())
    assert documented("export") == keys_of(tree)
    assert second.endswith(report["parity"])
    assert (report["path"], report["format"], report["outputs"], report["input_hw"], report["AP"]) == (
        str(tmp_path / "new" / "model-maps.onnx"), "onnx", "maps", [32, 64], None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--format", "onnx,cafe"), "unknown 'cafe'"), (("--format", ""), "unknown ''"), (("--outputs", "box"), "maps")],
)
def test_a_wrong_option_ends_it_before_anything_is_written(
    options: tuple[str, str], said: str, centerx: CommandLine, model_file: Path, tmp_path: Path
) -> None:
    status, out, err = centerx("export", model_file, "--out", tmp_path / "new", *options)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("text", "size"), [("320x416", (320, 416)), ("32x32", (32, 32))])
def test_sizes_are_height_by_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "said"),
    [("0x32", "32x32"), ("33x100", "32x96"), ("320", "HxW"), ("ax3", "HxW"), ("-32x32", "HxW"), ("32x32x3", "HxW")],
)
def test_sizes_that_are_none(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_size(text)


@pytest.mark.soak
def test_int8_is_calibrated_and_its_price_told(
    centerx: CommandLine, model_file: Path, scenes: Path, tmp_path: Path
) -> None:
    status, out, err = centerx("export", model_file, "--precision", "int8", "--out", tmp_path / "none")
    assert (status, out) == (2, "")
    assert err == "error: --precision: int8 is calibrated on pictures, give a folder of readable ones with --data\n"
    status, out, err = centerx(
        "export", model_file, "--precision", "int8", "--data", scenes.parent / "train", "--out", tmp_path
    )
    assert (status, err) == (0, "")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["model-int8.onnx"]
    assert "of those that score 0.3 or more" in out
    assert "AP" not in out  # a folder of pictures has no labels


def test_a_module_that_is_missing_is_told_before_anything_is_written(
    centerx: CommandLine, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("centerx.api.export.find_spec", lambda name: None if name == "openvino" else object())
    status, out, err = centerx("export", model_file, "--format", "onnx,openvino", "--out", tmp_path / "new")
    assert (status, out) == (2, "")
    assert err == "error: this needs the package 'openvino', run `pip install 'centerx[openvino]'`\n"
    assert not (tmp_path / "new").exists()
