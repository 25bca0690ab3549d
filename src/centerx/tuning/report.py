"""What a search found, as a page and as rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from centerx.files import json_text
from centerx.page import Cell, Gallery, Page, Picture, Section, Table, Text, draw_chart
from centerx.tuning.space import Choice, Range, Space
from centerx.tuning.study import COMPLETE, FAILED, LEAST_COMPLETE, PRUNED, Trial, best_trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST, OTHER, EARLY = "#d9480f", "#4c78a8", "#9aa5b1"  # colours of the best trial, of others and of those ended early
SLICE_INCHES = 3.6, 2.7
COLUMNS = ("trial", "state", "AP", "epochs", "seconds")


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials from the best to the worst: complete ones, those ended early, then those without an AP."""
    order = {COMPLETE: 0, PRUNED: 1}
    return sorted(trials, key=lambda trial: (order.get(trial.state, 2), -(trial.AP or 0.0), trial.number))


def value_text(value: Any) -> str:
    """Return a value of a configuration for people: numbers with four digits, lists and mappings as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json_text(value)


def trial_cells(trial: Trial, keys: Sequence[str], text: bool = True) -> list[Cell]:
    """Return the row of a trial below COLUMNS and the keys.

    Args:
        trial: the trial.
        keys: of the space.
        text: whether values are for people; else those that are no numbers are JSON.
    """
    seconds = None if trial.seconds is None else round(trial.seconds, 1)
    values = [trial.values.get(key) for key in keys]
    if text:
        cells: list[Cell] = [None if value is None else value_text(value) for value in values]
    else:
        cells = [value if isinstance(value, int | float | str | None) else json_text(value) for value in values]
    return [trial.number, trial.state, trial.AP, max(trial.curve, default=0), seconds, *cells]


def trials_csv(trials: Sequence[Trial], keys: Sequence[str]) -> str:
    """Return a row a trial, in the order in which they began."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *keys, "error"])
    writer.writerows([*trial_cells(trial, keys, text=False), trial.error] for trial in trials)
    return text.getvalue()


def search_page(
    title: str,
    lead: Sequence[str],
    trials: Sequence[Trial],
    space: Space,
    usual: Mapping[str, Any],
    importances: Mapping[str, float],
) -> Page:
    """Return the page of a search.

    Args:
        title: of the page.
        lead: lines below it.
        trials: that began.
        space: of the search.
        usual: by key, the value of the configuration itself.
        importances: by key, in [0, 1]; empty where there are too few trials.
    """
    counted = [trial for trial in trials if trial.counts]
    judged = [trial for trial in counted if trial.AP is not None]
    sections = [Section("Best", best_blocks(trials, space, usual))]
    if judged:
        sections += [
            Section("AP of the trials", [trials_chart(counted)]),
            Section("AP over epochs", [curves_chart(judged)]),
            Section("Each key", [slices(judged, space)]),
            Section("Importances", importance_blocks(importances)),
        ]
    sections.append(Section("Trials", trial_blocks(trials, space)))
    return Page(title, sections, lead)


def best_blocks(trials: Sequence[Trial], space: Space, usual: Mapping[str, Any]) -> list[Text | Table]:
    """Return what the best trial has, beside the configuration itself."""
    best = best_trial(trials)
    if best is None:
        return [Text("No trial is complete yet.")]
    head = ["key", f"trial {best.number}", "configuration", "searched"]
    rows = [[key, value_text(best.values[key]), value_text(usual[key]), entry_text(space[key])] for key in best.values]
    return [
        Table(head, rows, f"AP {best.AP:.3f}, of the epoch with the best AP"),
        Text(
            "The best of several trials looks better than it is, as it was chosen by the data that judges it. Train it "
            "and the configuration itself with other seeds, and compare them, at best on pictures that no trial saw."
        ),
    ]


def entry_text(entry: Range | Choice) -> str:
    """Return an entry of a space for people."""
    if isinstance(entry, Choice):
        return ", ".join(map(value_text, entry.values))
    how = " by factors" if entry.log else f" in steps of {value_text(entry.step)}" if entry.step else ""
    return f"{value_text(entry.low)} to {value_text(entry.high)}{how}"


