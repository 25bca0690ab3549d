"""`centerx.check_data`, `convert_data` and `draw_data`: problems, another format, a sheet of pictures."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError, nearest
from centerx.files import require_folder, require_writable, whole_or_nothing
from centerx.progress import track

if TYPE_CHECKING:
    import numpy as np

    from centerx.data.attributes import AttributeCounts
    from centerx.data.check import ClassCount
    from centerx.data.dataset import Dataset
    from centerx.data.records import Record
    from centerx.joints import Joints
    from centerx.problems import Problem, Summary

logger = logging.getLogger(__name__)

COLUMNS = 4  # of a sheet
CELL_HW = 300, 400  # pixels of one of its pictures


class DataCheck(NamedTuple):
    """What was found in a data set.

    Attributes:
        dataset: as read; without pictures where it cannot be used.
        problems: all, in the order in which they were found.
        split: that was asked for.
    """

    dataset: Dataset
    problems: list[Problem]
    split: str | None = None

    def counts(self) -> list[ClassCount]:
        """Return the numbers of boxes and pictures of each class."""
        from centerx.data.check import count_classes

        return count_classes(self.dataset)

    def attributes(self) -> AttributeCounts:
        """Return how many objects have joints, corners and angles."""
        from centerx.data.attributes import count_attributes

        return count_attributes(self.dataset)

    def kinds(self) -> list[Summary]:
        """Return how many problems there are of each kind, most first."""
        from centerx.problems import summarise

        return sorted(summarise(self.problems), key=lambda summary: -summary.times)

    def require_usable(self) -> None:
        """Raise where the data set cannot be used.

        Raises:
            InputError: there is a fatal problem.
        """
        from centerx.data.read import check_usable

        check_usable(self.dataset._replace(problems=self.problems), self.split)

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx data check --json`."""
        from centerx.problems import summarise

        return {
            "path": str(self.dataset.path),
            "format": self.dataset.format,
            "pictures": len(self.dataset.records),
            "classes": [count._asdict() for count in self.counts()],
            "attributes": self.attributes().to_json() if self.dataset.records else None,
            "kinds": {summary.kind.code: summary.times for summary in summarise(self.problems)},
            "problems": [problem.to_dict() for problem in self.problems],
        }


