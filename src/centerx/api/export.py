"""`centerx.export`: a model as files for other runtimes, each compared with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from centerx.errors import InputError
from centerx.files import require_folder, require_utf8
from centerx.show import Table

if TYPE_CHECKING:
    import numpy as np

    from centerx.config import Config
    from centerx.data.dataset import Dataset
    from centerx.detector import Detector
    from centerx.exporting.registry import ExportOptions, Format
    from centerx.runtime.info import ModelInfo

CALIBRATED_ON, COMPARED_ON = 128, 32  # pictures at most
ANY = "any"
Size = tuple[int, int] | str


class ExportedFile(NamedTuple):
    """A file that was written.

    Attributes:
        path: the file, or the folder where the format is one.
        format: by name.
        outputs: `detections` or `maps`.
        megabytes: of all that was written, 10^6 bytes each.
        input_hw: height and width of the input in pixels.
        any_size: whether it takes others as well.
        compared_on: how many pictures it was compared on; 0 for synthetic ones.
        parity: a line that tells how far it is from the model; None where it could not be run here.
        not_compared: why it could not be run here; None where it was.
        AP: of the model and of the file, on labelled data; None where that was not measured.
    """

    path: Path
    format: str
    outputs: str
    megabytes: float
    input_hw: tuple[int, int]
    any_size: bool
    compared_on: int
    parity: str | None
    not_compared: str | None
    AP: tuple[float, float] | None

    def table(self) -> Table:
        """Return what the file is, and how far it is from the model."""
        size = " x ".join(map(str, self.input_hw)) + (", or any" if self.any_size else "")
        facts = {"file": self.path, "outputs": self.outputs, "size in MB": self.megabytes, "input": size}
        if self.parity is None:
            facts["not compared"] = self.not_compared
        else:
            facts[f"compared on {self.compared_on or 'synthetic'} pictures"] = self.parity
        if self.AP is not None:
            facts |= {"AP of the model": self.AP[0], "AP of the file": self.AP[1]}
        return Table(f"Exported as {self.format}", facts)

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `centerx export --json`."""
        tree = self._asdict()
        AP = dict(zip(("before", "after"), self.AP, strict=True)) if self.AP else None
        return tree | {"path": str(self.path), "input_hw": list(self.input_hw), "AP": AP}


class Job(NamedTuple):
    """What every file of an export has in common.

    Attributes:
        model: the file to export.
        detector: loaded from it.
        info: what the files say of it.
        judged: data to compare on.
        pictures: (N, 3, H, W) uint8 of it; None where there is none.
        measure: whether AP is measured before and after.
    """

    model: Path
    detector: Detector
    info: ModelInfo
    judged: list[Dataset]
    pictures: np.ndarray | None
    measure: bool


def export(
    model: str | Path,
    format: str | Sequence[str] = "onnx",
    *,
    out: str | Path | None = None,
    size: Size | None = None,
    outputs: str | None = None,
    precision: str = "fp32",
    data: str | Path | None = None,
    split: str | None = None,
    report: Callable[[ExportedFile], object] | None = None,
) -> list[ExportedFile]:
    """Turn a model into files for other runtimes. Each is compared with the model.

    Args:
        model: a model file of a run, such as best.safetensors.
        format: onnx, openvino, ncnn, caffe, tensorrt, torch-export, aotinductor, torchscript or web; one, or several.
        out: folder of the exported files; beside the model without it.
        size: height and width of the input in pixels, multiples of 32, or `any`; the trained one without it.
        outputs: `detections`, or `maps` with all but the peaks suppressed; what the format can without it.
        precision: fp32, fp16 or int8.
        data: pictures, better a labelled data set: int8 is calibrated on it, the files are compared on it; the data
            of the model's training without it.
        split: split of `data`.
        report: called with each file as soon as it is written and compared.

    Raises:
        InputError: the model cannot be exported so, or a file differs from it.
        ModuleNotFoundError: a package that the format needs is not installed.
    """
    from centerx.exporting.registry import ExportOptions

    require_size(size)
    model, any_size = Path(model), size == ANY
    formats = find_formats([format] if isinstance(format, str) else format, outputs, precision, any_size)
    folder = Path(out) if out is not None else model.parent
    require_place(folder, formats.values())
    require_packages(formats.values())
    job, learnt = prepare(model, size if isinstance(size, tuple) else None, precision, data, split)
    written: list[ExportedFile] = []
    for name, entry in formats.items():
        options = ExportOptions(outputs or entry.outputs[0], precision, learnt, any_size)
        written.append(export_one(job, folder, name, entry, options))
        if report is not None:
            report(written[-1])
    return written


def require_size(size: Size | None) -> None:
    """Check a size of the input.

    Raises:
        InputError: it is neither a pair of multiples of 32 nor `any`.
    """
    if isinstance(size, tuple) and any(side < 32 or side % 32 for side in size):
        raise InputError(f"--size: {'x'.join(map(str, size))} must be multiples of 32")
    if isinstance(size, str) and size != ANY:
        raise InputError(f"--size: {size!r} is neither height and width nor {ANY}")


def find_formats(names: Sequence[str], outputs: str | None, precision: str, any_size: bool) -> dict[str, Format]:
    """Return formats by name, in the order given.

    Raises:
        InputError: one is unknown, or cannot do what is asked.
    """
    from centerx.exporting.registry import find_format

    return {name: find_format(name, outputs, precision, any_size) for name in names}


