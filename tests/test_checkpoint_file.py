"""Crafted checkpoints: one line each, in bounded time and memory, wherever a checkpoint is read."""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from centerx.checkpoint_file import read_mapping
from centerx.errors import InputError
from centerx.interop.checkpoint import read_checkpoint
from centerx.models.backbone import Backbone


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def crafted() -> dict[str, Any]:
    itself: dict[str, Any] = {"a": torch.zeros(1)}
    itself["state_dict"] = itself
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"model": deep}
    doubled: Any = {}
    for _ in range(50):
        doubled = {"a": doubled, "b": doubled}
    return {
        "within itself": itself,
        "deep": deep,
        "doubled": doubled,
        "list": [torch.zeros(2)],
        "number": 7,
        "none": None,
        "text": "weights",
        "tensor": torch.zeros(2),
        "expanded": {"w": torch.zeros(1).expand(10**13)},
        "sparse": {"w": torch.zeros(4, 4).to_sparse()},
        "meta": {"w": torch.zeros(4, device="meta")},
        "code": {"w": Runs()},
    }


@pytest.mark.parametrize("kind", sorted(crafted()))
def test_a_crafted_checkpoint_is_refused_wherever_one_is_read(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.pth"
    torch.save(crafted()[kind], file)
    started = time.perf_counter()
    for read in (read_mapping, read_checkpoint, lambda path: Backbone("resnet10t", str(path))):
        with pytest.raises(InputError, match=r"a\.pth") as raised:
            read(file)
        assert "\n" not in str(raised.value)
    assert time.perf_counter() - started < 5
    assert "run" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x04\x95" + b"\xff" * 40])
def test_a_damaged_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    file.write_bytes(content)
    for read in (read_checkpoint, lambda path: Backbone("resnet10t", str(path))):
        with pytest.raises(InputError, match=r"a\.pth"):
            read(file)


def test_shared_tensors_and_containers_are_read(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    shared = OrderedDict(w=weight, turned=weight.T, part=weight[:, 1])
    torch.save({"state_dict": shared, "again": shared}, tmp_path / "a.pth")
    assert read_mapping(tmp_path / "a.pth")["state_dict"]["turned"].tolist() == weight.T.tolist()
