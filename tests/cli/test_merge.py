"""`centerx merge`: its lists of values, and a whole run."""

import json
from pathlib import Path

import pytest
import typer

from centerx.cli.main import app
from centerx.config import load_config
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree
from tests.train.test_teachers import DIGITS, teachers  # noqa: F401 - a fixture

COMMAND = typer.main.get_command(app)
SMALL = ["data.input_size=96", "data.workers=0", "train.batch_size=8", "train.epochs=1"]


def parse(*arguments: str) -> dict:
    command = COMMAND.commands["merge"]
    with command.make_context("merge", list(arguments)) as context:
        return context.params


def test_options_take_values_in_a_row() -> None:
    given = parse(
        "--teachers", "a.onnx", "b.onnx", "--images", "one", "two", "--student", "nano", "train.epochs=1", "--out", "x"
    )  # fmt: skip
    assert list(map(str, given["teachers"])) == ["a.onnx", "b.onnx"]
    assert list(map(str, given["images"])) == ["one", "two"]
    assert given["overrides"] == ["train.epochs=1"]
    assert str(given["out"]) == "x"


def test_overrides_may_follow_a_list() -> None:
    given = parse("--student", "nano", "--teachers", "a", "--images", "one", "data.input_size=96", "loss.size=1")
    assert list(map(str, given["images"])) == ["one"]
    assert given["overrides"] == ["data.input_size=96", "loss.size=1"]


def test_a_merge(
    teachers: list[Path],  # noqa: F811
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "merged"
    arguments = ["--teachers", *map(str, teachers), "--images", str(scenes.parent / "train"), "--val", str(scenes),
                 "--student", "nano", "--out", str(out), *SMALL]  # fmt: skip
    app(["merge", *arguments], standalone_mode=False)
    used = load_config(out / "config.yaml")
    assert used.classes == tuple(DIGITS)
    assert [teacher.weights for teacher in used.distill.teachers] == list(map(str, teachers))
    assert used.data.train[0].path == str(scenes.parent / "train")
    written = json.loads((out / "merge.json").read_text())
    assert [row["class"] for row in written["classes"]] == list(DIGITS)
    assert {row["teacher"] for row in written["classes"]} == {str(path) for path in teachers}
    for row in written["classes"]:
        assert row["difference"] == pytest.approx(row["student"] - row["alone"])
    assert "teacher alone" in capsys.readouterr().out
    assert (out / "last.safetensors").is_file()


def test_a_teacher_whose_classes_are_not_in_the_data_is_not_judged(
    teachers: list[Path],  # noqa: F811
    scenes: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "low.json").write_text(json.dumps(coco_tree(read_dataset(scenes, classes=DIGITS[:5]), tmp_path)))
    out = tmp_path / "merged"
    arguments = ["--teachers", *map(str, teachers), "--images", str(scenes.parent / "train"), "--student", "nano",
                 "--val", str(tmp_path / "low.json"), "--out", str(out), *SMALL]  # fmt: skip
    app(["merge", *arguments], standalone_mode=False)
    rows = json.loads((out / "merge.json").read_text())["classes"]
    assert [(row["class"], row["teacher"]) for row in rows] == [(name, str(teachers[0])) for name in DIGITS[:5]]
