"""Files written before run as they did: models, exports, and checkpoints of interrupted runs.

`before/files.tar.xz` holds them. Their networks are small, and most weights are 0, so that they pack well. `older` says
no `top_k`, as files did once. The configurations beside it are among the cases of `test_trace.py`.
"""

from pathlib import Path

import pytest

from centerx.config import load_config
from centerx.runtime import open_session
from tests.equality.cases import STEPS
from tests.equality.trace import BEFORE, detect, differing, machine, resume, stored, unmatched

STORED = stored()
SAME = STORED["machine"] == machine()
NEEDS = {".xml": "openvino", ".param": "ncnn"}
RUNS = ("uncertainty", "constant")


@pytest.mark.slow
@pytest.mark.parametrize("name", STORED["detections"])
def test_a_model_file_finds_what_it_found(name: str) -> None:
    path = Path("models") / name
    if path.suffix in NEEDS:
        pytest.importorskip(NEEDS[path.suffix])
    before, now = STORED["detections"][name], detect(path)
    assert now.keys() == before.keys()
    assert {size: unmatched(before[size], now[size], SAME) for size in before} == dict.fromkeys(before, 0)


def test_what_a_model_file_says_of_itself() -> None:
    for path in Path("models").glob("high*.*"):
        info = open_session(path).info
        assert (info.class_names, info.input_hw) == (tuple("3456789"), (64, 96))
        assert (info.top_k, info.value_range) == (12, (0, 4095))


@pytest.mark.parametrize(
    ("name", "top_k"), [("older.safetensors", 100), ("older-maps.onnx", 100), ("older.onnx", 20), ("low.onnx", 20)]
)
def test_a_file_that_says_no_top_k_has_that_of_its_graph_or_100(name: str, top_k: int) -> None:
    assert open_session(Path("models") / name).info.top_k == top_k


@pytest.mark.parametrize("path", sorted(BEFORE.glob("*.yaml")), ids=lambda path: path.name)
def test_a_configuration_is_read(path: Path) -> None:
    load_config(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_an_interrupted_run_goes_on_as_it_would_have(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert differing(STORED["resumed"][name], resume(Path("runs") / name), SAME, STEPS) == []
    assert "another configuration" not in caplog.text
