"""The formats to export to: data, not ifs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from centerx.errors import InputError, nearest

if TYPE_CHECKING:  # so that a mistyped option is answered before torch is loaded
    from centerx.detector import Detector
    from centerx.runtime.info import ModelInfo


class Format(NamedTuple):
    """One export format.

    Attributes:
        suffix: of its files.
        exporter: module and function, called as `exporter(detector, info, path, outputs)`.
        outputs: what it can give. precisions: what it can compute in.
    """

    suffix: str
    exporter: str
    outputs: tuple[str, ...]
    precisions: tuple[str, ...]


FORMATS = {
    "onnx": Format(".onnx", "centerx.export.onnx:export_onnx", ("detections", "maps"), ("fp32",)),
}


def find_format(name: str, outputs: str = "detections", precision: str = "fp32") -> Format:
    """Look a format up.

    Raises:
        InputError: it is unknown, or cannot do what is asked.
    """
    if name not in FORMATS:
        raise InputError(f"--format: unknown {name!r}{nearest(name, FORMATS)}, known: {', '.join(FORMATS)}")
    entry = FORMATS[name]
    for option, value, known in (("outputs", outputs, entry.outputs), ("precision", precision, entry.precisions)):
        if value not in known:
            raise InputError(f"--{option}: {name} cannot give {value!r}, it can give: {', '.join(known)}")
    return entry


def export_model(
    detector: Detector, info: ModelInfo, path: Path, format: str, outputs: str = "detections", precision: str = "fp32"
) -> None:
    """Write a detector in a format, whole or not at all.

    Args:
        detector: what to export; not changed. info: what the file says of it; its input size is that of the file.
        path: the file.
        format: a name of FORMATS. outputs: `detections` or `maps`. precision: of the arithmetic.

    Raises:
        InputError: an unknown format, or one that cannot do what is asked.
    """
    module, function = find_format(format, outputs, precision).exporter.split(":")
    getattr(import_module(module), function)(detector, info, path, outputs)
