"""Tables of docs/results/, made from the CSV files that experiments and benchmarks write.

A page asks for one in a comment of YAML, and the table stands between that and `<!-- end of table -->`:

    <!-- table
    file: experiments/results/partial_labels.csv
    columns: {AP: AP, RBC: AP/RBC}
    rows: {all labels: full}
    -->
"""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"(<!-- table\n(.*?)-->\n).*?(<!-- end of table -->)", re.DOTALL)


def render_tables(text: str) -> str:
    """Return a page with all its tables made anew."""
    return TABLE.sub(lambda found: f"{found[1]}\n{render_table(yaml.safe_load(found[2]))}\n\n{found[3]}", text)


def render_table(asked: dict[str, Any]) -> str:
    """Return a table and a line that says where its figures are from.

    Args:
        asked: `file` of rows; `columns`, a title and a column or figure each; and one of
            `rows` of an experiment, a label and a row each, or a row and its own file;
            `index` and `across`, columns whose values name the rows and the columns, and `value`, the column shown;
            `where`, a column and the beginnings of the values that are shown, or nothing.
    """
    if "rows" in asked:
        return experiment_table(asked)
    rows = read(asked["file"])
    for column, beginnings in asked.get("where", {}).items():
        rows = [row for row in rows if row[column].startswith(tuple(beginnings))]
    shown = across(rows, **asked["across"]) if "across" in asked else plain(rows, asked["columns"])
    return f"{markdown(*shown)}\n\n{origin({asked['file']: rows})}"


def experiment_table(asked: dict[str, Any]) -> str:
    """Return mean and standard deviation over seeds, a row each; of one seed the figure alone."""
    files: dict[str, list[dict[str, str]]] = {}
    body = []
    for label, named in asked["rows"].items():
        row, file = named if isinstance(named, list) else (named, asked["file"])
        found = {each["figure"]: each for each in read(file) if each["row"] == row}
        if not found:
            raise SystemExit(f"{file}: has no row {row!r}")
        files.setdefault(file, []).extend(found.values())
        body.append([label, *(figure(found.get(name)) for name in asked["columns"].values())])
    return f"{markdown([asked.get('first', ''), *asked['columns']], body)}\n\n{origin(files)}"


def figure(row: dict[str, str] | None) -> str:
    """Return a figure as text; nothing where it was not measured."""
    if row is None:
        return ""
    if row["figure"] == "minutes":
        return f"{Decimal(row['mean']):.0f}"
    if row["figure"].endswith(" ms"):  # measured once
        return f"{Decimal(row['mean']):.1f}"
    spread = f" ± {Decimal(row['std']):.3f}" if " " in row["seeds"] else ""
    return f"{Decimal(row['mean']):.3f}{spread}"


def plain(rows: list[dict[str, str]], columns: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return titles and cells of some columns."""
    return list(columns), [[row[column] for column in columns.values()] for row in rows]


def across(rows: list[dict[str, str]], index: list[str], columns: list[str], value: str) -> tuple[list[str], Any]:
    """Return titles and cells of one column, by what names the rows and what names the columns."""
    titles = list(dict.fromkeys(" ".join(row[name] for name in columns) for row in rows))
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        key = tuple(row[name] for name in index)
        cells.setdefault(key, {})[" ".join(row[name] for name in columns)] = f"{float(row[value]):.1f}"
    return [*index, *titles], [[*key, *(found.get(title, "") for title in titles)] for key, found in cells.items()]


def markdown(titles: list[str], body: list[list[str]]) -> str:
    """Return a table."""
    lines = [titles, ["---"] * len(titles), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def origin(files: dict[str, list[dict[str, str]]]) -> str:
    """Return where figures are from: files, seeds and machines, each once."""
    links = ", ".join(f"[{Path(file).name}](../../{file})" for file in files)
    rows = [row for found in files.values() for row in found]
    said = [f"Rows of {links}."]
    for column, title in (("seeds", "Seeds"), ("machine", "Measured on")):
        values = dict.fromkeys(row[column] for row in rows if column in row)
        said += [f"{title}: {'; '.join(values)}."] if values else []
    return " ".join(said)


def read(file: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file, named from the root of the repository."""
    with (ROOT / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
