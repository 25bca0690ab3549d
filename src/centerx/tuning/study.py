"""The trials of a search, kept by Optuna in an SQLite file: suggested, judged, told and read back."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centerx.files import is_line, json_text
from centerx.show import import_optional
from centerx.tuning.space import Choice, Range, Space

COMPLETE, PRUNED, FAILED, INTERRUPTED, RUNNING = "complete", "pruned", "failed", "interrupted", "running"
PRUNERS = ("median", "halving", "none")
RANDOM = 8  # finished trials before suggestions build on them
COMPARED = 4  # complete trials before any is pruned by the median
LEAST_COMPLETE = 6  # complete trials from which importances are computed
NAME = "centerx"  # of the study in its file
PATIENCE = 60.0  # seconds that a process waits for another that writes
SETTINGS, ERROR, SECONDS = "settings", "error", "seconds"  # what is noted beside Optuna's own


class Trial(NamedTuple):
    """A trial.

    Attributes:
        number: from 0 on, in the order in which they were suggested.
        state: `complete`; `pruned`, ended early as it was worse than others; `failed`, with an `error`; `interrupted`,
            and repeated by a later one; or `running`.
        AP: the best of its evaluations, in [0, 1]; None before the first.
        curve: AP by epoch, counted from 1.
        seconds: that it took; None of one that did not end.
        values: by key, as in a configuration.
        error: the line by which it failed.
    """

    number: int
    state: str
    AP: float | None
    curve: dict[int, float]
    seconds: float | None
    values: dict[str, Any]
    error: str = ""

    @property
    def counts(self) -> bool:
        """Whether it is one of those that were asked for."""
        return self.state in (COMPLETE, PRUNED, FAILED)

    def to_json(self) -> dict[str, Any]:
        """Return the trial of `centerx tune --json`."""
        curve = [{"epoch": epoch, "AP": AP} for epoch, AP in self.curve.items()]
        return self._asdict() | {"curve": curve, "error": self.error or None}


class Outcome(NamedTuple):
    """What a trial came to.

    Attributes:
        AP: the best of its evaluations; None where it failed.
        pruned: whether it was ended early.
        seconds: that it took.
        error: the line by which it failed; empty where it did not.
        warnings: that it logged.
    """

    AP: float | None
    pruned: bool
    seconds: float
    error: str = ""
    warnings: tuple[str, ...] = ()


class StudyFile(NamedTuple):
    """Where the trials are kept, and how they are judged.

    Attributes:
        path: of the SQLite file.
        prune: one of PRUNERS.
        first_epoch: of the first evaluation.
    """

    path: Path
    prune: str
    first_epoch: int

    def open(self) -> Any:
        """Return the `optuna.Study`; the file is made where it is missing.

        Raises:
            ModuleNotFoundError: without the extra `centerx[tune]`.
        """
        optuna = import_optional("optuna", "tune")
        logging.getLogger("optuna").setLevel(logging.WARNING)
        if not self.path.exists():
            storage.cache_clear()  # it was removed since it was opened
        return optuna.create_study(
            storage=storage(self.path),
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
            pruner=self._pruner(),
        )

    def begin_anew(self) -> Any:
        """Forget all trials; return the study."""
        import optuna

        optuna.delete_study(study_name=NAME, storage=storage(self.path))
        return self.open()

    def ends(self, trial_id: int, epoch: int, AP: float) -> bool:
        """Note an evaluation of a trial; return whether the pruner ends it."""
        from optuna.trial import Trial as RunningTrial

        trial = RunningTrial(self.open(), trial_id)
        trial.report(AP, epoch)
        return bool(trial.should_prune())

    def _pruner(self) -> Any:
        from optuna import pruners

        if self.prune == "median":
            return pruners.MedianPruner(n_startup_trials=COMPARED)
        if self.prune == "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=self.first_epoch)
        return pruners.NopPruner()


@cache
def storage(path: Path) -> Any:
    """Return the file of a search as Optuna has it, which is costly to open.

    Neither SQLAlchemy nor Optuna sees the path, in whose characters they would read more than a name.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=PATIENCE)

    return RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


def read_settings(study: Any) -> dict[str, Any]:
    """Return what a search was begun with; empty of a new one."""
    return dict(study.user_attrs.get(SETTINGS, {}))


def begin(study: Any, settings: Mapping[str, Any], space: Space, first: Mapping[str, Any] | None) -> None:
    """Note what a search is begun with, and have its first trial be of certain values.

    Args:
        study: without trials.
        settings: to be read back by `read_settings`.
        space: of the search.
        first: values by key; None where the first trial is as any other.
    """
    study.set_user_attr(SETTINGS, dict(settings))
    if first is not None:
        study.enqueue_trial({key: stored(value, space[key]) for key, value in first.items()})


