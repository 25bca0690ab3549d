"""`centerx demo`."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import centerx
from centerx.cli.output import JsonFile, require_json, say, write_report
from centerx.errors import InputError, nearest
from centerx.files import write_json

TEACHERS = {"low": tuple("01234"), "high": tuple("56789")}
SCENES = 1000  # with labels for each teacher, and without for the student
VAL_SCENES = 200
SCENE_HW = (96, 96)
CARRIED = ("quads", "rotated", "pose")  # tasks of which there is a demo as well
CARRIED_EPOCHS = 8
FIGURE_HW = (128, 128)  # of scenes of figures
EPOCHS = {"low": 10, "high": 6, "student": 6}  # each starts from the one before, so the first takes longest
SHOWN = 12
ZOOM = 3  # of the scenes shown
SCORE = 0.3


def demo(
    out: Annotated[Path, typer.Option(help="where everything goes")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="of scenes and training")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="train all for so many instead")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="train one detector instead: quads or rotated, of turned digits, or pose, of figures"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Merge two detectors of painted digits into one, in minutes.

    Each knows half of the digits; the student learns all from pictures without labels, and is exported.
    """
    if task is not None:
        if task not in CARRIED:
            raise InputError(f"--task: no demo of {task!r}{nearest(task, CARRIED)}, there are: {', '.join(CARRIED)}")
        demo_carried(out, task, seed, epochs or CARRIED_EPOCHS, json_file)
        return
    from centerx.build_model import load_detector
    from centerx.cli.merge import print_comparison
    from centerx.cli.table import metrics_table
    from centerx.data.digits import write_digit_scenes
    from centerx.data.read import read_dataset
    from centerx.exporting import export_model

    require_json(json_file)
    started = time.perf_counter()
    length = EPOCHS if epochs is None else dict.fromkeys(EPOCHS, epochs)
    say(
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
        say(f"{step}/5  training a teacher on scenes where only {' '.join(classes)} are labelled")
        given = {"classes": classes, "data.train": [scenes[name]], "train.epochs": length[name]}
        given |= {"train.seed": seed, "train.init": teachers[-1] if teachers else None}
        remove_run(out / f"teacher_{name}")
        teachers.append(centerx.train("digits", out=out / f"teacher_{name}", overrides=given).model)

    say("4/5  merging them into one student of ten digits, on scenes without labels")
    remove_run(out / "student")
    merged = centerx.merge(
        teachers,
        [scenes["pictures"].with_suffix("")],
        "digits",
        val=[val],
        out=out / "student",
        overrides={"train.init": teachers[-1], "train.epochs": length["student"], "train.seed": seed},
    )
    assert merged.metrics is not None
    print_comparison(merged.metrics, merged.rows)

    say("5/5  exporting to ONNX, finding digits on held-out scenes with that file, without torch")
    onnx = out / "digits.onnx"
    detector, info = load_detector(merged.model)
    export_model(detector, info, onnx, "onnx")
    dataset = read_dataset(val)
    metrics = centerx.evaluate(onnx, dataset)
    picture = draw_held_out(onnx, [record.image for record in dataset.records[:SHOWN]], out / "picture.png")
    metrics_table(metrics)

    seconds = time.perf_counter() - started
    report: dict[str, Any] = {
        "AP": metrics.AP,
        "seconds": seconds,
        "teachers": {
            str(path): {row.class_name: row.alone for row in merged.rows if row.teacher == str(path)}
            for path in teachers
        },
        "per_class": metrics.per_class,
        "onnx": str(onnx),
        "picture": str(picture),
    }
    write_json(out / "report.json", report, indent=2)
    say(f"AP {metrics.AP:.3f} on {metrics.images} held-out scenes after {seconds:.0f} s")
    say(f"picture: {picture}\nmodel:   {onnx}\nreport:  {out / 'report.json'}")
    write_report(json_file, report)


def demo_carried(out: Path, task: str, seed: int, epochs: int, json_file: Path | None) -> None:
    """Train a detector of turned digits, whatever they are, or of figures; export it and run it.

    Args:
        out: where everything goes.
        task: one of `CARRIED`.
        seed: of scenes and training.
        epochs: of training.
        json_file: as for every command.
    """
    from centerx.cli.table import metrics_table
    from centerx.data.digits import CLASS_NAMES, write_digit_scenes
    from centerx.data.figures import CLASS_NAME, write_figure_scenes
    from centerx.data.read import read_dataset

    require_json(json_file)
    started = time.perf_counter()
    posed = task == "pose"
    what, name = ("figures", CLASS_NAME) if posed else ("turned digits", "digit")
    say(f"1/3  painting {SCENES} scenes of {what}, {VAL_SCENES} to be judged by")
    paint: Any = partial(write_figure_scenes, image_hw=FIGURE_HW)
    if not posed:
        paint = partial(write_digit_scenes, image_hw=SCENE_HW, turned=True)
    train, val = (paint(out / split, count, seed, split) for split, count in (("train", SCENES), ("val", VAL_SCENES)))
    say(f"2/3  training a detector of {what}, task {task}")
    remove_run(out / task)
    renamed = [CLASS_NAME] if posed else dict.fromkeys(CLASS_NAMES, name)
    (learned, judged) = ([{"path": str(path), "classes": renamed}] for path in (train, val))
    given: dict[str, Any] = {"task": task, "classes": [name], "data.train": learned, "data.val": judged}
    given |= {"data.input_size": list(FIGURE_HW)} if posed else {f"loss.{each}": 0.5 for each in ("corners", "sides")}
    result = centerx.train("digits", out=out / task, overrides=given | {"train.epochs": epochs, "train.seed": seed})
    say(f"3/3  exporting to ONNX, finding {what} on held-out scenes with that file, without torch")
    (file,) = centerx.export(result.model, "onnx", out=out)
    dataset = read_dataset(val, classes=[CLASS_NAME] if posed else [f"{each}=digit" for each in CLASS_NAMES])
    metrics = centerx.evaluate(file.path, dataset)
    picture = draw_held_out(file.path, [record.image for record in dataset.records[:SHOWN]], out / f"{task}.png")
    metrics_table(metrics)
    seconds = time.perf_counter() - started
    report = {"AP": metrics.AP, "seconds": seconds, "onnx": str(file.path), "picture": str(picture)}
    say(f"AP {metrics.AP:.3f} on {metrics.images} held-out scenes after {seconds:.0f} s")
    say(f"picture: {picture}\nmodel:   {file.path}")
    write_report(json_file, report)


def remove_run(folder: Path) -> None:
    """Remove the run of an earlier demo, which would not be overwritten."""
    from centerx.runtime.info import RUN_MODELS

    for name in ("last.ckpt", *RUN_MODELS):
        (folder / name).unlink(missing_ok=True)


def draw_held_out(model: Path, images: list[Path], out: Path) -> Path:
    """Draw what an exported model finds on some pictures, as one sheet."""
    import cv2

    from centerx.draw import contact_sheet, save_image
    from centerx.images import read_image
    from centerx.tasks import task_of

    predictor = centerx.load(model)
    cells = []
    for path in images:
        image = read_image(path)
        found = predictor(image).above(SCORE)
        large = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)  # names stay small
        kinds = {output.name: output.kind for output in task_of(found).outputs}
        values = {name: kinds[name].scale(rows, ZOOM) for name, rows in found.values.items()}
        zoomed = replace(found, boxes=found.boxes * ZOOM, values=values)
        cells.append(task_of(found).draw(large, zoomed, found.class_names, found.scores))
    save_image(out, contact_sheet(cells, columns=4, cell_hw=(SCENE_HW[0] * ZOOM, SCENE_HW[1] * ZOOM)))
    return out
