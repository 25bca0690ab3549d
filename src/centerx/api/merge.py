"""`centerx.merge`: one detector of several, and what each of them reaches alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.api.functions import keep_functions
from centerx.api.train import result_table, result_tree, train_in
from centerx.errors import InputError
from centerx.files import write_json
from centerx.show import Table, plot_bars

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from centerx.build import Run
    from centerx.config import Config, ConfigSource, Overrides
    from centerx.config.schema import DataEntry, TeacherConfig
    from centerx.data.dataset import Dataset
    from centerx.data.function import Function
    from centerx.evaluation import Metrics

MERGED = Path("runs/merged")  # the run folder, where none is named
Entry = str | Path | Mapping[str, Any]  # a path, or the keys of an entry of the configuration


class Comparison(NamedTuple):
    """A class that a teacher and the student know.

    Attributes:
        class_name: of the student.
        teacher: file of the teacher; None where labels alone teach the class.
        alone: AP of the teacher by itself, in [0, 1]; None where it is not known.
        student: AP of the student, in [0, 1]; None where the data has no such object.
    """

    class_name: str
    teacher: str | None
    alone: float | None
    student: float | None

    @property
    def difference(self) -> float | None:
        """How much the student has gained."""
        return difference(self.alone, self.student)

    def to_json(self) -> dict[str, Any]:
        """Return the row of merge.json."""
        return {
            "class": self.class_name,
            "teacher": self.teacher,
            "alone": self.alone,
            "student": self.student,
            "difference": self.difference,
        }


class MergeResult(NamedTuple):
    """A merged detector.

    Attributes:
        folder: of the run.
        model: the file of the last epoch's model.
        best: the file of the model with the best AP; the last one where nothing was evaluated.
        metrics: of the last model; None where there was nothing to judge by.
        rows: the student beside each teacher, a row a class and teacher, as in merge.json.
        seen: whether it was judged by pictures that it was trained on.
        rank: number of this process; above 0 only where several processes train, of which the first has the metrics.
    """

    folder: Path
    model: Path
    best: Path
    metrics: Metrics | None
    rows: list[Comparison]
    seen: bool = False
    rank: int = 0

    def table(self) -> Table:
        """Return where the models are, and the rows."""
        columns = ("class", "teacher", "teacher alone", "student", "difference")
        rows = [(row.class_name, row.teacher, row.alone, row.student, row.difference) for row in self.rows]
        return result_table("Merged detector", self.folder, self.best, self.metrics, columns, rows)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return the rows as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return self.table().frame()

    def plot(self) -> Any:
        """Return a `matplotlib.figure.Figure` of the AP of each row."""
        bars = {"teacher alone": [row.alone for row in self.rows], "student": [row.student for row in self.rows]}
        return plot_bars([row.class_name for row in self.rows], bars, "AP")

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx merge --json`."""
        tree = result_tree(self.folder, self.model, self.best, self.metrics)
        return tree | {"judged_by_training": self.seen, "classes": [row.to_json() for row in self.rows]}


class Alone(NamedTuple):
    """A teacher by itself.

    Attributes:
        file: of the teacher.
        per_class: AP of every class that it is to teach, under the student's names; None where the data does not
            label it.
    """

    file: str
    per_class: dict[str, float | None]


def merge(
    teachers: Sequence[Entry | Callable[..., Any]],
    images: Sequence[str | Path] | None,
    student: ConfigSource,
    *,
    labels: Sequence[Entry | Dataset] | None = None,
    val: Sequence[Entry | Dataset] | None = None,
    labels_split: str | None = None,
    val_split: str | None = None,
    out: str | Path = MERGED,
    resume: bool = False,
    overrides: Overrides = (),
    callbacks: Sequence[Callback] = (),
) -> MergeResult:
    """Make one detector of several, on pictures that need no labels; it learns all classes that the teachers know.

    Args:
        teachers: model files, each with the classes it knows, or entries as in `distill.teachers`. Functions as
            well, from a picture (H, W, 3) uint8 RGB to `Detections`, as `centerx.load` returns one, or to boxes (K, 4)
            xyxy, scores and labels; or an entry with such a function under `detect` instead of `weights`, and with the
            names of its labels under `class_names`. A function is asked once a picture, and the run folder keeps what
            it finds.
        images: folders of pictures to learn from, without labels; None where those of `labels` are enough.
        student: the configuration of the detector to train, as `centerx.train` takes it.
        labels: labelled data sets to learn from as well; paths, entries as in `data.train`, or `Dataset` objects, of
            which the run folder gets files as for `centerx.train`.
        val: labelled data to judge by, likewise; those of `labels` without it.
        labels_split: split of `labels`, where those have several.
        val_split: split of `val`, where that has several.
        out: the run folder.
        resume: go on from the run folder's last.ckpt.
        overrides: `dotted.key=value` texts, or a mapping of dotted keys to values.
        callbacks: Lightning callbacks, as for `centerx.train`.

    Raises:
        InputError: anything in the arguments, the configuration, the data or the folder is wrong.
    """
    from centerx.api.datasets import DatasetFiles
    from centerx.build_data import build_datasets

    folder = Path(out)
    files = DatasetFiles(folder)
    config, functions = merge_run(
        teachers,
        images,
        files.named(student),
        labels=files.named(labels, "labels"),
        val=files.named(val, "val"),
        labels_split=labels_split,
        val_split=val_split,
        out=folder,
        overrides=files.named(overrides),
    )
    run = train_in(folder, config, resume, functions, callbacks, files)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    if run.evaluation is None or not run.trainer.is_global_zero:
        return MergeResult(folder, last, best, None, [], rank=run.trainer.global_rank)
    metrics, alone = judge_run(run, last, build_datasets(run.config.data.val))
    rows = compare(metrics, alone)
    write_json(folder / "merge.json", {"AP": metrics.AP, "classes": [row.to_json() for row in rows]}, indent=2)
    return MergeResult(folder, last, best, metrics, rows, judged_by_training(run.config))


