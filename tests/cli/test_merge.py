"""`centerx merge`: its lists of values, and a whole run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer

import centerx.evaluation.api  # noqa: F401 - before a test replaces what it imports
from centerx.api.merge import Alone, compare, judge, places
from centerx.cli.main import app
from centerx.cli.merge import print_comparison
from centerx.cli.table import metrics_table
from centerx.config import load_config
from centerx.config.schema import DataEntry, TeacherConfig
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree
from centerx.errors import InputError
from centerx.evaluation import Metrics
from centerx.runtime.info import ModelInfo
from centerx.types import RawDetections
from tests.cli.test_habits import documented, keys_of
from tests.training.test_teachers import DIGITS, teachers  # noqa: F401 - a fixture

COMMAND = typer.main.get_command(app)
SMALL = ["data.input_size=96", "data.workers=0", "train.batch_size=8", "train.epochs=1"]


def report(student: Metrics, alone: list[Alone]) -> list[dict]:
    """Print the table, and return the rows of merge.json."""
    rows = compare(student, alone)
    print_comparison(student, rows)
    return [row.to_json() for row in rows]


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


def test_a_list_may_be_written_with_equals() -> None:
    given = parse("--student", "nano", "--teachers=a.onnx", "b.onnx", "--images=one", "train.epochs=1")
    assert list(map(str, given["teachers"])) == ["a.onnx", "b.onnx"]
    assert list(map(str, given["images"])) == ["one"]
    assert given["overrides"] == ["train.epochs=1"]


def test_a_path_with_an_equals_sign_is_no_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("seed=1").mkdir()
    given = parse("--student", "nano", "--images", "one", "--teachers", "seed=1", "seed=2", "train.epochs=1")
    assert list(map(str, given["teachers"])) == ["seed=1"]
    assert given["overrides"] == ["seed=2", "train.epochs=1"]
    longest = f"distill.teachers=[{'x' * 5000}]"
    assert parse("--student", "nano", "--teachers", "a", "--images", "one", longest)["overrides"] == [longest]


def test_a_merge(
    teachers: list[Path],  # noqa: F811
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "merged"
    arguments = ["--teachers", *map(str, teachers), "--images", str(scenes.parent / "train"), "--val", str(scenes),
                 "--student", "nano", "--out", str(out), *SMALL, "--json", str(tmp_path / "report.json")]  # fmt: skip
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
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert documented("merge") == keys_of(report)
    assert (report["model"], report["classes"]) == (str(out / "last.safetensors"), written["classes"])
    assert (report["metrics"]["AP"], report["judged_by_training"]) == (written["AP"], False)
    told = capsys.readouterr().out
    assert "teacher alone" in told
    assert "/size " in told
    assert "  size " not in told  # no labels, so no term of theirs
    assert (out / "last.safetensors").is_file()


def test_a_teacher_whose_classes_are_not_in_the_data_is_named_without_a_figure(
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
    knows = [str(teachers[0])] * 5 + [str(teachers[1])] * 5
    assert [(row["class"], row["teacher"]) for row in rows] == list(zip(DIGITS, knows, strict=True))
    assert all(row["alone"] is not None for row in rows[:5])
    assert all(row[figure] is None for row in rows[5:] for figure in ("alone", "student", "difference"))


@pytest.mark.soak
def test_renamed_classes_and_those_of_labels_are_reported(
    teachers: list[Path],  # noqa: F811
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One teacher, of which 0 teaches `zero` and 1 teaches `one`; the label file has these and `seven`."""
    ours = {"0": "zero", "1": "one", "7": "seven"}
    read = read_dataset(scenes, classes=[f"{theirs}={name}" for theirs, name in ours.items()])
    (tmp_path / "named.json").write_text(json.dumps(coco_tree(read, tmp_path)))
    entry = {"weights": str(teachers[0]), "classes": {"0": "zero", "1": "one"}}
    out = tmp_path / "merged"
    arguments = ["--teachers", str(teachers[0]), "--images", str(scenes.parent / "train"), "--student", "nano",
                 "--labels", str(tmp_path / "named.json"), "--out", str(out), *SMALL]  # fmt: skip
    overrides = [f"distill.teachers={json.dumps([entry])}", "train.epochs=2"]
    app(["merge", *arguments, *overrides], standalone_mode=False)
    assert "judged by pictures that it was trained on" in capsys.readouterr().out
    rows = json.loads((out / "merge.json").read_text())["classes"]
    taught = str(teachers[0])
    assert [(row["class"], row["teacher"]) for row in rows] == [("zero", taught), ("one", taught), ("seven", None)]
    assert all(row["alone"] is not None for row in rows[:2])
    assert (rows[2]["alone"], rows[2]["difference"]) == (None, None)

    (out / "merge.json").unlink()
    with pytest.raises(InputError, match="holds a run already, go on with it by --resume"):
        app(["merge", *arguments, *overrides], standalone_mode=False)
    app(["merge", *arguments, *overrides, "--resume"], standalone_mode=False)
    assert "epoch" not in capsys.readouterr().out  # nothing was left to do but to report
    assert json.loads((out / "merge.json").read_text())["classes"] == [
        {key: pytest.approx(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    ]


def test_teachers_are_judged_under_the_names_of_the_student(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one teacher finds `0` and calls it `zero`, finds no `1`; the other's class is not in the data."""
    zero, one = (read_dataset(scenes, classes=[name]) for name in "01")

    class Session:
        any_size = True

        def __init__(self, path: str, adapter: None) -> None:
            names = {"a.onnx": ("one", "zero", "spare"), "b.onnx": ("cat",)}[path]
            self.info = ModelInfo(names, (96, 96), 4)
            self.turn = iter(zero.records)

        def __call__(self, images: np.ndarray) -> RawDetections:
            boxes = np.zeros((len(images), 30, 4), dtype=np.float32)
            scores = np.zeros((len(images), 30), dtype=np.float32)
            for row, record in zip(range(len(images)), self.turn, strict=False):
                boxes[row, : len(record.objects.boxes)] = record.objects.boxes
                scores[row, : len(record.objects.boxes)] = 0.9
            return RawDetections({"boxes": boxes}, scores, np.ones((len(images), 30), dtype=np.int64))

    monkeypatch.setattr("centerx.runtime.open_session", Session)
    entries = [TeacherConfig(weights="a.onnx", classes={"zero": "0", "one": "1"}), TeacherConfig(weights="b.onnx")]
    assert (zero.records[0].image, len(zero.records)) == (one.records[0].image, len(one.records))
    assert judge(entries, [read_dataset(scenes)], batch_size=4) == [
        Alone("a.onnx", {"1": 0.0, "0": pytest.approx(1.0)}),
        Alone("b.onnx", {"cat": None}),
    ]


def test_images_are_folders(teachers: list[Path], scenes: Path, tmp_path: Path) -> None:  # noqa: F811
    arguments = ["--teachers", str(teachers[0]), "--images", str(scenes), "--student", "nano"]
    with pytest.raises(InputError, match="is no folder of pictures; labelled data goes to --labels"):
        app(["merge", *arguments, "--out", str(tmp_path / "merged")], standalone_mode=False)


def test_the_same_pictures_are_known_however_their_path_is_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    plain, winding = tmp_path / "a.json", tmp_path / "sub" / ".." / "a.json"
    assert places([DataEntry(path=str(plain))]) == places([DataEntry(path=str(winding))])
    assert not places([DataEntry(path=str(plain), split="a")]) & places([DataEntry(path=str(plain), split="b")])


def test_labels_bring_pictures(teachers: list[Path], scenes: Path, tmp_path: Path) -> None:  # noqa: F811
    arguments = ["--teachers", str(teachers[0]), "--labels", str(scenes), "--student", "nano"]
    app(["merge", *arguments, "--out", str(tmp_path / "run"), *SMALL], standalone_mode=False)
    data = load_config(tmp_path / "run" / "config.yaml").data
    assert data.train == data.val == (DataEntry(path=str(scenes)),)


def test_a_run_among_the_pictures_is_refused(teachers: list[Path], scenes: Path) -> None:  # noqa: F811
    pictures = scenes.parent / "train"
    arguments = ["--teachers", str(teachers[0]), "--images", str(pictures), "--student", "nano"]
    with pytest.raises(InputError, match="whose pictures are learned from, name another folder"):
        app(["merge", *arguments, "--out", str(pictures / "run")], standalone_mode=False)
    assert not (pictures / "run").exists()


def test_splits_of_labels_and_judges(
    teachers: list[Path],  # noqa: F811
    scenes: Path,
    tmp_path: Path,
) -> None:
    for name in "ab":
        shutil.copy(scenes, tmp_path / f"{name}.json")
    shutil.copytree(scenes.parent / "train", tmp_path / "train")
    arguments = ["merge", "--teachers", *map(str, teachers), "--images", str(scenes.parent / "train"), "--student",
                 "nano", "--val", str(tmp_path), "--out", str(tmp_path / "run"), *SMALL]  # fmt: skip
    with pytest.raises(InputError, match="--labels-split: goes with --labels"):
        app([*arguments, "--labels-split", "b"], standalone_mode=False)
    with pytest.raises(InputError, match="which of a, b"):
        app(arguments, standalone_mode=False)
    app([*arguments, "--labels", str(tmp_path), "--labels-split", "b", "--val-split", "a"], standalone_mode=False)
    data = load_config(tmp_path / "run" / "config.yaml").data
    assert [entry.split for entry in (*data.train, *data.val)] == [None, "b", "a"]


def test_a_report_shows_names_as_they_are_and_every_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("lamp [/off]", "[b]ulb", "plug")
    student = Metrics(*[0.5] * 12, per_class=dict.fromkeys(names, 0.5), images=3)
    file = f"{'a_long_folder/' * 6}last[x].onnx"
    alone = [Alone(file, {names[0]: 0.25}), Alone(file, {names[1]: 0.75}), Alone(f"second_{file}", {names[1]: 0.5})]
    rows = report(student, alone)
    assert [(row["class"], row["teacher"], row["difference"]) for row in rows] == [
        (names[0], file, 0.25), (names[1], file, -0.25), (names[1], f"second_{file}", 0.0), (names[2], None, None)
    ]  # fmt: skip
    metrics_table(student)
    shown = capsys.readouterr().out
    assert "AP, lamp [/off]" in shown
    column = "".join(line.split("│")[2].strip() for line in shown.splitlines() if line.count("│") == 6)
    assert column == f"{file}{file}second_{file}-"


def test_a_report_ends_with_the_mean_where_each_class_has_one_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    student = Metrics(*[0.5] * 12, per_class={"a": 0.4, "b": 0.6, "c": None}, images=3)
    for last, mean in (
        (Alone("two", {"b": 0.8, "c": None}), ["0.500", "0.500", "0.000"]),
        (Alone("two", {}), ["-", "0.500", "-"]),
    ):
        report(student, [Alone("one", {"a": 0.2}), last])
        row = next(line for line in capsys.readouterr().out.splitlines() if "mean" in line)
        assert row.replace("│", " ").split()[1:] == mean
    report(Metrics(*[0.0] * 12, per_class={"a": 0.0}, images=3), [Alone("one", {"a": 0.0})])
    row = next(line for line in capsys.readouterr().out.splitlines() if "mean" in line)
    assert row.replace("│", " ").split()[1:] == ["0.000"] * 3
