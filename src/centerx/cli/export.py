"""`centerx export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import centerx
from centerx.api.export import ANY
from centerx.cli.options import parse_size
from centerx.cli.output import JsonFile, require_json, say, write_report

if TYPE_CHECKING:
    from centerx.api.export import ExportedFile


def export(
    model: Annotated[Path, typer.Argument(help="a model file of a run, such as best.safetensors")],
    format: Annotated[
        str,
        typer.Option(help="onnx, openvino, ncnn, caffe, tensorrt, torch-export, aotinductor, torchscript or web; "
                          "several separated by commas"),
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="folder of the exported files; beside the model without it")] = None,
    size: Annotated[
        str | None, typer.Option(help="input HxW in pixels, such as 320x416, or any; the trained one without it")
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(help="detections, or maps with all but the peaks suppressed; what the format can without it"),
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8")] = "fp32",
    data: Annotated[
        Path | None,
        typer.Option(help="pictures, better a labelled data set: int8 is calibrated on it, the file compared on it; "
                          "the data of the model's training without it"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="split of --data")] = None,
    json_file: JsonFile = None,
) -> None:  # fmt: skip
    """Turn a model into a file for another runtime. The two are compared before it says done."""
    require_json(json_file, [model])
    written = centerx.export(
        model,
        list(dict.fromkeys(map(str.strip, format.split(",")))),
        out=out,
        size=parse_size(size) if size is not None and size != ANY else size,
        outputs=outputs,
        precision=precision,
        data=data,
        split=split,
        report=print_file,
    )
    write_report(json_file, [file.to_json() for file in written])


def print_file(file: ExportedFile) -> None:
    """Print what was written, and how it compares with the model."""
    measure = f"{file.megabytes:.1f} MB, input {size_text(file.input_hw, file.any_size)}"
    say(f"{file.path}: {measure}, {file.outputs}")
    if file.parity is None:
        say(f"not checked here: {file.not_compared}")
        return
    seen = f"{file.compared_on} pictures" if file.compared_on else "synthetic pictures"
    say(f"checked against the model on {seen}: {file.parity}")
    if file.AP is not None:
        before, after = file.AP
        say(f"AP {before:.4f} before, {after:.4f} after: {after - before:+.4f}")


def size_text(input_hw: tuple[int, int], any_size: bool) -> str:
    """How the input size is told."""
    return f"of any size, {input_hw[0]}x{input_hw[1]} by itself" if any_size else f"{input_hw[0]}x{input_hw[1]}"
