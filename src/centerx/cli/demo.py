"""`centerx demo`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

TRAIN_SCENES, VAL_SCENES = 1500, 200
SCENE_HW = (160, 160)
SHOWN = 12
SCORE = 0.3


def demo(
    out: Annotated[Path, typer.Option(help="where everything goes")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="of scenes and training")] = 0,
    epochs: Annotated[int | None, typer.Option(help="train for so many instead of the preset's")] = None,
) -> None:
    """Train on scenes of handwritten digits, export, find digits. All in minutes, on scenes painted here."""
    from centerx.build import build_run
    from centerx.build_model import load_detector
    from centerx.cli.train import fit
    from centerx.config import load_config
    from centerx.data.digits import write_digit_scenes
    from centerx.data.read import read_dataset
    from centerx.evaluate.api import evaluate_model
    from centerx.evaluate.table import metrics_table
    from centerx.export import export_model

    started = time.perf_counter()
    print(f"1/4  painting {TRAIN_SCENES} scenes to learn from and {VAL_SCENES} to be judged by")
    train_data = write_digit_scenes(out / "train", TRAIN_SCENES, seed, "train", SCENE_HW)
    val_data = write_digit_scenes(out / "val", VAL_SCENES, seed, "val", SCENE_HW)

    print("2/4  training")
    overrides = [f"data.train=[{json.dumps(str(train_data))}]", f"train.seed={seed}"]
    run = build_run(load_config("digits", overrides + ([f"train.epochs={epochs}"] if epochs else [])), out / "run")
    fit(run)

    print("3/4  exporting to ONNX")
    onnx = out / "digits.onnx"
    detector, info = load_detector(out / "run" / "last.safetensors")
    export_model(detector, info, onnx, "onnx")

    print("4/4  finding digits on held-out scenes with the exported file, without torch")
    dataset = read_dataset(val_data)
    metrics = evaluate_model(onnx, [dataset], batch_size=8)
    picture = draw_held_out(onnx, [record.image for record in dataset.records[:SHOWN]], out / "picture.png")
    metrics_table(metrics)

    seconds = time.perf_counter() - started
    report: dict[str, Any] = {
        "AP": metrics.AP,
        "seconds": seconds,
        "teachers": {},
        "onnx": str(onnx),
        "picture": str(picture),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"AP {metrics.AP:.3f} on {metrics.images} held-out scenes after {seconds:.0f} s")
    print(f"picture: {picture}\nmodel:   {onnx}\nreport:  {out / 'report.json'}")


def draw_held_out(model: Path, images: list[Path], out: Path) -> Path:
    """Draw what an exported model finds on some pictures, as one sheet."""
    from centerx import load
    from centerx.draw import contact_sheet, draw_boxes, save_image
    from centerx.images import read_image

    predictor = load(model)
    cells = []
    for path in images:
        image = read_image(path)
        found = predictor(image).above(SCORE)
        cells.append(draw_boxes(image, found.boxes, found.labels, found.class_names, found.scores))
    save_image(out, contact_sheet(cells, columns=4, cell_hw=(288, 288)))
    return out
