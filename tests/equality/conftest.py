"""The working folder of these tests."""

from pathlib import Path

import pytest

from tests.equality.trace import prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes and the files made before."""
    folder = tmp_path_factory.mktemp("equality")
    prepare(folder)
    return folder


@pytest.fixture(autouse=True)
def _working_folder(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
