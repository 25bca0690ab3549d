"""`centerx pseudo`."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from centerx.cli.options import plural
from centerx.errors import InputError
from centerx.files import require_writable, write_json

logger = logging.getLogger(__name__)

SCORE = 0.3
DESCRIPTION = "labels from a model, not from a person"


def pseudo(
    model: Annotated[Path, typer.Argument(help="a model file or an exported file")],
    images: Annotated[Path, typer.Argument(help="folder of pictures, or a data set whose labels are not read")],
    out: Annotated[Path, typer.Option(help="the COCO json to write")],
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help=f"keep what scores as much; {SCORE} without --val")
    ] = None,
    val: Annotated[Path | None, typer.Option(help="labelled data on which to choose a score for each class")] = None,
    split: Annotated[str | None, typer.Option(help="split of --val")] = None,
    images_split: Annotated[str | None, typer.Option(help="split of IMAGES, where that has several")] = None,
) -> None:
    """Label pictures with a model, as a COCO file with scores. Its `info` says where they come from."""
    from centerx.data.check import log_dataset_problems
    from centerx.data.dataset import Dataset, RecordBuilder
    from centerx.data.read import read_dataset, read_pictures
    from centerx.data.write import coco_tree
    from centerx.progress import track
    from centerx.runtime import load

    if score is not None and val is not None:
        raise InputError("--score: --val chooses the scores, leave one of them out")
    if split is not None and val is None:
        raise InputError("--split: is that of --val, give both or neither; that of IMAGES is --images-split")
    require_writable(out)
    if out.exists() and not made_by_pseudo(out):
        raise InputError(f"--out: {out} is there already and not of this command's making, name another file")
    data = read_pictures(images, images_split)
    pictures = data.records
    predictor = load(model)
    names = predictor.class_names
    log_dataset_problems(data, value_range=predictor.session.info.value_range, labels=False)
    chosen = dict.fromkeys(names, SCORE if score is None else score)
    if val is not None:
        from centerx.evaluation.api import thresholds_of

        judged = read_dataset(val, split=split)
        log_dataset_problems(judged, value_range=predictor.session.info.value_range)
        best = thresholds_of(model, [judged], batch_size=8)
        chosen |= {name: value for name, value in best.items() if value is not None}
        guessed = [name for name in names if best.get(name) is None]
        if guessed:
            logger.warning(
                f"{val}: no score to choose for {', '.join(guessed)}, which it does not label or the model "
                f"does not find, {SCORE} is used"
            )
    least = np.array([chosen[name] for name in names])

    records, scores = [], []
    named = any(isinstance(picture.image_id, str) for picture in pictures)  # a COCO file numbers them
    for number, picture in enumerate(track(pictures, "labelling"), start=1):
        try:
            found = predictor(picture.image)
        except InputError as error:
            logger.warning(f"skipped: {error}")
            continue
        builder = RecordBuilder(picture.image, number if named else picture.image_id, [])
        for box, label, value in zip(found.boxes.tolist(), found.labels, found.scores, strict=True):
            if value >= least[label]:
                builder.add(str(picture.image), box, int(label))
                scores.append(float(value))
        records.append(builder.build())
    if not records:
        raise InputError(f"{images}: none of {len(pictures)} pictures can be read, see the warnings above")

    tree = coco_tree(Dataset(images, "pseudo", names, tuple(range(1, len(names) + 1)), records, []), out.parent)
    for annotation, value in zip(tree["annotations"], scores, strict=True):
        annotation["score"] = value
    tree["info"] = {
        "description": DESCRIPTION,
        "model": str(model),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "scores_from": chosen,
        "scores_chosen_on": str(val) if val else None,
    }
    write_json(out, tree)
    for label, name in enumerate(names, start=1):
        count = sum(annotation["category_id"] == label for annotation in tree["annotations"])
        print(f"{name}: {plural(count, 'box', 'es')} from score {chosen[name]:.2f} on")
    print(f"{out}: {plural(len(scores), 'box', 'es')} on {plural(len(records), 'picture')}")


def made_by_pseudo(file: Path) -> bool:
    """Whether a file holds labels that this command wrote."""
    try:
        tree = json.loads(file.read_bytes())
        return bool(tree["info"]["description"] == DESCRIPTION)
    except (ValueError, RecursionError, KeyError, TypeError):
        return False
