"""`centerx data split`, `merge` and `stats`: make other data sets of data sets, and describe one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from centerx.cli.data import BoxFrame, Classes, Data, Format, Images, Rename, Split, class_names, new_names
from centerx.cli.options import plural
from centerx.cli.output import JsonFile, require_json, say, show, write_report
from centerx.files import quoted

if TYPE_CHECKING:
    from centerx.api.sets import SplitPart
    from centerx.data.stats import Stats

MOST_NAMES = 20  # of classes in a line


def split_data(
    data: Data,
    out: Annotated[Path, typer.Option(help="the folder to write train.json, val.json and test.json to")],
    val: Annotated[float, typer.Option(help="share of the pictures for validation")] = 0.2,
    test: Annotated[float, typer.Option(help="share of the pictures for the test")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="decides between parts that are equally good")] = 0,
    group: Annotated[
        str | None, typer.Option(help="keep in one part the pictures of a `folder`, or those that look `alike`")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="a format of `convert`, to write the parts with copies of their pictures")
    ] = None,
    split: Split = None,
    classes: Classes = None,
    rename: Rename = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = "upright",
    json_file: JsonFile = None,
) -> None:
    """Split a data set, each part with its share of every class.

    The pictures stay where they are.
    """
    from centerx.api.sets import split_data as split_pictures

    require_json(json_file, [data])
    parts = split_pictures(
        data,
        out,
        val=val,
        test=test,
        seed=seed,
        group=group,
        to=to,
        split=split,
        classes=class_names(classes),
        rename=new_names(rename),
        images=images,
        format=format,
        frame=frame,
    )
    _parts_table(parts)
    for name, part in parts.items():
        where = f"{part.path}, split {name}" if to else str(part.path)
        say(f"{plural(part.pictures, 'picture')} in {quoted(where)}")
    write_report(json_file, {name: part.to_json() for name, part in parts.items()})


def merge_data(
    data: Annotated[list[Path], typer.Argument(help="the data sets, of any format")],
    out: Annotated[Path, typer.Option(help="the COCO json to write; the pictures stay where they are")],
    dedup: Annotated[
        str | None,
        typer.Option(help="`exact`: pictures with equal bytes are one; `near`: also leave out those that look alike"),
    ] = None,
    split: Split = None,
    classes: Classes = None,
    rename: Rename = None,
    json_file: JsonFile = None,
) -> None:
    """Merge data sets by the names of their classes.

    Each picture keeps which classes it labels.
    """
    from centerx.api.sets import merge_data as merge_sets

    require_json(json_file, data)
    merged = merge_sets(data, out, dedup=dedup, split=split, classes=class_names(classes), rename=new_names(rename))
    names = merged.class_names
    shown = f" ({', '.join(map(quoted, names))})" if len(names) <= MOST_NAMES else ""
    say(f"{plural(merged.pictures, 'picture')} with {plural(len(names), 'class', 'es')}{shown} in {quoted(str(out))}")
    write_report(json_file, merged.to_json())


def show_stats(
    data: Data,
    plots: Annotated[Path | None, typer.Option(help="a folder to write plots to, as PNG")] = None,
    json_file: JsonFile = None,
    split: Split = None,
    classes: Classes = None,
    rename: Rename = None,
    images: Images = None,
    format: Format = None,
    frame: BoxFrame = "upright",
) -> None:
    """Describe a data set by figures and plots.

    They are of its classes, of the sizes, shapes and places of objects, and of the sizes of pictures.
    """
    from centerx.api.sets import data_stats

    require_json(json_file, [data])
    stats = data_stats(
        data,
        plots,
        split=split,
        classes=class_names(classes),
        rename=new_names(rename),
        images=images,
        format=format,
        frame=frame,
    )
    _stats_tables(stats)
    write_report(json_file, stats.to_dict())
    if plots is not None:
        say(f"plots in {quoted(str(plots))}")


def _parts_table(parts: dict[str, SplitPart]) -> None:
    """Print how many objects of each class each part has, and their share."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("class", *parts):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name in next(iter(parts.values())).objects:
        counts = [part.objects[name] for part in parts.values()]
        total = max(1, sum(counts))
        table.add_row(Text(quoted(name)), *(f"{count} ({100 * count / total:.1f} %)" for count in counts))
    table.add_section()
    pictures = sum(part.pictures for part in parts.values())
    shares = (f"{part.pictures} ({100 * part.pictures / pictures:.1f} %)" for part in parts.values())
    table.add_row("pictures", *shares)
    show(table)


def _stats_tables(stats: Stats) -> None:
    from rich.table import Table
    from rich.text import Text

    from centerx.data.stats import quantiles

    figures = stats.to_dict()
    say(
        f"{plural(stats.pictures, 'picture')}, {stats.empty} without objects, {plural(figures['objects'], 'object')}: "
        + ", ".join(f"{count} {size}" for size, count in figures["sizes"].items())
    )
    classes = Table()
    for column in ("class", "objects", "ignored", "pictures", "side, 5 %", "median", "95 %"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for count in figures["classes"]:
        side = count["side"] or {}
        spread = (f"{side[key]:.0f}" if side else "-" for key in ("p5", "median", "p95"))
        numbers = (str(count[key]) for key in ("objects", "ignored", "pictures"))
        classes.add_row(Text(quoted(count["class"])), *numbers, *spread)
    show(classes)
    spreads = Table()
    for column in ("figure", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"):
        spreads.add_column(column, justify="left" if column == "figure" else "right")
    for title, values in (
        ("side of an object, pixels", stats.sides),
        ("share of its picture's side, %", 100 * stats.shares[stats.shares > 0]),
        ("width / height", stats.shapes),
        ("objects on a picture", stats.per_picture),
        ("width of a picture, pixels", stats.hw[:, 1]),
        ("height of a picture, pixels", stats.hw[:, 0]),
    ):
        spreads.add_row(
            title, *(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in quantiles(values) or ())
        )
    show(spreads)