def require_place(folder: Path, formats: Iterable[Format]) -> None:
    """Check that the folder of the files can be one.

    Raises:
        InputError: it has the name of a file, or cannot be written.
    """
    suffixes = tuple(entry.suffix for entry in formats if entry.suffix.startswith("."))
    if folder.name.endswith(suffixes) and not folder.is_dir():
        raise InputError(f"--out: {folder} would be a folder, of files named like the model; leave its suffix out")
    require_utf8(folder)
    require_folder(folder)


def require_packages(formats: Iterable[Format]) -> None:
    """Check that what the formats need is installed, before anything heavy is loaded.

    Raises:
        ModuleNotFoundError: names the first that is not.
    """
    for module in (module for entry in formats for module in entry.needs):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"no module {module!r}", name=module)


def prepare(
    model: Path, input_hw: tuple[int, int] | None, precision: str, data: str | Path | None, split: str | None
) -> tuple[Job, np.ndarray | None]:
    """Load the model and its pictures.

    Args:
        model: the file.
        input_hw: of the files; the model's own without it.
        precision: int8 needs pictures.
        data: to take the pictures from; that of the training without it.
        split: of `data`.

    Returns:
        The job, and pictures (N, 3, H, W) uint8 to calibrate int8 on; None for the other precisions.

    Raises:
        InputError: model or data cannot be read, or int8 is asked for and there are no pictures.
    """
    from centerx.build_model import load_detector, read_with_config
    from centerx.data.batch import some_pictures
    from centerx.data.source import SampleSource

    detector, trained = load_detector(model)
    info = trained._replace(input_hw=input_hw or trained.input_hw)
    _, _, config = read_with_config(model)

    def pictures_of(part: str, count: int) -> tuple[list[Dataset], np.ndarray | None]:
        found = find_data(config, data, split, part)
        if not found:
            return [], None
        return found, some_pictures(SampleSource(found, info.class_names, info.value_range), info.input_hw, count)

    judged, pictures = pictures_of("val", COMPARED_ON)
    learnt = None
    if precision == "int8":
        _, learnt = pictures_of("train", CALIBRATED_ON)
        if learnt is None or not len(learnt):
            raise InputError("--precision: int8 is calibrated on pictures, give a folder of readable ones with --data")
    measure = info == trained and (data is not None or precision == "int8")
    return Job(model, detector, info, judged, pictures, measure), learnt


def find_data(config: Config, data: str | Path | None, split: str | None, part: str) -> list[Dataset]:
    """Return the data set that was named, or those of the model's configuration that are still there.

    Args:
        config: of the model.
        data: the data set that was named.
        split: of it.
        part: `train` or `val` of the configuration.
    """
    from centerx.build_data import build_datasets
    from centerx.data.check import log_dataset_problems
    from centerx.data.read import read_pictures

    if data is not None:
        dataset = read_pictures(data, split)
        log_dataset_problems(dataset, value_range=config.data.range, task=config.made_task)
        return [dataset]
    try:
        return build_datasets(getattr(config.data, part))
    except InputError:
        return []


def export_one(job: Job, folder: Path, name: str, entry: Format, options: ExportOptions) -> ExportedFile:
    """Write and compare one file.

    Args:
        job: what to export.
        folder: of the file.
        name: of the format.
        entry: the format.
        options: how the file is wanted.
    """
    from centerx.exporting.parity import verify
    from centerx.exporting.registry import export_model

    path = folder / file_name(job.model.stem, entry, options)
    export_model(job.detector, job.info, path, name, options)
    runnable = path / "model.onnx" if path.is_dir() else path
    count = len(job.pictures) if job.pictures is not None else 0
    parity = not_compared = None
    try:
        parity = verify(job.detector, runnable, options.precision, job.pictures)
    except InputError as error:
        not_compared = str(error)
    return ExportedFile(
        path,
        name,
        options.outputs,
        megabytes(path, entry.beside),
        job.info.input_hw,
        options.any_size,
        count,
        parity,
        not_compared,
        measure_both(job, runnable) if job.measure and parity is not None else None,
    )


def file_name(stem: str, entry: Format, options: ExportOptions) -> str:
    """Return the name of a file, which says what is unusual about it: `best-maps-fp16.onnx`."""
    marks = [mark for mark in (options.outputs, options.precision) if mark in ("maps", "fp16", "int8")]
    if entry.outputs == ("maps",):
        marks.remove("maps")
    return f"{'-'.join([stem, *marks])}{entry.suffix}"


def measure_both(job: Job, exported: Path) -> tuple[float, float] | None:
    """Return AP of the model and of the exported file; None without labels that the model can be judged by."""
    from centerx.data.source import SampleSource, require_judging, union_of_classes
    from centerx.evaluation.api import evaluate_model
    from centerx.runtime import trust_programs

    labelled = any(len(record.labels) for dataset in job.judged for record in dataset.records)
    if not labelled or not set(job.info.class_names) & set(union_of_classes(job.judged)):
        return None
    task = job.detector.model.task
    try:
        require_judging(SampleSource(job.judged, job.info.class_names, task=task), task, "")
    except InputError:
        return None
    with trust_programs():  # the file was written just now
        before, after = (evaluate_model(file, job.judged, batch_size=8).AP or 0.0 for file in (job.model, exported))
    return before, after


def megabytes(path: Path, beside: Iterable[str]) -> float:
    """Return the size of a file with those that belong to it, or of a folder, in 10^6 bytes."""
    files = [path, *(path.with_suffix(suffix) for suffix in beside), *path.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
