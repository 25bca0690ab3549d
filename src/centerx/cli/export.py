"""`centerx export`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from centerx.cli.options import parse_size
from centerx.errors import InputError
from centerx.files import require_folder, require_utf8

if TYPE_CHECKING:
    from centerx.config import Config
    from centerx.data.dataset import Dataset

CALIBRATED_ON, COMPARED_ON = 128, 32  # pictures at most
ANY = "any"


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
) -> None:  # fmt: skip
    """Turn a model into a file for another runtime. The two are compared before it says done."""
    from centerx.exporting.registry import ExportOptions, export_model, find_format

    any_size = size == ANY
    names = dict.fromkeys(map(str.strip, format.split(",")))
    formats = {name: find_format(name, outputs, precision, any_size) for name in names}
    suffixes = tuple(entry.suffix for entry in formats.values() if entry.suffix.startswith("."))
    if out is not None and out.name.endswith(suffixes) and not out.is_dir():
        raise InputError(f"--out: {out} would be a folder, of files named like the model; leave its suffix out")
    folder = out or model.parent
    require_utf8(folder)
    require_folder(folder)
    input_hw = parse_size(size) if size is not None and not any_size else None
    for module in (module for entry in formats.values() for module in entry.needs):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"no module {module!r}", name=module)

    from centerx.build_model import load_detector, read_with_config
    from centerx.data.batch import some_pictures
    from centerx.data.source import SampleSource
    from centerx.exporting.parity import verify

    detector, trained = load_detector(model)
    info = trained._replace(input_hw=input_hw or trained.input_hw)
    _, _, config = read_with_config(model)
    judged = find_data(config, data, split, "val")
    pictures = None
    if judged:
        judges = SampleSource(judged, info.class_names, info.value_range)
        pictures = some_pictures(judges, info.input_hw, COMPARED_ON)
    learnt = None
    if precision == "int8":
        calibration = find_data(config, data, split, "train")
        if calibration:
            examples = SampleSource(calibration, info.class_names, info.value_range)
            learnt = some_pictures(examples, info.input_hw, CALIBRATED_ON)
        if learnt is None or not len(learnt):
            raise InputError("--precision: int8 is calibrated on pictures, give a folder of readable ones with --data")
    for name, entry in formats.items():
        options = ExportOptions(outputs or entry.outputs[0], precision, learnt, any_size)
        marks = [mark for mark in (options.outputs, precision) if mark in ("maps", "fp16", "int8")]
        if entry.outputs == ("maps",):
            marks.remove("maps")
        path = folder / f"{'-'.join([model.stem, *marks])}{entry.suffix}"
        export_model(detector, info, path, name, options)
        measure = f"{megabytes(path, entry.beside):.1f} MB, input {size_text(info.input_hw, any_size)}"
        print(f"{path}: {measure}, {options.outputs}")
        runnable = path / "model.onnx" if path.is_dir() else path
        seen = f"{len(pictures)} pictures" if pictures is not None and len(pictures) else "synthetic pictures"
        try:
            print(f"checked against the model on {seen}: {verify(detector, runnable, precision, pictures)}")
        except InputError as error:
            print(f"not checked here: {error}")
            continue
        if info == trained and (data is not None or precision == "int8"):
            tell_precision(model, runnable, judged, info.class_names)


def find_data(config: Config, data: Path | None, split: str | None, part: str) -> list[Dataset]:
    """The data set that was named, or those of the model's configuration that are still there."""
    from centerx.build import build_datasets
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_pictures

    if data is not None:
        dataset = read_pictures(data, split)
        log_dataset_problems(dataset, value_range=config.data.range)
        return [dataset]
    try:
        return build_datasets(getattr(config.data, part))
    except InputError:
        return []


def tell_precision(model: Path, exported: Path, data: list[Dataset], class_names: Sequence[str]) -> None:
    """Print AP of the model and of the exported file, where there are labels of its classes."""
    from centerx.data.source import union_of_classes
    from centerx.evaluation.api import evaluate_model

    labelled = any(len(record.objects.labels) for dataset in data for record in dataset.records)
    if labelled and set(class_names) & set(union_of_classes(data)):
        before, after = (evaluate_model(file, data, batch_size=8).AP or 0.0 for file in (model, exported))
        print(f"AP {before:.4f} before, {after:.4f} after: {after - before:+.4f}")


def megabytes(path: Path, beside: Iterable[str]) -> float:
    """Of a file with those that belong to it, or of a folder."""
    files = [path, *(path.with_suffix(suffix) for suffix in beside), *path.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def size_text(input_hw: tuple[int, int], any_size: bool) -> str:
    """How the input size is told."""
    return f"of any size, {input_hw[0]}x{input_hw[1]} by itself" if any_size else f"{input_hw[0]}x{input_hw[1]}"
