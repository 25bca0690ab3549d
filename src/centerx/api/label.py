"""`centerx.label`: labels from a model, not from a person."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from centerx.errors import InputError
from centerx.files import require_writable, write_json
from centerx.images import allow_megapixels
from centerx.progress import track
from centerx.show import Table
from centerx.tiles import OVERLAP

if TYPE_CHECKING:
    from centerx.data.records import Record, Records
    from centerx.joints import Joints
    from centerx.runtime import Predictor
    from centerx.types import Detections
    from centerx.unfinished import Unfinished

logger = logging.getLogger(__name__)

SCORE = 0.3
DESCRIPTION = "labels from a model, not from a person"


class LabelResult(NamedTuple):
    """A file of labels.

    Attributes:
        file: the COCO json.
        boxes: how many there are of each class.
        scores: the score from which on boxes of each class were kept.
        pictures: how many were labelled.
    """

    file: Path
    boxes: dict[str, int]
    scores: dict[str, float]
    pictures: int

    def table(self) -> Table:
        """Return where the file is, and how many boxes of each class it has."""
        rows = [(name, count, self.scores[name]) for name, count in self.boxes.items()]
        facts = {"file": self.file, "pictures": self.pictures}
        return Table("Labels from a model", facts, ("class", "boxes", "score from"), rows)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_pandas(self) -> Any:
        """Return the number of boxes of each class as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: without the extra `centerx[notebook]`.
        """
        return self.table().frame()

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx pseudo --json`."""
        return self._asdict() | {"file": str(self.file)}


def label(
    model: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    score: float | None = None,
    val: str | Path | None = None,
    split: str | None = None,
    images_split: str | None = None,
    tiles: int | tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    whole: bool = False,
    max_megapixels: float | None = None,
    resume: bool = False,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
) -> LabelResult:
    """Label pictures with a model, as a COCO file with scores. Its `info` says where they come from.

    Args:
        model: a model file or an exported file.
        images: folder of pictures, or a data set whose labels are not read.
        out: the COCO json to write.
        score: keep what scores as much, in [0, 1]; 0.3 without `val`.
        val: labelled data on which to choose a score for each class.
        split: split of `val`.
        images_split: split of `images`, where that has several.
        tiles: as for `centerx.load`.
        overlap: as for `centerx.load`.
        whole: as for `centerx.load`.
        max_megapixels: as for `centerx.predict`.
        resume: keep what is found in `OUT.part` meanwhile, and go on with what an earlier call left there.
        threads: as for `centerx.load`.
        providers: as for `centerx.load`.

    Raises:
        InputError: a file is missing or unusable, no picture can be read, or `out` is there and was not made so.
    """
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_pictures
    from centerx.runtime import load
    from centerx.unfinished import Unfinished

    model, images, out = Path(model), Path(images), Path(out)
    if score is not None and val is not None:
        raise InputError("--score: --val chooses the scores, leave one of them out")
    if split is not None and val is None:
        raise InputError("--split: is that of --val, give both or neither; that of IMAGES is --images-split")
    if max_megapixels is not None:
        allow_megapixels(max_megapixels)
    require_writable(out)
    if out.exists() and not made_here(out):
        raise InputError(f"--out: {out} is there already and not of this command's making, name another file")
    data = read_pictures(images, images_split)
    predictor = load(model, threads=threads, providers=providers, tiles=tiles, overlap=overlap, whole=whole)
    log_dataset_problems(data, value_range=predictor.session.info.value_range, labels=False)
    least = dict.fromkeys(predictor.class_names, SCORE if score is None else score)
    if val is not None:
        least |= choose_scores(model, predictor, Path(val), split)
    with ExitStack() as stack:
        facts = {"--score": list(least.values()), "--tiles": tiles, "--overlap": overlap, "--whole": whole}
        kept = stack.enter_context(Unfinished(out, model, facts)) if resume else None
        records, scores = label_pictures(predictor, data.records, least, kept)
    if not records:
        raise InputError(f"{images}: none of {len(data.records)} pictures can be read, see the warnings above")
    judged_on = Path(val) if val is not None else None
    write_labels(out, model, images, records, scores, least, judged_on, predictor.task.joints)
    if kept is not None:
        kept.remove()
    names = predictor.class_names
    counts = np.bincount(np.concatenate([record.labels for record in records]), minlength=len(names))
    return LabelResult(out, dict(zip(names, counts.tolist(), strict=True)), least, len(records))


