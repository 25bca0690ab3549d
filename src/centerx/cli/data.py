"""`centerx data`: check, convert, show."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from centerx.cli.options import FRAME_HELP, Frame, plural
from centerx.errors import InputError
from centerx.files import quoted, require_writable, write_json

if TYPE_CHECKING:
    import numpy as np

    from centerx.data.dataset import Dataset, Record, Track
    from centerx.problems import Problem

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="Check, convert, split, merge and look at data sets.", no_args_is_help=True, rich_markup_mode=None
)

Data = Annotated[
    Path,
    typer.Argument(
        help="COCO json, VOC folder, YOLO data.yaml or folder, labels of CVAT, Label Studio, LabelMe, VIA and others, "
        ".odgt, WIDER txt, folder of images"
    ),
]
Split = Annotated[str | None, typer.Option(help="which part of it")]
Classes = Annotated[
    list[str] | None, typer.Option(help="only these, THEIRS=OURS renames; separate by commas, or repeat the option")
]
Rename = Annotated[list[str] | None, typer.Option(help="OLD=NEW, other classes stay; separate by commas, or repeat")]
Images = Annotated[Path | None, typer.Option(help="folder of the pictures, where it cannot be found from the data")]
Format = Annotated[str | None, typer.Option(help="its name, where it cannot be recognised")]
BoxFrame = Annotated[Frame, typer.Option(help=FRAME_HELP)]

COLOURS = {
    "fixed": typer.colors.GREEN,
    "doubtful": typer.colors.MAGENTA,
    "skipped": typer.colors.YELLOW,
    "fatal": typer.colors.RED,
}
COLUMNS = 4
CELL_HW = 300, 400


@app.command("check")
def check(
    data: Data,
    split: Split = None,
    classes: Classes = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = Frame.UPRIGHT,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report here")] = None,
) -> None:
    """List every problem of a data set, its kind and what becomes of it, then count the classes."""
    from centerx.data.check import TOP_K, alike_classes, box_problems, crowded_pictures, picture_problems
    from centerx.data.read import check_usable, scan_dataset, select_classes

    if json_file is not None:
        require_writable(json_file, [data])
    dataset = scan_dataset(data, split=split, images=images, format=format, frame=frame)
    if all(problem.action != "fatal" for problem in dataset.problems):
        dataset = select_classes(dataset, class_names(classes))
    problems = _tell(dataset.problems)
    if dataset.records:
        problems += _tell(picture_problems(dataset, track=_track("reading pictures")))
        problems += _tell(box_problems(dataset))
        problems += _tell([*alike_classes(dataset.class_names), *crowded_pictures(dataset.records, TOP_K)])
        _summarise(dataset)
    _count_kinds(problems)
    if json_file is not None:
        write_json(json_file, report(dataset, problems), indent=1)
    check_usable(dataset._replace(problems=problems), split)


@app.command("convert")
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the data set to read")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="the folder to write")],
    to: Annotated[
        str,
        typer.Option(
            help="coco, yolo, voc, cvat, labelstudio, createml, labelme, via, csv, kitti, openimages, huggingface or "
            "fiftyone"
        ),
    ],
    split: Split = None,
    classes: Classes = None,
    rename: Rename = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = Frame.UPRIGHT,
) -> None:
    """Write a data set in another format, pictures included; what cannot be said there is told."""
    from centerx.api.data import convert_data

    written = convert_data(
        source,
        target,
        to,
        split=split,
        classes=class_names(classes),
        rename=new_names(rename),
        images=images,
        format=format,
        frame=frame,
    )
    print(f"{plural(written.pictures, 'picture')} as {to} in {target}, split {split or 'train'}")


@app.command("show")
def show(
    data: Data,
    out: Annotated[Path, typer.Option(help="the picture to write")] = Path("data.png"),
    count: Annotated[int, typer.Option(min=1, help="how many pictures")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="of the choice")] = 0,
    split: Split = None,
    classes: Classes = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = Frame.UPRIGHT,
) -> None:
    """Draw some pictures with their boxes on one sheet, chosen at random."""
    import numpy as np

    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_dataset
    from centerx.draw import contact_sheet, picture_format, save_image

    require_writable(out, [data])
    picture_format(out)
    wanted = class_names(classes)
    dataset = read_dataset(data, split=split, classes=wanted, images=images, format=format, frame=frame)
    log_dataset_problems(dataset)
    cells: list[np.ndarray] = []
    captions: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(dataset.records)):
        record = dataset.records[index]
        try:
            cells.append(_drawn(record, dataset.class_names))
        except InputError as error:
            logger.warning(f"skipped: {error}")
            continue
        captions.append(f"{record.image.name}   {plural(len(record.labels), 'object')}")
        if len(cells) == count:
            break
    if not cells:
        raise InputError(f"{data}: not one picture can be read, see `centerx data check`")
    save_image(out, contact_sheet(cells, COLUMNS, CELL_HW, captions))
    print(f"{plural(len(cells), 'picture')} of {len(dataset.records)} drawn in {out}")


def _drawn(record: Record, class_names: Sequence[str]) -> np.ndarray:
    """The picture at the size of a cell, so that lines and text have one width on the whole sheet."""
    import numpy as np
    from PIL import Image

    from centerx.draw import draw_boxes
    from centerx.images import read_image

    names = [*class_names, *(f"{name} (ignored)" for name in class_names)]
    labels = record.labels + len(class_names) * record.ignore
    image = read_image(record.image)
    scale = min(CELL_HW[0] / image.shape[0], CELL_HW[1] / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    return draw_boxes(small, record.boxes * scale, labels, names)


def _summarise(dataset: Dataset) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from centerx.data.check import count_classes

    counts = count_classes(dataset)
    empty = sum(not len(record.labels) for record in dataset.records)
    ignored = sum(count.ignored for count in counts)
    print(f"{quoted(str(dataset.path))}, read as {dataset.format}")
    print(f"{plural(len(dataset.records), 'picture')}, {empty} without objects, {plural(ignored, 'ignored box', 'es')}")
    if counts:
        table = Table()
        for column in ("class", "objects", "ignored", "pictures"):
            table.add_column(column, justify="left" if column == "class" else "right")
        for count in counts:
            table.add_row(Text(quoted(count.name)), str(count.boxes), str(count.ignored), str(count.images))
        Console().print(table)


def _tell(problems: Iterable[Problem]) -> list[Problem]:
    """Print problems as they come and return them."""
    told = []
    for problem in problems:
        action = typer.style(f"{problem.action:8}", COLOURS[problem.action])
        times = f" ({problem.times} times)" if problem.times > 1 else ""
        typer.echo(f"{action} " + quoted(f"{problem.kind.code}: {problem.where}: {problem.what}{times}"))
        told.append(problem)
    return told


def _count_kinds(problems: Iterable[Problem]) -> None:
    """Print how many problems there are of each kind, most first."""
    from centerx.problems import summarise

    counts = sorted(summarise(problems), key=lambda summary: -summary.times)
    if counts:
        print("kinds: " + ", ".join(f"{times} {kind.code} ({kind.action})" for kind, times, _ in counts))


def report(dataset: Dataset, problems: Sequence[Problem]) -> dict[str, Any]:
    """What `check --json` writes: the data set, its classes, its problems by kind and one by one."""
    from centerx.data.check import count_classes
    from centerx.problems import summarise

    return {
        "path": str(dataset.path),
        "format": dataset.format,
        "pictures": len(dataset.records),
        "classes": [count._asdict() for count in count_classes(dataset)],
        "kinds": {summary.kind.code: summary.times for summary in summarise(problems)},
        "problems": [problem.to_dict() for problem in problems],
    }


def _track(what: str) -> Track:
    from centerx.progress import track

    return partial(track, what=what)


def class_names(classes: list[str] | None) -> list[str] | None:
    """Return the names that `--classes` lists; None without it."""
    return _names(classes) if classes else None


def new_names(rename: list[str] | None) -> dict[str, str]:
    """Return the new name of each class that `--rename` has, by its old one.

    Raises:
        InputError: a word is not OLD=NEW, or a class has two new names.
    """
    names: dict[str, str] = {}
    for word in _names(rename or []):
        old, _, new = (part.strip() for part in word.rpartition("="))
        if not old or not new or names.setdefault(old, new) != new:
            raise InputError(f"--rename: {word!r} must give one new name to a class, as in old=new")
    return names


def _names(words: list[str]) -> list[str]:
    return [name.strip() for text in words for name in text.split(",") if name.strip()]
