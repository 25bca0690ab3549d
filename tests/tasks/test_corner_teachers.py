"""Teachers with corners and students with corners: quadrilaterals and rotated boxes teach each other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import centerx
from centerx.api.add import preset_for
from centerx.build_data import check_supervision, load_data
from centerx.build_model import build_detector, save_named
from centerx.config import load_config
from centerx.data.batch import EvalPictures
from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource
from centerx.data.stored import StoredDetections, store_detections
from centerx.decode import Decode
from centerx.errors import InputError
from centerx.objects import Objects
from centerx.tasks import BOXES, LABELLED, QUADS, ROTATED, Task, make_task, taught_as
from centerx.training.teachers import Teacher
from centerx.types import Batch, Detections, RawDetections
from tests.made import make_record

ANGLE = 30.0  # degrees; sides of 40 and 20 pixels
ALONG = 20 * np.array([np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))])
ASIDE = 10 * np.array([-np.sin(np.deg2rad(ANGLE)), np.cos(np.deg2rad(ANGLE))])
AROUND = np.array([ALONG - ASIDE, ALONG + ASIDE, ASIDE - ALONG, -ALONG - ASIDE])  # clockwise, the last most upper left
CANONICAL = AROUND[[3, 0, 1, 2]]
TASKS = {"quads": QUADS, "rotated": ROTATED}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks of both tasks that find the same rectangle around every peak, and what they find, as json."""
    folder, files = tmp_path_factory.mktemp("teachers"), {}
    said = {
        "corners": 0.5 + AROUND.ravel() / 4, "sides": [10.0, 5.0], "offset": [0.5, 0.5],
        "angle": [np.cos(np.deg2rad(2 * ANGLE)), np.sin(np.deg2rad(2 * ANGLE))],
    }  # fmt: skip
    picture = folder / "pictures" / "grey.png"
    picture.parent.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(picture)
    for task in TASKS:
        config = load_config(
            "nano", [f"task={task}", "classes=[plate]", "data.input_size=96", "model.pretrained=false", "model.top_k=5"]
        )
        detector = build_detector(config)
        for name, branch in detector.model.head.branches.items():
            torch.nn.init.zeros_(branch[-1].weight)
            branch[-1].bias.data = torch.tensor(np.array(said[name]), dtype=torch.float32)
        save_named(folder, config, detector, task)
        files[task] = folder / f"{task}.safetensors"
        files[f"{task} json"] = folder / f"{task}.json"
        found = centerx.predict(files[task], picture, score=0.01)
        files[f"{task} json"].write_text(json.dumps([each.to_json() for each in found]))
    return files


def words_of(teacher: Path, task: str) -> list[str]:
    images = json.dumps([{"path": str(teacher.parent / "pictures"), "format": "folder"}])
    return [f"task={task}", f"distill.teachers=[{teacher}]", f"data.train={images}", "data.val=[]", "augment.flip=0",
            "data.input_size=96", "model.pretrained=false", "data.workers=0"]  # fmt: skip


@pytest.mark.parametrize("form", ["", " json"])
@pytest.mark.parametrize(
    ("own", "student"), [("rotated", "quads"), ("quads", "rotated"), ("rotated", "boxes"), ("quads", "boxes")]
)
def test_detectors_of_corners_teach_each_other_and_boxes(
    own: str, student: str, form: str, teachers: dict[str, Path], tmp_path: Path
) -> None:
    """A network, and what it found: what is taught, decoded as the student's, is the rectangle that was found."""
    file, task = teachers[own + form], make_task(student)
    data = load_data(load_config("nano", words_of(file, student)), tmp_path)
    check_supervision(data)
    (teacher,) = data.teachers
    stored = [] if teacher.load is None else [teacher.load()]
    taught = said(teacher, EvalPictures(data.source.with_detections(stored), (96, 96))[0], task)
    best = centerx.load(teachers[own])(data.source.entries[0].record.image)
    if student == "boxes":
        assert taught.values["boxes"][0, 0].numpy() == pytest.approx(best.boxes[0], abs=0.01)
        return
    same = np.abs(taught.values["corners"][0, 0].reshape(4, 2) - best.values["corners"][0])
    if student == "quads":
        assert same.max() < 0.01
    else:
        assert taught.values["angles"][0, 0] == pytest.approx(ANGLE, abs=0.1)
        along, aside, *_ = np.linalg.norm(np.diff(taught.values["corners"][0, 0].reshape(4, 2), axis=0), axis=1)
        assert (along, aside) == (pytest.approx(40, abs=0.01), pytest.approx(20, abs=0.01))


