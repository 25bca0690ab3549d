"""`centerx.split_data`, `merge_data` and `data_stats`: other data sets of data sets, and what is in one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.api.data import read_renamed, require_format
from centerx.errors import InputError, nearest
from centerx.files import require_folder, require_writable, whole_or_nothing, write_json
from centerx.progress import track

if TYPE_CHECKING:
    from centerx.data.dataset import Dataset
    from centerx.data.stats import Stats
    from centerx.problems import Problem

logger = logging.getLogger(__name__)
GROUPS = ("folder", "alike")
DEDUPS = ("exact", "near")


class SplitPart(NamedTuple):
    """A part of a split.

    Attributes:
        path: the file or folder that was written.
        pictures: number of its pictures.
        objects: number of its objects by class, without ignored ones.
    """

    path: Path
    pictures: int
    objects: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the part's tree of `centerx data split --json`."""
        return self._asdict() | {"path": str(self.path)}


class MergedData(NamedTuple):
    """The result of merging data sets.

    Attributes:
        path: the file that was written.
        pictures: number of its pictures.
        class_names: its classes.
        problems: pictures that were repeated, left out or labelled differently.
    """

    path: Path
    pictures: int
    class_names: tuple[str, ...]
    problems: list[Problem]

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx data merge --json`."""
        return {
            "file": str(self.path),
            "pictures": self.pictures,
            "classes": list(self.class_names),
            "problems": [problem.to_dict() for problem in self.problems],
        }


def split_data(
    source: str | Path,
    out: str | Path,
    *,
    val: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    group: str | None = None,
    to: str | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
) -> dict[str, SplitPart]:
    """Split the pictures of a data set into `train`, `val` and `test`, each with its share of every class.

    Args:
        source: the data set.
        out: folder to write `train.json`, `val.json` and `test.json` to, COCO files that name the pictures where they
            are.
        val: share of the pictures for validation.
        test: share for the test; 0 for none.
        seed: decides between parts that are equally good.
        group: `folder` keeps the pictures of a folder in one part, `alike` those that are nearly the same.
        to: a format, to write the parts with copies of their pictures instead.
        split: as for `centerx.convert_data`.
        classes: as for `centerx.convert_data`.
        rename: as for `centerx.convert_data`.
        images: as for `centerx.convert_data`.
        format: as for `centerx.convert_data`.
        frame: as for `centerx.convert_data`.

    Returns:
        The parts by name.

    Raises:
        InputError: the shares are not shares, a part would be empty, the data cannot be read, or a file is there.
    """
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import require_pictures
    from centerx.data.similar import describe_pictures, find_similar, group_similar
    from centerx.data.split import folder_groups, object_counts, split_dataset
    from centerx.data.write import WITH_CORNERS, WRITERS, coco_tree, lost_attributes
    from centerx.problems import log_problems

    source, out = Path(source), Path(out)
    if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
        raise InputError(f"--val {val:g}, --test {test:g}: shares of the pictures must be above 0 and together below 1")
    if group is not None and group not in GROUPS:
        raise InputError(f"--group: no grouping {group!r}{nearest(group, GROUPS)}, there are: {', '.join(GROUPS)}")
    if to is not None:
        require_format(to)
    shares = {"train": 1 - val - test, "val": val} | ({"test": test} if test else {})
    require_folder(out)
    files = {name: out / f"{name}.json" for name in shares}
    there = next((file for file in files.values() if to is None and file.exists()), None)
    if there is not None:
        raise InputError(f"{there}: is there already, choose another folder, or remove it")
    dataset = read_renamed(source, split, classes, rename, images, format, frame)
    log_dataset_problems(dataset, keeps_corners=(to or "coco") in WITH_CORNERS)
    require_pictures(dataset)
    for loss in lost_attributes(dataset, to or "coco"):
        logger.warning(f"{source}: {loss}")
    groups = None
    if group == "folder":
        groups = folder_groups(dataset)
    elif group == "alike":
        vectors = describe_pictures(dataset.records, track=partial(track, what="looking at pictures"))
        groups = group_similar(find_similar(vectors), len(vectors))
    parts = split_dataset(dataset, shares, groups, seed)
    result = {}
    with whole_or_nothing(out):
        for name, part in parts.items():
            if to is None:
                write_json(files[name], coco_tree(part, out.absolute()))
            else:
                written = WRITERS[to](part, out, name, partial(track, what=f"copying pictures of {name}"), bool)
                log_problems(written.problems, str(out))
            objects = dict(zip(dataset.class_names, object_counts(part).sum(axis=0).tolist(), strict=True))
            result[name] = SplitPart(files[name] if to is None else out, len(part.records), objects)
    return result


def merge_data(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    dedup: str | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
) -> MergedData:
    """Merge data sets into one COCO file, which names the pictures where they are.

    Classes are matched by name. Where the sets label different classes, each picture says which it labels, in the words
    of LVIS, so that training has no loss on the others.

    Args:
        sources: the data sets.
        out: the json to write.
        dedup: `exact` makes one picture of those with equal bytes; `near` leaves out those that are nearly the same as
            an earlier one as well. One file that several sets have is one picture in any case.
        split: as for `centerx.convert_data`, of every set.
        classes: names of the classes to keep.
        rename: new name of a class by its old one, in each set that has it.

    Raises:
        InputError: the data cannot be read, no set has a class, or the file cannot be written.
    """
    from centerx.data.check import alike_classes, log_dataset_problems
    from centerx.data.read import require_pictures, select_classes
    from centerx.data.union import merge_datasets
    from centerx.data.write import coco_tree
    from centerx.problems import log_problems

    out = Path(out)
    if dedup is not None and dedup not in DEDUPS:
        raise InputError(f"--dedup: no way {dedup!r}{nearest(dedup, DEDUPS)}, there are: {', '.join(DEDUPS)}")
    if out.suffix.lower() != ".json":
        raise InputError(f"{out}: name a .json file to write")
    require_writable(out, map(Path, sources))
    datasets = [read_renamed(Path(source), split, None, None, None, None, "upright") for source in sources]
    for dataset in datasets:
        log_dataset_problems(dataset, keeps_corners=True)
        require_pictures(dataset)
    datasets = _renamed(datasets, rename or {})
    merged = merge_datasets(datasets, dedup is not None, dedup == "near", partial(track, what="comparing pictures"))
    if classes is not None:
        merged = select_classes(merged._replace(path=out), classes)
    log_problems([*merged.problems, *alike_classes(merged.class_names)], str(out))
    write_json(out, coco_tree(merged, out.absolute().parent))
    return MergedData(out, len(merged.records), merged.class_names, merged.problems)


def data_stats(
    source: str | Path,
    plots: str | Path | None = None,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
) -> Stats:
    """Return the figures of a data set: its classes, sizes, shapes and places of objects, sizes of pictures.

    Args:
        source: the data set.
        plots: folder to write a PNG of each figure to.
        split: as for `centerx.convert_data`.
        classes: as for `centerx.convert_data`.
        rename: as for `centerx.convert_data`.
        images: as for `centerx.convert_data`.
        format: as for `centerx.convert_data`.
        frame: as for `centerx.convert_data`.

    Raises:
        InputError: the data cannot be read, or the folder cannot be written.
    """
    from centerx.data.check import log_dataset_problems
    from centerx.data.plots import write_plots
    from centerx.data.stats import dataset_stats

    if plots is not None:
        require_folder(Path(plots))
    dataset = read_renamed(Path(source), split, classes, rename, images, format, frame)
    log_dataset_problems(dataset)
    stats = dataset_stats(dataset, partial(track, what="reading headers"))
    if plots is not None:
        write_plots(stats, Path(plots))
    return stats


def _renamed(datasets: Sequence[Dataset], rename: Mapping[str, str]) -> list[Dataset]:
    """Rename classes in each set that has them.

    Raises:
        InputError: no set has a class.
    """
    from centerx.data.read import rename_classes
    from centerx.data.source import union_of_classes

    known = union_of_classes(datasets)
    unknown = next((name for name in rename if name not in known), None)
    if unknown is not None:
        there = ", ".join(known) or "none"
        raise InputError(f"--rename: no set has a class {unknown!r}{nearest(unknown, known)}, there are: {there}")
    return [
        rename_classes(each, {old: new for old, new in rename.items() if old in each.class_names}) for each in datasets
    ]