def importance_blocks(importances: Mapping[str, float]) -> list[Text | Picture]:
    """Return the chart of importances."""
    if not importances:
        return [Text(f"{LEAST_COMPLETE} complete trials of different AP are needed to tell what mattered.")]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh(list(importances), list(importances.values()), color=OTHER)
        axes.invert_yaxis()
        axes.set(xlabel="share of the differences in AP", xlim=(0, 1))

    return [
        draw_chart(draw, "", (7.0, 0.8 + 0.35 * len(importances))),
        Text(
            "The share of the differences in AP between complete trials that a key explains alone or with others, by "
            "functional ANOVA. Of a few trials it is a rough estimate: repeat the search with another seed to see how "
            "rough."
        ),
    ]


def trials_chart(trials: Sequence[Trial]) -> Picture:
    """Return the chart of AP over trials."""
    return draw_chart(
        partial(plot_trials, trials=trials),
        "AP of each trial: the best of its evaluations. A cross at the bottom is a trial that failed.",
    )


def plot_trials(figure: Figure, trials: Sequence[Trial]) -> None:
    """Plot AP over trials into an empty figure."""
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    complete = [trial for trial in trials if trial.state == COMPLETE]
    so_far = [max(trial.AP or 0.0 for trial in complete[:number]) for number in range(1, len(complete) + 1)]
    if so_far:
        axes.step([trial.number for trial in complete], so_far, where="post", color=BEST, label="best so far")
    scatter(axes, trials, lambda trial: trial.number)
    for trial in trials:
        if trial.state == FAILED:
            axes.plot(trial.number, 0, "x", color=OTHER, transform=axes.get_xaxis_transform(), clip_on=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="trial", ylabel="AP")
    axes.grid(alpha=0.2)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def curves_chart(trials: Sequence[Trial]) -> Picture:
    """Return the chart of AP over epochs."""
    from matplotlib.ticker import MaxNLocator

    best = best_trial(trials)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for trial in ranked(trials)[::-1]:
            early = trial.state != COMPLETE
            colour = BEST if trial == best else EARLY if early else OTHER
            axes.plot(
                list(trial.curve),
                list(trial.curve.values()),
                marker=".",
                color=colour,
                linestyle=":" if early else "-",
                linewidth=2 if trial == best else 1,
                label=f"trial {trial.number}, the best" if trial == best else None,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="epoch", ylabel="AP")
        axes.grid(alpha=0.2)
        if best is not None:
            axes.legend()

    return draw_chart(draw, "AP at each evaluation; dotted: trials that were ended early.")


def slices(trials: Sequence[Trial], space: Space) -> Gallery:
    """Return a chart of AP over the values of each key."""
    charts = [
        draw_chart(partial(draw_slice, trials=trials, key=key, entry=entry), key, SLICE_INCHES)
        for key, entry in space.items()
    ]
    return Gallery(charts, "AP over the values of each key, while others differ too; triangles: trials ended early")


def draw_slice(figure: Figure, trials: Sequence[Trial], key: str, entry: Range | Choice) -> None:
    """Draw AP over the values of a key into an empty figure."""
    axes = figure.subplots()
    if isinstance(entry, Choice):
        texts = [value_text(value) for value in entry.values]
        scatter(axes, trials, lambda trial: texts.index(value_text(trial.values[key])))
        axes.set_xticks(range(len(texts)), texts)
        axes.set_xlim(-0.5, len(texts) - 0.5)
    else:
        scatter(axes, trials, lambda trial: trial.values[key])
        if entry.log:
            set_log_axis(axes)
    axes.set(xlabel=key, ylabel="AP")
    axes.grid(alpha=0.2)


def set_log_axis(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers at few places."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def scatter(axes: Axes, trials: Sequence[Trial], place: Any) -> None:
    """Draw a point for the AP of each trial.

    Args:
        axes: to draw into.
        trials: those without an AP are left out.
        place: the horizontal place of a trial.
    """
    best = best_trial(trials)
    groups = {
        "complete": ([trial for trial in trials if trial.state == COMPLETE and trial != best], OTHER, "o"),
        "ended early": ([trial for trial in trials if trial.state != COMPLETE and trial.AP is not None], EARLY, "v"),
        "best": ([best] if best else [], BEST, "D"),
    }
    for label, (some, colour, marker) in groups.items():
        if some:
            axes.plot(
                [place(each) for each in some], [each.AP or 0.0 for each in some], marker, color=colour, label=label
            )


def trial_blocks(trials: Sequence[Trial], space: Space) -> list[Text | Table]:
    """Return the table of trials, the best first, and the errors of those that failed."""
    keys = list(space)
    rows = [trial_cells(trial, keys) for trial in ranked(trials)]
    failed = [Text(f"Trial {trial.number} failed: {trial.error}") for trial in trials if trial.error]
    return [Table([*COLUMNS, *keys], rows), *failed]
