"""`centerx.audit`: labels that are probably missing or wrong, and pictures that are nearly the same."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from centerx.errors import InputError, nearest
from centerx.files import quoted, require_writable, write_json
from centerx.progress import track
from centerx.show import Table

if TYPE_CHECKING:
    from centerx.auditing.find import Suspicion
    from centerx.data.dataset import Dataset
    from centerx.data.records import Record
    from centerx.data.similar import SimilarPair
    from centerx.levels import ValueRange
    from centerx.runtime import Session
    from centerx.types import Detections

logger = logging.getLogger(__name__)

LEAST = 0.5  # score from which on a suspicion counts
SHOW = 48  # suspicions of a kind, and pairs of pictures, that the page shows
DESCRIPTION = "labels changed by centerx audit"


class AuditResult(NamedTuple):
    """An audit.

    Attributes:
        page: the HTML page.
        report: the json of all suspicions and similar pictures.
        fixed: of each data set, the COCO file with its labels changed.
        counts: how many suspicions there are, by kind and class.
        labels: how many labels there are, but for ignored ones.
        pictures: how many pictures could be read.
        similar: how many pairs of pictures are nearly the same.
        across: how many of these are of two data sets.
    """

    page: Path
    report: Path
    fixed: list[Path]
    counts: dict[str, dict[str, int]]
    labels: int
    pictures: int
    similar: int
    across: int

    def table(self) -> Table:
        """Return where the files are, and the suspicions of each kind and class."""
        facts = {
            "page": self.page,
            "all suspicions": self.report,
            "fixed labels": ", ".join(map(str, self.fixed)),
            "labels": self.labels,
            "pictures": self.pictures,
            "pairs nearly the same": self.similar,
        }
        rows = [(kind, name, count) for kind, classes in self.counts.items() for name, count in classes.items()]
        return Table("Audit of labels", facts, ("kind", "class", "suspicions"), rows)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return the numbers of suspicions, a row a kind and class, as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return self.table().frame()

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx audit --json`; the suspicions themselves are in the file `report`."""
        files = {"page": str(self.page), "report": str(self.report), "fixed": [str(file) for file in self.fixed]}
        return self._asdict() | files


class Findings(NamedTuple):
    """What the files are written from. Numbers of pictures are those among the P that could be read.

    Attributes:
        datasets: as read.
        names: of each data set, for people and names of files.
        records: P pictures, labels into `class_names`.
        class_names: of all data sets.
        owner: (P,) number of each picture's data set.
        local: (P,) number of each picture among the records of its data set.
        suspicions: the surest first.
        pairs: of pictures that are nearly the same, the most similar first.
    """

    datasets: list[Dataset]
    names: list[str]
    records: list[Record]
    class_names: tuple[str, ...]
    owner: np.ndarray
    local: np.ndarray
    suspicions: list[Suspicion]
    pairs: list[SimilarPair]

    @property
    def labels(self) -> int:
        """How many labels are judged; ignored ones are not."""
        return sum(int((~record.ignore).sum()) for record in self.records)

    def across(self, pair: SimilarPair) -> bool:
        """Return whether two pictures are of two data sets."""
        return bool(self.owner[pair.first] != self.owner[pair.second])


