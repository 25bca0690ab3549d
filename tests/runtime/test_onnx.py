"""The ONNX Runtime session as the rest of the runtime sees it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from centerx.errors import InputError
from centerx.exporting.parity import synthetic_images
from centerx.runtime import open_session
from centerx.runtime.info import ModelInfo


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_any_batch_best_first(batch: int, onnx_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    session = open_session(onnx_file)
    found = session(synthetic_images(batch, (96, 128)))
    arrays = found.values["boxes"], found.scores, found.labels
    assert [each.shape for each in arrays] == [(batch, 60, 4), (batch, 60), (batch, 60)]
    assert [each.dtype for each in arrays] == [np.float32, np.float32, np.int64]
    assert list(found.values) == ["boxes"]
    assert session.info.class_names == ("red", "green", "blue")
    assert np.all(np.diff(found.scores, axis=1) <= 0)
    assert found.scores.max() > 0.5
    assert set(found.labels.ravel()) == {0, 1, 2}
    assert np.all((found.values["boxes"] >= 0) & (found.values["boxes"] <= [128, 96, 128, 96]))
    assert np.all(found.values["boxes"][..., :2] <= found.values["boxes"][..., 2:])
    assert capfd.readouterr() == ("", "")


def test_rows_do_not_depend_on_their_batch(onnx_file: Path) -> None:
    session = open_session(onnx_file)
    images = synthetic_images(3, (96, 128))
    together = session(images)
    for row in range(3):
        alone = session(images[row : row + 1])
        np.testing.assert_allclose(alone.values["boxes"][0], together.values["boxes"][row], atol=1e-3)
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)


def test_another_size_is_refused(onnx_file: Path) -> None:
    """A graph whose boxes are clipped to its own input must not take a larger one."""
    with pytest.raises(InputError, match="cannot run the model on 1x3x128x128"):
        open_session(onnx_file)(synthetic_images(1, (128, 128)))


def test_a_loop_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = helper.make_tensor_value_info
    there, box = info("there", TensorProto.BOOL, []), info("box", TensorProto.FLOAT, [1, 1, 4])
    same = [helper.make_node("Identity", [name], [f"{name}_after"]) for name in ("there", "box")]
    after = [info("there_after", TensorProto.BOOL, []), info("box_after", TensorProto.FLOAT, [1, 1, 4])]
    body = helper.make_graph(same, "body", [info("round", TensorProto.INT64, []), there, box], after)
    constants = {
        "rounds": np.array(2**62), "always": np.array(True), "start": np.zeros((1, 1, 4), np.float32),
        "score": np.ones((1, 1), np.float32), "label": np.zeros((1, 1), np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Loop", ["rounds", "always", "start"], ["boxes"], body=body),
        helper.make_node("Identity", ["score"], ["scores"]),
        helper.make_node("Identity", ["label"], ["labels"]),
    ]
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "labels": TensorProto.INT64}
    graph = helper.make_graph(
        nodes, "endless", [info("images", TensorProto.UINT8, [1, 3, 64, 64])],
        [info(name, kind, None) for name, kind in kinds.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, ModelInfo(("a",), (64, 64), 4).to_metadata())
    onnx.save(model, tmp_path / "a.onnx")
    monkeypatch.setattr("centerx.runtime.onnx.LONGEST", 0.3)
    with pytest.raises(InputError, match=r"a\.onnx: ONNX Runtime cannot run the model"):
        open_session(tmp_path / "a.onnx")
