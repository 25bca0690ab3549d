"""A report as a page: tables, charts, and pictures of the worst mistakes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from centerx.draw import class_colour, draw_outlines
from centerx.errors import InputError
from centerx.evaluation.mistakes import FAR, KINDS, MISSED, NEAR
from centerx.evaluation.report import LEAST_SCORE, SIZES, Mistake, Report
from centerx.files import write_json
from centerx.geometry import box_intersection
from centerx.page import INK, Cell, Gallery, Page, Picture, Section, Table, Text, draw_chart, encode_picture, write_page
from centerx.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE, NUMBERS = "index.html", "report.json"
TRUTH, FOUND, OTHERS = (0, 200, 80), (255, 140, 0), (120, 180, 255)  # colours of labels, the mistake, other detections
NAMED = 12  # classes that a chart can tell apart
LETTERS = 24  # of a class in a chart
NUMBERED = 25  # classes up to which the cells of a confusion matrix have room for numbers
CROP = 240  # pixels of the longer side of a picture of a mistake
LEAST_CROP = 48  # pixels of the source that it shows at least
AROUND = 2.0  # sides of such a picture, relative to what it is about


def write_report(folder: Path, report: Report, first: Sequence[Section] = ()) -> Path:
    """Write a report: `index.html` to read and `report.json` with every number. Return the page.

    Args:
        folder: where to; made where missing.
        report: to write.
        first: sections that the page has before those of the report.

    Raises:
        OSError: a file cannot be written; names it.
    """
    write_json(folder / NUMBERS, report.to_json(), indent=1)
    write_page(folder / PAGE, report_page(report, first))
    return folder / PAGE


def report_page(report: Report, first: Sequence[Section] = ()) -> Page:
    """Return the page of a report; arguments as for `write_report`."""
    objects = sum(each.objects for each in report.classes)
    classes = f"{len(report.classes)} class{'es' if len(report.classes) != 1 else ''}"
    lead = [
        f"model: {report.model}",
        f"data: {report.data}",
        f"{len(report.entries)} pictures with {objects} objects of {classes}",
    ]
    sections = [
        *first,
        Section("Metrics", metrics_blocks(report)),
        Section("Classes", class_blocks(report)),
        Section("Precision and recall", [curve_chart(report)]),
        *([Section("AP by size", size_blocks(report))] if report.sizes else []),
        Section("Confusion matrix", confusion_blocks(report)),
        Section("Calibration", calibration_blocks(report)),
        Section("Mistakes", mistake_blocks(report)),
    ]
    return Page(f"Report of {Path(report.model).name}", sections, lead)


def overlap_name(task: Task) -> str:
    """Return what the overlap of two of the task's detections is called."""
    return "IoU" if task.has_area else "similarity"


def metrics_blocks(report: Report) -> list[Table | Text]:
    """Return the table of the task's figures."""
    metrics = report.metrics
    blocks: list[Table | Text] = [
        Table(["figure", "value"], [[title, getattr(metrics, key)] for key, title in metrics.titles.items()])
    ]
    if metrics.max_detections is not None:
        blocks.append(Text(f"{metrics.max_detections} detections of a class on a picture are counted."))
    if not report.sizes:
        blocks.append(
            Text(
                "Points have no area: the figures by size are left out, and the overlap of two points is their "
                "similarity, which is 0.5 at a distance of 0.05 of the picture's side."
            )
        )
    return blocks


def class_blocks(report: Report) -> list[Table | Text]:
    """Return the table of classes."""
    head = [
        "class",
        "objects",
        "AP",
        "AP50",
        "AP75",
        "best threshold",
        "precision",
        "recall",
        "F1",
        "calibration error",
    ]
    name = overlap_name(report.source.task)
    return [
        Text(
            f"The best threshold of a class is the score from which on its F1 is best, at {name} {NEAR}; precision, "
            "recall and F1 are those of detections that score as much. A dash: the data has no such object, or no "
            "detection is right."
        ),
        Table(head, list(report.classes)),
    ]