def said(teacher: Teacher, batch: Batch, task: Task) -> RawDetections:
    return Decode(5, 4, task)(teacher.model(batch, [0]).maps, (96, 96))


def stored_of(task: Task) -> StoredDetections:
    """One rectangle on one picture."""
    corners = (50 + AROUND)[None]
    low, high = corners.min(axis=1), corners.max(axis=1)
    found = Detections(np.hstack([low, high]), np.ones(1), np.zeros(1, dtype=np.int64), values={"corners": corners})
    return store_detections(["plate"], task.name, [found])


def moved(student: Task, task: Task, matrix: np.ndarray) -> Objects:
    """What a stored teacher found, as the student sees it after a move."""
    dataset = Dataset(Path(), "", ("plate",), (0,), [make_record("x.png", 0, [], [])], [])
    source = SampleSource([dataset], ["plate"], task=student).with_detections([stored_of(task)])
    (found,) = (each.of(0, source.task) for each in source.detections)
    return found.warp(matrix)


MIRROR = np.array([[-1.0, 0, 100], [0, 1, 0], [0, 0, 1]])


def test_corners_move_as_the_student_has_them() -> None:
    """In the one order for a student that has it, else as they are given: in a mirror image their left stays left."""
    stay = np.eye(3)
    assert moved(QUADS, ROTATED, stay).values["corners"].reshape(4, 2) == pytest.approx(50 + CANONICAL)
    assert moved(make_task("quads", LABELLED), QUADS, stay).values["corners"].reshape(4, 2) == pytest.approx(
        50 + AROUND
    )
    mirrored = np.array([50, 50]) + AROUND[[1, 0, 3, 2]] * [-1, 1]
    assert moved(make_task("quads", LABELLED), QUADS, MIRROR).values["corners"].reshape(4, 2) == pytest.approx(mirrored)


@pytest.mark.parametrize("own", ["rotated", "quads", "rotated json"])
def test_corners_without_the_order_of_labels_do_not_teach_it(
    own: str, teachers: dict[str, Path], tmp_path: Path
) -> None:
    config = load_config("nano", [*words_of(teachers[own], "quads"), "model.corner_order=labelled"])
    said = "of rotated boxes, none of which is the first" if own.startswith("rotated") else "in the order canonical"
    with pytest.raises(InputError, match=re.escape(f"gives corners {said}, and cannot teach model.corner_order")):
        load_data(config, tmp_path)


def test_corners_are_taken_for_what_they_tell_alone() -> None:
    assert taught_as(ROTATED, QUADS) is QUADS
    assert taught_as(ROTATED, BOXES) is BOXES
    assert taught_as(BOXES, QUADS) is BOXES
    for other in ("center", "pose"):
        assert taught_as(ROTATED, make_task(other)) is ROTATED
        assert taught_as(make_task(other), QUADS).name == other


def test_a_student_that_succeeds_a_detector_has_its_order_of_corners(tmp_path: Path) -> None:
    words = ["task=quads", "classes=[plate]", "data.input_size=96", "model.pretrained=false"]
    config = load_config("nano", [*words, f"model.corner_order={LABELLED}"])
    save_named(tmp_path, config, build_detector(config), "old")
    assert preset_for({"weights": tmp_path / "old.safetensors"}).model.corner_order == LABELLED
