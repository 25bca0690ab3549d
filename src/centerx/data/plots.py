"""Plots of the figures of a data set, as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from centerx.data.stats import LARGE, SMALL, Stats
from centerx.files import many_files, quoted

MOST_CLASSES = 40  # that a plot names
BINS = 40
SIZE, DPI = (7.0, 4.5), 110  # inches, dots an inch


def write_plots(stats: Stats, folder: Path) -> list[Path]:
    """Write a plot of each figure into a folder, and return their files.

    Args:
        stats: the figures.
        folder: where to write; created if missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with many_files(folder) as new_file:
        for name, draw in PLOTS.items():
            figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
            FigureCanvasAgg(figure)
            draw(stats, figure.subplots())
            with new_file(f"{name}.png") as made:
                figure.savefig(made, format="png")
    return [folder / f"{name}.png" for name in PLOTS]


def _classes(stats: Stats, axes: Any) -> None:
    counts = sorted(stats.classes, key=lambda count: -count.boxes)
    shown = counts[:MOST_CLASSES]
    places = np.arange(len(shown))
    axes.barh(places, [count.boxes for count in shown], label="objects")
    axes.barh(places, [count.ignored for count in shown], left=[count.boxes for count in shown], label="ignored")
    axes.set_yticks(places, [_plain(count.name) for count in shown], fontsize=8 if len(shown) < 25 else 6)
    axes.invert_yaxis()
    axes.set_xlabel("objects")
    if any(count.ignored for count in shown):
        axes.legend()
    more = f", the {len(shown)} most frequent of {len(counts)}" if len(counts) > len(shown) else ""
    axes.set_title(f"Objects by class{more}")


def _sizes(stats: Stats, axes: Any) -> None:
    _logarithmic(axes, stats.sides)
    for limit in (SMALL, LARGE):
        axes.axvline(limit, color="black", linestyle=":", linewidth=1)
    axes.set_xlabel("root of the area of the box, pixels")
    axes.set_ylabel("objects")
    axes.set_title(f"Sizes of objects (dotted: {SMALL:g} and {LARGE:g}, COCO's small and large)")


def _aspects(stats: Stats, axes: Any) -> None:
    _logarithmic(axes, stats.shapes)
    axes.set_xlabel("width / height of the box")
    axes.set_ylabel("objects")
    axes.set_title("Shapes of objects")


def _per_picture(stats: Stats, axes: Any) -> None:
    most = int(stats.per_picture.max(initial=0))
    step = -(-(most + 1) // BINS)
    axes.hist(stats.per_picture, bins=np.arange(0, most + step + 1, step) - 0.5)
    axes.set_xlabel("objects on a picture")
    axes.set_ylabel("pictures")
    axes.set_title("Objects per picture")


def _pictures(stats: Stats, axes: Any) -> None:
    sizes, counts = np.unique(stats.hw[stats.hw.min(axis=1, initial=1) > 0], axis=0, return_counts=True)
    if len(sizes):
        axes.scatter(sizes[:, 1], sizes[:, 0], s=20 + 200 * counts / counts.max(), alpha=0.5)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    axes.set_title("Sizes of pictures (area of a dot: number of pictures)")


def _places(stats: Stats, axes: Any) -> None:
    image = axes.imshow(stats.places, extent=(0, 1, 1, 0), aspect="equal", cmap="viridis")
    axes.figure.colorbar(image, ax=axes, label="objects")
    axes.set_xlabel("x of the centre / width of the picture")
    axes.set_ylabel("y / height")
    axes.set_title("Places of objects")


def _logarithmic(axes: Any, values: np.ndarray) -> None:
    """Draw a histogram on a logarithmic scale, with plain numbers at it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if len(values):
        low, high = float(values.min()), float(values.max())
        axes.hist(values, bins=np.geomspace(low / 1.05, high * 1.05, BINS))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _plain(name: str) -> str:
    """Return a name in which matplotlib sees no formula."""
    return quoted(name).replace("$", r"\$")


PLOTS: dict[str, Callable[[Stats, Any], None]] = {
    "classes": _classes,
    "sizes": _sizes,
    "aspect_ratios": _aspects,
    "objects_per_picture": _per_picture,
    "picture_sizes": _pictures,
    "places": _places,
}