def choose_scores(model: Path, predictor: Predictor, val: Path, split: str | None) -> dict[str, float]:
    """Return the score of each class from which on the model's F1 is best, for the classes where there is one.

    Args:
        model: the file.
        predictor: of it.
        val: labelled data.
        split: of it.
    """
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_dataset
    from centerx.evaluation.api import thresholds_of
    from centerx.runtime import TiledPredictor

    judged = read_dataset(val, split=split)
    info = predictor.session.info
    log_dataset_problems(judged, value_range=info.value_range, task=info.made_task)
    tiles = predictor.tiles if isinstance(predictor, TiledPredictor) else None
    best = thresholds_of(model, [judged], batch_size=8, session=predictor.session, tiles=tiles)
    guessed = [name for name in predictor.class_names if best.get(name) is None]
    if guessed:
        logger.warning(
            f"{val}: no score to choose for {', '.join(guessed)}, which it does not label or the model "
            f"does not find, {SCORE} is used"
        )
    return {name: value for name, value in best.items() if value is not None}


def label_pictures(
    predictor: Predictor, pictures: Sequence[Record], least: dict[str, float], kept: Unfinished | None = None
) -> tuple[Records, list[float]]:
    """Return a record for each picture that can be read, and the score of each of their boxes.

    Args:
        predictor: finds the boxes.
        pictures: their labels are not read.
        least: the score from which on boxes of each class are kept.
        kept: has the answers about some, and gets the others.
    """
    from centerx.data.dataset import RecordBuilder
    from centerx.data.records import Records

    keep_from = np.array([least[name] for name in predictor.class_names])
    known = dict(kept.answers()) if kept is not None else {}
    named = any(isinstance(picture.image_id, str) for picture in pictures)  # a COCO file numbers them
    records = Records()
    scores: list[float] = []
    for number, picture in enumerate(track(pictures, "labelling"), start=1):
        rows = known.pop(str(picture.image), None)
        if rows is None:
            try:
                rows = rows_of(predictor(picture.image), keep_from)
            except InputError as error:
                logger.warning(f"skipped: {error}")
                continue
            if kept is not None:
                kept.add(picture.image, rows)
        builder = RecordBuilder(picture.image, number if named else picture.image_id, [])
        for box, index, value, corners, joints in rows:
            if box[:2] == box[2:]:
                builder.add_point(str(picture.image), box[:2], index)
            else:
                builder.add(str(picture.image), box, index, corners=corners, joints=joints)
            scores.append(value)
        records.append(builder.build())
    return records, scores


def rows_of(found: Detections, keep_from: np.ndarray) -> list[tuple[Any, ...]]:
    """Return box, class, score, corners and joints of each detection that scores as much as its class asks for."""
    corners = found.values["corners"].reshape(-1, 8).tolist() if "corners" in found.values else [None] * len(found)
    columns = found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), corners, joints_of(found)
    keep = found.scores >= keep_from[found.labels]
    return [row for row, wanted in zip(zip(*columns, strict=True), keep, strict=True) if wanted]


def joints_of(found: Detections) -> list[list[float] | None]:
    """Return x, y and flag of the joints of each detection: those that are drawn are visible; None without joints."""
    import numpy as np

    from centerx.draw import JOINT_SHOWN

    if "keypoints" not in found.values:
        return [None] * len(found)
    flags = 2.0 * (found.values["keypoint_scores"] >= JOINT_SHOWN)
    told = np.concatenate([found.values["keypoints"], flags[..., None]], axis=2)
    return [own.ravel().tolist() for own in told]


def write_labels(
    out: Path,
    model: Path,
    images: Path,
    records: Sequence[Record],
    scores: list[float],
    least: dict[str, float],
    val: Path | None,
    joints: Joints,
) -> None:
    """Write the COCO file.

    Args:
        out: the file.
        model: whose labels they are.
        images: where the pictures are.
        records: of the pictures.
        scores: of each box.
        least: the score from which on boxes of each class were kept, in the order of the classes.
        val: the data on which they were chosen.
        joints: of the model.
    """
    from centerx.data.dataset import Dataset
    from centerx.data.write import coco_tree

    names = tuple(least)
    tree: dict[str, Any] = coco_tree(
        Dataset(images, "pseudo", names, tuple(range(1, len(names) + 1)), records, [], joints=joints), out.parent
    )
    for annotation, value in zip(tree["annotations"], scores, strict=True):
        annotation["score"] = value
    tree["info"] = {
        "description": DESCRIPTION,
        "model": str(model),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "scores_from": least,
        "scores_chosen_on": str(val) if val else None,
    }
    write_json(out, tree)


def made_here(file: Path) -> bool:
    """Return whether a file holds labels that were written by this module."""
    try:
        tree = json.loads(file.read_bytes())
        return bool(tree["info"]["description"] == DESCRIPTION)
    except (ValueError, RecursionError, KeyError, TypeError):
        return False