def audit(
    data: str | Path | Sequence[str | Path],
    models: str | Path | Sequence[str | Path],
    *,
    out: str | Path = "audit",
    split: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str = "upright",
    fix: str = "ignore",
    least: float = LEAST,
    similar: float | None = None,
    show: int = SHOW,
    batch: int = 8,
) -> AuditResult:
    """Find labels that are probably missing or wrong, and pictures that are nearly the same; write a page and fixes.

    `OUT/index.html` shows what was found, `OUT/audit.json` lists it, and `OUT/fixed.json` (`OUT/fixed_NAME.json` of
    several data sets) holds the labels, changed where a suspicion scores at least `least`.

    Args:
        data: data sets, such as the splits of one; pictures are compared across them.
        models: model files, exported files, files of other projects, or, with one data set, COCO results jsons. Best
            are models that were not trained on these labels.
        out: the folder to write.
        split: splits; each data set is read once for each.
        classes: only these classes. `theirs=ours` renames one to the models' name.
        images: folder of the pictures.
        format: format of the data sets, by name.
        frame: as for `centerx.evaluate`.
        fix: what becomes of suspicious places in the fixed file: they teach nothing (`ignore`), the class of a missing
            label is declared unlabelled on the whole picture (`declare`), or labels are added, changed and removed
            (`apply`). Second labels of one object are dropped in any case.
        least: score in [0, 1] from which on a suspicion counts.
        similar: similarity in [0, 1] from which on two pictures count as nearly the same; 0.9 without it.
        show: suspicions of a kind, and pairs of pictures, that the page shows.
        batch: pictures at once.

    Raises:
        InputError: a file is missing or unusable, a model finds no boxes or no class of the data, or there are no
            labels to judge.
    """
    from centerx.auditing.fix import FIXES
    from centerx.data.similar import LEAST as SIMILAR

    places, files, out = _paths(data), _paths(models), Path(out)
    if fix not in FIXES:
        raise InputError(f"--fix: no {fix!r}{nearest(fix, FIXES)}, there are: {', '.join(FIXES)}")
    if not places or not files:
        raise InputError("--models: name at least one data set and one model file")
    splits = [split] if split is None or isinstance(split, str) else list(split)
    options = {"classes": classes, "images": images, "format": format, "frame": frame}
    names = _names(places, splits)
    page, report = out / "index.html", out / "audit.json"
    fixed = [out / (f"fixed_{name}.json" if len(names) > 1 else "fixed.json") for name in names]
    for file in (page, report, *fixed):
        require_writable(file, [*places, *files])
    datasets = [read_labelled(place, each, options) for place in places for each in splits]
    value_range, findings = find(datasets, names, files, batch, SIMILAR if similar is None else similar)
    certain = [each for each in findings.suspicions if each.score >= least]
    about = {"data": list(map(str, places)), "models": list(map(str, files)), "fix": fix, "least": least}
    for number, file in enumerate(fixed):
        write_json(file, _fixed(findings, certain, number, fix, out) | {"info": {"description": DESCRIPTION} | about})
    write_json(report, about | _report(findings, least, fix), indent=1)
    _write_page(page, findings, certain, about, show, value_range)
    return AuditResult(
        page,
        report,
        fixed,
        _counts(certain, findings.class_names),
        findings.labels,
        len(findings.records),
        len(findings.pairs),
        sum(map(findings.across, findings.pairs)),
    )


def read_labelled(place: Path, split: str | None, options: dict[str, Any]) -> Dataset:
    """Read a data set whose labels are to be judged.

    Raises:
        InputError: it cannot be used, or there is no label.
    """
    from centerx.data.read import read_dataset, require_pictures

    dataset = read_dataset(place, split=split, **options)
    if not any(len(record.labels) for record in dataset.records):
        raise InputError(f"{place}: no labels on any of {len(dataset.records)} pictures, nothing to audit")
    require_pictures(dataset)
    return dataset


