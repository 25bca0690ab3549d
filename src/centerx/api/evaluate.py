"""`centerx.evaluate`: metrics of a model, or of results made elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centerx.errors import InputError
from centerx.tiles import OVERLAP

if TYPE_CHECKING:
    from centerx.data.dataset import Dataset
    from centerx.evaluation import Metrics
    from centerx.runtime import Compute, Predictor, Session

logger = logging.getLogger(__name__)


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Mapping[str, Any] | Dataset,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | Path | None = None,
    format: str | None = None,
    frame: str | None = None,
    joints: Sequence[str] | None = None,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    max_detections: int | None = None,
    metric: str = "coco",
    tiles: int | tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    whole: bool = False,
    max_megapixels: float | None = None,
    batch: int = 8,
    report: str | Path | None = None,
    threads: int | None = None,
    providers: str | Sequence[str] | None = None,
) -> Metrics:
    """Evaluate a model on a data set with COCO's metrics, or those of PASCAL VOC.

    Args:
        model: a model file, an exported file, a COCO results json, or what `centerx.load` returns.
        data: the path of a data set, an entry as in `data.train` of a configuration, or a data set as read.
        split: split of the data set. This and the next four go with a path.
        classes: only these classes.
        images: folder of the pictures.
        format: format of the data set, by name.
        frame: what the boxes are of: the picture as a viewer shows it (`upright`, the default), or as it is stored,
            before EXIF turns it (`stored`).
        joints: names of its joints in order, where the data has others or none.
        flip: look at the mirror image of each picture too; for a `.safetensors` file.
        scales: sizes to look at, relative to the model's, above 0; for a `.safetensors` file.
        max_detections: count so many detections of a class on a picture, at least 10; COCO's 100 without it.
        metric: `coco`, or `voc`: AP at IoU 0.5, of all points as from VOC2010 on and of 11 points as in VOC2007.
        tiles: cut larger pictures into tiles, as `centerx.load` does.
        overlap: of the tiles, as for `centerx.load`.
        whole: as for `centerx.load`.
        max_megapixels: the most of a picture, as for `centerx.predict`.
        batch: pictures at once, or tiles.
        report: write `index.html`, a page of tables, charts and pictures of mistakes, and `report.json`, all its
            numbers, into this folder. `report` of what is returned is the page. Not with `voc`.
        threads: as for `centerx.load`.
        providers: as for `centerx.load`.

    Raises:
        InputError: a file is missing or unusable, model and data have no class in common, there are no boxes to
            evaluate against, or the metric is unknown or does not go with the rest.
        OSError: the report cannot be written.
    """
    from centerx.build_data import with_joint_names
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import require_pictures
    from centerx.evaluation.api import evaluate_model, evaluate_results
    from centerx.evaluation.run import VOC
    from centerx.files import require_folder
    from centerx.images import allow_megapixels
    from centerx.levels import AUTO
    from centerx.runtime import Compute, TiledPredictor
    from centerx.tiles import Tiles

    folder = None if report is None else Path(report)
    if folder is not None:
        if metric == VOC:
            raise InputError("--report: has the figures of COCO, leave it or --metric voc out")
        require_folder(folder)
    if max_megapixels is not None:
        allow_megapixels(max_megapixels)
    cut = model.tiles if isinstance(model, TiledPredictor) else None
    cut = cut if tiles is None else Tiles.of(tiles, overlap, whole)
    compute = Compute.of(threads, providers)
    options = {"split": split, "classes": classes, "images": images, "format": format, "frame": frame}
    dataset = open_data(data, {key: value for key, value in options.items() if value is not None})
    if joints is not None:
        dataset = with_joint_names(dataset, tuple(joints))
    require_boxes(dataset)
    results = Path(model) if isinstance(model, (str, Path)) and Path(model).suffix == ".json" else None
    if results is not None:
        if tiles is not None or compute != Compute():
            raise InputError(f"{results}: holds what was found, leave out --tiles, --threads and --providers")
        log_dataset_problems(dataset, value_range=AUTO)
        return evaluate_results(results, dataset, max_detections, metric, folder)
    require_pictures(dataset)
    name, session, input_hw = open_model(model, flip, scales, compute)
    log_dataset_problems(dataset, value_range=session.info.value_range, task=session.info.made_task)
    unlabelled = set(session.info.joints.names) - set(dataset.joints.names)
    if unlabelled and len(unlabelled) < len(session.info.joints.names):
        logger.warning(f"{dataset.path}: has no joints {', '.join(sorted(unlabelled))}, by which nothing is judged")
    return evaluate_model(
        name, [dataset], batch, session, scales, max_detections, input_hw, metric=metric, tiles=cut, report=folder
    )


def open_data(data: str | Path | Mapping[str, Any] | Dataset, options: Mapping[str, Any]) -> Dataset:
    """Return a data set.

    Args:
        data: a path, an entry as in a configuration, or the data set itself.
        options: of `read_dataset`, for a path.

    Raises:
        InputError: it cannot be read, or options are given without a path.
    """
    from centerx.data.read import read_dataset

    if isinstance(data, (str, Path)):
        return read_dataset(data, **options)
    if options:
        raise InputError(f"{', '.join(options)}: goes with the path of a data set, leave it out")
    if isinstance(data, Mapping):
        from centerx.build_data import read_entry
        from centerx.config import load_config

        (entry,) = load_config({"data": {"val": [data]}}).data.val
        return read_entry(entry)
    return data


def require_boxes(dataset: Dataset) -> None:
    """Check that there is something to find.

    Raises:
        InputError: no picture has a box that counts.
    """
    if all(record.ignore.all() for record in dataset.records):
        there = "only ignored boxes" if any(len(record.labels) for record in dataset.records) else "no boxes"
        raise InputError(
            f"{dataset.path}: {there} on any of {len(dataset.records)} pictures, nothing to evaluate against"
        )


def open_model(
    model: str | Path | Predictor, flip: bool, scales: Sequence[float], compute: Compute
) -> tuple[str, Session, tuple[int, int]]:
    """Return a model's name for messages, its session, and the height and width to bring pictures to.

    Args:
        model: a file, or a predictor.
        flip: whether mirror images are looked at.
        scales: relative to the model's own size.
        compute: threads and devices, of a file.

    Raises:
        InputError: it cannot be opened, or does not take mirror images or other sizes.
    """
    from centerx.runtime import Predictor, open_session
    from centerx.runtime.compute import PLAIN

    name = "the predictor" if isinstance(model, Predictor) else str(model)
    if flip or list(scales) != [1.0]:
        if isinstance(model, Predictor) or Path(model).suffix.lower() != ".safetensors":
            raise InputError(f"{name}: --flip and --scales need a .safetensors model file")
        from centerx.build_model import TorchSession
        from centerx.evaluation.api import scaled_sizes

        flipped = TorchSession(Path(model), flip, compute)
        task = flipped.info.made_task
        if flip and task.joints.names and not task.joints.flip:
            raise InputError(
                f"{name}: was trained without saying which joints change places in a mirror image; leave --flip out"
            )
        if flip and any(field.kind.alike for field in task.fields):
            raise InputError(
                f"{name}: its corners may begin elsewhere in a mirror image, so no mean can be taken; leave --flip out"
            )
        for size in scaled_sizes(flipped.info.input_hw, scales):
            flipped.detector.model.backbone.require_maps(size)
        return name, flipped, flipped.info.input_hw
    if isinstance(model, Predictor):
        if compute != PLAIN:
            raise InputError("threads, providers: go with a model file, leave them out")
        return name, model.session, model.input_hw
    session = open_session(Path(model), compute=compute)
    return name, session, session.info.input_hw
