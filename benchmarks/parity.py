"""What each format and precision keeps of a trained model, on held-out pictures: AP, positions, scores.

    make parity
    python benchmarks/parity.py --tasks pose quads rotated

Every file is made as `centerx export` makes it, run by its own runtime, and compared with torch on the same 100
pictures: AP over all, and the largest difference of detections that score 0.3 or more and have a partner of the same
class within 16 pixels. Blood cells are found by `bccd_nano`, joints, corners and rotated boxes of painted scenes by
the models of `centerx demo --task`; each is trained first unless it lies in `--out`. Rows of other tasks and formats
in results/parity.csv are kept. Caffe networks need OpenCV 4, in whose environment `make parity` runs; elsewhere leave
them out by `--formats`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from centerx.build_data import build_datasets
from centerx.build_model import load_detector
from centerx.cli.demo import CARRIED, CARRIED_EPOCHS, demo_carried
from centerx.cli.main import run_and_exit
from centerx.config import load_config
from centerx.data.batch import some_pictures
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.evaluation.api import run_model
from centerx.evaluation.run import evaluate_found
from centerx.exporting import FORMATS, ExportOptions, export_model
from centerx.exporting.parity import SAME_OBJECT, SURE, Difference, difference
from centerx.files import new_files
from centerx.progress import track
from centerx.runtime import open_session

DATA = Path("../shared/data/bccd")
RESULTS = Path(__file__).parent / "results" / "parity.csv"
HEADER = ("task", "format", "precision", "outputs", "AP", "difference", "pairs", "alone", "box px", "score")
KEY = 3  # columns that say which file a row is of
PICTURES = 100
CALIBRATED_ON = 128
SKIPPED = {"web", "litert"}  # the same ONNX file; what needs a program of its own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["boxes", *CARRIED])
    parser.add_argument("--model", type=Path, help="a model file of blood cells, for the task of boxes")
    parser.add_argument("--formats", nargs="+", default=[name for name in FORMATS if name not in SKIPPED])
    parser.add_argument("--epochs", type=int, default=CARRIED_EPOCHS, help="of the demos")
    parser.add_argument("--out", type=Path, default=Path("runs/parity"))
    args = parser.parse_args()

    for task in args.tasks:
        if task == "boxes":
            model = args.model or trained(args.out / "model")
            learned = [read_dataset(DATA, split="train")]
            test, val = read_dataset(DATA, split="test"), read_dataset(DATA, split="val")
            judged = [test, first(val, PICTURES - len(test.records))]
        else:
            model = painted(args.out / task, task, args.epochs)
            data = load_config(model.with_name("config.yaml")).data
            learned, judged = build_datasets(data.train), [first(each, PICTURES) for each in build_datasets(data.val)]
        compare(task, model, learned, judged, args.formats, args.out / "files" / task)


def compare(
    task: str, model: Path, learned: Sequence[Dataset], judged: Sequence[Dataset], formats: Sequence[str], folder: Path
) -> None:
    """Export a model to some formats in every precision, and write a row for each file.

    Args:
        task: of the model.
        model: its file.
        learned: pictures to calibrate by.
        judged: pictures to compare on.
        formats: their names.
        folder: of the files.
    """
    detector, info = load_detector(model)
    pictures = some_pictures(SampleSource(learned, info.class_names, task=info.made_task), info.input_hw, CALIBRATED_ON)
    source, ours = run_model(model, judged, batch_size=8)
    reference = evaluate_found(source, info.made_task, ours).AP or 0.0
    print(f"{model}: AP {reference:.4f} on {len(ours)} pictures, in torch")
    folder.mkdir(parents=True, exist_ok=True)
    for name, precision in track([(each, some) for each in formats for some in FORMATS[each].precisions], "comparing"):
        entry = FORMATS[name]
        path = folder / f"{precision}{entry.suffix}"
        export_model(detector, info, path, name, ExportOptions(entry.outputs[0], precision, pictures))
        _, theirs = run_model(path, judged, batch_size=8, session=open_session(path, trust=True))
        found = Difference(0.0, 0.0, 0, 0)
        for index, each in ours.items():
            found |= difference(each, theirs[index], SURE, SAME_OBJECT)
        ap = evaluate_found(source, info.made_task, theirs, quiet=True).AP or 0.0
        row = [
            task, name, precision, entry.outputs[0], f"{ap:.4f}", f"{ap - reference:+.4f}", str(found.matched),
            str(found.unmatched), f"{found.box:.4f}", f"{found.score:.1e}",
        ]  # fmt: skip
        print("| " + " | ".join(row) + " |", flush=True)
        write(row)


def write(row: list[str]) -> None:
    """Put a row in the place of that of the same file, or behind all others."""
    rows: dict[tuple[str, ...], list[str]] = {}
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8", newline="") as file:
            rows = {tuple(each[:KEY]): each for each in list(csv.reader(file))[1:]}
    rows[tuple(row[:KEY])] = row
    with new_files(RESULTS) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows.values()])


def first(dataset: Dataset, count: int) -> Dataset:
    """Return a data set of its first pictures alone."""
    return dataset._replace(records=dataset.records[:count])


def painted(folder: Path, task: str, epochs: int) -> Path:
    """Return the model of a demo, which is trained here unless it was."""
    last = folder / task / "last.safetensors"
    if not last.is_file():
        demo_carried(folder, task, 0, epochs, None)
    return last


def trained(folder: Path) -> Path:
    """Return `bccd_nano`, trained here unless it was."""
    from centerx.api.train import fit
    from centerx.build import build_run

    last = folder / "last.safetensors"
    if not last.is_file():
        fit(build_run(load_config("bccd_nano"), folder), None)
    return last


if __name__ == "__main__":
    run_and_exit(main)
