"""A model file of which the metadata does not fit the weights."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from centerx.build_model import build_detector, load_detector, save_named
from centerx.config import load_config
from centerx.errors import InputError
from centerx.runtime.header import read_metadata


@pytest.mark.parametrize(
    "change",
    [
        ("regnetx_002", "vit_gigantic_patch14_224"),
        ("regnetx_002", "convnext_xxlarge"),
        ("head_channels: 64", f"head_channels: {10**9}"),
    ],
)
def test_a_network_that_is_not_that_of_the_weights_takes_no_memory(change: tuple[str, str], tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "model.backbone=regnetx_002", "model.pretrained=false"])
    save_named(tmp_path, config, build_detector(config), "last")
    path = tmp_path / "last.safetensors"
    facts = read_metadata(path)
    assert change[0] in facts["config"]
    save_file(load_file(path), tmp_path / "a.safetensors", facts | {"config": facts["config"].replace(*change)})
    load_detector(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"a\.safetensors"):
        load_detector(tmp_path / "a.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
