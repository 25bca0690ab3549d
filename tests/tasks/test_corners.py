"""Quadrilaterals and rotated boxes through every command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import centerx
from centerx.build import build_run
from centerx.config import load_config
from centerx.data.digits import CLASS_NAMES, MARGIN, draw_glyph, load_glyphs, write_digit_scenes
from centerx.data.read import read_dataset
from centerx.errors import InputError
from centerx.evaluation.listed import read_detections
from centerx.exporting.web import PAGE
from centerx.runtime import open_session
from centerx.serve import Limits, create_app
from tests.tasks.test_center import NODE

TASK_NAMES = (pytest.param("quads", marks=pytest.mark.soak), "rotated")


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp("turned"), 24, 0, "train", (96, 96), turned=True)


@pytest.fixture(scope="module", params=TASK_NAMES)
def run(
    request: pytest.FixtureRequest, turned: Path, small_overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> centerx.TrainResult:
    data = json.dumps({"path": str(turned), "classes": dict.fromkeys(CLASS_NAMES, "digit")})
    words = [f"data.train=[{data}]", f"data.val=[{data}]", f"task={request.param}", "model.top_k=20"]
    out = tmp_path_factory.mktemp("run")
    return centerx.train("nano", out=out, overrides=[*small_overrides, *words, "train.epochs=2"])


@pytest.mark.slow
def test_corners_go_through_every_command(run: centerx.TrainResult, turned: Path, tmp_path: Path) -> None:
    assert run.metrics is not None
    assert run.metrics.AP_corners is not None
    problems = json.loads((run.folder / "problems.json").read_text())
    assert "rotated_box" not in str(problems)
    image = turned.with_name("train") / "000000.jpg"
    task = open_session(run.model).info.task
    ours = centerx.load(run.model)(image)
    assert len(ours) > 0
    assert ours.values["corners"].shape == (len(ours), 4, 2)
    np.testing.assert_allclose(ours.values["corners"].min(axis=1).clip(0, 96), ours.boxes[:, :2], atol=1e-3)
    for outputs in ("detections", "maps"):
        (file,) = centerx.export(run.model, "onnx", out=tmp_path, outputs=outputs)
        theirs = centerx.load(file.path)(image)
        half = len(theirs) // 2
        for name, values in theirs.values.items():
            np.testing.assert_allclose(values[:half], ours.values[name][:half], atol=0.05)
    if task == "rotated":
        assert ours.values["angles"].shape == (len(ours),)
    (prediction,) = centerx.predict(run.model, image, score=0.0)
    first = prediction.to_json()["detections"][0]
    assert first.keys() == {"label", "score", "box", "corners"} | ({"angle"} if task == "rotated" else set())
    assert np.shape(first["corners"]) == (4, 2)
    app = create_app(centerx.load(run.model), "m", "torch", Limits(10**6, 10**6, 30, 4), 1, ())
    with TestClient(app) as client:
        answer = client.post("/predict?score=0", content=image.read_bytes()).json()
    assert answer["detections"][0] == first


@pytest.mark.slow
def test_labels_made_by_a_detector_have_its_corners(run: centerx.TrainResult, turned: Path, tmp_path: Path) -> None:
    """In the file of `pseudo`, which is data and a teacher, and in rows of COCO results."""
    folder = turned.with_name("train")
    labels = centerx.label(run.model, folder, tmp_path / "labels.json", score=0.0)
    record = read_dataset(labels.file).records[0]
    found = centerx.load(run.model)(record.image)
    corners = record.objects.values["corners"]
    assert record.objects.outlined.all()
    assert len(corners) > 0
    np.testing.assert_allclose(corners, found.values["corners"].reshape(-1, 8)[: len(corners)], atol=1e-3)
    taught = read_detections(labels.file, [], [record.image])
    assert taught.task == "quads"
    assert taught.values["corners"].shape == (len(taught.boxes), 8)
    (first, *_) = found.to_coco(7, {3: "digit"})
    assert first["segmentation"] == [found.values["corners"][0].ravel().tolist()]
    if open_session(run.model).info.task == "quads":
        with pytest.raises(InputError, match="may begin elsewhere in a mirror image"):
            centerx.evaluate(run.model, turned, flip=True)
    joined = centerx.evaluate(run.model, turned, classes=[f"{name}=digit" for name in CLASS_NAMES], scales=(0.5, 1.0))
    assert joined.AP_corners is not None


@pytest.mark.soak
@pytest.mark.slow
def test_ten_pictures_are_learned_by_heart(turned: Path, small_overrides: list[str], tmp_path: Path) -> None:
    """Quadrilaterals of ten scenes, found again with corners that are close."""
    tree = json.loads(turned.read_text())
    tree["images"] = tree["images"][:10]
    kept = {image["id"] for image in tree["images"]}
    tree["annotations"] = [each for each in tree["annotations"] if each["image_id"] in kept]
    few = turned.with_name("few.json")
    few.write_text(json.dumps(tree))
    data = json.dumps({"path": str(few), "classes": dict.fromkeys(CLASS_NAMES, "digit")})
    words = [f"data.train=[{data}]", f"data.val=[{data}]", "task=quads", "augment.flip=0", "augment.scale=[1,1]"]
    words += ["augment.shift=0", "augment.colour=[]", "train.epochs=70", "train.val_every=70", "loss.corners=0.5"]
    words += ["augment.aspect=0", "train.ema=0"]
    run = centerx.train("digits", out=tmp_path, overrides=[*small_overrides, *words, "train.batch_size=5"])
    assert run.metrics is not None
    assert run.metrics.AP50 is not None
    assert run.metrics.AP50 > 0.9


def test_corners_that_nobody_labels_are_an_error_before_training(
    scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"nobody teaches the corners of 0, .*set corners_from_boxes"):
        build_run(load_config("nano", [*small_overrides, "task=quads", "data.val=[]"]), tmp_path)
    data = json.dumps({"path": str(scenes), "corners_from_boxes": True})
    words = [f"data.train=[{data}]", "data.val=[]", "task=rotated", "augment.rotate=90"]
    assert build_run(load_config("nano", [*small_overrides, *words]), tmp_path).module is not None


def test_boxes_do_not_judge_corners(scenes: Path, small_overrides: list[str], tmp_path: Path) -> None:
    data = json.dumps({"path": str(scenes), "corners_from_boxes": True})
    words = [f"data.train=[{data}]", f"data.val=[{scenes}]", "task=quads"]
    with pytest.raises(InputError, match=r"data\.val: .* by which no quads can be judged"):
        build_run(load_config("nano", [*small_overrides, *words]), tmp_path)


FAKE = """
export const env = { wasm: {} };
export class Tensor {}
const found = {
  boxes: { data: Float32Array.from([8, 16, 24, 24]) },
  corners: { data: Float32Array.from([16, 16, 24, 20, 16, 24, 8, 20]) },
  angles: { data: Float32Array.from([26.5]) },
  scores: { data: Float32Array.from([0.75]) },
  labels: { data: BigInt64Array.from([1n]) },
};
export const InferenceSession = { create: async () => ({ run: async () => found }) };
"""


def test_the_page_reads_corners(tmp_path: Path) -> None:
    page = (PAGE / "centerx.js").read_text(encoding="utf-8").replace("ort.wasm.bundle.min.mjs", "ort.mjs")
    for name, text in (("centerx.mjs", page), ("ort.mjs", FAKE), ("main.mjs", NODE)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("node is absent")
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    (only,) = answer
    assert only["corners"] == [[10, 10], [15, 12.5], [10, 15], [5, 12.5]]
    assert only["angle"] == 26.5
    assert only["box"] == [5, 10, 15, 15]


def test_the_corners_of_a_turned_digit_are_around_its_ink() -> None:
    """No pixel of ink outside, and ink at every side: within two pixels of each."""
    glyphs, rng = load_glyphs("train"), np.random.default_rng(0)
    for ink in glyphs.ink[:20]:
        cover, corners = draw_glyph(rng, ink, 192, turned=True)
        y, x = np.nonzero(cover >= 0.5)
        centres = np.stack([x, y], axis=1) + 0.5 - MARGIN
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            across = np.array([-(end - start)[1], (end - start)[0]]) / np.linalg.norm(end - start)
            distance = (centres - start) @ across  # to the inside
            assert distance.min() > -1
            assert distance.min() < 2


@pytest.mark.soak
@pytest.mark.slow
def test_corners_are_taught_by_every_shape_of_a_teacher(
    run: centerx.TrainResult, turned: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    """A network, a file asked anew and one asked once, and what it found: a student without labels learns corners."""
    task = open_session(run.model).info.task
    (file,) = centerx.export(run.model, "onnx", out=tmp_path)
    pictures = sorted(turned.with_name("train").glob("*.jpg"))
    found = tmp_path / "found.json"
    found.write_text(json.dumps([each.to_json() for each in centerx.predict(run.model, pictures, score=0.01)]))
    words = [f"task={task}", "data.val=[]", "distill.labels=false", "classes=[digit]"]
    words.append("data.train=" + json.dumps([{"path": str(turned.with_name("train")), "format": "folder"}]))
    for name, teacher, more in (
        ("network", run.model, []), ("anew", file.path, ["distill.cache=false"]), ("once", file.path, []),
        ("json", found, []),
    ):  # fmt: skip
        given = [*small_overrides, *words, *more, f"distill.teachers=[{teacher}]"]
        student = centerx.train("nano", out=tmp_path / name, overrides=given)
        header, *rows = (student.folder / "metrics.csv").read_text().splitlines()
        ending = "/corners" if task == "quads" else "/angle"
        (column,) = (place for place, key in enumerate(header.split(",")) if "/kd/" in key and key.endswith(ending))
        values = [float(row.split(",")[column]) for row in rows if row.split(",")[column]]
        assert values
        assert max(values) > 0