def find(
    datasets: list[Dataset], names: list[str], models: Sequence[Path], batch: int, similar: float
) -> tuple[ValueRange, Findings]:
    """Return how pictures were read, and what is suspicious about them.

    Args:
        datasets: with labels.
        names: of each.
        models: files.
        batch: pictures at once.
        similar: least similarity of two pictures.
    """
    from centerx.auditing.find import find_suspicions
    from centerx.data.check import log_dataset_problems
    from centerx.data.similar import describe_pictures, find_similar
    from centerx.data.source import SampleSource, union_of_classes
    from centerx.levels import AUTO
    from centerx.runtime import open_session

    sessions = {model: open_session(model) for model in models if model.suffix.lower() != ".json"}
    value_range = next((session.info.value_range for session in sessions.values()), AUTO)
    for dataset in datasets:
        log_dataset_problems(dataset, value_range=value_range)
    class_names = union_of_classes(datasets)
    found, known = zip(
        *(detect(each, sessions.get(each), datasets, class_names, batch) for each in models), strict=True
    )
    _tell_unknown(class_names, known)
    seen = sorted(set.intersection(*map(set, found)))
    entries = SampleSource(datasets, class_names, value_range).entries
    records = [entries[number].record for number in seen]
    counts = [len(dataset.records) for dataset in datasets]
    owner = np.repeat(np.arange(len(datasets)), counts)[seen]
    return value_range, Findings(
        datasets,
        names,
        records,
        class_names,
        owner,
        np.asarray(seen) - np.cumsum([0, *counts])[owner],
        find_suspicions(
            [entries[number] for number in seen], [[each[n] for n in seen] for each in found], known, len(class_names)
        ),
        find_similar(describe_pictures(records, value_range, partial(track, what="comparing")), similar),
    )


def detect(
    model: Path, session: Session | None, datasets: list[Dataset], class_names: tuple[str, ...], batch: int
) -> tuple[dict[int, Detections], np.ndarray]:
    """Return what a model finds on each picture that can be read, and the classes that it looks for, (C,) bool.

    Args:
        model: its file.
        session: of the file; None for a COCO results json.
        datasets: whose pictures.
        class_names: C classes, in which detections are given.
        batch: pictures at once.

    Raises:
        InputError: it cannot be used on these data.
    """
    from centerx.evaluation.api import run_model
    from centerx.evaluation.results import read_results
    from centerx.types import Detections

    if session is None:
        if len(datasets) > 1:
            raise InputError(f"{model}: detections in a json are of one data set, audit each alone")
        return dict(enumerate(read_results(model, datasets[0]))), np.ones(len(class_names), dtype=bool)
    if not session.info.made_task.has_area:
        raise InputError(f"{model}: finds points without boxes, by which labels cannot be judged, name another model")
    source, found = run_model(model, datasets, batch, session)
    ours = np.array([class_names.index(name) if name in class_names else -1 for name in source.class_names])
    kept = {number: each.where(ours[each.labels] >= 0) for number, each in found.items()}
    return (
        {number: Detections(each.boxes, each.scores, ours[each.labels]) for number, each in kept.items()},
        np.isin(np.arange(len(class_names)), ours),
    )


def _paths(some: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(some)] if isinstance(some, (str, Path)) else list(map(Path, some))


def _names(places: Sequence[Path], splits: Sequence[str | None]) -> list[str]:
    """A name of each data set, as part of the name of a file; no two are the same."""
    names: list[str] = []
    for place in places:
        for split in splits:
            own = "_".join(part for part in (place.stem if len(places) > 1 or split is None else "", split) if part)
            own = quoted(own).replace("/", "_")
            names.append(own if own not in names else f"{own}_{len(names) + 1}")
    return names


def _tell_unknown(class_names: Sequence[str], known: Sequence[np.ndarray]) -> None:
    unknown = [name for name, mine in zip(class_names, np.logical_or.reduce(known), strict=True) if not mine]
    if unknown:
        logger.warning(f"{', '.join(unknown)}: found by none of the models, their labels are not judged")


def _picture(record: Record, value_range: ValueRange) -> np.ndarray | None:
    """The picture; None where it cannot be read, which models tell, but jsons of detections do not."""
    from centerx.images import read_image

    try:
        return read_image(record.image, value_range)
    except InputError:
        return None