class ConvertedData(NamedTuple):
    """A data set that was written in another format.

    Attributes:
        folder: that was written.
        format: by name.
        split: its part.
        pictures: how many there are.
        problems: what could not be said in the format, or was changed for it.
    """

    folder: Path
    format: str
    split: str
    pictures: int
    problems: list[Problem]

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx data convert --json`."""
        return self._asdict() | {
            "folder": str(self.folder),
            "problems": [problem.to_dict() for problem in self.problems],
        }


class DrawnData(NamedTuple):
    """A sheet of pictures.

    Attributes:
        file: the picture that was written.
        drawn: how many pictures are on it.
        pictures: how many the data set has.
    """

    file: Path
    drawn: int
    pictures: int

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx data show --json`."""
        return self._asdict() | {"file": str(self.file)}


def check_data(
    data: str | Path,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
    report: Callable[[Problem], object] | None = None,
) -> DataCheck:
    """Find every problem of a data set, and count its classes.

    Args:
        data: the path of a data set. The next five are as for `read_dataset`.
        split: which part of it.
        classes: only these, `theirs=ours` renames.
        images: folder of the pictures, where it cannot be found from the data.
        format: its name, where it cannot be recognised.
        frame: what the boxes are of: `upright`, the picture as a viewer shows it, or `stored`, before EXIF turns it.
        report: called with each problem as soon as it is found.

    Raises:
        InputError: the path leads nowhere, or a word is unknown. What is wrong with the data itself is returned, see
            `DataCheck.require_usable`.
    """
    from centerx.data.attributes import attribute_problems
    from centerx.data.check import TOP_K, alike_classes, box_problems, crowded_pictures, picture_problems
    from centerx.data.read import scan_dataset, select_classes

    problems: list[Problem] = []

    def tell(found: Iterable[Problem]) -> None:
        for problem in found:
            problems.append(problem)
            if report is not None:
                report(problem)

    dataset = scan_dataset(data, split=split, images=images, format=format, frame=frame)
    if all(problem.action != "fatal" for problem in dataset.problems):
        dataset = select_classes(dataset, classes)
    tell(dataset.problems)
    if dataset.records:
        tell(picture_problems(dataset, track=partial(track, what="reading pictures")))
        tell(box_problems(dataset))
        tell(attribute_problems(dataset))
        tell([*alike_classes(dataset.class_names), *crowded_pictures(dataset.records, TOP_K)])
    return DataCheck(dataset, problems, split)


def convert_data(
    source: str | Path,
    target: str | Path,
    to: str,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
) -> ConvertedData:
    """Write a data set in another format, pictures included. What cannot be said there is logged and returned.

    Args:
        source: the data set to read. All but the next two are as for `check_data`.
        target: the folder to write.
        to: name of a format, see `centerx.data.write.WRITERS`.
        split: which part of the source; the written part has the same name, or is called train.
        classes: only these.
        rename: new name of a class by its old one.
        images: folder of the pictures.
        format: of the source, by name.
        frame: what its boxes are of.

    Raises:
        InputError: a word is unknown, the data set cannot be used, or the target cannot be written.
    """
    from centerx.data.check import log_dataset_problems
    from centerx.data.packed import is_packed, unpack
    from centerx.data.write import WITH_CORNERS, WRITERS, lost_attributes
    from centerx.problems import log_problems

    source, target = Path(source), Path(target)
    require_format(to)
    if os.path.realpath(target) == os.path.realpath(source):
        raise InputError(f"{target}: is the data set itself, choose another folder")
    require_folder(target)
    with tempfile.TemporaryDirectory(prefix="centerx-") as scratch:
        place = source
        if images is None and is_packed(source):
            place = Path(scratch) / "unpacked"
            unpack(source, place, split)
        dataset = read_renamed(place, None if place != source else split, classes, rename, images, format, frame)
        tell = partial(log_dataset_problems, dataset, keeps_corners=to in WITH_CORNERS)
        for loss in lost_attributes(dataset, to):
            logger.warning(f"{source}: {loss}")
        with whole_or_nothing(target):
            written = WRITERS[to](dataset, target, split or "train", partial(track, what="copying pictures"), tell)
    log_problems(written.problems, str(target))
    return ConvertedData(target, to, split or "train", written.pictures, list(written.problems))


def require_format(to: str) -> None:
    """Raise if a format cannot be written.

    Raises:
        InputError: names those that can.
    """
    from centerx.data.write import WRITERS

    if to not in WRITERS:
        raise InputError(f"--to: no format {to!r}{nearest(to, WRITERS)}, there are: {', '.join(WRITERS)}")


def read_renamed(
    source: Path,
    split: str | None,
    classes: Sequence[str] | None,
    rename: Mapping[str, str] | None,
    images: str | Path | None,
    format: str | None,
    frame: str,
) -> Dataset:
    """Read a data set and rename classes of it; see `convert_data`."""
    from centerx.data.read import read_dataset, rename_classes

    dataset = read_dataset(source, split=split, classes=classes, images=images, format=format, frame=frame)
    return rename_classes(dataset, rename) if rename else dataset


def draw_data(
    data: str | Path,
    out: str | Path = Path("data.png"),
    *,
    count: int = 12,
    seed: int = 0,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
) -> DrawnData:
    """Draw some pictures of a data set with their boxes on one sheet, chosen at random.

    Args:
        data: the path of a data set. All but the next three are as for `check_data`.
        out: the picture to write.
        count: how many pictures.
        seed: of the choice.
        split: which part of it.
        classes: only these.
        images: folder of the pictures.
        format: of the data set, by name.
        frame: what the boxes are of.

    Raises:
        InputError: a word is unknown, the data set cannot be used, or not one of its pictures can be read.
    """
    import numpy as np

    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_dataset
    from centerx.draw import contact_sheet, picture_format, save_image

    data, out = Path(data), Path(out)
    require_writable(out, [data])
    picture_format(out)
    dataset = read_dataset(data, split=split, classes=classes, images=images, format=format, frame=frame)
    log_dataset_problems(dataset, keeps_corners=True)
    cells: list[np.ndarray] = []
    captions: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(dataset.records)):
        record = dataset.records[index]
        try:
            cells.append(_drawn(record, dataset.class_names, dataset.joints))
        except InputError as error:
            logger.warning(f"skipped: {error}")
            continue
        objects = len(record.labels)
        captions.append(f"{record.image.name}   {objects} object{'' if objects == 1 else 's'}")
        if len(cells) == count:
            break
    if not cells:
        raise InputError(f"{data}: not one picture can be read, see `centerx data check`")
    save_image(out, contact_sheet(cells, COLUMNS, CELL_HW, captions))
    return DrawnData(out, len(cells), len(dataset.records))


def _drawn(record: Record, class_names: Sequence[str], joints: Joints) -> np.ndarray:
    """The picture at the size of a cell, so that lines and text have one width on the whole sheet."""
    import numpy as np
    from PIL import Image

    from centerx.draw import draw_poses
    from centerx.images import read_image

    names = [*class_names, *(f"{name} (ignored)" for name in class_names)]
    labels = record.labels + len(class_names) * record.ignore
    image = read_image(record.image)
    scale = min(CELL_HW[0] / image.shape[0], CELL_HW[1] / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    objects = record.objects._replace(
        labels=labels,
        boxes=record.boxes * scale,
        values={name: values * scale for name, values in record.objects.values.items()},
    )
    return draw_poses(small, objects, names, joints=joints)
