"""A page of HTML in one file: sections of text, tables, charts and pictures, to open anywhere without a network.

Every text is escaped, pictures are part of the file, there is no script, and the page follows the reader's choice of
light or dark.

    chart = draw_chart(lambda figure: figure.subplots().plot([1, 2, 4]), "growth")
    sections = [Section("Results", [Text("All is well."), Table(["class", "AP"], [["RBC", 0.81]]), chart])]
    write_page(Path("index.html"), Page("Report", sections))
"""

from __future__ import annotations

import base64
import io
import numbers
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from centerx.files import quoted, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#123450"  # stands in charts for the colour of text, which depends on the reader's scheme
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
THEME = "<style>:root{color:#1f2328}@media(prefers-color-scheme:dark){:root{color:#e6e8eb}}</style>"
STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in the name of a class starts no formula
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "legend.facecolor": "none",
    "legend.frameon": False,
    "font.size": 9,
    "svg.hashsalt": "centerx",  # the same chart gives the same bytes
}

Cell = str | float | None


class Text(NamedTuple):
    """A paragraph.

    Attributes:
        text: of it, without markup.
    """

    text: str


class Table(NamedTuple):
    """A table. Numbers stand at the right; those that are not whole have three decimals, None is a dash.

    Attributes:
        head: the title of each column.
        rows: of as many cells.
        caption: above it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


class Picture(NamedTuple):
    """A picture or chart, from `encode_picture` or `draw_chart`.

    Attributes:
        source: the picture itself as a data URI.
        caption: below it, and what is read to those who do not see it.
        width: at which it is shown, in pixels; a narrow window makes it smaller.
    """

    source: str
    caption: str
    width: int


class Gallery(NamedTuple):
    """Pictures side by side, in as many rows as it takes.

    Attributes:
        pictures: in their order.
        caption: above them.
    """

    pictures: Sequence[Picture]
    caption: str = ""


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        title: of it, also a line of the contents.
        blocks: in their order.
    """

    title: str
    blocks: Sequence[Text | Table | Picture | Gallery]


class Page(NamedTuple):
    """A page.

    Attributes:
        title: of it.
        sections: in their order.
        lead: lines below the title.
    """

    title: str
    sections: Sequence[Section]
    lead: Sequence[str] = ()


def draw_chart(draw: Callable[[Figure], Any], caption: str, inches: tuple[float, float] = (7.0, 4.0)) -> Picture:
    """Return a chart as SVG, on a transparent ground and with lines and letters in the colour of the page's text.

    Args:
        draw: fills an empty figure of Matplotlib. Texts in it are taken as they are, a dollar starts no formula; so a
            logarithmic axis needs a formatter that writes none, Matplotlib's `LogFormatter`.
        caption: below the chart.
        inches: width and height; 96 pixels are an inch.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    content = io.StringIO()
    with rc_context(STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure)
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    text = NOT_XML.sub("\ufffd", content.getvalue())  # of names, which Matplotlib repeats as comments
    start = text.index(">", text.index("<svg")) + 1
    text = text[:start] + THEME + text[start:].replace(INK, "currentColor")
    return Picture(_data_uri("image/svg+xml", text.encode()), caption, round(96 * inches[0]))


def encode_picture(image: np.ndarray, caption: str, longest: int = 320, quality: int = 85) -> Picture:
    """Return a picture as JPEG.

    Args:
        image: (H, W, 3) uint8 RGB.
        caption: below the picture.
        longest: pixels of the longer side; a larger picture is made smaller, a smaller one stays.
        quality: of JPEG, 1 to 95.
    """
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Picture(_data_uri("image/jpeg", content.getvalue()), caption, picture.width)


def render_page(page: Page) -> str:
    """Return the HTML of a page.

    Raises:
        ModuleNotFoundError: without the extra `centerx[train]`.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"line": cell_text, "kind": lambda block: type(block).__name__}
    environment.tests["numeric"] = _is_numeric
    template = files("centerx").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(page=page)


def write_page(path: Path, page: Page) -> None:
    """Write a page, whole or not at all; missing folders are made.

    Args:
        path: the file.
        page: to write.

    Raises:
        OSError: the file cannot be written; names `path`.
        ModuleNotFoundError: without the extra `centerx[train]`.
    """
    write_atomic(path, render_page(page).encode())


def cell_text(value: Cell) -> str:
    """Return what a cell shows, on one line and without characters that HTML forbids."""
    if value is None:
        return "–"
    whole = not _is_numeric(value) or isinstance(value, numbers.Integral)
    return quoted(str(value)) if whole else f"{value:.3f}"


def _is_numeric(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