def _counts(suspicions: Sequence[Suspicion], class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    from centerx.auditing.find import KINDS

    counts = Counter((each.kind, each.label) for each in suspicions)
    return {
        kind: {name: counts[kind, label] for label, name in enumerate(class_names) if counts[kind, label]}
        for kind in KINDS
    }


def _fixed(findings: Findings, certain: Sequence[Suspicion], number: int, fix: str, home: Path) -> dict[str, Any]:
    """The COCO mapping of one data set."""
    from centerx.auditing.fix import fixed_tree

    dataset = findings.datasets[number]
    names = findings.class_names
    own = [dataset.class_names.index(name) if name in dataset.class_names else -1 for name in names]
    some: dict[int, list[Suspicion]] = {}
    for each in certain:
        if findings.owner[each.picture] == number:
            mine = each._replace(
                label=own[each.label], found_label=own[each.found_label] if each.found_label >= 0 else -1
            )
            some.setdefault(int(findings.local[each.picture]), []).append(mine)
    return fixed_tree(dataset, some, fix, home)


def _report(findings: Findings, least: float, fix: str) -> dict[str, Any]:
    """The suspicions and pairs of `audit.json`."""
    from centerx.auditing.fix import CHANGES
    from centerx.auditing.report import describe

    names, records = findings.class_names, findings.records

    def entry(each: Suspicion) -> dict[str, Any]:
        record = records[each.picture]
        found = {"label": names[each.found_label], "rate": round(each.rate, 4)} if each.found_box is not None else None
        return {
            "kind": each.kind,
            "score": round(each.score, 4),
            "image": str(record.image),
            "image_id": record.image_id,
            "data": findings.names[findings.owner[each.picture]],
            "label": names[each.label],
            "box": _numbers(each.box),
            "found": found and found | {"box": _numbers(each.found_box)},
            "other": _numbers(records[each.picture].boxes[each.other]) if each.other >= 0 else None,
            "iou": round(each.iou, 4),
            "reason": describe(each, names),
            "change": CHANGES[fix][each.kind] if each.score >= least else None,
        }

    return {
        "suspicions": [entry(each) for each in findings.suspicions],
        "similar": [
            {
                "first": str(records[pair.first].image),
                "second": str(records[pair.second].image),
                "data": [findings.names[findings.owner[each]] for each in pair[:2]],
                "similarity": round(pair.similarity, 4),
            }
            for pair in findings.pairs
        ],
    }


def _numbers(box: np.ndarray | None) -> list[float] | None:
    return None if box is None else np.round(box.astype(float), 2).tolist()


def _write_page(
    path: Path,
    findings: Findings,
    certain: Sequence[Suspicion],
    about: dict[str, Any],
    show: int,
    value_range: ValueRange,
) -> None:
    from centerx.auditing.find import KINDS
    from centerx.auditing.report import THUMBNAIL, draw_suspicion, similar_section, suspicion_sections
    from centerx.draw import contact_sheet
    from centerx.page import Page, write_page

    surest = [number for kind in KINDS for number in [n for n, each in enumerate(certain) if each.kind == kind][:show]]
    pairs = sorted(findings.pairs, key=findings.across, reverse=True)[:show]  # stable: the most similar first
    in_pairs = {number for pair in pairs for number in pair[:2]}
    crops: dict[int, np.ndarray] = {}
    thumbnails: dict[int, np.ndarray] = {}
    for picture in track(sorted(in_pairs | {certain[number].picture for number in surest}), "drawing"):
        record = findings.records[picture]
        image = _picture(record, value_range)
        if image is None:
            continue
        for number in surest:
            if certain[number].picture == picture:
                crops[number] = draw_suspicion(image, certain[number], record.boxes)
        if picture in in_pairs:
            thumbnails[picture] = contact_sheet([image], 1, THUMBNAIL)
    files = [record.image.name for record in findings.records]
    owners = [findings.names[number] for number in findings.owner]
    lead = [
        f"Data: {', '.join(about['data'])}. Models: {', '.join(about['models'])}.",
        f"{len(certain)} suspicions of a score of at least {about['least']:g} about "
        f"{findings.labels} labels of {len(files)} pictures. Models that were "
        "trained on these labels have learned some of their errors, and find fewer.",
    ]
    sections = suspicion_sections(certain, crops, findings.class_names, files)
    sections.append(similar_section(findings.pairs, pairs, thumbnails, files, owners))
    write_page(path, Page("Audit of labels", sections, lead))
