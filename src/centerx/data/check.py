"""Find problems that reading alone does not show: doubtful boxes and classes, and pictures that cannot be used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from centerx.data.attributes import attribute_problems
from centerx.data.dataset import Dataset, Track, readable_hw
from centerx.data.records import Record, in_columns
from centerx.errors import InputError
from centerx.fields import CORNERS, KEYPOINTS
from centerx.geometry import INPUT_MULTIPLE
from centerx.images import image_header, inspect_image
from centerx.levels import AUTO, ValueRange
from centerx.problems import Kind, Policy, Problem, log_problems
from centerx.progress import track
from centerx.tasks import Task

MOST_HEADERS = 20_000  # headers that are read before work starts; takes seconds on a local disk
MANY = 1000  # least number of pictures for which progress is shown
MOST_DECODED = 16  # pictures that are decoded before work starts, to check their grey levels
TOP_K = 100  # default of `model.top_k`


class ClassCount(NamedTuple):
    """Numbers of a class.

    Attributes:
        name: name of the class.
        boxes: number of boxes that are trained.
        ignored: number of ignored boxes: crowds and difficult objects.
        images: number of pictures with a box of either kind.
    """

    name: str
    boxes: int
    ignored: int
    images: int


def log_dataset_problems(
    dataset: Dataset,
    policies: Mapping[Kind, Policy] | None = None,
    silent: bool = False,
    value_range: ValueRange = AUTO,
    labels: bool = True,
    task: Task | None = None,
    keeps_corners: bool = False,
) -> list[Problem]:
    """Log the problems of a data set, a line for each kind, as far as they can be found without decoding all pictures.

    Args:
        dataset: the data set.
        policies: policy of each kind; the default is `warn`.
        silent: whether to log nothing.
        value_range: how its pictures are read, see `images.read_image`.
        labels: whether its labels are used.
        task: what they are used for, if that is known: to one of corners a rotated box is no problem, to others corners
            are none, and joints are none but to poses.
        keeps_corners: whether its corners stay what they are, as where they are drawn or written.

    Returns:
        The problems.

    Raises:
        InputError: there is a problem of a kind with the policy `fail`.
    """
    shown = partial(track, what="looking at pictures") if len(dataset.records) >= MANY and not silent else iter
    pictures = picture_problems(dataset, value_range, decode=False, track=shown)
    idle: tuple[Kind, ...] = (Kind.ROTATED_BOX,) if keeps_corners else ()
    if task is not None:
        idle = (Kind.ROTATED_BOX,) if CORNERS.name in task.needed else (Kind.CROSSED_CORNERS, Kind.UNUSABLE_CORNERS)
        idle += () if KEYPOINTS.name in task.needed else (Kind.UNUSABLE_JOINT,)
    own = [problem for problem in dataset.problems if problem.kind not in idle]
    carried = attribute_problems(dataset, task) if labels and task is not None else ()
    problems = [*own, *(box_problems(dataset) if labels else ()), *carried, *pictures]
    log_problems(problems, str(dataset.path), policies, silent)
    return problems


def box_problems(dataset: Dataset) -> Iterator[Problem]:
    """Yield the problems of the boxes and classes of a data set. A folder of images without labels has none."""
    if dataset.format == "folder":
        return
    counts = count_classes(dataset)
    total, ignored = (sum(getattr(count, name) for count in counts) for name in ("boxes", "ignored"))
    where = str(dataset.path)
    if not total + ignored:
        yield Problem(Kind.NO_BOXES, where, f"no boxes on any of its {len(dataset.records)} pictures")
        return
    if not total:
        what = (
            f"all of its {ignored} boxes are ignored ones (iscrowd, ignore or difficult) and none can be learned; "
            "annotation tools set iscrowd on painted masks, set it to 0 where the objects are single ones"
        )
        yield Problem(Kind.ONLY_IGNORED_BOXES, where, what)
    for count in counts:
        if not count.boxes + count.ignored:
            yield Problem(Kind.CLASS_WITHOUT_BOX, where, f"the class {count.name!r} has no box")
    yield from repeated_boxes(dataset.records)
    largest = max(float(objects.boxes.max(initial=0)) for objects in in_columns(dataset.records))
    if largest <= 1:
        what = (
            f"all of its {total + ignored} boxes lie within the first pixel of their pictures; they seem to be shares "
            "of the pictures' sides, where pixels are due"
        )
        yield Problem(Kind.RELATIVE_BOXES, where, what, total + ignored)


def repeated_boxes(records: Sequence[Record]) -> Iterator[Problem]:
    """Yield a problem for each picture that has one box of one class more than once."""
    for objects in in_columns(records):
        rows = np.column_stack([objects.image, objects.labels, objects.boxes])
        # Equal rows have equal sums. Sorting sums takes a tenth of the time of sorting rows.
        sums = (rows * np.random.default_rng(0).uniform(1, 2, rows.shape[1])).sum(axis=1)
        order = np.argsort(sums, kind="stable")
        again = order[1:][(rows[order[1:]] == rows[order[:-1]]).all(axis=1)]
        pictures, first, times = np.unique(objects.image[again], return_index=True, return_counts=True)
        for index, place, count in zip(pictures.tolist(), again[first], times.tolist(), strict=True):
            box = " ".join(f"{value:g}" for value in objects.boxes[place])
            yield Problem(Kind.REPEATED_BOX, str(records[index].image), f"has the box {box} more than once", count)


def picture_problems(
    dataset: Dataset, value_range: ValueRange = AUTO, decode: bool = True, track: Track = iter
) -> Iterator[Problem]:
    """Yield the problems of the pictures of a data set.

    Args:
        dataset: the data set.
        value_range: how its pictures are read, see `images.read_image`.
        decode: whether to decode every picture. Otherwise MOST_DECODED pictures are decoded and the headers of
            MOST_HEADERS are read, evenly spaced in the data.
        track: iterator that shows progress.
    """
    if dataset.neighbour is not None:
        what = (
            f"its pictures are not in its own folder; those of the same names in {dataset.neighbour} are taken for them"
        )
        yield Problem(Kind.FOUND_ELSEWHERE, str(dataset.path), what)
    records = dataset.records if decode else evenly_spaced(dataset.records, MOST_HEADERS)
    decoded = set() if decode else {record.image for record in evenly_spaced(records, MOST_DECODED)}
    usable = 0
    for record in track(records):
        try:
            header = image_header(record.image)
            flat = inspect_image(record.image, value_range)[1] if decode or record.image in decoded else None
        except InputError as error:
            what = str(error).removeprefix(f"{record.image}: ")
            more = f"; boxes on it: {len(record.labels)}" if len(record.labels) else ""
            yield Problem(Kind.UNREADABLE_PICTURE, str(record.image), what + more)
            continue
        usable += 1
        if flat:
            yield flat
        if header.nonsense:
            what = f"its EXIF orientation is {header.nonsense}, not one of 1 to 8; taken as upright"
            yield Problem(Kind.ORIENTATION, str(record.image), what)
        if record.declared_hw is None or record.declared_hw == header.hw:
            continue
        height, width = header.hw
        declared = f"{record.declared_hw[1]} x {record.declared_hw[0]}"
        if record.declared_hw == header.stored_hw:
            what = (
                f"is declared as {declared}, its size before its EXIF orientation turns it to {width} x {height}; its "
                "boxes are taken for those of the turned picture: if they are not, read the data with frame: stored"
            )
            yield Problem(Kind.TURNED_FRAME, str(record.image), what)
        else:
            what = f"is {width} x {height} pixels, not {declared} as declared; its boxes are taken as they stand"
            yield Problem(Kind.OTHER_SIZE, str(record.image), what)
    if not usable:
        what = f"none of its {len(records)} pictures can be read"
        yield Problem(Kind.NO_READABLE_PICTURE, str(dataset.path), what)


def evenly_spaced(records: Sequence[Record], most: int) -> Sequence[Record]:
    """Return at most `most` records, evenly spaced in the list."""
    if len(records) <= most:
        return records
    return [records[index] for index in np.linspace(0, len(records) - 1, most).astype(int).tolist()]


def alike_classes(class_names: Sequence[str]) -> list[Problem]:
    """Return a problem for each group of class names that differ only in case, spaces, punctuation and number.

    A plural is told by its last letter alone: `mask` and `Masks` are alike, `person` and `people` are not.
    """
    alike: dict[str, list[str]] = {}
    for name in class_names:
        letters = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())
        alike.setdefault(letters.removesuffix("s") or name, []).append(name)
    return [
        Problem(
            Kind.ALIKE_CLASSES,
            "classes",
            f"{' and '.join(map(repr, names))} are learned as {len(names)} classes; if they are one, rename it where a "
            "data set or a teacher lists its classes",
        )
        for names in alike.values()
        if len(names) > 1
    ]


def small_boxes(records: Sequence[Record], input_hw: tuple[int, int]) -> list[Problem]:
    """Report boxes with a side under one pixel at the input size, which training ignores.

    Args:
        records: the pictures; boxes that are ignored anyway do not count.
        input_hw: height and width of the input in pixels.

    Returns:
        One problem for all of them, with the least input size at which they would be trained; an empty list if there
        are none.
    """
    least, first, small, total = 1.0, None, 0, 0
    for record in records:
        sides = record.objects.sizes[~record.ignore & ~record.objects.is_point]
        hw = (record.declared_hw or readable_hw(record.image)) if len(sides) else None
        if hw is None:
            continue
        scaled = sides * min(input_hw[0] / hw[0], input_hw[1] / hw[1])
        under = scaled.min(axis=1) < 1
        total, small = total + len(under), small + int(under.sum())
        if under.any():
            least = min(least, float(scaled.min()))
            first = first or (record, sides[under][0], scaled[under][0])
    if first is None:
        return []
    record, (width, height), (across, down) = first
    size, enough = (
        shown_size(input_hw),
        shown_size([int(np.ceil(side / least / INPUT_MULTIPLE)) * INPUT_MULTIPLE for side in input_hw]),
    )
    what = (
        f"{small} of {total} boxes are under one pixel at data.input_size={size} and are not trained, such as one of "
        f"{width:g} x {height:g} pixels that becomes {across:.2g} x {down:.2g}; least size for all of them: {enough}"
    )
    return [Problem(Kind.BOX_UNDER_ONE_PIXEL, str(record.image), what, small)]


def crowded_pictures(records: Sequence[Record], top_k: int) -> list[Problem]:
    """Report pictures with more objects than a model can detect.

    Args:
        records: the pictures.
        top_k: largest number of detections of one picture.
    """
    counts = np.zeros(len(records), dtype=np.int64)
    for objects in in_columns(records):
        counts += np.bincount(objects.image[~objects.ignore], minlength=len(records))
    return [
        Problem(
            Kind.TOO_MANY_OBJECTS,
            str(records[place].image),
            f"has {counts[place]} objects, of which a model with model.top_k={top_k} can find {top_k}",
        )
        for place in np.flatnonzero(counts > top_k).tolist()
    ]


def count_classes(dataset: Dataset) -> list[ClassCount]:
    """Count the boxes and pictures of each class, in the order of the data set."""
    num_classes = len(dataset.class_names)
    boxes, ignored, images = np.zeros((3, num_classes), dtype=np.int64)
    for objects in in_columns(dataset.records):
        boxes += np.bincount(objects.labels[~objects.ignore], minlength=num_classes)
        ignored += np.bincount(objects.labels[objects.ignore], minlength=num_classes)
        shown = np.unique(np.column_stack([objects.image, objects.labels]), axis=0)[:, 1]
        images += np.bincount(shown, minlength=num_classes)
    rows = zip(dataset.class_names, boxes.tolist(), ignored.tolist(), images.tolist(), strict=True)
    return [ClassCount(*row) for row in rows]


def shown_size(hw: Sequence[int]) -> str:
    """Return a height and width as they are written in a configuration."""
    return str(hw[0]) if hw[0] == hw[1] else f"[{hw[0]},{hw[1]}]"
