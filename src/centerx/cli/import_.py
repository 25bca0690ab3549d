"""`centerx import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import centerx
from centerx.cli.output import JsonFile, require_json, say, write_report
from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.interop.configs import ImportedConfig


def import_(
    source: Annotated[Path, typer.Argument(help="a checkpoint, or a YAML configuration")],
    out: Annotated[Path, typer.Option(help="the file to write")],
    classes: Annotated[
        str | None, typer.Option(help="class names, a,b,c or a file with one a line; COCO's where there are 80")
    ] = None,
    colour: Annotated[
        str | None, typer.Option(help="RGB or BGR, where it was trained otherwise than published")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="of pixels in [0, 1], such as 0.485,0.456,0.406")] = None,
    std: Annotated[str | None, typer.Option(help="of pixels in [0, 1], such as 0.229,0.224,0.225")] = None,
    ema: Annotated[
        bool | None,
        typer.Option(
            "--ema/--no-ema", help="take the moving average of the weights, or not; default: where there is one"
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Convert weights or configurations of other CenterNets.

    These are CenterNet, the original centerX and CenterNet-better(-plus); weights of a backbone are converted as well.
    """
    require_json(json_file, [source, out])
    imported = centerx.import_file(
        source,
        out,
        classes=read_classes(classes) if classes else None,
        colour=colour,
        mean=triple("--mean", mean) if mean else None,
        std=triple("--std", std) if std else None,
        ema=ema,
    )
    if imported.config is not None:
        print_config(imported.config, out)
    else:
        say(f"{out}: {imported.what}")
    write_report(json_file, imported.to_json())


def print_config(imported: ImportedConfig, out: Path) -> None:
    """Print what became of every key of a configuration that was written to `out`."""
    for row in imported.rows:
        say(" | ".join(row))
    counts = ", ".join(f"{imported.count(word)} keys {word}" for word in ("kept", "renamed", "dropped"))
    say(f"{out}: {counts}; fill in {imported.to_fill}")


def read_classes(text: str) -> list[str]:
    """'a,b,c', or the lines of a file.

    Raises:
        InputError: the file is no text in UTF-8.
    """
    path = Path(text)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else text.split(",")
    except UnicodeDecodeError:
        raise InputError(f"--classes: {path}: not a text file in UTF-8, save it as UTF-8") from None
    return [line.strip() for line in lines if line.strip()]


def triple(option: str, text: str) -> list[float]:
    """'0.1,0.2,0.3' -> three numbers.

    Raises:
        InputError: they are not.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3:
        raise InputError(f"{option}: {text!r} is not three numbers, such as 0.485,0.456,0.406")
    return values
