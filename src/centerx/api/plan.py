"""`centerx.plan`, `plan_merge` and `plan_add`: what a training would do, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from centerx.api.add import ADDED, add_run
from centerx.api.merge import MERGED, Entry, merge_run
from centerx.api.train import checkpoint_of, run_folder

if TYPE_CHECKING:
    from centerx.api.datasets import DatasetFiles
    from centerx.build_plan import TrainPlan
    from centerx.config import Config, ConfigSource, Overrides
    from centerx.data.dataset import Dataset
    from centerx.data.function import Function


def plan(
    config: ConfigSource, *, out: str | Path | None = None, resume: bool = False, overrides: Overrides = ()
) -> TrainPlan:
    """Return what `centerx.train` would do with the same arguments.

    Data and teachers are read, problems are logged and the network is built as in training; a few steps and batches of
    the evaluation are done to measure their time, and teachers that are asked once a picture are asked about a few.
    Nothing is kept; `Dataset` objects are read from files in a temporary folder.

    Args:
        config: as for `train`.
        out: as for `train`.
        resume: as for `train`.
        overrides: as for `train`.

    Raises:
        InputError: as `train`.
    """
    from centerx.config import load_config

    with temporary_files() as files:
        settings = load_config(files.named(config), files.named(overrides))
        return plan_in(run_folder(config, out), settings, resume, files=files)


def plan_merge(
    teachers: Sequence[Entry | Callable[..., Any]],
    images: Sequence[str | Path] | None,
    student: ConfigSource,
    *,
    out: str | Path = MERGED,
    resume: bool = False,
    **options: Any,
) -> TrainPlan:
    """Return what `centerx.merge` would do with the same arguments, see `plan`.

    Args:
        teachers: as for `merge`.
        images: as for `merge`.
        student: as for `merge`.
        out: as for `merge`.
        resume: as for `merge`.
        options: the other arguments of `merge`.

    Raises:
        InputError: as `merge`.
    """
    with temporary_files() as files:
        config, functions = merge_run(teachers, images, files.named(student), out=out, **files.named(options))
        return plan_in(Path(out), config, resume, functions, files)


def plan_add(
    old: Entry, labels: Sequence[Entry | Dataset], *, out: str | Path = ADDED, resume: bool = False, **options: Any
) -> TrainPlan:
    """Return what `centerx.add` would do with the same arguments, see `plan`.

    Args:
        old: as for `add`.
        labels: as for `add`.
        out: as for `add`.
        resume: as for `add`.
        options: the other arguments of `add`.

    Raises:
        InputError: as `add`.
    """
    with temporary_files() as files:
        return plan_in(Path(out), add_run(old, labels, files, out=out, resume=resume, **options), resume)


@contextmanager
def temporary_files() -> Iterator[DatasetFiles]:
    """Yield what takes data sets that are objects, in a folder that is removed afterwards."""
    from centerx.api.datasets import DatasetFiles

    with TemporaryDirectory() as folder:
        yield DatasetFiles(Path(folder))


def plan_in(
    folder: Path,
    config: Config,
    resume: bool = False,
    functions: Mapping[str, Function] | None = None,
    files: DatasetFiles | None = None,
) -> TrainPlan:
    """Return what `train_in` would do with the same arguments.

    Raises:
        InputError: as `train_in`.
    """
    from centerx.build_plan import build_plan

    checkpoint = checkpoint_of(folder, resume)
    if files is not None:
        files.write(config.data.policies)
    return build_plan(config, folder, functions, checkpoint)
