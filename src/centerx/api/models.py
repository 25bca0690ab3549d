"""`centerx.list_models`: the model files of a folder, by what they say of themselves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.runtime.info import ModelInfo

DOWNLOADS: tuple[str, ...] = ()  # models that are published: none yet
RUNS = Path("runs")


class ModelFile(NamedTuple):
    """A model file of this project.

    Attributes:
        path: the file.
        info: what it says of itself.
        AP: that its run measured, in [0, 1]; None where no metrics.csv beside it tells.
        megabytes: of the file, 10^6 bytes each.
    """

    path: Path
    info: ModelInfo
    AP: float | None
    megabytes: float

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `centerx models --json`."""
        return {
            "path": str(self.path),
            "task": self.info.task,
            "classes": list(self.info.class_names),
            "input_size": list(self.info.input_hw),
            "AP": self.AP,
            "megabytes": round(self.megabytes, 3),
        }


class ModelList(NamedTuple):
    """Models that can be used.

    Attributes:
        folder: that was looked through.
        models: the model files of this project in it.
        others: files there that are models of other projects, or that cannot be read.
        downloads: names of models that can be downloaded.
    """

    folder: Path
    models: list[ModelFile]
    others: list[Path]
    downloads: tuple[str, ...] = DOWNLOADS

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx models --json`."""
        return {
            "downloads": list(self.downloads),
            "folder": str(self.folder),
            "models": [model.to_json() for model in self.models],
            "others": [str(path) for path in self.others],
        }


def list_models(folder: str | Path = RUNS) -> ModelList:
    """List the .safetensors and .onnx files of a folder and the folders in it. They are read as data and never run.

    Args:
        folder: the folder; the default may be missing.

    Raises:
        InputError: it is none.
    """
    from centerx.runtime.header import SUFFIXES, read_metadata
    from centerx.runtime.info import ModelInfo

    folder = Path(folder)
    if not folder.is_dir() and (folder.exists() or folder != RUNS):
        raise InputError(f"{folder}: no such folder, name one with model files in it")
    models: list[ModelFile] = []
    others: list[Path] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        try:
            info = ModelInfo.from_metadata(read_metadata(path), path)
        except (InputError, ValueError, OSError, RecursionError):
            others.append(path)
            continue
        models.append(ModelFile(path, info, measured_ap(path), path.stat().st_size / 1e6))
    return ModelList(folder, models, others)


def measured_ap(model: Path) -> float | None:
    """Return the AP that the run of a model measured: of `best` the highest, of `last` the latest; None where unknown.

    Args:
        model: a file called like one of a run, such as best.safetensors or last-fp16.onnx, in its folder.
    """
    which = model.name.partition(".")[0].partition("-")[0]
    try:
        with (model.parent / "metrics.csv").open(newline="", encoding="utf-8") as file:
            measured = [float(row["val/AP"]) for row in csv.DictReader(file) if row.get("val/AP")]
    except (OSError, ValueError, csv.Error):
        return None
    if not measured or which not in ("best", "last"):
        return None
    return max(measured) if which == "best" else measured[-1]
