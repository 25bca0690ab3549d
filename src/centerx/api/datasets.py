"""Data sets given as objects: a run's configuration names the COCO file that each is written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from centerx.data.dataset import Dataset
from centerx.files import require_folder, write_json
from centerx.problems import Kind, Policy, log_problems

FOLDER = "data"  # of the run folder


class DatasetFiles:
    """The COCO files of data sets that were given as objects, so that a run can be read back and go on.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.datasets: dict[Path, Dataset] = {}

    def named(self, given: Any, key: str = "data") -> Any:
        """Return values of a configuration in which an entry with a file is in place of each data set.

        Args:
            given: a mapping, list or value.
            key: its name, after which the files are called.
        """
        if isinstance(given, Dataset):
            return {"path": str(self._file(given, key)), "complete": given.complete, "fields": given.fields}
        if isinstance(given, Mapping) and isinstance(given.get("path"), Dataset):
            return self.named(given["path"], key) | {name: value for name, value in given.items() if name != "path"}
        if isinstance(given, Mapping):
            return {name: self.named(value, str(name).rpartition(".")[2]) for name, value in given.items()}
        if isinstance(given, (list, tuple)):
            return [self.named(value, key) for value in given]
        return given

    def write(self, policies: Mapping[Kind, Policy]) -> None:
        """Write the files, and tell the problems of the data sets, which the files do not hold.

        Args:
            policies: policy of each kind of problem.

        Raises:
            InputError: the folder cannot be written, or there is a problem of a kind with the policy `fail`.
        """
        from centerx.data.write import coco_tree

        if self.datasets:
            require_folder(self.folder)
        for file, dataset in self.datasets.items():
            log_problems(dataset.problems, str(dataset.path), policies)
            file.parent.mkdir(parents=True, exist_ok=True)
            # From the real folder the paths lead to the pictures, even where it is reached by a link.
            write_json(file, coco_tree(dataset, file.parent.resolve()))

    def _file(self, dataset: Dataset, key: str) -> Path:
        """The file of a data set; one that is given twice has one."""
        known = next((file for file, each in self.datasets.items() if each is dataset), None)
        if known is not None:
            return known
        names = (f"{key}{number}.json" for number in ("", *range(2, len(self.datasets) + 2)))
        file = next(self.folder / name for name in names if self.folder / name not in self.datasets)
        self.datasets[file] = dataset
        return file
