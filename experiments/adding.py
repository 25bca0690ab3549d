"""A class added to a detector from labels of that class alone, beside other ways to the same classes.

    python experiments/adding.py --data bccd
    python experiments/adding.py --data facemask
    python experiments/adding.py --data digits

The old detector learns some classes from all training pictures, of which a half, chosen by the seed, then has labels of
the added class alone; digits are added one after another, each from scenes of its own. The class that is added is the
rarest of which the validation pictures hold enough to judge by: `mask_weared_incorrect` has 18 boxes there,
`without_mask` 156. Every row after the first trains as many epochs on the pictures of the added class:

old: the old detector. added: `centerx add`. fine-tuned: the same start and rate on the labels of the added class, the
old classes unsupervised. background: the same, and what is not labelled counts as background. frozen: a detector of the
added class on the old one's backbone and neck, frozen, with branches of its own, beside the old one. alone: a detector
of the added class from its labels, from fresh weights. two: that one beside the old one. all: all labels of all
pictures, as long as the old detector.

`--rate` is for another learning rate from the old weights, with an `--out` of its own.

Seeds may run side by side, each a process with `--seeds`; a last call with all of them keeps what is finished and
writes the table. A line of the csv is written when its run is finished, and kept as long as its value holds.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from centerx.api.add import add_config
from centerx.bench import machine
from centerx.cli.main import run_and_exit
from centerx.config import Config, load_config
from centerx.data.dataset import Dataset, relabel
from centerx.data.digits import write_digit_scenes
from centerx.data.read import read_dataset, select_classes
from centerx.data.write import coco_tree
from centerx.files import new_files, write_atomic
from centerx.training.processes import Processes

from merging import judge
from repeat import Figures, summarise, train_once, write_table

ROWS = ["old", "added", "fine-tuned", "background", "frozen", "alone", "two", "all"]
RESULTS = Path(__file__).parent / "results" / "adding.csv"
KEY = ["data", "row", "added", "seed", "figure", "command"]
COLUMNS = [*KEY, "value", "commit", "machine"]
SCENES, VAL_SCENES, SCENE_HW = 800, 500, (96, 96)


class Task(NamedTuple):
    """Who learns what.

    Attributes:
        preset: of every detector.
        old: classes of the old detector.
        added: classes that are added, one after another.
        old_epochs: of the old detector and of the one with all labels.
        epochs: of all others.
    """

    preset: str
    old: tuple[str, ...]
    added: tuple[str, ...]
    old_epochs: int
    epochs: int


TASKS = {
    "bccd": Task("bccd_nano", ("RBC", "WBC"), ("Platelets",), 30, 30),
    "facemask": Task("facemask_nano", ("with_mask", "mask_weared_incorrect"), ("without_mask",), 30, 30),
    "digits": Task("digits", tuple("0123456"), tuple("789"), 16, 12),
}


class Material(NamedTuple):
    """Data sets with the labels of all classes.

    Attributes:
        old: the pictures of the old detector.
        added: those of each added class.
        all: every picture.
        val: entry of the data that judges.
    """

    old: Dataset
    added: list[Dataset]
    all: list[Dataset]
    val: dict[str, Any]


def real_material(task: Task, seed: int, most: int | None) -> Material:
    """The data of a preset; added classes are labelled on a half of it, chosen by the seed."""
    config = load_config(task.preset)
    (train,), (val,) = config.data.train, config.data.val
    dataset = read_dataset(Path(train.path), split=train.split, classes=[*task.old, *task.added])
    dataset = dataset._replace(records=dataset.records[:most])
    half = sorted(np.random.default_rng(seed).permutation(len(dataset.records))[: len(dataset.records) // 2])
    added = dataset._replace(records=[dataset.records[index] for index in half])
    return Material(dataset, [added] * len(task.added), [dataset], {"path": val.path, "split": val.split})


def painted_material(task: Task, seed: int, most: int | None, out: Path) -> Material:
    """Scenes of digits, others for the old detector and for each added class."""
    count = most or SCENES
    stages = ["old", *task.added]
    sets = [
        read_dataset(
            write_digit_scenes(out / f"{count}_scenes" / name, count, len(stages) * seed + index, "train", SCENE_HW)
        )
        for index, name in enumerate(stages)
    ]
    val = write_digit_scenes(out / "val", VAL_SCENES, 0, "val", SCENE_HW)
    return Material(sets[0], sets[1:], sets, {"path": str(val)})


def write_labels(dataset: Dataset, listed: Sequence[str], boxes_of: Sequence[str], path: Path, masked: bool) -> None:
    """Write a COCO file.

    Args:
        dataset: the pictures with all labels.
        listed: classes that the file names.
        boxes_of: those of which it has boxes.
        path: of the file.
        masked: whether its pictures say, as in LVIS, that they label the classes with boxes alone.
    """
    chosen = select_classes(dataset, listed)
    kept = np.array([label if name in boxes_of else -1 for label, name in enumerate(listed)])
    stripped = chosen._replace(records=[relabel(record, kept) for record in chosen.records])
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = coco_tree(stripped, path.parent)
    if masked:
        labelled = [each["id"] for each in tree["categories"] if each["name"] in boxes_of]
        more = {"neg_category_ids": labelled, "not_exhaustive_category_ids": []}
        tree["images"] = [image | more for image in tree["images"]]
    with new_files(path) as whole:  # beside this process others may read it
        whole.write_text(json.dumps(tree), encoding="utf-8")


class Experiment(NamedTuple):
    """The rows of one data set and seed.

    Attributes:
        task: who learns what.
        material: the data.
        folder: of its runs.
        overrides: of every run.
        old_epochs: of the old detector and of the one with all labels.
        epochs: of all others.
        rate: learning rate of those that start from the old weights; None: as `centerx add` has it.
    """

    task: Task
    material: Material
    folder: Path
    overrides: list[str]
    old_epochs: int
    epochs: int
    rate: float | None

    def labels(
        self, name: str, dataset: Dataset, listed: Sequence[str], boxes_of: Sequence[str], masked: bool = False
    ) -> dict[str, Any]:
        """Write a file of labels, see `write_labels`, and return its entry."""
        path = self.folder / "labels" / f"{name}.json"
        write_labels(dataset, listed, boxes_of, path, masked)
        return {"path": str(path)}

    def train_fresh(self, name: str, classes: Sequence[str], data: list[dict[str, Any]], epochs: int) -> Path:
        """Train the preset from fresh weights, and return its model."""
        given = {"classes": list(classes), "data.train": data, "data.val": [self.material.val], "train.epochs": epochs}
        if self.task.preset == "digits":
            given["data.input_size"] = list(SCENE_HW)
        return self.train(load_config(self.task.preset, given), name, self.overrides)

    def train(self, config: Config, name: str, overrides: Sequence[str] = ()) -> Path:
        """Train, unless the run is finished, and return its model."""
        train_once(config, list(overrides), self.folder / name)
        return self.folder / name / "last.safetensors"

    def old(self) -> Path:
        """The old detector."""
        labels = self.labels("old", self.material.old, self.task.old, self.task.old)
        return self.train_fresh("old", self.task.old, [labels], self.old_epochs)

    def addition(self, old: Path, step: int) -> Config:
        """The configuration of `centerx add`, from the labels of one class."""
        name = self.task.added[step]
        labels = self.labels(name, self.material.added[step], [name], [name])
        rate = [f"train.optimizer.lr={self.rate}"] if self.rate else []
        words = [f"train.epochs={self.epochs}", *self.overrides, *rate]
        return add_config({"weights": str(old)}, [labels], [self.material.val], None, words)

    def added(self, steps: int) -> list[Path]:
        """The model after so many additions."""
        model = self.old()
        for step in range(steps):
            model = self.train(self.addition(model, step), f"added_{self.task.added[step]}")
        return [model]

    def tuned(self, steps: int, masked: bool) -> list[Path]:
        """The model after so many times of fine-tuning; what is not labelled is masked, or else background."""
        way = "masked" if masked else "background"
        model = self.old()
        for step in range(steps):
            name, classes = self.task.added[step], [*self.task.old, *self.task.added[: step + 1]]
            labels = self.labels(f"{way}_{name}", self.material.added[step], classes, [name], masked)
            changes = {"classes": classes, "data.train": [labels], "distill.teachers": []}
            model = self.train(load_config(self.addition(model, step), changes), f"{way}_{name}")
        return [model]

    def frozen(self, steps: int) -> list[Path]:
        """The old model, and one for each added class on its frozen backbone and neck."""
        models = [self.old()]
        for step in range(steps):
            name = self.task.added[step]
            changes = {"classes": [name], "distill.teachers": [], "train.frozen": ["backbone", "neck"]}
            models.append(self.train(load_config(self.addition(models[0], step), changes), f"frozen_{name}"))
        return models

    def alone(self, steps: int) -> list[Path]:
        """A model of each added class."""
        models = []
        for step, name in enumerate(self.task.added[:steps]):
            labels = self.labels(name, self.material.added[step], [name], [name])
            models.append(self.train_fresh(f"alone_{name}", [name], [labels], self.epochs))
        return models

    def all_labels(self, steps: int) -> list[Path]:
        """The model with all labels."""
        classes = [*self.task.old, *self.task.added[:steps]]
        labels = [
            self.labels(f"all_{number}_{steps}", dataset, classes, classes)
            for number, dataset in enumerate(self.material.all)
        ]
        return [self.train_fresh(f"all_{steps}", classes, labels, self.old_epochs)]

    def models(self, row: str, steps: int) -> list[Path]:
        """The models of a row after so many additions, each of which knows other classes."""
        ways: dict[str, Callable[[], list[Path]]] = {
            "old": lambda: [self.old()],
            "added": lambda: self.added(steps),
            "fine-tuned": lambda: self.tuned(steps, masked=True),
            "background": lambda: self.tuned(steps, masked=False),
            "frozen": lambda: self.frozen(steps),
            "alone": lambda: self.alone(steps),
            "two": lambda: [self.old(), *self.alone(steps)],
            "all": lambda: self.all_labels(steps),
        }
        return ways[row]()

    def figures(self, row: str, steps: int) -> Figures:
        """AP of each class of a row after so many additions, and their means: of all, of the old, of the added."""
        val = load_config({"data": {"val": [self.material.val]}}).data.val
        found = judge(val, self.models(row, steps))
        for title, names in (("old", self.task.old), ("added", self.task.added)):
            known = [found[f"AP/{name}"] for name in names if f"AP/{name}" in found]
            if known:
                found[f"AP, {title}"] = sum(known) / len(known)
        return found


def additions(row: str, most: int) -> range:
    """After how many additions a row is judged; the old detector before any, all labels after the last."""
    return {"old": range(1), "all": range(most, most + 1)}.get(row, range(1, most + 1))


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of the csv; none where it is missing."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(path: Path, new: list[dict[str, str]]) -> None:
    """Add lines to the csv; a line with the same key and value stays as it was, with its commit and command."""
    lines = {tuple(line[name] for name in KEY): line for line in read_lines(path)}
    for line in new:
        key = tuple(line[name] for name in KEY)
        if key not in lines or lines[key]["value"] != line["value"]:
            lines[key] = line
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines.values())
    write_atomic(path, text.getvalue().encode())


def commit() -> str:
    """The commit of the code, with a plus where it was changed since."""
    run = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of each row but old and all")
    parser.add_argument("--old-epochs", type=int, help="of old and all")
    parser.add_argument("--rate", type=float, help="learning rate of the rows that start from the old weights")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of every run")
    parser.add_argument("--pictures", type=int, help="use so many of the training pictures, or scenes a stage")
    parser.add_argument("--out", type=Path, default=Path("runs/adding"))
    parser.add_argument("--csv", type=Path, default=RESULTS, help="where the figures go")
    args = parser.parse_args()

    facts = {"commit": commit(), "machine": machine(Processes.detect("auto").gpu)}
    for data in args.data:
        task = TASKS[data]
        old_epochs, epochs = args.old_epochs or task.old_epochs, args.epochs or task.epochs
        settings = ["--old-epochs", str(old_epochs), "--epochs", str(epochs)]
        settings += ["--rate", str(args.rate)] if args.rate else []
        settings += ["--pictures", str(args.pictures)] if args.pictures else []
        settings += ["--set", *args.set] if args.set else []
        results: dict[str, list[Figures]] = {}
        for seed in args.seeds:
            folder = args.out / data / f"seed{seed}"
            material = (
                painted_material(task, seed, args.pictures, folder)
                if data == "digits"
                else real_material(task, seed, args.pictures)
            )
            words = [f"train.seed={seed}", *args.set]
            experiment = Experiment(task, material, folder, words, old_epochs, epochs, args.rate)
            for row in args.rows:
                for steps in additions(row, len(task.added)):
                    figures = experiment.figures(row, steps)
                    added = " ".join(task.added[:steps])
                    results.setdefault(f"{row} {added}".strip(), []).append(figures)
                    command = ["python", "experiments/adding.py", "--data", data, "--rows", row, "--seeds", str(seed)]
                    about = {"data": data, "row": row, "added": added, "seed": str(seed)} | facts
                    about["command"] = shlex.join([*command, *settings])
                    found = [about | {"figure": name, "value": f"{ap:.4f}"} for name, ap in figures.items()]
                    record(args.csv, found)
        write_table(
            args.out / data / "summary.csv", {row: summarise(each) for row, each in results.items()}, args.seeds
        )


if __name__ == "__main__":
    run_and_exit(main)
