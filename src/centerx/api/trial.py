"""A trial of a search: a training whose evaluations are told, and what it leaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from centerx.api.train import train_in
from centerx.errors import InputError
from centerx.progress import Display, current_display, shown_on
from centerx.tuning.cluster import StudyThere
from centerx.tuning.search import Task
from centerx.tuning.study import Outcome, StudyFile

if TYPE_CHECKING:
    from centerx.config import Config

FOLDER = "trials"  # of the folder of a search
LOG = "log.txt"
OF_BEST = "best.safetensors", "val.png"  # files that only the best trial keeps
OF_NONE = "last.ckpt", "last.safetensors", "hparams.yaml"
OF_TRIALS = {"train.report": False}  # what a trial has in place of what the configuration says


def run_trial(folder: Path, config: Config, study: StudyFile | StudyThere, task: Task) -> Outcome:
    """Train; what the training logs goes into a file of the trial's folder.

    Args:
        folder: of the search.
        config: of the search.
        study: where evaluations are told.
        task: the trial.
    """
    import torch

    from centerx.config import load_config
    from centerx.training.judge import Judge

    home = trial_folder(folder, task.trial.number)
    judge = Judge(partial(study.ends, task.id))
    error = ""
    started = time.perf_counter()
    with logged_to(home / LOG) as warnings, shown_on(TrialDisplay(current_display(), task)):
        try:
            train_in(home, load_config(config, task.trial.values | OF_TRIALS), callbacks=[judge])
        except (InputError, torch.OutOfMemoryError) as failure:
            error = " ".join(str(failure).split())
    AP = None if error else max(judge.curve.values())
    return Outcome(AP, judge.ended, time.perf_counter() - started, error, tuple(warnings))


class TrialDisplay(Display):
    """Says which trial it is beside how far its training is.

    Args:
        display: that shows it.
        task: the trial.
    """

    def __init__(self, display: Display, task: Task) -> None:
        self.display = display
        self.label = f"trial {task.trial.number} ({task.place} of {task.most})"

    def start_training(self, steps: int, done: int) -> None:
        """Learn that a training starts."""
        self.display.start_training(steps, done)

    def show_step(self, step: int, epoch: str, note: str, line: str) -> None:
        """Learn that a step is done."""
        self.display.show_step(step, f"{self.label}  {epoch}", note, f"{self.label}  {line}")

    def end_training(self) -> None:
        """Learn that the training has ended."""
        self.display.end_training()


def trial_folder(folder: Path, number: int) -> Path:
    """Return the run folder of a trial.

    Args:
        folder: of the search.
        number: of the trial.
    """
    return folder / FOLDER / f"{number:04d}"


def trim(home: Path, keep: bool) -> None:
    """Remove what takes space in the folder of a trial that ended.

    Args:
        home: the folder.
        keep: whether its best model stays.
    """
    for name in OF_NONE if keep else OF_NONE + OF_BEST:
        (home / name).unlink(missing_ok=True)
    for events in home.glob("events.out.tfevents.*"):
        events.unlink()


@contextmanager
def logged_to(file: Path) -> Iterator[list[str]]:
    """Write what the library logs to a file alone; yield the list that its warnings are put into."""
    library = logging.getLogger("centerx")
    former = library.handlers, library.level, library.propagate
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    library.handlers, library.propagate = [handler], False
    library.setLevel(logging.INFO)
    try:
        with noted_warnings() as warnings:
            yield warnings
    finally:
        library.handlers, level, library.propagate = former
        library.setLevel(level)
        handler.close()


@contextmanager
def noted_warnings() -> Iterator[list[str]]:
    """Yield a list that the library's warnings are put into, beside where they go."""
    noted: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            noted.append(record.getMessage())
            alone = library.handlers == [self] and not logging.getLogger().handlers
            if alone and logging.lastResort is not None:  # as if there were none, which this one must not change
                logging.lastResort.handle(record)

    library, handler = logging.getLogger("centerx"), Noting(logging.WARNING)
    library.addHandler(handler)
    try:
        yield noted
    finally:
        library.removeHandler(handler)