def chart_name(name: str) -> str:
    """Return the name of a class as a chart shows it, of at most LETTERS characters."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def curve_chart(report: Report) -> Picture:
    """Return precision over recall, a panel a figure and a line a class."""
    names = [chart_name(each.name) for each in report.classes]
    some = [index for index, each in enumerate(report.classes) if each.objects]
    named = len(some) <= NAMED

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(report.precisions), sharey=True)
        for axis, (key, values) in zip(panels, report.precisions.items(), strict=True):
            for index in some:
                colour = [part / 255 for part in class_colour(index)]
                axis.plot(report.recalls, values[:, index], color=colour, lw=1.5 if named else 0.7, label=names[index])
            if len(some) > 1:
                axis.plot(report.recalls, values[:, some].mean(axis=1), color=INK, lw=2.5, label="mean")
            _unit_square(axis, report.metrics.titles[key].removeprefix("AP, "), "recall", "precision")
        if named and some:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")

    unnamed = (
        "" if named else f" A line a class; {len(some)} classes are too many to name, the thick line is their mean."
    )
    return draw_chart(draw, f"Precision of the detections that it takes to reach a recall.{unnamed}", (11.0, 4.6))


def size_blocks(report: Report) -> list[Table | Text]:
    """Return AP by size of the objects."""
    small, large = (round(SIZES[name][0] ** 0.5) for name in ("medium", "large"))
    names = [each.name for each in report.classes]
    rows: list[list[Cell]] = [
        ["objects", *(each.objects for each in report.sizes)],
        ["AP", *(each.AP for each in report.sizes)],
        *([f"AP, {name}", *(each.per_class[name] for each in report.sizes)] for name in names),
    ]
    return [
        Text(
            f"As COCO has it: small objects have an area below {small} x {small} pixels of the picture, large ones from"
            f" {large} x {large} on. The area is that of the object where the labels tell it, else of its box."
        ),
        Table(["figure", *(each.name for each in report.sizes)], rows),
    ]


def confusion_blocks(report: Report) -> list[Picture | Table | Text]:
    """Return the confusion matrix, and the classes that are confused most."""
    matrix = report.mistakes.confusion
    names = [*(each.name for each in report.classes), "background"]
    ticks = [chart_name(name) for name in names]
    few = len(names) <= NUMBERED + 1
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(2.5 + 0.55 * len(names), 11.0)
    upright = len(names) > 5 or max(map(len, ticks)) > len("background")

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axis.set(xlabel="found as", ylabel="label", xticks=range(len(names)), yticks=range(len(names)))
        size = 9 if few else max(2.5, 9 * NUMBERED / len(names))
        axis.set_xticklabels(ticks, rotation=90 if upright else 0, fontsize=size)
        axis.set_yticklabels(ticks, fontsize=size)
        for (row, column), count in list(np.ndenumerate(matrix))[:-1] if few else ():
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)

    name = overlap_name(report.source.task)
    text = Text(
        f"At the best thresholds and {name} {NEAR}. A row: what became of the objects of a class. An object goes to a "
        "detection of its class first, then to one of another. The last column: objects that were not found; the last "
        "row: detections that found no object, or one that a better detection had found."
    )
    off = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-off[:-1, :-1], axis=None, kind="stable")[:10]
    pairs = [(*np.unravel_index(flat, off[:-1, :-1].shape),) for flat in order]
    rows = [[names[row], names[column], int(off[row, column])] for row, column in pairs if off[row, column]]
    chart = draw_chart(
        draw, "Objects by label and by what they were found as; shades are shares of a row.", (side, side)
    )
    table = [Table(["label", "found as", "objects"], rows, "confused most often")] if rows else []
    return [text, chart, *table]


def calibration_blocks(report: Report) -> list[Picture | Text]:
    """Return how often detections of a score are right."""
    calibration = report.calibration
    if calibration.error is None:
        return [Text(f"No detection scores {LEAST_SCORE} or more.")]
    middle = (calibration.edges[:-1] + calibration.edges[1:]) / 2
    width = float(np.diff(calibration.edges).mean())

    def draw(figure: Figure) -> None:
        rates, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        rates.plot([0, 1], [0, 1], color=INK, lw=1, ls="--", label="as often right as the score says")
        rates.bar(middle, calibration.rates, 0.9 * width, color=[part / 255 for part in class_colour(0)], alpha=0.8)
        rates.plot(calibration.scores, calibration.rates, "o", color=INK, ms=4, label="mean score of a bin")
        _unit_square(rates, "", "", "share that is right")
        figure.legend(*rates.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        counts.bar(middle, calibration.counts, 0.9 * width, color=INK, alpha=0.5)
        counts.set(xlabel="score", ylabel="detections")

    name = overlap_name(report.source.task)
    return [
        Text(
            f"Expected calibration error {calibration.error:.3f}: how far the score of a detection is from the share of"
            f" such detections that is right at {name} {NEAR}, on average over the {int(calibration.counts.sum())}"
            f" detections that score {LEAST_SCORE} or more. Bars below the line: the detector is too sure of itself."
        ),
        draw_chart(draw, "Share of detections that is right, by their score, and how many there are.", (6.0, 5.0)),
    ]


def mistake_blocks(report: Report) -> list[Text | Table | Gallery]:
    """Return how many mistakes of each kind there are, and pictures of the worst."""
    names, overlap = [each.name for each in report.classes], overlap_name(report.source.task)
    counts = report.counts
    rows = [[name, *each.tolist()] for name, each in zip(("all", *names), (counts.sum(axis=1), *counts.T), strict=True)]
    pictures, unread = mistake_pictures(report)
    meanings = (
        "a second detection of an object that is found",
        f"{overlap} of {NEAR} or more with an object of another class",
        f"{overlap} of {FAR} to {NEAR} with an object of its class",
        f"{overlap} of {FAR} to {NEAR} with an object of another class alone",
        f"{overlap} below {FAR} with every object",
        "an object that is not found, and that no detection of the wrong class or badly placed is about",
    )
    blocks: list[Text | Table | Gallery] = [
        Text(
            "Counted at the best thresholds, by the class of the detection or of the missed object. Ignored objects, "
            "and classes that a picture does not label, count as no mistakes."
        ),
        Table(["kind", "meaning"], list(zip(KINDS, meanings, strict=True))),
        Table(["class", *KINDS], rows),
        Text(
            "Below, those that score most, and the largest missed objects. Orange: the mistake, or the missed object. "
            "Green: labels, in a thick line the one that the mistake is about. Blue: other detections of the place."
        ),
    ]
    if unread:
        blocks.append(Text(f"{unread} of the pictures cannot be read, and are not shown."))
    for kind, (title, some) in enumerate(zip(KINDS, pictures, strict=True)):
        if some:
            blocks.append(Gallery(some, f"{title}: {len(some)} of {int(counts[kind].sum())}"))
    return blocks


def mistake_pictures(report: Report) -> tuple[list[list[Picture]], int]:
    """Return a picture of each of the worst mistakes by kind, and how many pictures could not be read."""
    by_picture: defaultdict[int, list[tuple[int, Mistake]]] = defaultdict(list)
    for some in report.worst:
        for number, mistake in enumerate(some):
            by_picture[mistake.picture].append((number, mistake))
    drawn: list[dict[int, Picture]] = [{} for _ in KINDS]
    unread = 0
    for picture, mistakes in sorted(by_picture.items()):
        try:
            image = report.source.sample(report.indices[picture]).image
        except InputError:
            unread += 1
            continue
        for number, mistake in mistakes:
            drawn[mistake.kind][number] = encode_picture(
                draw_mistake(image, report, mistake), describe(report, mistake), CROP
            )
    return [[some[number] for number in sorted(some)] for some in drawn], unread


def draw_mistake(image: np.ndarray, report: Report, mistake: Mistake) -> np.ndarray:
    """Return the part of a picture (H, W, 3) that a mistake is about, with labels and detections."""
    about = np.array([box for box in (mistake.box, mistake.object_box) if box is not None])
    low, high = about[:, :2].min(axis=0), about[:, 2:].max(axis=0)
    half = max(AROUND * (high - low).max(), LEAST_CROP) / 2
    limit = np.array(image.shape[1::-1])
    left, top = np.clip(np.floor((low + high) / 2 - half), 0, limit - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil((low + high) / 2 + half), (left + 1, top + 1), limit).astype(int).tolist()
    part = image[top:bottom, left:right]
    scale = CROP / max(part.shape[:2])
    size = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
    part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)

    found, objects = report.matched.found, report.matched.objects
    others = found.boxes[(found.pictures == mistake.picture) & (found.scores >= report.thresholds[found.labels])]
    layers = [
        (others[(box_intersection(others, about) > 0).any(axis=1)], OTHERS, 1),
        (objects.boxes[objects.pictures == mistake.picture], TRUTH, 1),
        (about[1:], TRUTH, 3),
        (about[:1], FOUND, 3),
    ]
    for boxes, colour, width in layers:
        part = draw_outlines(part, (boxes - (left, top, left, top)) * scale, colour, width)
    return part


def describe(report: Report, mistake: Mistake) -> str:
    """Return the line below the picture of a mistake."""
    names, name = report.source.class_names, overlap_name(report.source.task)
    label = mistake.object_label if mistake.kind == MISSED else mistake.label
    assert label is not None
    score = "" if mistake.score is None else f" {mistake.score:.2f}"
    truth = (
        f", label {names[mistake.object_label]}, {name} {mistake.overlap:.2f}"
        if mistake.object_label is not None and mistake.overlap is not None
        else ""
    )
    return f"{names[label]}{score}{truth}; {report.entries[mistake.picture].record.image.name}"


def _unit_square(axis: Axes, title: str, across: str, up: str) -> None:
    axis.set(title=title, xlabel=across, ylabel=up, xlim=(0, 1), ylim=(0, 1.02))
    axis.grid()
