"""A configuration -> what a run learns from: data sets, teachers, class names, training pictures."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.build_teachers import open_teachers
from centerx.config import Config
from centerx.config.schema import DataEntry, JointsConfig
from centerx.data.augment import ColourTransform, Frame, RandomAffine, RandomCrop, ShortestEdge
from centerx.data.batch import TrainPictures
from centerx.data.cache import DiskCache, RamCache
from centerx.data.check import alike_classes, crowded_pictures, log_dataset_problems, small_boxes
from centerx.data.dataset import Dataset, corners_from_boxes
from centerx.data.function import Function
from centerx.data.read import read_dataset, require_pictures
from centerx.data.source import (
    SampleSource,
    check_class_names,
    labelled_attributes,
    only_with_objects,
    require_judging,
    union_of_classes,
)
from centerx.data.tiled import TiledSource
from centerx.errors import InputError, nearest
from centerx.fields import SIZE, Field
from centerx.images import allow_megapixels
from centerx.joints import can_be_mirrored, default_sigmas, flip_by_names, join_joints
from centerx.problems import Problem, log_problems
from centerx.tasks import CANONICAL, POSE, QUADS, ROTATED
from centerx.tiles import Tiles
from centerx.training.teachers import Teacher, map_channels, taught_attributes

logger = logging.getLogger(__name__)


def read_entry(entry: DataEntry) -> Dataset:
    """Read the data set of an entry, whether its pictures are there or not.

    Raises:
        InputError: it cannot be used.
    """
    dataset = read_dataset(
        Path(entry.path),
        split=entry.split,
        classes=entry.classes,
        images=Path(entry.images) if entry.images else None,
        format=entry.format,
        frame=entry.frame,
    )._replace(complete=entry.complete, fields=entry.fields)
    if entry.joints is not None:
        dataset = with_joint_names(dataset, entry.joints)
    return corners_from_boxes(dataset) if entry.corners_from_boxes else dataset


def with_joint_names(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    """Return a data set with other names for its joints.

    Raises:
        InputError: it has another number of joints, or two would have one name.
    """
    if len(set(names)) < len(names):
        raise InputError(f"{dataset.path}: joints must be different names, not {', '.join(names)}")
    count = len(dataset.joints.names)
    if count != len(names):
        there = f"there are {count}; name each in its order" if count else "its labels have none; leave it out"
        raise InputError(f"{dataset.path}: joints names {len(names)}, but {there}")
    return dataset._replace(joints=dataset.joints._replace(names=names, named=True))


def build_datasets(entries: Sequence[DataEntry]) -> list[Dataset]:
    """Read the data sets of some entries.

    Raises:
        InputError: one cannot be used, none of its pictures is there, or none shows an object where only those count.
    """
    datasets = [read_entry(entry) for entry in entries]
    for dataset in datasets:
        require_pictures(dataset)
    return [
        only_with_objects(dataset) if entry.only_with_objects else dataset
        for entry, dataset in zip(entries, datasets, strict=True)
    ]


class RunData(NamedTuple):
    """All that a training run learns from.

    Attributes:
        config: with the class names filled in.
        train, val: data sets as read; `val` is empty where nothing is evaluated.
        source: the training pictures in the model's classes.
        teachers: one for each of `distill.teachers`.
    """

    config: Config
    train: list[Dataset]
    val: list[Dataset]
    source: SampleSource
    teachers: list[Teacher]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        assert self.config.classes is not None
        return self.config.classes


def load_data(config: Config, folder: Path, functions: Mapping[str, Function] | None = None) -> RunData:
    """Read the data sets, open the teachers and settle the class names.

    Args:
        config: of the run.
        folder: of the run.
        functions: as for `open_teachers`.

    Raises:
        InputError: a data set or a teacher cannot be used, or a class name is known to none of them.
    """
    if config.data.max_megapixels is not None:
        allow_megapixels(config.data.max_megapixels)
    tell_other_tasks(config)
    train, val = build_datasets(config.data.train), build_datasets(config.data.val)
    if not train:
        raise InputError("data.train: no data set to train on, name one such as data.train=[path/to/data]")
    teachers = open_teachers(config, train, folder, functions, val)
    taught = [name for teacher in teachers for name in teacher.student_classes]
    config = resolve_classes(config, train, taught)
    if config.task == POSE.name:
        config = resolve_joints(config, train, teachers)
    assert config.classes is not None
    check_class_names(config.classes, train, taught)
    source = build_source(config, train)
    return RunData(config, train, val, source, teachers)


def tell_other_tasks(config: Config) -> None:
    """Warn of keys that are set and that other tasks alone have."""
    of_joints = [f"joints.{key}" for key, value in config.joints if value != getattr(JointsConfig(), key)]
    tasks_of: dict[str, tuple[str, ...]] = dict.fromkeys(of_joints, (POSE.name,))
    if config.model.corner_order != CANONICAL:
        tasks_of["model.corner_order"] = (QUADS.name,)
    for section, entries in (("data.train", config.data.train), ("data.val", config.data.val)):
        if any(entry.corners_from_boxes for entry in entries):
            tasks_of[f"corners_from_boxes in {section}"] = (QUADS.name, ROTATED.name)
        if any(entry.joints for entry in entries):
            tasks_of[f"joints in {section}"] = (POSE.name,)
    for key, tasks in tasks_of.items():
        if config.task not in tasks:
            logger.warning(f"{key}: does nothing for task={config.task}, only for task={' and '.join(tasks)}")


def build_source(config: Config, datasets: Sequence[Dataset]) -> SampleSource:
    """Return the pictures of data sets in the model's classes, or their tiles; `config.classes` must be set."""
    assert config.classes is not None
    data, task = config.data, config.made_task
    if data.tiles is None:
        return SampleSource(datasets, config.classes, data.range, task)
    tiles = Tiles.of(data.tiles.size, data.tiles.overlap)
    return TiledSource(datasets, config.classes, data.range, task, tiles=tiles, min_visible=data.tiles.min_visible)


