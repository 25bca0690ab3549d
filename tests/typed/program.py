"""A user's program; `test_typing.py` has mypy --strict read it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
from lightning.pytorch.callbacks import Callback

import centerx


class Stop(Callback):
    """A callback of the user."""


def learn(folder: Path) -> centerx.TrainResult:
    settings = {"base": "nano", "data": {"train": [folder / "people.json"], "val": [{"path": folder / "val.json"}]}}
    trained = centerx.train(settings, out=folder / "run", overrides={"train.epochs": 2}, callbacks=[Stop()])
    centerx.train("nano", overrides=["train.epochs=2"])
    assert_type(trained.best, Path)
    if trained.metrics is not None:
        assert_type(trained.metrics.AP, float | None)
        trained.metrics.plot().savefig("ap.png")
    print(trained.to_pandas().head())
    return trained


def look(model: Path, pixels: np.ndarray) -> list[str]:
    detector = centerx.load(model)
    found = detector(pixels, bgr=True)
    assert_type(found, centerx.Detections)
    assert_type(found[0], centerx.Detection)
    assert_type(found[found.scores > 0.5], centerx.Detections)
    assert_type(found[:3], centerx.Detections)
    assert_type([each.class_name for each in found], list[str])
    assert_type(found.above(0.3).of("person", "face").names, list[str])
    rows = found.to_coco(7, {1: "person"})
    again = centerx.Detections.from_coco(rows, [{"id": 1, "name": "person"}], score=1.0)
    assert_type(again, centerx.Detections)
    centerx.Detections.from_yolo(found.to_yolo((480, 640)), (480, 640), detector.class_names)
    assert_type(found.draw(pixels), np.ndarray)
    names: list[str] = []
    for result in centerx.predict(detector, [pixels, "a.jpg", Path("b.jpg"), b"content"], score=0.5):
        assert_type(result, centerx.Prediction)
        names += result.detections.names
    return names


def objects(files: list[Path], boxes: list[np.ndarray], labels: list[np.ndarray]) -> centerx.Metrics:
    data = centerx.Dataset.from_arrays(files, boxes, labels, ["person", "face"])
    assert_type(centerx.read_dataset(files[0], split="val"), centerx.Dataset)
    trained = centerx.train("nano", overrides={"data.train": [data]})
    centerx.merge([trained.best], None, "nano", labels=[data], val=[data])
    centerx.add(trained.best, [data])
    return centerx.evaluate(trained.best, data)


def ship(teachers: list[Path], folder: Path) -> None:
    merged = centerx.merge(teachers, [folder], "nano", val=[{"path": folder / "val.json"}])
    assert_type(merged.rows[0].difference, float | None)
    added = centerx.add(merged.best, [folder / "new.json"])
    figures = centerx.evaluate(added.model, {"path": folder / "val.json"}, report=folder / "report")
    assert_type(figures, centerx.Metrics)
    for file in centerx.export(added.best, ["onnx"], out=folder):
        assert_type(file, centerx.ExportedFile)
    try:
        centerx.load("none.onnx")
    except centerx.InputError as error:
        print(error)
