"""A model file of which the metadata does not fit the weights."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from centerx.build_model import build_detector, load_detector, save_named
from centerx.config import load_config
from centerx.errors import InputError
from centerx.model_file import with_sorted_metadata
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


def test_tensors_that_the_network_lacks_are_not_read(tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "model.pretrained=false"])
    save_named(tmp_path, config, build_detector(config), "last")
    path = tmp_path / "last.safetensors"
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header, size = json.loads(content[8:start]), 1 << 30
    end = len(content) - start
    header["more"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [end, end + size]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[start:])
    with path.open("r+b") as file:
        file.truncate(8 + len(text) + end + size)  # of zeros that take no room on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="the first is 'more'"):
        load_detector(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize(
    ("key", "value"),
    [("input_size", "[8192, 8192]"), ("stride", "3"), ("range", "[0, 9]"), ("stride", "٤"), ("top_k", "1_0")],
)
def test_metadata_that_are_not_of_the_configuration(key: str, value: str, tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "model.pretrained=false"])
    save_named(tmp_path, config, build_detector(config), "last")
    path = tmp_path / "last.safetensors"
    state, facts = load_file(path), read_metadata(path)
    save_file(state, tmp_path / "a.safetensors", facts | {key: value})
    with pytest.raises(InputError, match=r"a\.safetensors: .*metadata"):
        load_detector(tmp_path / "a.safetensors")


def test_weights_that_are_whole_numbers(tmp_path: Path) -> None:
    config = load_config("nano", ["classes=[a]", "model.pretrained=false"])
    save_named(tmp_path, config, build_detector(config), "last")
    path = tmp_path / "last.safetensors"
    state = load_file(path)
    name = next(name for name, value in state.items() if value.ndim == 4)
    save_file(state | {name: state[name].to(torch.int32)}, path, read_metadata(path))
    with pytest.raises(InputError, match=name):
        load_detector(path)


def test_metadata_are_in_a_fixed_order(tmp_path: Path) -> None:
    facts = {f"name {number}": "é猫\n" * number for number in range(20)}
    weights = {"b": torch.arange(3.0), "a": torch.tensor([7])}
    content = with_sorted_metadata(save(weights, facts))
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert list(header) == ["__metadata__", "a", "b"]
    assert list(header["__metadata__"]) == sorted(facts)
    (tmp_path / "a.safetensors").write_bytes(content)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == facts
    assert all(torch.equal(value, weights[name]) for name, value in load_file(tmp_path / "a.safetensors").items())
