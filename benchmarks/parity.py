"""What each format and precision keeps of a trained model, on 100 pictures of blood cells: AP, boxes, scores.

    make parity

Every file is made as `centerx export` makes it, run by its own runtime, and compared with torch on the same pictures:
AP over all, and the largest difference of detections that score 0.3 or more and have a partner of the same class
within 16 pixels. The model is `bccd_nano`, trained first unless `--model` names one. Runs in an environment with
OpenCV 4, whose importer Caffe networks need.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from centerx.build_model import load_detector
from centerx.data.batch import some_pictures
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.evaluation.api import run_model
from centerx.evaluation.run import evaluate_found
from centerx.exporting import FORMATS, ExportOptions, export_model
from centerx.exporting.parity import SAME_OBJECT, SURE, Difference, difference
from centerx.progress import track

DATA = Path("../shared/data/bccd")
RESULTS = Path(__file__).parent / "results" / "parity.csv"
PICTURES = 100
CALIBRATED_ON = 128
SKIPPED = {"web", "litert"}  # the same ONNX file; what needs a program of its own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model file of blood cells")
    parser.add_argument("--formats", nargs="+", default=[name for name in FORMATS if name not in SKIPPED])
    parser.add_argument("--out", type=Path, default=Path("runs/parity"))
    args = parser.parse_args()

    model = args.model or trained(args.out / "model")
    detector, info = load_detector(model)
    test, val = read_dataset(DATA, split="test"), read_dataset(DATA, split="val")
    data = [test, val._replace(records=val.records[: PICTURES - len(test.records)])]
    learnt = some_pictures(
        SampleSource([read_dataset(DATA, split="train")], info.class_names), info.input_hw, CALIBRATED_ON
    )
    source, ours = run_model(model, data, batch_size=8)
    reference = evaluate_found(source, ours).AP or 0.0
    print(f"{model}: AP {reference:.4f} on {len(ours)} pictures, in torch")
    rows = []
    folder = args.out / "files"
    folder.mkdir(parents=True, exist_ok=True)
    work = [(name, each) for name in args.formats for each in FORMATS[name].precisions]
    for name, precision in track(work, "comparing"):
        entry = FORMATS[name]
        path = folder / f"{precision}{entry.suffix}"
        export_model(detector, info, path, name, ExportOptions(entry.outputs[0], precision, learnt))
        _, theirs = run_model(path, data, batch_size=8)
        found = Difference(0.0, 0.0, 0, 0)
        for index, each in ours.items():
            found |= difference(each, theirs[index], SURE, SAME_OBJECT)
        ap = evaluate_found(source, theirs).AP or 0.0
        row = [
            name, precision, entry.outputs[0], f"{ap:.4f}", f"{ap - reference:+.4f}", found.matched, found.unmatched,
            f"{found.box:.4f}", f"{found.score:.1e}",
        ]  # fmt: skip
        rows.append(row)
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["format", "precision", "outputs", "AP", "difference", "pairs", "alone", "box px", "score"]
        writer.writerows([header, *rows])
    print(f"rows: {RESULTS}")


def trained(folder: Path) -> Path:
    """`bccd_nano`, trained here unless it was."""
    from centerx.api.train import fit
    from centerx.build import build_run
    from centerx.config import load_config

    last = folder / "last.safetensors"
    if not last.is_file():
        fit(build_run(load_config("bccd_nano"), folder), None)
    return last


if __name__ == "__main__":
    main()