def check_supervision(data: RunData) -> None:
    """Check that every class has somebody who teaches it, labels or a teacher, and that the evaluation has labels.

    Args:
        data: of the run.

    Raises:
        InputError: names the classes that nobody teaches, or the data that nothing can be judged by.
    """
    distill, classes = data.config.distill, ", ".join(data.classes)
    labels_alone = not data.teachers or distill.until < 1  # at least for a part of the run
    if labels_alone and all(entry.record.ignore.all() for entry in data.source.entries):
        ignored = any(len(entry.record.labels) for entry in data.source.entries)
        there = (
            "only ignored boxes (iscrowd, which tools set on painted masks, ignore or difficult)"
            if ignored
            else "no boxes"
        )
        raise InputError(
            f"data.train: {there} of {classes} on any of {len(data.source)} pictures"
            + (", set distill.until=1: no labels can teach after it" if data.teachers else "")
        )
    unlabelled = [name for name in data.classes if name not in union_of_classes(data.train)]
    if labels_alone and unlabelled:
        raise InputError(
            f"distill.until: nobody teaches {', '.join(unlabelled)} after {distill.until:g} of the run, as no "
            "data set labels them, set distill.until=1"
        )
    require_fields(data)
    if data.val and not set(data.classes).intersection(union_of_classes(data.val)):
        raise InputError(
            f"data.val: {', '.join(str(dataset.path) for dataset in data.val)} labels none of "
            f"{classes}, which nothing can be judged by; name other labelled data or leave it out"
        )
    if data.val:
        task = data.config.made_task
        require_judging(SampleSource(data.val, data.classes, data.config.data.range, task), task, "data.val")


def require_fields(data: RunData) -> None:
    """Check that every field of every class has somebody who teaches it, at any time of the run.

    Raises:
        InputError: names the classes and the field that nobody teaches.
    """
    task, distill = data.config.made_task, data.config.distill
    by_labels = labelled_attributes(data.source.entries, task)
    taught = np.zeros_like(by_labels)
    for channel_map in map_channels(data.teachers, data.classes, distill.shared, task) if data.teachers else ():
        taught |= taught_attributes(channel_map, task, len(data.classes)).numpy()
    table = by_labels if distill.until < 1 else by_labels | taught
    for column, field in enumerate(task.fields, start=1):
        name = field.carried.name
        due = (by_labels | taught)[:, 0] & ~table[:, column]
        if field.apart:
            due &= np.array([bool(task.joints.of_class(row)) for row in range(len(data.classes))])
        untaught = [data.classes[row] for row in np.flatnonzero(due)]
        if untaught:
            require_one_task(data, field, [name for name in untaught if not by_labels[data.classes.index(name), 0]])
            after = f" after {distill.until:g} of the run" if taught.any() and distill.until < 1 else ""
            told = f"data.train: nobody teaches the {name} of {', '.join(untaught)}{after}, of which only"
            if field.carried == SIZE:
                raise InputError(f"{told} centres are labelled; add data or a teacher with boxes, or set task=center")
            if field.apart:
                raise InputError(
                    f"{told} centres or boxes are labelled; add data or a teacher with {name}, or leave the class out "
                    "of joints.classes"
                )
            raise InputError(
                f"{told} centres or boxes are labelled; add data or a teacher with {name}, or set {name}_from_boxes "
                "beside a path of data whose boxes are to count as such"
            )