def suggest(study: Any, space: Space, seed: int) -> Any:
    """Return a new `optuna.Trial` whose values are decided by the seed and the trials that ended.

    Trials that were interrupted do not count, so that a search that goes on suggests what it would have suggested.

    Args:
        study: of the search; only one process may call this at a time.
        space: to suggest from.
        seed: of the search.
    """
    from optuna.samplers import TPESampler

    place = sum(trial.state != INTERRUPTED for trial in read_trials(study))
    chance = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
    study.sampler = TPESampler(seed=chance, n_startup_trials=RANDOM)
    return study.ask({key: distribution(entry) for key, entry in space.items()})


def tell(study: Any, trial: Any, outcome: Outcome) -> None:
    """Note the end of a trial.

    A trial that failed is to Optuna one that was pruned at once, which keeps the suggestions away from its values.
    """
    from optuna.trial import TrialState

    trial.set_user_attr(SECONDS, outcome.seconds)
    if outcome.error:
        trial.set_user_attr(ERROR, outcome.error)
    if outcome.error or outcome.pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, outcome.AP)


def interrupt(study: Any) -> list[int]:
    """Mark the trials that run as interrupted, and have the next ones repeat them; return their numbers.

    Only for when nobody runs one any more.
    """
    from optuna.trial import TrialState

    running = study.get_trials(states=(TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    return [trial.number for trial in running]


def read_trials(study: Any) -> list[Trial]:
    """Return the trials that began."""
    from optuna.trial import TrialState

    return [read_trial(each) for each in study.get_trials(deepcopy=False) if each.state != TrialState.WAITING]


def read_trial(trial: Any) -> Trial:
    """Return an `optuna.trial.FrozenTrial` as a trial."""
    error = trial.user_attrs.get(ERROR, "")
    states = {"COMPLETE": COMPLETE, "PRUNED": FAILED if error else PRUNED, "FAIL": INTERRUPTED, "RUNNING": RUNNING}
    curve = dict(sorted(trial.intermediate_values.items()))
    values = {key: shown(value) for key, value in trial.params.items()}
    seconds = trial.user_attrs.get(SECONDS)
    return Trial(
        trial.number, states[trial.state.name], max(curve.values(), default=None), curve, seconds, values, error
    )


def require_trial(trial: Trial) -> None:
    """Raise where numbers of a trial are none that a search wrote.

    Raises:
        ValueError: they are none.
    """
    told = trial.curve.values()
    if not all(isinstance(AP, float) and 0 <= AP <= 1 for AP in told) or not all(epoch >= 1 for epoch in trial.curve):
        raise ValueError(f"trial {trial.number} has an AP that is none")
    if trial.state in (COMPLETE, PRUNED) and not trial.curve:
        raise ValueError(f"trial {trial.number} ended without an AP")
    if not isinstance(trial.error, str):
        raise ValueError(f"trial {trial.number} has an error that is no text")
    seconds = trial.seconds if trial.seconds is not None else 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise ValueError(f"trial {trial.number} has a time that is none")
    if not all(is_line(key) and is_value(value) for key, value in trial.values.items()):
        raise ValueError(f"trial {trial.number} has a value that is none")


def is_value(value: Any) -> bool:
    """Whether a value can be one of a configuration: no infinite number, no mapping."""
    if isinstance(value, list):
        return all(map(is_value, value))
    if isinstance(value, int | float):
        return math.isfinite(value)
    return value is None or isinstance(value, str)


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the complete trial with the best AP, the first of several; None where none is complete."""
    complete = [trial for trial in trials if trial.state == COMPLETE]
    return max(complete, key=lambda trial: trial.AP or 0.0, default=None)


def importances(study: Any) -> dict[str, float]:
    """Return how much of the differences in AP each key explains, in [0, 1], the most first; empty of few trials.

    By functional ANOVA over complete trials (Hutter, Hoos, Leyton-Brown, 2014), as Optuna computes it.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    values = [trial.AP for trial in read_trials(study) if trial.state == COMPLETE]
    if len(values) < LEAST_COMPLETE or len(set(values)) == 1:
        return {}
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {key: float(value) for key, value in found.items()}


def distribution(entry: Range | Choice) -> Any:
    """Return an entry of a space as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(entry, Choice):
        return CategoricalDistribution([json_text(value) for value in entry.values])
    if entry.whole:
        return IntDistribution(int(entry.low), int(entry.high), log=entry.log, step=int(entry.step or 1))
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def stored(value: Any, entry: Range | Choice) -> Any:
    """Return a value of a configuration as Optuna keeps it: those of a list as JSON, as they may be of any type."""
    return json_text(value) if isinstance(entry, Choice) else value


def shown(value: Any) -> Any:
    """Return what Optuna keeps as a value of a configuration."""
    return json.loads(value) if isinstance(value, str) else value
