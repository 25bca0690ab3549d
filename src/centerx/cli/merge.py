"""`centerx merge`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from centerx.errors import InputError

if TYPE_CHECKING:
    from centerx.evaluate import Metrics

LISTS = ("--teachers", "--images", "--labels", "--val")


class ListOptions(TyperCommand):
    """A command whose options of LISTS take several values each: `--images a b` means `--images a --images b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values; a `key=value` is none of them."""
        spread: list[str] = []
        option: str | None = None
        for arg in args:
            if arg.startswith("-"):
                option = arg if arg in LISTS else None
                spread += [] if option else [arg]
            elif option and not is_override(arg):
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
    out: Annotated[Path, typer.Option(help="the run folder")] = Path("runs/merged"),
) -> None:
    """Make one detector of several, on pictures without labels.

    The student learns all classes that the teachers know.

    Options with several values take them in a row: --teachers a.safetensors b.safetensors.
    """
    from centerx.build import build_datasets, build_run
    from centerx.cli.train import fit
    from centerx.config import load_config
    from centerx.data.source import union_of_classes
    from centerx.evaluate.api import evaluate_model
    from centerx.runtime import open_session

    if (out / "last.ckpt").exists():
        raise InputError(
            f"{out}: holds a run already, go on with it by `centerx train {out / 'config.yaml'} --out {out} --resume`, "
            "or name another folder with --out"
        )
    labelled = [{"path": str(path)} for path in labels or []]
    given = {
        "classes": None,
        "data.train": [{"path": str(path), "format": "folder"} for path in images] + labelled,
        "data.val": [{"path": str(path)} for path in val] if val else labelled,
        "distill.teachers": [{"weights": str(path)} for path in teachers],
    }
    changes = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    run = build_run(load_config(student, [*changes, *(overrides or [])]), out)
    fit(run)
    if not run.trainer.is_global_zero:
        return
    if run.evaluation and run.evaluation.metrics:
        data = build_datasets(run.config.data.val)
        judged = set(union_of_classes(data))
        alone = {
            str(path): evaluate_model(path, data, run.config.train.batch_size)
            for path in teachers
            if judged.intersection(open_session(path).info.class_names)
        }
        if set(run.config.data.val) & set(run.config.data.train):
            print("judged by pictures that it was trained on; name others with --val")
        report(run.evaluation.metrics, alone, out / "merge.json")
    print(f"model: {out / 'last.safetensors'}")


def report(student: Metrics, alone: Mapping[str, Metrics], path: Path) -> None:
    """Print and write, for each class, the AP of each teacher that knows it, of the student, and the difference."""
    from rich.console import Console
    from rich.table import Table

    from centerx.evaluate.table import shown

    rows: list[dict[str, Any]] = []
    table = Table("class", "teacher", "teacher alone", "student", "difference", title="AP")
    for name, ap in student.per_class.items():
        for teacher, metrics in alone.items():
            if name in metrics.per_class:
                before = metrics.per_class[name]
                gain = ap - before if ap is not None and before is not None else None
                rows.append({"class": name, "teacher": teacher, "alone": before, "student": ap, "difference": gain})
                table.add_row(name, teacher, shown(before), shown(ap), shown(gain))
    Console().print(table)
    path.write_text(json.dumps({"AP": student.AP, "classes": rows}, indent=2) + "\n", encoding="utf-8")
