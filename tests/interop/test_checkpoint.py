"""Checkpoint files: what is read, and that nothing in them is run."""

import gzip
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from centerx.errors import InputError
from centerx.interop.checkpoint import read_checkpoint

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(3)}


class Attack:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("prefix", ["module", "module.module"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state"])
def test_weights_are_found_where_others_put_them(wrapper: str | None, prefix: str, tmp_path: Path) -> None:
    content = below(prefix, WEIGHTS)
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


MOVED = {key: value + 1 for key, value in WEIGHTS.items()}


def below(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{key}": value for key, value in state.items()}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"model": WEIGHTS, "model_ema": MOVED}, "model_ema"),
        ({"state_dict": WEIGHTS, "state_dict_ema": MOVED, "epoch": 3}, "state_dict_ema"),
        ({"model": WEIGHTS, "ema": {"module": MOVED, "updates": 7}}, "ema"),
        ({"model": WEIGHTS, "ema": {"n_averaged": torch.tensor(9)} | below("module", MOVED)}, "ema"),
        ({"state_dict": below("model", WEIGHTS) | below("model_ema", MOVED)}, "model_ema"),
        (WEIGHTS | below("ema", MOVED), "ema"),
    ],
)  # fmt: skip
def test_the_average_is_taken_unless_asked_otherwise_and_that_is_said(
    content: object, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(content, tmp_path / "a.pth")
    for ema, due in ((None, MOVED), (True, MOVED), (False, WEIGHTS)):
        caplog.clear()
        state = read_checkpoint(tmp_path / "a.pth", ema)
        assert state.keys() == WEIGHTS.keys()
        torch.testing.assert_close(state["a.weight"], due["a.weight"])
        (record,) = caplog.records
        options = (
            ("took the averaged weights under", "(--no-ema takes those)") if ema is not False else ("(--ema takes",)
        )
        assert all(each in record.getMessage() for each in (f"under {name}", *options))


@pytest.mark.parametrize("name", ["model_ema", "state_dict_ema", "ema"])
def test_an_average_alone(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({name: MOVED, "ema_decay": {"decay": 0.99}}, tmp_path / "a.pth")
    torch.testing.assert_close(read_checkpoint(tmp_path / "a.pth")["a.weight"], MOVED["a.weight"])
    assert f"took the averaged weights under {name}, it holds no others" in caplog.text
    with pytest.raises(InputError, match=f"a.pth: holds averaged weights alone, under {name}; leave out --no-ema"):
        read_checkpoint(tmp_path / "a.pth", ema=False)


def test_no_average_where_one_is_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"model": WEIGHTS, "ema": {"decay": 0.99}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: holds no averaged weights .*leave out --ema"):
        read_checkpoint(tmp_path / "a.pth", ema=True)
    read_checkpoint(tmp_path / "a.pth", ema=False)
    assert caplog.text == ""


def test_what_lies_beside_the_network_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beside = {"criterion.weight": torch.ones(3), "metric.total": torch.zeros(1)}
    torch.save({"state_dict": below("model", WEIGHTS) | beside}, tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt").keys() == WEIGHTS.keys()
    assert "a.ckpt: left out criterion.weight and 1 more, beside the tensors under model" in caplog.text


def test_safetensors_are_known_by_content(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.pth")
    torch.save(WEIGHTS, tmp_path / "b.safetensors")
    for name in ("a.pth", "b.safetensors"):
        torch.testing.assert_close(read_checkpoint(tmp_path / name)["a.weight"], WEIGHTS["a.weight"])


def packed(folder: Path, write: Callable[[Path], object]) -> bytes:
    write(folder / "made")
    return (folder / "made").read_bytes()


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/a.pth", b"weights")


def an_onnx(path: Path) -> None:
    graph = onnx.helper.make_graph([], "g", [], [])
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch"), path)


def a_program(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"program/{name}", b"")


ZOO = {"model": {"backbone.res2.0.conv1.weight": np.ones((2, 3))}, "__author__": "Detectron2 Model Zoo"}
CAFFE2 = {"blobs": {"conv1_w": np.ones(3)}}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("R-50.pkl", pickle.dumps(ZOO, protocol=2), "a pickle of the model zoo of Detectron or detectron2"),
        ("R-50.pth", pickle.dumps(ZOO), "a pickle of the model zoo of Detectron or detectron2"),
        ("R-50.pkl", pickle.dumps(CAFFE2, protocol=2), "a pickle of the model zoo of Detectron or detectron2"),
        ("R-50.pkl", pickle.dumps(CAFFE2, protocol=0), "a pickle of the model zoo of Detectron or detectron2"),
        ("a.pkl", pickle.dumps({"a": np.ones(3)}), "a pickle with arrays of NumPy"),
        ("model.onnx", an_onnx, "an ONNX model"),
        ("model.pth", an_onnx, "an ONNX model"),
        ("a.pth", b"<!DOCTYPE html>\n<html><title>Sign in</title>", "an HTML page, as a browser saves it"),
        ("a.safetensors", b"\xef\xbb\xbf \n<HTML lang=en>", "an HTML page"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS"),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git"),
        ("a.pth", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML file"),
        ("a.pth", b'{"error": "not found"}', "a JSON file"),
        ("a.pth", b"Quota exceeded.", 'a text file .it begins "Quota exceeded."'),
        ("a.pth", b"", "an empty file, download or copy it again"),
        ("a.zip", zipped, r"an archive \(zip\) of 1 files, unpack it"),
        ("a.pth", gzip.compress(b"weights", mtime=0), r"an archive \(gzip\), unpack it"),
        ("a.pt", a_program, "a program of TorchScript, which is not run"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "weights of Keras"),
        ("a.npz", lambda path: np.savez(path.open("wb"), a=np.ones(3)), "arrays of NumPy"),
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_named_for_what_they_are(
    name: str, content: bytes | Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    data = content if isinstance(content, bytes) else packed(tmp_path, content)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: not a checkpoint of weights but {says}") as error:
        read_checkpoint(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_download_that_broke_off_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.pth")
    (tmp_path / "a.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
    with pytest.raises(InputError, match=r"a file cut short .*, download or copy it again"):
        read_checkpoint(tmp_path / "a.pth")
    with pytest.raises(InputError, match="a folder, name the file in it"):
        read_checkpoint(tmp_path)


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