def require_one_task(data: RunData, field: Field, classes: Sequence[str]) -> None:
    """Check that no class lacks a field because its teacher is of another task than the student.

    Args:
        data: of the run.
        field: of the student's task, which nobody teaches.
        classes: that teachers alone know.

    Raises:
        InputError: names the teacher and its classes.
    """
    own = data.config.task
    for teacher in data.teachers:
        theirs = [name for name in classes if name in teacher.student_classes]
        if theirs and teacher.task.name != own:
            raise InputError(
                f"distill.teachers: {teacher.name} is of task {teacher.task.name}, which does not teach the "
                f"{field.name} of {', '.join(theirs)} that task {own} needs; a student has one task: leave the teacher "
                f"out, add data or a teacher with {field.carried.name}, or set task=center"
            )


def build_train_pictures(config: Config, source: SampleSource) -> TrainPictures:
    """Return the augmented pictures."""
    augment = config.augment
    frame: Frame = config.data.input_size
    if augment.short_sides:
        if augment.mosaic:
            raise InputError(
                "augment.mosaic: takes pictures of one size, set augment.mosaic=0 or leave out augment.short_sides"
            )
        frame = ShortestEdge(augment.short_sides, augment.long_side, augment.short_sides_between)
    crop = None
    if augment.crop != "none":
        crop = RandomCrop(augment.crop_size, augment.crop == "relative_range", augment.min_visible)
    affine = RandomAffine(
        frame,
        flip=augment.flip,
        flip_vertical=augment.flip_vertical,
        scale=augment.scale,
        aspect=augment.aspect,
        shift=augment.shift,
        rotate=augment.rotate,
        perspective=augment.perspective,
        min_visible=augment.min_visible,
        crop=crop,
    )
    cached = build_cached(config, source)
    return TrainPictures(cached, affine, ColourTransform(augment.colour), augment.mosaic, config.train.seed)


def build_cached(config: Config, source: SampleSource) -> SampleSource:
    """Return the source with the cache of the configuration.

    Raises:
        InputError: the memory is not there or not shared, or the folder cannot be written.
    """
    data = config.data
    most_bytes = int(data.cache_gigabytes * 1e9)
    if data.cache == "disk":
        return source.with_reader(DiskCache(Path(data.cache_folder).expanduser(), most_bytes))
    if data.cache == "ram":
        if data.workers and multiprocessing.get_start_method() != "fork":
            raise InputError("data.cache: ram is shared by forked workers alone, set it to disk or data.workers to 0")
        return source.with_reader(RamCache((entry.record.image for entry in source.entries), most_bytes))
    return source


def data_problems(data: RunData, silent: bool) -> list[Problem]:
    """Tell a line a kind of all that is wrong with the data of a run, and return the problems.

    Args:
        data: of the run.
        silent: whether another process tells them.

    Raises:
        InputError: there is a problem of a kind for which data.on_problem is `fail`, or no box can be trained.
    """
    config = data.config
    policies, records = config.data.policies, [entry.record for entry in data.source.entries]
    problems: list[Problem] = []
    different = {
        (each.path, each.class_names, tuple(record.image for record in each.records)): each
        for each in data.train + data.val
    }
    for dataset in different.values():
        problems += log_dataset_problems(dataset, policies, silent, config.data.range, task=config.made_task)
    small = small_boxes(records, config.data.input_size) if not config.augment.short_sides else []
    trainable = sum(int((~record.ignore).sum()) for record in records)
    if small and small[0].times == trainable and not config.distill.teachers:
        raise InputError(f"data.train: {small[0].where}: {small[0].what}")
    judged = [record for dataset in data.val for record in dataset.records]
    top_k = config.model.top_k
    own = {
        "data.train": [*alike_classes(data.classes), *small, *crowded_pictures(records, top_k), *tile_problems(data)],
        "data.val": crowded_pictures(judged, top_k),
    }
    for source_name, found in own.items():
        log_problems(found, source_name, policies, silent)
    return [*problems, *own["data.train"], *own["data.val"]]


