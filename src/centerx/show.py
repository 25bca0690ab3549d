"""How results show themselves: a table as text, as HTML and for pandas, and figures that notebooks display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from centerx.page import Cell, cell_text

MOST_ROWS = 30  # of a table on a screen
INCHES = (7.0, 4.5)


class Table(NamedTuple):
    """A result as a person reads it.

    Attributes:
        title: the first line.
        facts: single values by name.
        columns: names of the columns.
        rows: cells of each row.
    """

    title: str
    facts: Mapping[str, Any] = {}
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()

    def text(self) -> str:
        """Return it as lines of text."""
        facts = [[name, cell_text(_cell(value))] for name, value in self.facts.items()]
        rows = [[cell_text(cell) for cell in row] for row in self.rows[:MOST_ROWS]]
        lines = [self.title, *_aligned(facts), *_aligned([list(self.columns), *rows] if rows else [])]
        return "\n".join([*lines, *self._rest()])

    def html(self) -> str:
        """Return it as HTML in which nothing is markup that came from outside."""
        facts = "".join(
            f"<tr><th>{escape(name)}</th><td>{_escaped(value)}</td></tr>" for name, value in self.facts.items()
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = ["".join(f"<td>{_escaped(cell)}</td>" for cell in row) for row in self.rows[:MOST_ROWS]]
        rows = f"<tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in body) if body else ""
        tables = "".join(f"<table>{part}</table>" for part in (facts, rows) if part)
        rest = "".join(f"<p>{escape(line)}</p>" for line in self._rest())
        return f"<p><b>{escape(self.title)}</b></p>{tables}{rest}"

    def frame(self) -> Any:
        """Return the rows as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return import_optional("pandas").DataFrame(list(self.rows), columns=list(self.columns))

    def _rest(self) -> list[str]:
        return [f"and {len(self.rows) - MOST_ROWS} rows more"] if len(self.rows) > MOST_ROWS else []


def import_optional(module: str, extra: str = "notebook") -> Any:
    """Import a package that the core install lacks.

    Args:
        module: its name.
        extra: of this package, which brings it.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        message = f"the package {package} is not installed: pip install 'centerx[{extra}]'"
        raise ModuleNotFoundError(message, name=package) from None
    return import_module(module)


def new_figure(inches: tuple[float, float] = INCHES) -> Any:
    """Return an empty `matplotlib.figure.Figure` that notebooks display without further set-up.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """

    class Shown(import_optional("matplotlib.figure").Figure):  # type: ignore[misc]  # a class of an optional package
        def _repr_png_(self) -> bytes:
            content = io.BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    return Shown(figsize=inches, layout="constrained")


def plot_picture(image: np.ndarray, title: str = "") -> Any:
    """Return a figure of a picture (H, W, 3) uint8 RGB, its axes in pixels."""
    height, width = image.shape[:2]
    figure = new_figure()
    axes = figure.subplots()
    axes.imshow(image, extent=(0, width, height, 0))
    axes.set_title(title)
    return figure


def plot_bars(names: Sequence[str], values: Mapping[str, Sequence[float | None]], label: str) -> Any:
    """Return a figure of horizontal bars, a group for each name.

    Args:
        names: of the groups, the first on top.
        values: of each kind of bar by its name; None where there is none.
        label: of the axis of values.
    """
    height = 0.8 / max(len(values), 1)
    figure = new_figure((INCHES[0], max(2.0, 0.35 * len(names) * max(len(values), 1) + 1)))
    axes = figure.subplots()
    places = np.arange(len(names))
    for number, (kind, lengths) in enumerate(values.items()):
        axes.barh(places + number * height, [each or 0 for each in lengths], height, label=kind)
    axes.set_yticks(places + (len(values) - 1) * height / 2, [name.replace("$", r"\$") for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if len(values) > 1:
        axes.legend()
    return figure


def encode_png(image: np.ndarray) -> bytes:
    """Return a picture (H, W, 3) uint8 RGB as the bytes of a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _escaped(value: Any) -> str:
    return escape(cell_text(_cell(value)))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
