"""Metrics as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from centerx.cli.output import show

if TYPE_CHECKING:
    from centerx.evaluation.coco import Metrics

MOST_UNSEEN = 5  # classes without an object that have a row each


def metrics_table(metrics: Metrics) -> None:
    """Print the figures of the task and the AP of each class."""
    table = Table(title=f"{metrics.images} pictures")
    table.add_column("figure")
    table.add_column("value", justify="right")
    most = metrics.max_detections
    counted = f", {most} detections" if most is not None else ""  # in the name of every figure that it changes
    for key, title in metrics.titles.items():
        mark = {"AR1": "", "AR10": "", "AR100": counted or ", 100 detections"}.get(key, counted)
        table.add_row(f"{title}{mark}", shown(getattr(metrics, key)))
    for title, of_class in (("AP", metrics.per_class), ("AP of 11 points", metrics.per_class_11point)):
        table.add_section()
        unseen = [name for name, value in of_class.items() if value is None]
        for name, value in of_class.items():
            if value is not None or len(unseen) <= MOST_UNSEEN:
                table.add_row(Text(f"{title}, {name}{counted}"), shown(value))
        if len(unseen) > MOST_UNSEEN:
            table.add_row(Text(f"{title}, {len(unseen)} classes without an object, such as {unseen[0]}"), shown(None))
    show(table)


def shown(value: float | None) -> str:
    """Three digits, or a dash where there was nothing to find."""
    return "-" if value is None else f"{value:.3f}"
