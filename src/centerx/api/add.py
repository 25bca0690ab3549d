"""`centerx.add`: new classes for an old detector, and what its own classes lose by them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.api.merge import (
    Alone,
    Entry,
    as_entry,
    data_entries,
    difference,
    judge_run,
    judged_by_training,
    merge_config,
)
from centerx.api.train import checkpoint_of, result_table, result_tree, train_in
from centerx.errors import InputError
from centerx.files import write_json
from centerx.show import Table, plot_bars

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from centerx.api.datasets import DatasetFiles
    from centerx.config import Config, ConfigSource, Overrides
    from centerx.config.schema import DataEntry
    from centerx.data.dataset import Dataset
    from centerx.evaluation import Metrics

ADDED = Path("runs/added")  # the run folder, where none is named
PRESET = "nano"  # the student where the old file does not hold its configuration

logger = logging.getLogger(__name__)


class Change(NamedTuple):
    """A class before and after.

    Attributes:
        class_name: of the student.
        added: whether the old detector lacks it.
        before: AP of the old detector, in [0, 1]; None for an added class, and where no data judges it.
        after: AP of the student, in [0, 1]; None where no data judges it.
    """

    class_name: str
    added: bool
    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """How much the class has gained."""
        return difference(self.before, self.after)

    def to_json(self) -> dict[str, Any]:
        """Return the row of add.json."""
        return {
            "class": self.class_name,
            "added": self.added,
            "before": self.before,
            "after": self.after,
            "difference": self.difference,
        }


class AddResult(NamedTuple):
    """A detector of old and new classes.

    Attributes:
        folder: of the run.
        model: the file of the last epoch's model.
        best: the file of the model with the best AP; the last one where nothing was evaluated.
        metrics: of the last model; None where there was nothing to judge by.
        rows: a class each, as in add.json.
        seen: whether it was judged by pictures that it was trained on.
        rank: number of this process; above 0 only where several processes train, of which the first has the metrics.
    """

    folder: Path
    model: Path
    best: Path
    metrics: Metrics | None
    rows: list[Change]
    seen: bool = False
    rank: int = 0

    def table(self) -> Table:
        """Return where the models are, and the rows."""
        columns = ("class", "added", "before", "after", "difference")
        rows = [
            (row.class_name, "yes" if row.added else "no", row.before, row.after, row.difference) for row in self.rows
        ]
        return result_table("Detector with added classes", self.folder, self.best, self.metrics, columns, rows)

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
        bars = {"before": [row.before for row in self.rows], "after": [row.after for row in self.rows]}
        return plot_bars([row.class_name for row in self.rows], bars, "AP")

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx add --json`."""
        tree = result_tree(self.folder, self.model, self.best, self.metrics)
        return tree | {"judged_by_training": self.seen, "classes": [row.to_json() for row in self.rows]}