def tile_problems(data: RunData) -> list[Problem]:
    """Return the problems of cutting the training pictures into tiles."""
    return data.source.problems if isinstance(data.source, TiledSource) else []


def resolve_joints(config: Config, datasets: Sequence[Dataset], teachers: Sequence[Teacher]) -> Config:
    """Return the configuration with all that is known of the joints filled in.

    Args:
        config: with class names.
        datasets: to train on.
        teachers: of the run.

    Raises:
        InputError: there are no joints, or one is named that nobody knows; nobody tells what a mirror image is.
    """
    assert config.classes is not None
    parts = [(dataset.joints, dataset.class_names) for dataset in datasets]
    parts += [
        (teacher.task.joints, tuple(teacher.renames.get(name, "") for name in teacher.class_names))
        for teacher in teachers
    ]
    found, own = join_joints(parts, config.classes), config.joints
    names = own.names or found.names
    where = ", ".join(str(dataset.path) for dataset in datasets)
    if not names:
        raise InputError(
            f"data.train: no joints in {where}, and no teacher has some; name data with keypoints (of COCO the json of "
            "person_keypoints) or set task=boxes"
        )
    told = {
        "joints.names": own.names or (),
        "joints.pairs": [name for pair in own.pairs or () for name in pair],
        "joints.skeleton": [name for pair in own.skeleton or () for name in pair],
        "joints.sigmas": own.sigmas,
        "joints.classes": [name for some in (own.classes or {}).values() for name in some],
    }
    for key, some in told.items():
        unknown = next((name for name in some if name not in (found.names if key == "joints.names" else names)), None)
        if unknown is not None:
            known = found.names if key == "joints.names" else names
            raise InputError(f"{key}: no joint {unknown!r}{nearest(unknown, known)}, there are: {', '.join(known)}")
    for name in own.classes or {}:
        if name not in config.classes:
            raise InputError(f"joints.classes: no class {name!r}, there are: {', '.join(config.classes)}")
    places = [found.names.index(name) for name in names]
    pairs = own.pairs
    if pairs is None and found.flip:
        partners = [(found.names[place], found.names[found.flip[place]]) for place in places]
        alone = next((pair for pair in partners if pair[1] not in names), None)
        if alone is not None and config.augment.flip:
            raise InputError(
                f"joints.names: {alone[0]!r} changes places with {alone[1]!r} in a mirror image, which is not there; "
                "add it, set joints.pairs, or augment.flip=0"
            )
        if alone is None:
            pairs = tuple((one, other) for one, other in partners if one < other)
    elif pairs is None and config.augment.flip and not found.named:
        raise InputError(
            f"joints: the {len(names)} joints have no names, so a mirror image cannot be told; set joints.pairs ([] "
            "where none change places) or augment.flip=0, or name them with joints beside the path of the data"
        )
    elif pairs is None and (config.augment.flip or can_be_mirrored(names, found.named)):
        flip = flip_by_names(names, "joints")
        pairs = tuple((names[place], names[other]) for place, other in enumerate(flip) if place < other)
    lines = ((found.names[first], found.names[second]) for first, second in found.skeleton)
    skeleton = own.skeleton
    if skeleton is None:
        skeleton = tuple(pair for pair in lines if set(pair) <= set(names))
    classes = own.classes
    if classes is None and found.classes:
        of_class = zip(config.classes, found.classes, strict=True)
        classes = {
            each: tuple(found.names[place] for place in some if found.names[place] in names) for each, some in of_class
        }
    if classes is not None and not any(classes.get(name) for name in config.classes):
        raise InputError("joints.classes: no class has a joint, name some or set task=boxes")
    sigmas = dict(zip(names, default_sigmas(names), strict=True))
    for teacher in reversed(teachers):
        known = teacher.task.joints
        sigmas |= {name: sigma for name, sigma in zip(known.names, known.sigmas) if name in names}  # noqa: B905 - or none
    sigmas |= own.sigmas
    joints = JointsConfig(names=names, classes=classes, pairs=pairs, skeleton=skeleton, sigmas=sigmas)
    return config.model_copy(update={"joints": joints})


def resolve_classes(config: Config, datasets: Sequence[Dataset], taught: Sequence[str] = ()) -> Config:
    """Fill in the class names from teachers and data where the configuration leaves them out."""
    if config.classes is not None:
        return config
    names = tuple(dict.fromkeys([*taught, *union_of_classes(datasets)]))
    if not names:
        raise InputError("classes: the training data labels no classes, add labelled data")
    return config.model_copy(update={"classes": names})
