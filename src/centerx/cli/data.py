"""`centerx data`: check, convert, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import centerx
from centerx.cli.habits import before_command, command
from centerx.cli.options import FRAME_HELP, plural
from centerx.cli.output import JsonFile, colored, require_json, say, show, write_report
from centerx.errors import InputError
from centerx.files import quoted
from centerx.problems import Kind, Problem
from centerx.problems import summarise as summarise_problems

if TYPE_CHECKING:
    from centerx.api.data import DataCheck

app = typer.Typer(
    help="Check, convert, split, merge and look at data sets.", no_args_is_help=True, rich_markup_mode=None
)
app.callback()(before_command)

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
BoxFrame = Annotated[str, typer.Option(help=FRAME_HELP)]

COUNTED = (Kind.ROTATED_BOX, Kind.POLYGON)  # of all objects of many data sets: a line for all says enough
COLOURS = {
    "fixed": typer.colors.GREEN,
    "doubtful": typer.colors.MAGENTA,
    "skipped": typer.colors.YELLOW,
    "fatal": typer.colors.RED,
}


@app.command("check")
@command
def check(
    data: Data,
    split: Split = None,
    classes: Classes = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = "upright",
    json_file: JsonFile = None,
) -> None:
    """List every problem of a data set, and count its classes."""
    require_json(json_file, [data])
    found = centerx.check_data(
        data, split=split, classes=class_names(classes), images=images, format=format, frame=frame,
        report=tell_uncounted,
    )  # fmt: skip
    for _, times, first in summarise_problems(problem for problem in found.problems if problem.kind in COUNTED):
        tell(first._replace(times=times))
    if found.dataset.records:
        summarise(found)
    kinds = found.kinds()
    if kinds:
        say("kinds: " + ", ".join(f"{times} {kind.code} ({kind.action})" for kind, times, _ in kinds))
    write_report(json_file, found.to_json())
    found.require_usable()


@app.command("convert")
@command
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the data set to read")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="the folder to write")],
    to: Annotated[
        str,
        typer.Option(
            help="coco, yolo, yolo-obb, yolo-pose, dota, voc, cvat, labelstudio, createml, labelme, via, csv, kitti, "
            "openimages, huggingface or fiftyone"
        ),
    ],
    split: Split = None,
    classes: Classes = None,
    rename: Rename = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = "upright",
    json_file: JsonFile = None,
) -> None:
    """Write a data set in another format, with its pictures.

    What the format cannot hold is told.
    """
    require_json(json_file, [source])
    written = centerx.convert_data(
        source, target, to, split=split, classes=class_names(classes), rename=new_names(rename), images=images,
        format=format, frame=frame,
    )  # fmt: skip
    say(f"{plural(written.pictures, 'picture')} as {to} in {target}, split {written.split}")
    write_report(json_file, written.to_json())


@app.command("show")
@command
def show_data(
    data: Data,
    out: Annotated[Path, typer.Option(help="the picture to write")] = Path("data.png"),
    count: Annotated[int, typer.Option(min=1, help="how many pictures")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="of the choice")] = 0,
    split: Split = None,
    classes: Classes = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = "upright",
    json_file: JsonFile = None,
) -> None:
    """Draw pictures chosen at random with their boxes."""
    require_json(json_file, [data])
    sheet = centerx.draw_data(
        data, out, count=count, seed=seed, split=split, classes=class_names(classes), images=images, format=format,
        frame=frame,
    )  # fmt: skip
    say(f"{plural(sheet.drawn, 'picture')} of {sheet.pictures} drawn in {out}")
    write_report(json_file, sheet.to_json())


def summarise(found: DataCheck) -> None:
    """Print how many pictures and objects of each class there are."""
    from rich.table import Table
    from rich.text import Text

    dataset, counts = found.dataset, found.counts()
    empty = sum(not len(record.labels) for record in dataset.records)
    ignored = sum(count.ignored for count in counts)
    say(f"{quoted(str(dataset.path))}, read as {dataset.format}")
    say(f"{plural(len(dataset.records), 'picture')}, {empty} without objects, {plural(ignored, 'ignored box', 'es')}")
    if counts:
        table = Table()
        for column in ("class", "objects", "ignored", "pictures"):
            table.add_column(column, justify="left" if column == "class" else "right")
        for count in counts:
            table.add_row(Text(quoted(count.name)), str(count.boxes), str(count.ignored), str(count.images))
        show(table)
    carried = found.attributes()
    if carried.joints:
        with_joints, without = plural(carried.with_joints, "object"), carried.without_joints
        say(f"joints: {with_joints} with some, {without} of the same classes without")
        table = Table()
        for column in ("joint", "labelled", "visible"):
            table.add_column(column, justify="left" if column == "joint" else "right")
        for joint in carried.joints:
            table.add_row(Text(quoted(joint.name)), str(joint.labelled), str(joint.visible))
        show(table)
    if carried.with_corners:
        with_corners, without = plural(carried.with_corners, "object"), carried.without_corners
        say(f"corners: {with_corners} with four, {carried.turned} of them turned, {without} without")


def tell_uncounted(problem: Problem) -> None:
    """Print a problem, but for those that take one line together."""
    if problem.kind not in COUNTED:
        tell(problem)


def tell(problem: Problem) -> None:
    """Print a problem."""
    action = f"{problem.action:8}"
    if colored():
        action = typer.style(action, COLOURS[problem.action])
    times = f" ({problem.times} times)" if problem.times > 1 else ""
    say(f"{action} " + quoted(f"{problem.kind.code}: {problem.where}: {problem.what}{times}"))


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