def merge_run(
    teachers: Sequence[Entry | Callable[..., Any]],
    images: Sequence[str | Path] | None,
    student: ConfigSource,
    *,
    labels: Sequence[Entry] | None = None,
    val: Sequence[Entry] | None = None,
    labels_split: str | None = None,
    val_split: str | None = None,
    out: str | Path = MERGED,
    overrides: Overrides = (),
) -> tuple[Config, dict[str, Function]]:
    """Return the configuration of the student's run, and the functions that are teachers, by the file of each.

    The arguments are those of `merge`.

    Raises:
        InputError: anything in them is wrong.
    """
    folder = Path(out)
    if not images and not labels:
        raise InputError("--images: there are no pictures to learn from, name folders of them, or data with --labels")
    train, judges = data_entries(images, labels, val, labels_split, val_split, folder)
    kept, functions = keep_functions(teachers, folder)
    config = merge_config(student, [as_entry(each, "weights") for each in kept], train, judges, overrides)
    return config, functions


def data_entries(
    images: Sequence[str | Path] | None,
    labels: Sequence[Entry] | None,
    val: Sequence[Entry] | None,
    labels_split: str | None,
    val_split: str | None,
    out: Path,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries of `data.train` and of `data.val`; the latter are those of `labels` where `val` is not given.

    Args:
        images: as for `merge`.
        labels: as for `merge`.
        val: as for `merge`.
        labels_split: as for `merge`.
        val_split: as for `merge`.
        out: the run folder.

    Raises:
        InputError: `images` are no folders, the run lies among them, or a split goes with nothing.
    """
    require_folders([Path(path) for path in images or ()], out)
    for option, split, data in (("--labels-split", labels_split, labels), ("--val-split", val_split, val)):
        if split is not None and not data:
            raise InputError(f"{option}: goes with {option.removesuffix('-split')}, give both or neither")
    pictures = [as_entry(each, "path", format="folder") for each in images or ()]
    labelled = [as_entry(each, "path", split=labels_split) for each in labels or ()]
    return pictures + labelled, [as_entry(each, "path", split=val_split) for each in val] if val else labelled


def require_folders(images: Sequence[Path], out: Path) -> None:
    """Check that pictures come from folders, and that a run does not lie among them.

    Raises:
        InputError: names the first that is no folder, or that the run lies in.
    """
    file = next((path for path in images if path.is_file()), None)
    if file:
        raise InputError(f"--images: {file} is no folder of pictures; labelled data goes to --labels")
    around = next((path for path in images if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path))), None)
    if around:
        raise InputError(f"--out: {out} lies in {around}, whose pictures are learned from, name another folder")


def as_entry(given: Entry, key: str, **more: Any) -> dict[str, Any]:
    """Return an entry of the configuration; of a path, with `key` and `more`."""
    return dict(given) if isinstance(given, Mapping) else {key: str(given), **more}


def merge_config(
    student: ConfigSource,
    teachers: list[dict[str, Any]],
    train: list[dict[str, Any]],
    val: list[dict[str, Any]],
    overrides: Overrides,
    start: Mapping[str, Any] | None = None,
) -> Config:
    """Return the configuration of the student's run.

    Args:
        student: as for `merge`.
        teachers: entries of `distill.teachers`.
        train: entries of `data.train`.
        val: entries of `data.val`.
        overrides: as for `merge`; they come last.
        start: further keys with their values.

    Raises:
        InputError: as `load_config`.
    """
    from centerx.config import load_config
    from centerx.config.load import override_words

    given = {"classes": None, "data.train": train, "data.val": val, "distill.teachers": teachers, **(start or {})}
    words = override_words(overrides) if isinstance(overrides, Mapping) else overrides
    return load_config(student, [*override_words(given), *words])


def judged_by_training(config: Config) -> bool:
    """Whether some of the data that judges a run is trained on as well."""
    return bool(places(config.data.val) & places(config.data.train))


def places(entries: Sequence[DataEntry]) -> set[tuple[str, str | None]]:
    """Return where entries read their pictures from, however that is written."""
    return {(os.path.realpath(entry.path), entry.split) for entry in entries}


def judge_run(run: Run, model: Path, datasets: Sequence[Dataset]) -> tuple[Metrics, list[Alone]]:
    """Judge the student of a finished run, and its teachers.

    Args:
        run: of the student.
        model: its file.
        datasets: to judge by.
    """
    from centerx.evaluation.api import evaluate_model

    batch_size = run.config.train.batch_size
    alone = judge(run.config.distill.teachers, datasets, batch_size, run.config.task, run.config.data.train)
    # A resumed run with no epoch left has not been judged.
    metrics = run.evaluation.metrics if run.evaluation else None
    return metrics or evaluate_model(model, datasets, batch_size), alone


def judge(
    teachers: Sequence[TeacherConfig],
    datasets: Sequence[Dataset],
    batch_size: int,
    task: str = "boxes",
    trained_on: Sequence[DataEntry] = (),
) -> list[Alone]:
    """Return what each teacher reaches alone.

    Args:
        teachers: their entries in the configuration.
        datasets: to judge by.
        batch_size: pictures at once.
        task: of the student; a teacher of another has no figures that could be compared.
        trained_on: the training data, by whose ids a json of results is read.
    """
    from centerx.build_teachers import STORED
    from centerx.data.source import union_of_classes
    from centerx.evaluation.api import evaluate_model, taught_names
    from centerx.runtime import open_session
    from centerx.runtime.foreign.joints import joint_adapter

    labelled = union_of_classes(datasets)
    found: list[Alone] = []
    for teacher in teachers:
        if Path(teacher.weights).suffix.lower() in STORED:
            found.append(judge_stored(teacher, datasets, task, trained_on))
            continue
        told = joint_adapter(Path(teacher.weights), teacher.adapter)
        if told is not None:  # it finds no objects by itself
            found.append(Alone(teacher.weights, dict.fromkeys(told.classes)))
            continue
        session = open_session(teacher.weights, adapter=teacher.adapter)
        own = session.info.class_names
        taught = teacher.classes or {name: name for name in own}
        names = taught_names(own, taught)
        session.info = session.info._replace(class_names=names)
        reached: Mapping[str, float | None] = {}
        if session.info.task == task and set(names).intersection(labelled):
            reached = evaluate_model(Path(teacher.weights), datasets, batch_size, session).per_class
        found.append(Alone(teacher.weights, {name: reached.get(name) for name in names if name in taught.values()}))
    return found


def judge_stored(
    teacher: TeacherConfig, datasets: Sequence[Dataset], task: str, trained_on: Sequence[DataEntry]
) -> Alone:
    """Return what a file of detections reaches, where it knows every picture to judge by.

    Args:
        teacher: its entry in the configuration.
        datasets: to judge by.
        task: of the student.
        trained_on: as for `judge`.
    """
    from centerx.build_data import build_datasets
    from centerx.build_teachers import find_stored
    from centerx.data.source import union_of_classes
    from centerx.evaluation.api import evaluate_stored, taught_names

    file = Path(teacher.weights)
    stored = find_stored(file, build_datasets(trained_on), [each.image for data in datasets for each in data.records])
    taught = teacher.classes or {name: name for name in stored.class_names}
    names = taught_names(stored.class_names, taught)
    reached: Mapping[str, float | None] = {}
    if stored.task == task and stored.answered.all() and set(names).intersection(union_of_classes(datasets)):
        reached = evaluate_stored(stored._replace(class_names=names), datasets).per_class
    return Alone(teacher.weights, {name: reached.get(name) for name in names if name in taught.values()})


def compare(student: Metrics, alone: Sequence[Alone]) -> list[Comparison]:
    """Return a row for each class and teacher that knows it, and one for a class that labels alone teach.

    Args:
        student: its metrics.
        alone: those of the teachers.
    """
    rows: list[Comparison] = []
    for name, ap in student.per_class.items():
        known_by: list[tuple[str | None, float | None]] = [
            (teacher.file, teacher.per_class[name]) for teacher in alone if name in teacher.per_class
        ]
        if not known_by and ap is not None:
            known_by = [(None, None)]
        rows += [Comparison(name, teacher, before, ap) for teacher, before in known_by]
    return rows


def mean_alone(student: Metrics, rows: Sequence[Comparison]) -> float | None:
    """Return the mean AP of the teachers; None unless each class that can be judged has exactly one teacher's."""
    alone = [row.alone for row in rows if row.student is not None]
    known = [ap for ap in alone if ap is not None]
    judged = sum(ap is not None for ap in student.per_class.values())
    return sum(known) / len(known) if known and len(known) == len(alone) == judged else None


def difference(before: float | None, after: float | None) -> float | None:
    """Return what has been gained; None where one of them is not known."""
    return None if before is None or after is None else after - before
