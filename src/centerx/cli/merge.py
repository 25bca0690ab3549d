"""`centerx merge`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from centerx.errors import InputError
from centerx.files import json_text, write_json

if TYPE_CHECKING:
    from centerx.config.schema import DataEntry, TeacherConfig
    from centerx.data.dataset import Dataset
    from centerx.evaluation import Metrics

LISTS = ("--teachers", "--images", "--labels", "--val")


class ListOptions(TyperCommand):
    """A command whose options of LISTS take several values each: `--images a b` means `--images a --images b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values; a `key=value` is none of them, unless it is a path."""
        spread: list[str] = []
        option: str | None = None
        for arg in args:
            if arg.startswith("-"):
                name, equals, value = arg.partition("=")
                option = name if name in LISTS else None
                spread += [] if option and not equals else [option, value] if option else [arg]
            elif option and (not is_override(arg) or os.path.exists(arg)):
                spread += [option, arg]
            else:
                spread.append(arg)
        return super().parse_args(ctx, spread)


def is_override(word: str) -> bool:
    """Whether it is a `dotted.key=value`."""
    key, equals, _ = word.partition("=")
    return bool(equals) and all(part.isidentifier() for part in key.split("."))


def merge(
    teachers: Annotated[list[Path], typer.Option(help="model files, each with the classes it knows")],
    images: Annotated[list[Path], typer.Option(help="folders of pictures to learn from, without labels")],
    student: Annotated[str, typer.Option(help="the preset or YAML file of the detector to train")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value ..., such as train.epochs=40")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="labelled data sets, to learn from as well")] = None,
    val: Annotated[list[Path] | None, typer.Option(help="labelled data to judge by; else that of --labels")] = None,
    labels_split: Annotated[str | None, typer.Option(help="split of --labels, where those have several")] = None,
    val_split: Annotated[str | None, typer.Option(help="split of --val, where that has several")] = None,
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/merged"),
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run folder's last.ckpt")] = False,
) -> None:
    """Make one detector of several, on pictures without labels.

    The student learns all classes that the teachers know.

    Options with several values take them in a row: --teachers a.safetensors b.safetensors.
    """
    from centerx.build import build_datasets, build_run
    from centerx.cli.train import checkpoint_of, fit
    from centerx.config import load_config
    from centerx.evaluation.api import evaluate_model

    checkpoint = checkpoint_of(out, resume)
    files = [str(path) for path in images if path.is_file()]
    if files:
        raise InputError(f"--images: {files[0]} is no folder of pictures; labelled data goes to --labels")
    around = next((path for path in images if out.resolve().is_relative_to(path.resolve())), None)
    if around:
        raise InputError(f"--out: {out} lies in {around}, whose pictures are learned from, name another folder")
    for option, split, data in (("--labels-split", labels_split, labels), ("--val-split", val_split, val)):
        if split is not None and not data:
            raise InputError(f"{option}: goes with {option.removesuffix('-split')}, give both or neither")
    labelled = [{"path": str(path), "split": labels_split} for path in labels or []]
    given = {
        "classes": None,
        "data.train": [{"path": str(path), "format": "folder"} for path in images] + labelled,
        "data.val": [{"path": str(path), "split": val_split} for path in val] if val else labelled,
        "distill.teachers": [{"weights": str(path)} for path in teachers],
    }
    changes = [f"{key}={json_text(value)}" for key, value in given.items()]
    run = build_run(load_config(student, [*changes, *(overrides or [])]), out)
    fit(run, checkpoint)
    if not run.trainer.is_global_zero:
        return
    if run.evaluation:
        if places(run.config.data.val) & places(run.config.data.train):
            print("judged by pictures that it was trained on; name others with --val")
        datasets, batch_size = build_datasets(run.config.data.val), run.config.train.batch_size
        alone = judge(run.config.distill.teachers, datasets, batch_size)
        # A resumed run with no epoch left has not been judged.
        merged = run.evaluation.metrics or evaluate_model(out / "last.safetensors", datasets, batch_size)
        report(merged, alone, out / "merge.json")
    print(f"model: {out / 'last.safetensors'}")


def places(entries: Sequence[DataEntry]) -> set[tuple[Path, str | None]]:
    """Where entries read their pictures from, however that is written."""
    return {(Path(entry.path).resolve(), entry.split) for entry in entries}


class Alone(NamedTuple):
    """A teacher by itself.

    Attributes:
        file: of the teacher. per_class: AP of every class that it is to teach, under the student's names; None where
            the data does not label it.
    """

    file: str
    per_class: dict[str, float | None]


def judge(teachers: Sequence[TeacherConfig], datasets: Sequence[Dataset], batch_size: int) -> list[Alone]:
    """What each teacher reaches alone."""
    from centerx.data.source import union_of_classes
    from centerx.evaluation.api import evaluate_model
    from centerx.runtime import open_session

    labelled = union_of_classes(datasets)
    found: list[Alone] = []
    for teacher in teachers:
        session = open_session(teacher.weights)
        own = session.info.class_names
        taught = teacher.classes or {name: name for name in own}
        names = tuple(taught.get(name, f"{name}, not taught") for name in own)
        session.info = session.info._replace(class_names=names)
        reached: dict[str, float | None] = {}
        if set(names).intersection(labelled):
            reached = evaluate_model(Path(teacher.weights), datasets, batch_size, session).per_class
        found.append(Alone(teacher.weights, {name: reached.get(name) for name in names if name in taught.values()}))
    return found


def report(student: Metrics, alone: Sequence[Alone], path: Path) -> None:
    """Print and write, for each class, the AP of each teacher that knows it, of the student, and the difference.

    A class that labels alone teach has a row without a teacher. The last row printed is the mean of the classes.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from centerx.evaluation.table import shown

    rows: list[dict[str, Any]] = []
    table = Table(title="AP")
    for title in ("class", "teacher", "teacher alone", "student", "difference"):
        table.add_column(title, overflow="fold")
    for name, ap in student.per_class.items():
        known_by: list[tuple[str | None, float | None]] = [
            (teacher.file, teacher.per_class[name]) for teacher in alone if name in teacher.per_class
        ]
        if not known_by and ap is not None:
            known_by = [(None, None)]
        for teacher, before in known_by:
            gain = difference(before, ap)
            rows.append({"class": name, "teacher": teacher, "alone": before, "student": ap, "difference": gain})
            table.add_row(Text(name), Text(teacher or "-"), shown(before), shown(ap), shown(gain))
    alone_of = [row["alone"] for row in rows if row["student"] is not None]
    comparable = None not in alone_of and len(alone_of) == sum(ap is not None for ap in student.per_class.values())
    mean = sum(alone_of) / len(alone_of) if alone_of and comparable else None
    table.add_section()
    table.add_row("mean", "", shown(mean), shown(student.AP), shown(difference(mean, student.AP)))
    write_json(path, {"AP": student.AP, "classes": rows}, indent=2)
    Console().print(table)


def difference(before: float | None, after: float | None) -> float | None:
    """What has been gained; None where one of them is not known."""
    return None if before is None or after is None else after - before
