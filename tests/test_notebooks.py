"""The notebooks run from top to bottom at toy size, and show pictures and tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import centerx

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
TOY = {"SCENES = 400": "SCENES = 64", "EPOCHS = 12": "EPOCHS = 1"}


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_not_kept(path: Path) -> None:
    assert not any(cell.get("outputs") for cell in read(path.stem).cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("train", 2),
        pytest.param("merge", 1, marks=pytest.mark.soak),
        pytest.param("evaluate", 2, marks=pytest.mark.soak),
    ],
    ids=["train", "merge", "evaluate"],
)
def test_a_notebook_runs(name: str, pictures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(centerx.__file__).parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm's, where ipywidgets is not installed
    notebook = read(name)
    for cell in notebook.cells:
        for full, toy in TOY.items():
            cell.source = cell.source.replace(full, toy)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    data = [output.get("data", {}) for output in outputs]
    assert sum("image/png" in each for each in data) == pictures
    assert any("<table" in each.get("text/html", "") for each in data)
