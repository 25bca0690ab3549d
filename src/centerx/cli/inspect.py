"""`centerx inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import centerx
from centerx.cli.options import parse_size, plural
from centerx.cli.output import JsonFile, require_json, say, show, write_report
from centerx.errors import InputError
from centerx.files import quoted, require_writable

if TYPE_CHECKING:
    import numpy as np

    from centerx.api.inspect import View
    from centerx.types import Detections

LARGEST_CELL = 1024  # pixels of a side of a drawing


def inspect(
    model: Annotated[Path, typer.Argument(help="a model file, or a detector of another project")],
    picture: Annotated[Path | None, typer.Option(help="find the objects of this picture too")] = None,
    out: Annotated[Path | None, typer.Option(help="draw the picture and what the network sees of it here")] = None,
    adapter: Annotated[Path | None, typer.Option(help="YAML file that says how a detector of another is read")] = None,
    write: Annotated[bool, typer.Option("--write", help="write the adapter beside the model, to be edited")] = False,
    score: Annotated[float, typer.Option(min=0, max=1, help="leave out what scores lower")] = 0.3,
    backend: Annotated[str | None, typer.Option(help="what runs the file, by name")] = None,
    size: Annotated[str | None, typer.Option(help="input HxW in pixels, of a file that takes any size")] = None,
    json_file: JsonFile = None,
) -> None:
    """Show how a model file is read, and what it sees of a picture."""
    from rich.table import Table
    from rich.text import Text

    from centerx.draw import picture_format, save_image

    if out is not None:
        if picture is None:
            raise InputError("--out: the drawing is of a picture, give --picture too")
        picture_format(out)
        require_writable(out, [model, picture])
    require_json(json_file, [model, *([picture] if picture else [])])
    hw = parse_size(size) if size is not None else None
    inspection = centerx.inspect(model, adapter=adapter, backend=backend, size=hw)
    table = Table(title=quoted(str(model)), show_header=False)
    for what, text in inspection.rows.items():
        table.add_row(what, Text(quoted(text)))
    view = inspection.view(picture, score) if picture is not None else None
    if view is not None:
        table.add_section()
        table.add_row("found", Text(_found_text(view.detections)))
        for what, others in view.others.items():
            table.add_row(f"{what} instead", Text(_found_text(others)))
        if out is not None:
            save_image(out, drawing(view))
    show(table)
    if write:
        say(f"{inspection.write_adapter()}: edit it where something is wrong")
    write_report(json_file, inspection.to_json(view))


def drawing(view: View) -> np.ndarray:
    """Draw the picture and the input beside it, both with their boxes: (H, W, 3) uint8 RGB."""
    from centerx.draw import contact_sheet
    from centerx.tasks import task_of

    draw = task_of(view.detections).draw
    pairs = (view.image, view.detections), (view.seen, view.seen_detections)
    drawn = [draw(image, found, found.class_names, found.scores) for image, found in pairs]
    heights, widths = zip(*(image.shape[:2] for image in drawn), strict=True)
    titles = ("the picture", "what the network sees")
    captions = [f"{title}, {h}x{w}" for title, h, w in zip(titles, heights, widths, strict=True)]
    cell_hw = min(max(heights), LARGEST_CELL), min(max(widths), LARGEST_CELL)
    return contact_sheet(drawn, 2, cell_hw, captions)


def _found_text(found: Detections) -> str:
    if not len(found.scores):
        return "no objects"
    names = dict.fromkeys(found.class_names[label] for label in found.labels)
    total = float(found.scores.sum())
    return f"{plural(len(found.scores), 'object')}, scores add up to {total:.2f}: {quoted(', '.join(names))}"
