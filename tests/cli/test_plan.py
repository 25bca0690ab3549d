"""`--dry-run`: who supervises whom as in training, steps, time; and that nothing is left behind."""

import json
from pathlib import Path

import numpy as np
import pytest

import centerx as library
from centerx.build import build_run
from centerx.build_plan import count_evaluations
from centerx.config import load_config
from centerx.data.store import TeacherInfo, ask_once
from centerx.training.pace import StepClock
from centerx.types import Detections
from tests.cli.conftest import CommandLine
from tests.cli.test_habits import documented, keys_of
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture
from tests.training.test_teachers import teachers  # noqa: F401 - a fixture


def tree_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(tree: dict, field: str = "center") -> dict[str, dict]:
    return {row["class"]: row for row in tree["supervision"] if row["field"] == field}


def test_evaluations_are_counted_without_going_through_the_epochs() -> None:
    for first, epochs, every in np.ndindex(8, 8, 8):
        ends = [epoch for epoch in range(first + 1, epochs + 1) if epoch % (every + 1) == 0 or epoch == epochs]
        assert count_evaluations(first, epochs, every + 1) == len(ends)
    assert count_evaluations(0, 10**9, 3) == 333_333_334


def test_a_plan_is_what_training_does_and_leaves_nothing(
    centerx: CommandLine, small_overrides: list[str], scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree_of(scenes.parent)
    command = ["train", "nano", *small_overrides, "train.epochs=3", "--out", "run"]
    status, out, err = centerx(*command, "--dry-run", "--json", "-")
    assert (status, err) == (0, "")
    plan = json.loads(out)
    assert documented("train --dry-run") == keys_of(plan)
    assert list(tmp_path.iterdir()) == []
    assert tree_of(scenes.parent) == before
    run = build_run(load_config("nano", [*small_overrides, "train.epochs=3"]), tmp_path / "built")
    assert plan["classes"] == list(run.config.classes or ())
    assert (plan["epoch_steps"], plan["steps"]) == (len(run.batches), 3 * len(run.batches)) == (6, 18)
    assert plan["parameters"] == sum(each.numel() for each in run.module.detector.parameters())
    counted = dict.fromkeys(plan["classes"], 0)
    labels = json.loads(scenes.read_text())
    names = {each["id"]: each["name"] for each in labels["categories"]}
    for each in labels["annotations"]:
        counted[names[each["category_id"]]] += 1
    assert [(data["part"], data["pictures"], data["objects"]) for data in plan["data"]] == [
        ("train", 24, counted), ("val", 24, counted),
    ]  # fmt: skip
    assert all(row["labels"] == {str(scenes): 1.0} for row in plan["supervision"])
    seconds = plan["seconds"]
    assert seconds["training"] == pytest.approx(18 * seconds["step"])
    assert plan["minutes"] == pytest.approx((seconds["training"] + seconds["evaluation"] + seconds["asking"]) / 60)
    assert 0 < seconds["step"] < 60
    assert seconds["evaluation"] > 0

    status, out, _ = centerx(*command, "--dry-run")
    assert status == 0
    assert "who supervises whom" in out
    assert "steps: 6 an epoch, of 4 pictures each; 18 in all 3 epochs\n" in out
    assert "run folder: run, nothing is written by --dry-run\n" in out


@pytest.mark.parametrize(("tiles", "steps"), [([], 2), (["data.tiles.size=30"], 4)])
def test_classes_that_a_data_set_does_not_label_are_supervised_by_nobody_there(
    tiles: list[str], steps: int, centerx: CommandLine, tmp_path: Path
) -> None:
    """A picture of 40 x 30 pixels is two tiles, of the same data set."""
    for name, label in (("cats", "cat"), ("dogs", "dog")):
        write_picture(tmp_path / name / "a.png")
        write_coco(tmp_path / name / "a.json", categories=[{"id": 1, "name": label}])
    data = f"data.train=[{tmp_path}/cats/a.json, {tmp_path}/dogs/a.json]"
    small = "data.input_size=64", "data.workers=0", "train.epochs=1", "train.batch_size=1", *tiles
    status, out, _ = centerx("train", "nano", data, *small, "--out", tmp_path / "run", "--dry-run", "--json", "-")
    assert status == 0
    assert json.loads(out)["steps"] == steps
    found = rows(json.loads(out))
    cats, dogs = f"{tmp_path}/cats/a.json", f"{tmp_path}/dogs/a.json"
    assert found["cat"]["labels"] == {cats: 1.0, dogs: 0.0}
    assert (found["cat"]["nobody"], found["dog"]["nobody"]) == ([dogs], [cats])


def test_pictures_of_which_some_label_a_class(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.png")
    images = [
        coco_image(id=1, file_name="a.png", neg_category_ids=[], not_exhaustive_category_ids=[]),
        coco_image(id=2, file_name="b.png", neg_category_ids=[], not_exhaustive_category_ids=[]),
    ]
    write_coco(tmp_path / "a.json", images=images, annotations=[coco_annotation(image_id=1)])
    plan = library.plan(
        "nano",
        out=tmp_path / "run",
        overrides={
            "data.train": [tmp_path / "a.json"], "data.input_size": 64, "data.workers": 0, "train.epochs": 1,
        },
    )  # fmt: skip
    assert [list(row.labels.values()) for row in plan.supervision] == [[0.5], [0.5]]
    assert repr(plan).startswith(f"TrainPlan({tmp_path / 'run'}: 1 classes, 2 pictures, 0 teachers, 1 steps, about ")


def test_a_merge_by_exported_teachers_is_planned_without_keeping_what_they_find(
    centerx: CommandLine,
    onnx_file: Path,
    model_file: Path,
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--images", scenes.with_suffix(""), "--student", "nano", "--out", "run", "distill.shared=average"]
    small = ["data.input_size=[96,128]", "data.workers=0", "train.batch_size=4", "train.epochs=1"]
    words += ["--teachers", onnx_file, model_file, *small, "--dry-run", "--json", tmp_path / "plan.json"]
    status, out, err = centerx("merge", *words)
    assert status == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    plan = json.loads((tmp_path / "plan.json").read_bytes())
    assert plan["teachers"] == ["model", "model-2"]
    assert plan["seconds"]["asking"] > 0
    for row in plan["supervision"]:
        assert row["teachers"] == {"model": 0.5, "model-2": 0.5}
        assert (list(row["labels"].values()), row["nobody"]) == ([0.0], [])
    assert out.count("weight 0.50") == 2 * 3
    ask_once(tmp_path / "kept" / "model.sqlite", TeacherInfo("another", ("red",), "boxes"), nobody, [])
    status, out, err = centerx("merge", *words, "distill.cache=kept")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "kept/model.sqlite: keeps what another teacher found" in err


def nobody(image: np.ndarray) -> Detections:
    raise AssertionError


def test_what_training_refuses_a_plan_refuses(centerx: CommandLine, small_overrides: list[str], tmp_path: Path) -> None:
    command = ["train", "nano", *small_overrides, "--out", tmp_path, "--dry-run"]
    for wrong in ("classes=[purple]", "data.val=[nowhere.json]", "train.skip_jumps=0.5"):
        assert centerx(*command, wrong) == centerx(*command[:-1], wrong)
        assert centerx(*command, wrong)[0] == 2
    (tmp_path / "last.safetensors").write_bytes(b"")
    status, _, err = centerx(*command)
    assert (status, err.count("\n")) == (2, 1)
    assert "would be overwritten" in err
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_clock_leaves_out_the_warm_up() -> None:
    clock = StepClock()
    clock.times = [0.0, 10.0, 12.0, 13.0, 15.0]
    assert clock.seconds == 2.0
    clock.times = [0.0, 10.0]
    assert clock.seconds == 10.0
