"""Batches made by worker processes."""

import pytest

torch = pytest.importorskip("torch")

from centerx.data.batch import load_batches  # noqa: E402
from centerx.errors import InputError  # noqa: E402


def test_a_folder_for_temporary_files_that_is_too_deep_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centerx.data.batch.get_temp_dir", lambda: f"/tmp/{80 * 'd'}/pymp-12345678")
    with pytest.raises(InputError, match=r"set TMPDIR to a shorter one or data\.workers=0"):
        load_batches([], workers=1)  # type: ignore[arg-type]
