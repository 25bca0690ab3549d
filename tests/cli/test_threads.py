"""`--threads` and `--providers` of the commands that run a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from centerx.runtime import Compute, onnx
from tests.cli.conftest import CommandLine


@pytest.mark.parametrize("command", ["predict", "eval", "pseudo", "bench"])
def test_commands_pass_them_on(
    centerx: CommandLine, onnx_file: Path, scenes: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = json.loads(scenes.read_text())
    tree["categories"][0]["name"] = "red"
    data = scenes.with_name("red.json")
    data.write_text(json.dumps(tree))
    more = {
        "predict": [scenes.parent / tree["images"][0]["file_name"]],
        "eval": [data],
        "pseudo": [data, "--out", tmp_path / "out.json", "--val", data],
        "bench": ["--runs", 1, "--batch", 1, "--backend", "onnxruntime"],
    }[command]
    given: list[int] = []
    load = onnx.load_graph

    def watched(path: Path, graph: Any, compute: Compute) -> Any:
        session = load(path, graph, compute)
        given.append(session.get_session_options().intra_op_num_threads)
        return session

    monkeypatch.setattr(onnx, "load_graph", watched)
    status, _, err = centerx(command, onnx_file, *more, "--threads", 2, "--providers", "cpu")
    assert status == 0, err
    assert given == [2]
    status, _, err = centerx(command, onnx_file, *more, "--providers", "cpu, cuda")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith("error: providers: ONNX Runtime has no 'cuda' here")
