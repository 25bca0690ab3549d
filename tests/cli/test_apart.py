"""Files that crash the library that reads them, or take all time or memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from centerx.errors import InputError
from centerx.runtime import apart
from centerx.runtime.info import ModelInfo
from centerx.runtime.session import open_session
from tests.cli.conftest import CommandLine
from tests.cli.test_predict import save

INFO = ModelInfo(("cat", "dog"), (64, 96), 4)
HEAD = "7767517\n2 2\nInput in0 0 1 images\n"
CRASHING = f"{HEAD}BinaryOp b 1 1 images heatmap 0=0\n"  # which reads a second input
HUGE = f"{HEAD}Padding p 1 1 images heatmap 0=20000 1=20000 2=20000 3=20000\n"  # 19 GB


def ncnn_file(folder: Path, text: str, facts: str = json.dumps(INFO.to_metadata())) -> Path:
    for suffix, content in ((".param", text), (".bin", ""), (".json", facts)):
        (folder / f"a.ncnn{suffix}").write_text(content)
    return folder / "a.ncnn.param"


@pytest.mark.slow
@pytest.mark.parametrize("text", [CRASHING, HUGE])
def test_a_file_that_crashes_ncnn_is_one_line(text: str, tmp_path: Path, centerx: CommandLine) -> None:
    pytest.importorskip("ncnn")
    path = ncnn_file(tmp_path, text)
    for words in (("inspect", path), ("predict", path, save(tmp_path / "a.png"))):
        status, _, err = centerx(*words)
        assert status == 2
        assert err.startswith(f"error: {path}: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("7767517\n", None),
        (HEAD, None),
        (HEAD, "[" * 100_000),
        (HEAD, "[]"),
        (HEAD, '{"task": []}'),
        (HEAD, json.dumps(INFO.to_metadata() | {"task": []})),
    ],
)
def test_nothing_but_the_line_is_said(
    text: str, facts: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ncnn")
    path = ncnn_file(tmp_path, text, *([] if facts is None else [facts]))
    with pytest.raises(InputError, match=r"a\.ncnn\.(param|json): ") as raised:
        open_session(path)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ncnn")
    monkeypatch.setattr(apart, "LONGEST", 0.01)
    with pytest.raises(InputError, match=r"a\.ncnn\.param: takes more than 0 s .* add --trust"):
        open_session(ncnn_file(tmp_path, HEAD))


def test_a_trusted_file_is_opened_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ncnn")
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(InputError, match="corrupt or not an ncnn model"):
        open_session(ncnn_file(tmp_path, "7767517\n"), trust=True)
