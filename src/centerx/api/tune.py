"""`centerx.tune`: a search for a better configuration, and what it found."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.api.plan import temporary_files
from centerx.api.train import run_folder
from centerx.api.trial import FOLDER, noted_warnings, run_trial, trial_folder, trim
from centerx.errors import InputError, nearest
from centerx.files import json_text, quoted, require_folder, require_utf8, write_atomic
from centerx.show import Table, import_optional, new_figure
from centerx.tuning.cluster import Cluster, require_address
from centerx.tuning.report import COLUMNS, plot_trials, ranked, search_page, trial_cells, trials_csv, value_text
from centerx.tuning.search import processes, run_trials
from centerx.tuning.space import Space
from centerx.tuning.stored import require_sound
from centerx.tuning.study import (
    COMPLETE,
    PRUNED,
    PRUNERS,
    RUNNING,
    Outcome,
    StudyFile,
    Trial,
    begin,
    best_trial,
    importances,
    read_settings,
    read_trials,
    require_trial,
)

if TYPE_CHECKING:
    from centerx.api.datasets import DatasetFiles
    from centerx.build_plan import TrainPlan
    from centerx.config import Config, ConfigSource, Overrides

TRIALS = 30
STUDY, LOCK, BEST, ROWS, PAGE = "study.sqlite", "lock", "best.yaml", "trials.csv", "report.html"

# What Optuna raises of a file that another program changed.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError,
              ArithmeticError, OSError, sqlite3.Error)  # fmt: skip

logger = logging.getLogger(__name__)


class TuneResult(NamedTuple):
    """A search.

    Attributes:
        folder: of the search.
        config: the file of the best configuration; None before a trial is complete.
        page: the report.
        space: by key, as in a file of a space.
        trials: that began, in their order.
        best: the complete trial with the best AP; None before one is complete.
        own: the trial of the configuration itself; None where its values are not in the space, or it is not complete.
        importances: by key, how much of the differences in AP it explains, in [0, 1]; empty of few trials.
    """

    folder: Path
    config: Path | None
    page: Path
    space: dict[str, Any]
    trials: list[Trial]
    best: Trial | None
    own: Trial | None
    importances: dict[str, float]

    def table(self) -> Table:
        """Return what was found and the trials, the best first."""
        facts: dict[str, Any] = {"folder": self.folder, "trials": counted(self.trials), "report": self.page}
        if self.best is not None:
            facts |= {"best": f"trial {self.best.number}", "AP": self.best.AP, "configuration": self.config}
        if self.own is not None:
            facts["AP of the configuration itself"] = self.own.AP
        rows = [trial_cells(trial, list(self.space)) for trial in ranked(self.trials)]
        return Table("Search", facts, [*COLUMNS, *self.space], rows)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return trials.csv, a row a trial in their order, as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return import_optional("pandas").read_csv(self.folder / ROWS)

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of the AP of each trial."""
        figure = new_figure()
        plot_trials(figure, [trial for trial in self.trials if trial.counts])
        return figure

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx tune --json`."""
        return {
            "folder": str(self.folder),
            "config": None if self.config is None else str(self.config),
            "report": str(self.page),
            "space": self.space,
            "best": None if self.best is None else self.best.number,
            "own": None if self.own is None else self.own.number,
            "importances": self.importances,
            "trials": [trial.to_json() for trial in self.trials],
        }


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C during a search.

    Attributes:
        result: of what was known by then.
    """

    def __init__(self, result: TuneResult) -> None:
        super().__init__()
        self.result = result


class TunePlan(NamedTuple):
    """What a search would do.

    Attributes:
        folder: of the search.
        space: by key, as in a file of a space.
        trials: how many.
        jobs: processes.
        evaluations: epochs, counted from 1, after which a trial is evaluated.
        train: what one trial does, that of the configuration itself.
    """

    folder: Path
    space: dict[str, Any]
    trials: int
    jobs: int
    evaluations: list[int]
    train: TrainPlan

    def table(self) -> Table:
        """Return the line of the plan and the space."""
        rows = [(key, json_text(entry)) for key, entry in self.space.items()]
        return Table(self.line(), {"folder": self.folder}, ("key", "searched"), rows)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def line(self) -> str:
        """Return one line: trials, epochs, and about how long it takes."""
        seconds = self.train.pace.total
        most = "at most " if len(self.evaluations) > 1 else ""
        beside = "" if self.jobs == 1 else f" one after another, but {self.jobs} are trained at once"
        return (
            f"{trials_text(self.trials, self.evaluations)}; without evaluation a trial trains for about "
            f"{time_text(seconds)}, all for {most}{time_text(seconds * self.trials)}{beside}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx tune --dry-run --json`."""
        return {
            "folder": str(self.folder),
            "space": self.space,
            "trials": self.trials,
            "jobs": self.jobs,
            "evaluations": self.evaluations,
            "minutes": self.train.pace.total / 60 * self.trials,
            "train": self.train.to_json(),
        }


class Search(NamedTuple):
    """A search, read and checked.

    Attributes:
        folder: of the search.
        config: of the trials, but for what is searched.
        space: of the search.
        own: by key of the space, the configuration's own value.
    """

    folder: Path
    config: Config
    space: Space
    own: dict[str, Any]

    @property
    def tree(self) -> dict[str, Any]:
        """The space as in a file."""
        return {key: entry.to_yaml() for key, entry in self.space.items()}

    @property
    def evaluations(self) -> list[int]:
        """The epochs after which a trial is evaluated."""
        train = self.config.train
        return [n for n in range(1, train.epochs + 1) if n % train.val_every == 0 or n == train.epochs]


def tune(
    config: ConfigSource,
    *,
    space: str | Path | Mapping[str, Any] | None = None,
    trials: int = TRIALS,
    out: str | Path | None = None,
    overrides: Overrides = (),
    seed: int = 0,
    prune: str = "median",
    jobs: int = 1,
    cluster: str | None = None,
) -> TuneResult:
    """Search for a better configuration: train with values of a space, judge by the AP on `data.val`, suggest others.

    The first trial is the configuration itself, where its values are in the space. Suggestions are those of Optuna's
    TPE. All trials have the seed `train.seed`. The same call goes on with a search that was interrupted, or that is
    to have more trials; a trial that was running is repeated. With one job, the same call suggests the same.

    Args:
        config: as for `train`; `data.val` is needed.
        space: a YAML file, or a mapping, of dotted keys to `{low, high}`, with `log: true` or `step` where wanted, or
            to lists of values. Without it learning rate, weight decay, weights of the losses on fields and
            augmentation are searched around the configuration's own.
        trials: how many are to have ended, those of an earlier call among them.
        out: the folder of the search; without it `runs/NAME_tune`, NAME being that of the file or preset.
        overrides: as for `train`; they count for all trials.
        seed: of the suggestions.
        prune: how trials are ended early, at an evaluation: `median`, where the best AP so far is below the median of
            what complete trials had at that epoch; `halving`, successive halving; or `none`.
        jobs: trials that are trained at the same time, each in a process of its own.
        cluster: address of a Ray cluster whose machines train them: `auto`, the one that this machine belongs to,
            host:port, or `local`, one of this machine alone. All machines must see the folder and the data at the same
            paths.

    Raises:
        InputError: configuration, space or folder are wrong, or the first trial fails.
        SearchInterrupted: Ctrl-C; the files hold what was known.
        ModuleNotFoundError: without the extra `centerx[tune]`, with a cluster also `centerx[cluster]`.
    """
    from filelock import FileLock, Timeout

    from centerx.api.datasets import DatasetFiles

    import_optional("optuna", "tune")
    if cluster is not None:
        import_optional("ray", "cluster")
        require_address(cluster)
    require_words(trials, seed, prune, jobs)
    files = DatasetFiles(search_folder(config, out))
    search = prepare(config, space, search_folder(config, out), overrides, files)
    require_utf8(search.folder)
    require_folder(search.folder)
    search.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(search.folder / LOCK, blocking=False):
            return run_search(search, files, trials, seed, prune, jobs, cluster)
    except Timeout:
        raise InputError(
            f"{search.folder}: another process searches here, wait for it or name another folder with --out"
        ) from None


def plan_tune(
    config: ConfigSource,
    *,
    space: str | Path | Mapping[str, Any] | None = None,
    trials: int = TRIALS,
    out: str | Path | None = None,
    overrides: Overrides = (),
    jobs: int = 1,
) -> TunePlan:
    """Return what `centerx.tune` would do with the same arguments, see `plan`; nothing is kept.

    Args:
        config: as for `tune`.
        space: as for `tune`.
        trials: as for `tune`.
        out: as for `tune`.
        overrides: as for `tune`.
        jobs: as for `tune`.

    Raises:
        InputError: as `tune`.
    """
    require_words(trials, 0, "none", jobs)
    with temporary_files() as files:
        search = prepare(config, space, search_folder(config, out), overrides, files)
        files.write(search.config.data.policies)
        return plan_search(search, trials, jobs)


def search_folder(config: ConfigSource, out: str | Path | None) -> Path:
    """Return the folder of a search; see `tune`."""
    folder = run_folder(config, out)
    return folder if out is not None else folder.with_name(f"{folder.name}_tune")


def require_words(trials: int, seed: int, prune: str, jobs: int) -> None:
    """Check the words of a search that are not about the configuration.

    Raises:
        InputError: one is wrong.
    """
    for name, value, least in (("trials", trials, 1), ("jobs", jobs, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}: {value} is less than {least}")
    if prune not in PRUNERS:
        raise InputError(f"prune: no way {prune!r}{nearest(prune, PRUNERS)}, there are: {', '.join(PRUNERS)}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("tune: starts its processes itself, leave torchrun out and give --jobs")


def prepare(
    config: ConfigSource,
    space: str | Path | Mapping[str, Any] | None,
    folder: Path,
    overrides: Overrides,
    files: DatasetFiles,
) -> Search:
    """Read the configuration and the space of a search.

    Args:
        config: as for `tune`.
        space: as for `tune`.
        folder: of the search.
        overrides: as for `tune`.
        files: take data sets that are objects.

    Raises:
        InputError: one of them is wrong.
    """
    from centerx.api.space import read_space, usual_space, values_of
    from centerx.config import load_config

    settings = load_config(files.named(config), files.named(overrides))
    if not settings.data.val:
        raise InputError("data.val: a search judges by it, name labelled data such as data.val=[path/to/data]")
    fixed = set(overrides) if isinstance(overrides, Mapping) else {word.partition("=")[0] for word in overrides}
    found = usual_space(settings, fixed) if space is None else read_space(space, settings, fixed)
    if not found:
        raise InputError("space: every key of the usual one is given by key=value, name one with --space")
    return Search(folder, settings, found, values_of(settings, found))


def plan_search(search: Search, trials: int, jobs: int) -> TunePlan:
    """Return what a search would do; a few steps of its first trial are done."""
    from centerx.build_plan import build_plan

    train = build_plan(search.config, search.folder)
    return TunePlan(search.folder, search.tree, trials, jobs, search.evaluations, train)


def run_search(
    search: Search, files: DatasetFiles, trials: int, seed: int, prune: str, jobs: int, cluster: str | None
) -> TuneResult:
    """Search, in a folder that no other process searches in; arguments as for `tune`."""
    import torch

    file = StudyFile(search.folder / STUDY, prune, search.evaluations[0])
    study = open_study(search, file, {"seed": seed, "prune": prune, "space": search.tree})
    files.write(search.config.data.policies)
    told: set[str] = set()
    former = [trial for trial in read_trials(study) if trial.counts]
    if not former:
        with noted_warnings() as warnings:
            logger.info(plan_search(search, trials, jobs).line())
        told.update(warnings)
        if len(search.evaluations) == 1 and prune != "none":
            logger.info(
                f"train.val_every={search.config.train.val_every}: trials are evaluated at their end alone, so none is "
                "ended early; a smaller one would allow it"
            )
    elif len(former) < trials:
        logger.info(f"{search.folder}: goes on after {plural(len(former), 'trial')}")
    else:
        logger.info(f"{search.folder}: {counted(former)} are there, nothing is left to do; more --trials go on")

    def ended(trial: Trial, outcome: Outcome) -> None:
        for warning in outcome.warnings:
            if warning not in told:
                logger.warning(f"trial {trial.number}: {warning}")
        told.update(outcome.warnings)
        done = read_trials(study)
        (logger.warning if trial.error else logger.info)(trial_line(trial, done, trials, jobs))
        write_rows(search, done)

    on_cpu = search.config.train.device == "cpu"
    machines = None if cluster is None else Cluster(cluster, file, min(jobs, trials), on_cpu, files_read(search.config))
    run = partial(run_trial, search.folder, search.config, file if machines is None else machines.study)
    own = processes(min(jobs, trials), max(torch.get_num_threads() // jobs, 1))
    try:
        run_trials(study, search.space, seed, trials, run, ended, jobs, machines.connect() if machines else own)
    except KeyboardInterrupt:
        raise SearchInterrupted(write_result(search, study)) from None
    return write_result(search, study)


def files_read(config: Config) -> list[Path]:
    """Return the files and folders that the trainings of a configuration read, as far as they are there."""
    entries = [*config.data.train, *config.data.val]
    named: list[object] = [path for entry in entries for path in (entry.path, entry.images)]
    named += [teacher.weights for teacher in config.distill.teachers] + [config.train.init, config.model.pretrained]
    return [path for each in named if isinstance(each, str) and (path := Path(each)).exists()]


def open_study(search: Search, file: StudyFile, settings: dict[str, Any]) -> Any:
    """Return the study of a folder; one without a trial that ended well is begun anew.

    Raises:
        InputError: the folder has a search with other words, or something else.
    """
    from centerx.config import changed_keys, dump_config
    from centerx.runtime.info import RUN_MODELS

    there, before = file.path.exists(), search.folder / "config.yaml"
    run = next((path for path in map(search.folder.joinpath, (*RUN_MODELS, "last.ckpt")) if path.exists()), None)
    if not there and run is not None:
        raise InputError(f"{run}: is of a training, name another folder with --out")
    if not there and (search.folder / FOLDER).exists():
        raise InputError(f"{search.folder / FOLDER}: is there without its search, name another folder with --out")
    for path in (before, *(search.folder / name for name in (BEST, ROWS, PAGE))):
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is no ordinary file, name another folder with --out")
    study, former, trials = read_study(file)
    if any(trial.state in (COMPLETE, PRUNED) for trial in trials):
        changes = changed_keys(before, search.config, needed=True)
        changes += [f"{key} (was {former.get(key)})" for key, value in settings.items() if former.get(key) != value]
        if changes:
            raise InputError(
                f"{search.folder}: holds a search with another {', '.join(changes)}; give it the same words, or name "
                "another folder with --out"
            )
        return study
    if (search.folder / BEST).exists():
        raise InputError(
            f"{file.path}: has no trial that ended well, but {BEST} beside it is of one; name another folder with --out"
        )
    if there:
        shutil.rmtree(search.folder / FOLDER, ignore_errors=True)
        study = file.begin_anew()
    own = search.own if all(search.own[key] in entry for key, entry in search.space.items()) else None
    if own is None:
        outside = next(key for key, entry in search.space.items() if search.own[key] not in entry)
        logger.info(
            f"{outside}: the configuration's own {value_text(search.own[outside])} is not in the space, so it is no "
            "trial itself"
        )
    begin(study, settings, search.space, own)
    write_atomic(before, dump_config(search.config).encode())
    return study


def read_study(file: StudyFile) -> tuple[Any, dict[str, Any], list[Trial]]:
    """Return the study of a file, what the search was begun with and its trials.

    Raises:
        InputError: it is no file of a search.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        require_sound(file.path)
        study = file.open()
        former, trials = read_settings(study), read_trials(study)
        if [each.name for each in study.directions] != ["MAXIMIZE"]:
            raise ValueError("it does not look for the largest of one number")
        for trial in trials:
            require_trial(trial)
    except (*UNREADABLE, OptunaError, SQLAlchemyError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{file.path}: is no file of a search ({reason}), name another folder with --out") from None
    return study, former, trials


def write_result(search: Search, study: Any) -> TuneResult:
    """Write the files of a search, and return what it found."""
    from centerx.page import write_page

    trials = read_trials(study)
    write_rows(search, trials)
    shares = importances(study)
    best = best_trial(trials)
    own = next((each for each in trials if each.state == COMPLETE and each.values == search.own), None)
    lead = [
        f"folder: {search.folder}",
        f"{trials_text(sum(trial.counts for trial in trials), search.evaluations)}: {counted(trials)}",
        f"data to judge by: {', '.join(entry.path for entry in search.config.data.val)}",
    ]
    page = search_page("Search", lead, trials, search.space, search.own, shares)
    write_page(search.folder / PAGE, page)
    config = search.folder / BEST if best else None
    return TuneResult(search.folder, config, search.folder / PAGE, search.tree, trials, best, own, shares)


def write_rows(search: Search, trials: list[Trial]) -> None:
    """Write trials.csv and best.yaml; remove the models of the trials that are not the best."""
    from centerx.config import dump_config, load_config

    write_atomic(search.folder / ROWS, trials_csv(trials, list(search.space)).encode())
    best = best_trial(trials)
    if best is not None:
        head = best_head(search, best, sum(trial.counts for trial in trials))
        text = dump_config(load_config(search.config, best.values))
        write_atomic(search.folder / BEST, f"{head}{text}".encode())
    for trial in trials:
        if trial.state != RUNNING:
            trim(trial_folder(search.folder, trial.number), keep=trial == best)


def best_head(search: Search, best: Trial, trials: int) -> str:
    """Return the comment on top of best.yaml."""
    lines = [
        f"centerx train {shlex.quote(str(search.folder / BEST))} --out runs/best",
        f"Trial {best.number} of a search of {trials}: AP {best.AP:.3f} on data.val, by which it was chosen.",
        *(
            f"{key}: {value_text(value)}, was {value_text(search.own[key])}"
            for key, value in best.values.items()
            if value != search.own[key]
        ),
    ]
    return "".join(f"# {quoted(line)}\n" for line in lines)


def trials_text(trials: int, evaluations: Sequence[int]) -> str:
    """Return how many trials there are and how long each is."""
    often = f"every {evaluations[0]} epochs" if evaluations[0] > 1 else "every epoch"
    when = often if len(evaluations) > 1 else "at the end"
    return f"{plural(trials, 'trial')} of {plural(evaluations[-1], 'epoch')}, evaluated {when}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: `1 trial`, `2 trials`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def time_text(seconds: float) -> str:
    """Return how a time is told."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 600 else f"{seconds / 60:.0f} minutes"


def counted(trials: Sequence[Trial]) -> str:
    """Return how many trials there are of each state."""
    states = list(dict.fromkeys(trial.state for trial in trials))
    return ", ".join(f"{sum(trial.state == state for trial in trials)} {state}" for state in sorted(states)) or "none"


def trial_line(trial: Trial, trials: Sequence[Trial], most: int, jobs: int) -> str:
    """Return what is told of a trial that ended."""
    ended = [each for each in trials if each.counts]
    spent = [each.seconds for each in ended if each.seconds is not None]
    head = f"trial {trial.number} ({len(ended)} of {most})"
    if trial.error:
        return f"{head}: failed: {trial.error}"
    early = " pruned" if trial.state == PRUNED else ""
    best = best_trial(trials)
    parts = [f"AP {trial.AP:.3f}{early} after {plural(max(trial.curve), 'epoch')} in {trial.seconds:.0f} s"]
    parts += [f"best {best.AP:.3f} of trial {best.number}"] if best else []
    left = sum(spent) / len(spent) * (most - len(ended)) / jobs
    parts += [f"about {time_text(left)} left"] if len(ended) < most else []
    return f"{head}: {'  '.join(parts)}"
