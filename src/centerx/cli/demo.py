"""`centerx demo`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from centerx.files import json_text, write_json

TEACHERS = {"low": tuple("01234"), "high": tuple("56789")}
SCENES = 1000  # with labels for each teacher, and without for the student
VAL_SCENES = 200
SCENE_HW = (96, 96)
EPOCHS = {"low": 10, "high": 6, "student": 6}  # each starts from the one before, so the first takes longest
SHOWN = 12
ZOOM = 3  # of the scenes shown
SCORE = 0.3


def demo(
    out: Annotated[Path, typer.Option(help="where everything goes")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="of scenes and training")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="train all three for so many instead")] = None,
) -> None:
    """Merge two detectors, each of half of the digits, into one of all, from pictures without labels; export it.

    All in minutes, on scenes of handwritten digits painted here.
    """
    from centerx.build import build_run
    from centerx.build_model import load_detector
    from centerx.cli.merge import merge
    from centerx.cli.train import fit
    from centerx.config import load_config
    from centerx.data.digits import write_digit_scenes
    from centerx.data.read import read_dataset
    from centerx.evaluation.api import evaluate_model
    from centerx.evaluation.table import metrics_table
    from centerx.exporting import export_model
    from centerx.runtime.info import RUN_MODELS

    started = time.perf_counter()
    length = EPOCHS if epochs is None else dict.fromkeys(EPOCHS, epochs)
    print(
        f"1/5  painting {SCENES} scenes for each of two teachers, {SCENES} without labels, {VAL_SCENES} to be judged by"
    )
    sets = [*TEACHERS, "pictures"]
    scenes = {
        name: write_digit_scenes(
            out / name, SCENES, len(sets) * seed + index, "train", SCENE_HW, TEACHERS.get(name, ())
        )
        for index, name in enumerate(sets)
    }
    val = write_digit_scenes(out / "val", VAL_SCENES, seed, "val", SCENE_HW)

    teachers: list[Path] = []
    for step, (name, classes) in enumerate(TEACHERS.items(), start=2):
        print(f"{step}/5  training a teacher on scenes where only {' '.join(classes)} are labelled")
        given = {"classes": classes, "data.train": [str(scenes[name])], "train.epochs": length[name]}
        given |= {"train.seed": seed, "train.init": str(teachers[-1]) if teachers else None}
        run = build_run(load_config("digits", overrides(given)), out / f"teacher_{name}")
        fit(run)
        teachers.append(out / f"teacher_{name}" / "last.safetensors")

    print("4/5  merging them into one student of ten digits, on scenes without labels")
    for name in ("last.ckpt", *RUN_MODELS):  # of an earlier demo, which merge would not overwrite
        (out / "student" / name).unlink(missing_ok=True)
    given = {"train.init": str(teachers[-1]), "train.epochs": length["student"], "train.seed": seed}
    merge(
        teachers=teachers,
        images=[scenes["pictures"].with_suffix("")],
        student="digits",
        overrides=overrides(given),
        val=[val],
        out=out / "student",
    )

    print("5/5  exporting to ONNX, finding digits on held-out scenes with that file, without torch")
    onnx = out / "digits.onnx"
    detector, info = load_detector(out / "student" / "last.safetensors")
    export_model(detector, info, onnx, "onnx")
    dataset = read_dataset(val)
    metrics = evaluate_model(onnx, [dataset], batch_size=8)
    picture = draw_held_out(onnx, [record.image for record in dataset.records[:SHOWN]], out / "picture.png")
    metrics_table(metrics)

    seconds = time.perf_counter() - started
    merged = json.loads((out / "student" / "merge.json").read_text(encoding="utf-8"))
    report: dict[str, Any] = {
        "AP": metrics.AP,
        "seconds": seconds,
        "teachers": {
            str(path): {row["class"]: row["alone"] for row in merged["classes"] if row["teacher"] == str(path)}
            for path in teachers
        },
        "per_class": metrics.per_class,
        "onnx": str(onnx),
        "picture": str(picture),
    }
    write_json(out / "report.json", report, indent=2)
    print(f"AP {metrics.AP:.3f} on {metrics.images} held-out scenes after {seconds:.0f} s")
    print(f"picture: {picture}\nmodel:   {onnx}\nreport:  {out / 'report.json'}")


def overrides(values: dict[str, Any]) -> list[str]:
    """`key=value` words."""
    return [f"{key}={json_text(value)}" for key, value in values.items()]


def draw_held_out(model: Path, images: list[Path], out: Path) -> Path:
    """Draw what an exported model finds on some pictures, as one sheet."""
    import cv2

    from centerx import load
    from centerx.draw import contact_sheet, draw_boxes, save_image
    from centerx.images import read_image

    predictor = load(model)
    cells = []
    for path in images:
        image = read_image(path)
        found = predictor(image).above(SCORE)
        large = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)  # names stay small
        cells.append(draw_boxes(large, found.boxes * ZOOM, found.labels, found.class_names, found.scores))
    save_image(out, contact_sheet(cells, columns=4, cell_hw=(SCENE_HW[0] * ZOOM, SCENE_HW[1] * ZOOM)))
    return out
