"""`centerx export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from centerx.errors import InputError


def export(
    model: Annotated[Path, typer.Argument(help="a model file of a run, such as best.safetensors")],
    format: Annotated[str, typer.Option(help="onnx; several separated by commas")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="folder of the exported files; beside the model without it")] = None,
    size: Annotated[
        str | None, typer.Option(help="input HxW in pixels, such as 320x416; the trained one without it")
    ] = None,
    outputs: Annotated[str, typer.Option(help="detections, or maps with all but the peaks suppressed")] = "detections",
    precision: Annotated[str, typer.Option(help="fp32")] = "fp32",
) -> None:
    """Turn a model into a file for another runtime. The two are compared before it says done."""
    from centerx.export.registry import export_model, find_format

    formats = {name: find_format(name, outputs, precision) for name in map(str.strip, format.split(","))}
    input_hw = parse_size(size) if size is not None else None

    from centerx.build_model import load_detector
    from centerx.export.parity import verify

    detector, info = load_detector(model)
    info = info._replace(input_hw=input_hw or info.input_hw)
    folder = out or model.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in formats.items():
        path = folder / f"{model.stem}{'-maps' if outputs == 'maps' else ''}{entry.suffix}"
        export_model(detector, info, path, name, outputs, precision)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, input {info.input_hw[0]}x{info.input_hw[1]}, {outputs}")
        if outputs == "detections":
            print(f"checked against the model: {verify(detector, path)}")


def parse_size(text: str) -> tuple[int, int]:
    """'320x416' -> (320, 416): height, width.

    Raises:
        InputError: not of this form, or not multiples of 32.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size: {text!r} is not HxW, such as 320x416")
    height, width = int(match[1]), int(match[2])
    if not height or not width or height % 32 or width % 32:
        close = "x".join(str(max(32, round(side / 32) * 32)) for side in (height, width))
        raise InputError(f"--size: {text} must be multiples of 32, such as {close}")
    return height, width