def add(
    old: Entry,
    labels: Sequence[Entry | Dataset],
    *,
    images: Sequence[str | Path] | None = None,
    val: Sequence[Entry | Dataset] | None = None,
    student: ConfigSource | None = None,
    labels_split: str | None = None,
    val_split: str | None = None,
    out: str | Path = ADDED,
    resume: bool = False,
    overrides: Overrides = (),
    callbacks: Sequence[Callback] = (),
) -> AddResult:
    """Train a detector of an old one's classes and of new ones: the old one teaches its own, labels teach the new.

    Args:
        old: a model file, or an entry as in `distill.teachers`.
        labels: data sets that label the new classes; paths, entries as in `data.train`, or `Dataset` objects, of which
            the run folder gets files as for `centerx.train`.
        images: folders of further pictures, without labels, on which the old detector teaches.
        val: labelled data to judge by, as `labels`; those of `labels` without it.
        student: the configuration of the detector to train, as `centerx.train` takes it; without it that of the old
            one, or the preset `nano` at its input size, in multiples of 32, where the file holds none.
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
    config = add_run(
        old,
        labels,
        DatasetFiles(folder),
        images=images,
        val=val,
        student=student,
        labels_split=labels_split,
        val_split=val_split,
        out=folder,
        resume=resume,
        overrides=overrides,
    )
    run = train_in(folder, config, resume, callbacks=callbacks)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    if run.evaluation is None or not run.trainer.is_global_zero:
        return AddResult(folder, last, best, None, [], rank=run.trainer.global_rank)
    metrics, alone = judge_run(run, last, build_datasets(run.config.data.val))
    rows = changes(metrics, alone)
    write_json(folder / "add.json", {"AP": metrics.AP, "classes": [row.to_json() for row in rows]}, indent=2)
    return AddResult(folder, last, best, metrics, rows, judged_by_training(run.config))


def add_run(
    old: Entry,
    labels: Sequence[Entry | Dataset],
    files: DatasetFiles,
    *,
    images: Sequence[str | Path] | None = None,
    val: Sequence[Entry | Dataset] | None = None,
    student: ConfigSource | None = None,
    labels_split: str | None = None,
    val_split: str | None = None,
    out: str | Path = ADDED,
    resume: bool = False,
    overrides: Overrides = (),
) -> Config:
    """Return the configuration of the student's run, and write the files of data sets that are objects.

    The arguments are those of `add`, and `files`, which takes these data sets.

    Raises:
        InputError: anything in them is wrong.
    """
    folder = Path(out)
    if not labels:
        raise InputError("--labels: there is no class to add, name data that labels one")
    train, judges = data_entries(
        images, files.named(labels, "labels"), files.named(val, "val"), labels_split, val_split, folder
    )
    checkpoint_of(folder, resume)
    return add_config(as_entry(old, "weights"), train, judges, files.named(student), files.named(overrides), files)


def add_config(
    old: dict[str, Any],
    train: list[dict[str, Any]],
    val: list[dict[str, Any]],
    student: ConfigSource | None,
    overrides: Overrides,
    files: DatasetFiles | None = None,
) -> Config:
    """Return the configuration of the student's run; `overrides` come last.

    The student starts from the old weights where its network is the old one.

    Args:
        old: entry of `distill.teachers`.
        train: entries of `data.train`.
        val: entries of `data.val`.
        student: as for `add`.
        overrides: as for `add`.
        files: to write before the data is read.

    Raises:
        InputError: the old file is no model, labels bring no new class, or as `load_config`.
    """
    from centerx.build_model import network_differences, read_with_config
    from centerx.config import load_config

    if "weights" not in old:
        raise InputError("old: the entry names no model file, give it the key weights")
    path = str(old["weights"])
    former = read_with_config(Path(path))[2] if path.lower().endswith(".safetensors") else None
    if student is not None:
        base = load_config(student)
    else:
        base = without_its_run(former) if former is not None else preset_for(old)
    config = merge_config(base, [old], train, val, overrides)
    differing = network_differences(config, former) if former is not None else ["it holds none"]
    if not differing:
        config = merge_config(base, [old], train, val, overrides, {"train.init": path})
    if config.train.init == path:
        logger.info(f"the student starts from the weights of {path}, train.optimizer.lr={config.train.optimizer.lr:g}")
    else:
        why = f", not from those of {path}: {', '.join(differing)}" if differing else ""
        logger.info(f"the student starts from {config.train.init or 'fresh weights'}{why}")
    if files is not None:
        files.write(config.data.policies)
    return with_labels(config)


def without_its_run(former: Config) -> Config:
    """Return the configuration that a detector was trained with, without what belongs to that run and its machine.

    Network, task, augmentation, losses, optimiser, schedule and epochs stay; of its data the size and the range of the
    input. Joints come from itself, which teaches them, and from the data, but for their sigmas.
    """
    from centerx.config import Config

    fresh = Config()
    data = fresh.data.model_copy(update={"input_size": former.data.input_size, "range": former.data.range})
    train = {name: getattr(fresh.train, name) for name in ("seed", "precision", "device", "init", "frozen")}
    distill = {
        name: getattr(fresh.distill, name) for name in ("teachers", "cache", "labels", "shared", "calibrate", "until")
    }
    return former.model_copy(
        update={
            "classes": None,
            "joints": fresh.joints.model_copy(update={"sigmas": former.joints.sigmas}),
            "data": data,
            "model": former.model.model_copy(update={"pretrained": False}),
            "distill": former.distill.model_copy(update=distill),
            "train": former.train.model_copy(update=train),
        }
    )


def preset_for(old: Mapping[str, Any]) -> Config:
    """Return PRESET, with the task, the input and the number of detections of a model file.

    Sides that are no multiples of 32 become the next larger ones. A file of detections says nothing of an input.

    Args:
        old: entry of `distill.teachers`.

    Raises:
        InputError: it is no model file.
    """
    from centerx.build_teachers import STORED
    from centerx.config import load_config
    from centerx.geometry import INPUT_MULTIPLE
    from centerx.runtime import open_session
    from centerx.tasks import QUADS

    path = str(old["weights"])
    if path.lower().endswith(STORED):
        return load_config(PRESET)
    info = open_session(path, adapter=old.get("adapter")).info
    facts: dict[str, Any] = {"task": info.task, "data.range": info.value_range, "model.top_k": info.top_k}
    if info.task == QUADS.name:
        facts["model.corner_order"] = info.corner_order
    if not info.resize.varies:
        facts["data.input_size"] = [-(-side // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in info.input_hw]
    return load_config(PRESET, facts)


def with_labels(config: Config) -> Config:
    """Check what the labels of a run bring, tell who teaches what, and warn of old classes that nothing judges.

    An old class that labels list without a box of it does not count as labelled there, see `only_listed`.

    Raises:
        InputError: labels bring no new class, no box of one, or one whose name is almost that of an old class.
    """
    from centerx.build_data import build_datasets
    from centerx.build_teachers import open_teachers

    everything = build_datasets(config.data.train)
    labelled_data = [
        (entry, data) for entry, data in zip(config.data.train, everything, strict=True) if entry.format != "folder"
    ]
    entries, datasets = [entry for entry, _ in labelled_data], [data for _, data in labelled_data]
    judges = datasets if config.data.val == tuple(entries) else build_datasets(config.data.val)
    teachers = open_teachers(config, everything, judged_by=judges)
    old = tuple(dict.fromkeys(name for teacher in teachers for name in teacher.student_classes))
    require_new_classes(old, datasets)

    counted: dict[DataEntry, DataEntry] = {}
    labelled: list[str] = []
    for entry, dataset in labelled_data:
        left_out = only_listed(entry, dataset, old)
        kept = tuple(name for name in dataset.class_names if name not in left_out)
        labelled += kept
        if left_out:
            counted[entry] = entry.model_copy(update={"classes": kept})
            logger.warning(
                f"{dataset.path}: lists {', '.join(left_out)} without one box, so they do not count as labelled there; "
                "if its pictures show none, list its classes in data.train"
            )
    by_labels = list(dict.fromkeys(labelled))
    both = [name for name in old if name in by_labels]
    logger.info(
        f"the old detector teaches {', '.join(old)}; labels teach {', '.join(by_labels)}"
        + (f"; both teach {', '.join(both)}" if both else "")
    )

    judged = {name for dataset in judges for name in classes_with_boxes(dataset)}
    unjudged = [name for name in old if name not in judged]
    if unjudged:
        logger.warning(
            f"no data judges {', '.join(unjudged)}: nothing will tell whether the student still finds them as the old "
            "detector does; name data that labels them with --val"
        )
    new = [name for name in by_labels if name not in old and name not in judged]
    if new and judges:
        logger.warning(f"no data judges {', '.join(new)}, which are added; name data that labels them with --val")
    train = tuple(counted.get(entry, entry) for entry in config.data.train)
    return config.model_copy(update={"data": config.data.model_copy(update={"train": train})})


def require_new_classes(old: Sequence[str], datasets: Sequence[Dataset]) -> None:
    """Check that labels bring something to add.

    Args:
        old: class names of the old detector.
        datasets: of the labels.

    Raises:
        InputError: a data set labels nothing, there is no new class, no box of one, or one is called almost as an old
            class.
    """
    from centerx.data.check import alike_classes
    from centerx.data.source import union_of_classes

    for dataset in datasets:
        if not dataset.class_names:
            raise InputError(f"--labels: {dataset.path} labels no class; pictures alone go to --images")
    where = ", ".join(str(dataset.path) for dataset in datasets)
    labelled = union_of_classes(datasets)
    new = [name for name in labelled if name not in old]
    if not new:
        raise InputError(
            f"--labels: {where} labels {', '.join(labelled)}, which the old detector knows, so there is no class to "
            "add; to teach it more of them use `centerx merge` with it as teacher, or `centerx train` with train.init"
        )
    for name in new:
        alike = next((each for each in old if alike_classes([each, name])), None)
        if alike is not None:
            raise InputError(
                f"--labels: {where} labels {name!r}, and the old detector knows {alike!r}; rename it in the data, "
                "or by classes of its entry in data.train"
            )
    if not any(name in classes_with_boxes(dataset) for dataset in datasets for name in new):
        raise InputError(f"--labels: {where} has no box of {', '.join(new)}, from which nothing can be learned")


def only_listed(entry: DataEntry, dataset: Dataset, old: Sequence[str]) -> list[str]:
    """Return the old classes that a data set lists and has no box of, as tools write the classes of a whole project.

    None where `classes` of its entry lists them, or where its pictures each say which classes they label.

    Args:
        entry: of the data set.
        dataset: as read.
        old: class names of the old detector.
    """
    if entry.classes is not None or any(record.labelled is not None for record in dataset.records):
        return []
    there = {int(label) for record in dataset.records for label in record.labels}
    return [name for label, name in enumerate(dataset.class_names) if name in old and label not in there]


def classes_with_boxes(dataset: Dataset) -> list[str]:
    """Return the classes of which a data set has a box that is not ignored."""
    from centerx.data.check import count_classes

    return [count.name for count in count_classes(dataset) if count.boxes]


def changes(student: Metrics, alone: Sequence[Alone]) -> list[Change]:
    """Return a row for each class of the student.

    Args:
        student: its metrics.
        alone: those of the old detector.
    """
    before = {name: ap for each in alone for name, ap in each.per_class.items()}
    return [Change(name, name not in before, before.get(name), after) for name, after in student.per_class.items()]


def mean_of_old(rows: Sequence[Change]) -> tuple[float | None, float | None]:
    """Return the mean AP of the old classes that were judged, before and after; None where none was."""
    judged = [(row.before, row.after) for row in rows if row.before is not None and row.after is not None]
    if not judged:
        return None, None
    before, after = (sum(figures) / len(judged) for figures in zip(*judged, strict=True))
    return before, after
