"""Checkpoint files: what is read, and that nothing in them is run."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from centerx.errors import InputError
from centerx.importing.checkpoint import read_checkpoint

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(3)}


class Attack:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state"])
def test_weights_are_found_where_others_put_them(wrapper: str | None, tmp_path: Path) -> None:
    content = {f"module.{key}": value for key, value in WEIGHTS.items()}
    torch.save({wrapper: content, "epoch": 3, "optimizer": {"lr": [0.1]}} if wrapper else content, tmp_path / "a.pth")
    state = read_checkpoint(tmp_path / "a.pth")
    assert state.keys() == WEIGHTS.keys()
    torch.testing.assert_close(state["a.weight"], WEIGHTS["a.weight"])


def test_other_kinds_of_files(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    half = {key: value.half() if value.is_floating_point() else value for key, value in WEIGHTS.items()}
    save_file(half, tmp_path / "a.safetensors")
    for name in ("old.pth", "a.safetensors"):
        state = read_checkpoint(tmp_path / name)
        assert (state["a.weight"].dtype, state["a.count"].dtype) == (torch.float32, torch.int64)
        torch.testing.assert_close(state["a.weight"], WEIGHTS["a.weight"])


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_file_that_runs_code_is_refused_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "was-here"
    content = {"state_dict": WEIGHTS, "extra": Attack(trace)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content | {"state_dict": {}}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(
        InputError, match=r"refused, and nothing of it was run: it is not weights alone \((it would call \w+\.mkdir|U)"
    ):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a checkpoint of weights"),
        (b"nonsense" * 9, "not (a checkpoint of weights|weights alone)"),
        (None, "no such checkpoint"),
    ],
)
def test_no_checkpoint_at_all(content: bytes | None, says: str, tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"a{suffix}"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=says):
            read_checkpoint(path)


@pytest.mark.parametrize("content", [{}, [1, 2], {"state_dict": {"a": 1}}, {"epoch": 3}, {1: torch.ones(2)}])
def test_no_weights_in_it(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"holds no tensors by name at its top or under state_dict, model"):
        read_checkpoint(tmp_path / "a.pth")
