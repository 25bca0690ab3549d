"""Data and settings that cannot be trained with, and pictures that cannot be read."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from centerx.build import build_run
from centerx.config import load_config
from centerx.errors import InputError
from tests.training.small_runs import train


def broken_scenes(scenes: Path, folder: Path, broken: int) -> Path:
    """A copy of the scenes in which some pictures are cut short."""
    shutil.copytree(scenes.parent, folder)
    pictures = sorted((folder / "train").iterdir())
    for picture in pictures[:broken]:
        picture.write_bytes(picture.read_bytes()[:500])
    return folder / scenes.name


def test_a_broken_picture_is_named_and_does_not_end_the_run(
    scenes: Path, small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = broken_scenes(scenes, tmp_path / "data", 2)
    overrides = [*small_overrides, f"data.train=[{data}]", f"data.val=[{data}]"]
    run = train(overrides, tmp_path / "run")
    told = caplog.text
    assert "000000.jpg" in told
    assert "2 unreadable pictures were left out" in told
    assert run.evaluation is not None
    assert run.evaluation.metrics is not None
    assert run.evaluation.metrics.images == 22

    with pytest.raises(InputError, match=r"00000\d.jpg"):
        train([*overrides, "data.broken_images=fail"], tmp_path / "strict")


def test_only_broken_pictures_end_the_run(scenes: Path, small_overrides: list[str], tmp_path: Path) -> None:
    data = broken_scenes(scenes, tmp_path / "data", 24)
    with pytest.raises(InputError, match="not one picture"):
        train([*small_overrides, f"data.train=[{data}]", "data.val=[]"], tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.train=[]", "no data set to train on"),
        ("data.train=[nowhere.json]", "nowhere.json"),
        ("classes=['0', cat]", "'cat' is labelled in none of"),
        ("train.device=cuda", "no CUDA device"),
        ("model.backbone=resnet81", "did you mean"),
        ("train.skip_jumps=0.5", "train.skip_jumps: 0.5 would leave out ordinary steps"),
        ("augment.colour=[{ColourJitter: {}}]", "did you mean 'ColorJitter'"),
        ("augment.colour=[{ColorJitter: {brightnes: 1}}]", "augment.colour.ColorJitter"),
        ("train.init=nowhere.safetensors", "nowhere.safetensors"),
        ("model.backbone=swin_tiny_patch4_window7_224", "does not take pictures of 96 x 96 pixels"),
        (
            "model.neck={type: deconv, channels: [64,32]}",
            "model.neck.channels: from stride 32 a deconv neck has 3 stages, not 2",
        ),
        ("model.neck={type: fpn, channels: [64,32,16]}", "model.neck.channels: fpn has one width"),
        ("model.neck.conv=deformable", "model.neck.conv: fpn has no deformable convolutions"),
        ("model.neck.type=none", "model.neck.type: none is for the hourglass alone"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    override: str, says: str, small_overrides: list[str], tmp_path: Path
) -> None:
    if override == "train.device=cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InputError) as error:
        build_run(load_config("nano", [*small_overrides, override]), tmp_path / "run")
    assert says in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_backbone_of_one_size_is_refused_where_sizes_vary(small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "model.backbone=maxvit_rmlp_pico_rw_256", "data.input_size=256"]
    with pytest.raises(InputError, match="does not take pictures of 288 x 288 pixels"):
        build_run(load_config("nano", [*overrides, "augment.short_sides=[256]"]), tmp_path)


def test_data_without_boxes_is_refused(scenes: Path, small_overrides: list[str], tmp_path: Path) -> None:
    tree = json.loads(scenes.read_text()) | {"annotations": []}
    empty = scenes.with_name("empty.json")
    empty.write_text(json.dumps(tree))
    with pytest.raises(InputError, match="no boxes of"):
        build_run(load_config("nano", [*small_overrides, f"data.train=[{empty}]"]), tmp_path)
