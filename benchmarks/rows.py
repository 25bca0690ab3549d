"""What every benchmark gives: rows, their table and their file."""

from __future__ import annotations

import argparse
import csv
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from centerx.bench import machine
from centerx.training.processes import Processes

PACKAGES = ("torch", "onnxruntime", "opencv-python-headless", "numpy")


class Row(NamedTuple):
    """One measured figure.

    Attributes:
        figure: what was measured. case: on what.
        value: the median. unit: of it.
        ratio_to: the value over that of a baseline measured in turn with it; empty where there is none.
        runs: measurements. machine: processor, cores and GPU. versions: of Python and the packages that matter.
    """

    figure: str
    case: str
    value: float
    unit: str
    ratio_to: str
    runs: int
    machine: str
    versions: str


def rows(figure: str, values: dict[str, float], unit: str, runs: int, baseline: str | None = None) -> list[Row]:
    """Return a row for each case of `values`, all but the `baseline` itself with their ratio to it."""
    made_with = ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])
    hardware = machine(Processes.detect("auto").gpu)
    return [
        Row(
            figure,
            case,
            float(f"{value:.4g}"),
            unit,
            f"{value / values[baseline]:.2f} of {baseline}" if baseline and case != baseline else "",
            runs,
            hardware,
            made_with,
        )
        for case, value in values.items()
    ]


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """A command line that explains itself by the docstring of its file."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def in_ms(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds -> milliseconds."""
    return {case: value * 1e3 for case, value in seconds.items()}


def show(measured: Iterable[Row]) -> None:
    """Print rows as a table."""
    table = Table(title=machine(Processes.detect("auto").gpu))
    for column in ("figure", "case", "value", "unit", "ratio"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for row in measured:
        table.add_row(row.figure, row.case, f"{row.value:g}", row.unit, row.ratio_to)
    Console().print(table)


def write(path: Path, measured: Iterable[Row]) -> None:
    """Write rows as a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(measured)
