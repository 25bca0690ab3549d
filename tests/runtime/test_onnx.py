"""The ONNX Runtime session as the rest of the runtime sees it."""

from pathlib import Path

import numpy as np
import pytest

from centerx.errors import InputError
from centerx.exporting.parity import synthetic_images
from centerx.runtime import open_session


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
